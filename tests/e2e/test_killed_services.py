"""The portal's own servers are killed while people click and builds go on; its supervisor brings them back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import requests

from tests.e2e.portal import SERVE, RunningPortal, Visitor, eventually, repository
from tests.e2e.test_faults import SLOW_SETUP, begin
from tests.soak.processes import services

pytestmark = pytest.mark.engine

QUICK = {"app/app.py": SERVE, "requirements.txt": b""}
BRIEF = {"app/app.py": SERVE, "brief/setup.py": SLOW_SETUP.replace(b"5", b"2"), "requirements.txt": b"./brief\n"}
CLICKS = 40


def click(visitor: Visitor, name: str, ref: str) -> requests.Response:
    """*Build release*, from a browser of its own with the same session: many may click at once."""
    cookies = visitor.session.cookies.get_dict()
    token = next(value for cookie, value in cookies.items() if "csrf" in cookie)
    return requests.post(
        f"{visitor.portal.address}/applications/{name}/builds/new/",
        data={"ref": ref, "csrfmiddlewaretoken": token},
        cookies=cookies,
        headers={"Referer": f"{visitor.portal.address}/applications/{name}/"},
        timeout=60,
        allow_redirects=False,
        proxies={"http": ""},
    )


def refs_of(portal: RunningPortal, name: str) -> list[str]:
    query = "SELECT ref FROM releases_build b JOIN releases_application a ON a.id = b.application_id WHERE a.name = %s"
    return [row["ref"] for row in portal.sql(query, name)]


def ended(portal: RunningPortal, name: str, number: int, seconds: float) -> dict[str, Any]:
    eventually(
        lambda: portal.build(name, number)["state"] == "finished", seconds=seconds, what=f"{name} #{number} ends"
    )
    return portal.build(name, number)


@contextmanager
def paused(portal: RunningPortal) -> Iterator[None]:
    """Builds are taken, and wait; those that still wait at the end are cancelled."""
    assert portal.manage("pause", "the web is killed").returncode == 0
    try:
        yield
    finally:
        waiting = "Build.objects.filter(state='queued')"
        cancel = f"[actions.cancel_build(build, by=None) for build in {waiting}]"
        told = f"from releases import actions; from releases.models import Build; {cancel}"
        assert portal.manage("shell", "-v", "0", "-c", told).returncode == 0
        assert portal.manage("resume").returncode == 0


def test_web_killed_during_clicks_answers_with_rows_or_not_at_all(portal: RunningPortal) -> None:
    assert portal.register("unaffected", repository(portal.repositories, "unaffected", BRIEF)).returncode == 0
    running = begin(portal, "unaffected")
    assert portal.register("clicked", repository(portal.repositories, "clicked", QUICK)).returncode == 0
    visitor = portal.page()
    answered, refused = set(), set()

    def one(number: int) -> None:
        ref = f"v0.0.{number}"
        try:
            answer = click(visitor, "clicked", ref)
        except requests.RequestException:
            refused.add(ref)
            time.sleep(0.2)
            return
        assert answer.status_code == 302, answer.text
        answered.add(ref)

    with paused(portal):
        with ThreadPoolExecutor(3) as people:
            clicks = [people.submit(one, number) for number in range(CLICKS)]
            for moment in (0.15, 0.35):
                time.sleep(moment)
                [master] = eventually(lambda: services(portal, "gunicorn"), seconds=10, what="the web runs")
                master.kill()
            for done in clicks:
                done.result()
        eventually(lambda: visitor.portal.sql("SELECT 1") and _answers(portal), seconds=30, what="the web is back")
        rows = refs_of(portal, "clicked")
        assert refused, "no click met the kill"
        assert answered, "no click was answered"
        assert len(rows) == len(set(rows))
        assert answered <= set(rows)
        assert set(rows) - answered <= refused  # a row whose answer was lost on its way is no lie
    assert ended(portal, "unaffected", running["number"], 60)["outcome"] == "succeeded"


def _answers(portal: RunningPortal) -> bool:
    try:
        return requests.get(f"{portal.address}/livez", timeout=5, proxies={"http": ""}).status_code == 200
    except requests.RequestException:
        return False


def test_fifty_clicks_at_once_build_once(portal: RunningPortal) -> None:
    assert portal.register("fifty", repository(portal.repositories, "fifty", QUICK)).returncode == 0
    visitor = portal.page("admin")
    with paused(portal):
        with ThreadPoolExecutor(50) as people:
            answers = list(people.map(lambda _: click(visitor, "fifty", "v1.0.0"), range(50)))
        assert {answer.status_code for answer in answers} == {302}
        assert {answer.headers["Location"] for answer in answers} == {"/applications/fifty/builds/1/"}
        assert refs_of(portal, "fifty") == ["v1.0.0"]


def test_redis_killed_while_builds_are_asked_for_loses_none(portal: RunningPortal) -> None:
    url = repository(portal.repositories, "rung", QUICK)
    refs = ("v1.0.0", "v1.0.1", "v1.0.2")
    for ref in refs[1:]:
        repository(portal.repositories, "rung", {"app/app.py": SERVE + ref.encode().join([b"# ", b"\n"])}, tag=ref)
    assert portal.register("rung", url).returncode == 0
    visitor = portal.page()
    for ref in refs:
        assert click(visitor, "rung", ref).status_code == 302
        if ref == refs[1]:
            [server] = services(portal, "redis-server")
            server.kill()
    for number in range(1, len(refs) + 1):
        assert ended(portal, "rung", number, 90)["outcome"] == "succeeded"


def test_postgresql_killed_during_a_build_leaves_an_honest_end(portal: RunningPortal) -> None:
    assert portal.register("rowless", repository(portal.repositories, "rowless", BRIEF)).returncode == 0
    build = begin(portal, "rowless")
    visitor = portal.page()
    [server] = services(portal, "postgres")
    server.kill()
    statuses = set()

    def is_back() -> bool:
        page = visitor.get("/applications/rowless/")
        statuses.add(page.status_code)
        assert "Traceback" not in page.text
        return page.status_code == 200

    eventually(is_back, seconds=30, what="the pages are back")
    assert statuses <= {200, 503}
    row = ended(portal, "rowless", build["number"], 60)
    assert row["outcome"] in ("internal_error", "worker_lost", "succeeded")
    assert portal.log(row).rstrip("\n").endswith(row["message"])
    eventually(lambda: not portal.containers(f"release-portal.build={build['id']}"), seconds=30, what="it is cleared")
    assert portal.register("afterwards", repository(portal.repositories, "afterwards", QUICK)).returncode == 0
    assert portal.release("afterwards", "v1.0.0")[0] == 0
    verified = portal.manage("audit", "verify")
    assert verified.returncode == 0, verified.stdout
