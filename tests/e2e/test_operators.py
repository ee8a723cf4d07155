"""What operators do to a running portal: hold it, move a build to the front, watch it; and what its log says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import requests

from tests.e2e.portal import SERVE, RunningPortal, eventually, repository

pytestmark = pytest.mark.engine
TOKEN = "plum-pear-quince-medlar"


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPortal]:
    home = tmp_path_factory.mktemp("watched") / "home"
    portal = RunningPortal(home, PORTAL_DEMO="0", PORTAL_LOG_FORMAT="json", PORTAL_METRICS_TOKEN=TOKEN)
    portal.start()
    url = repository(portal.repositories, "shop", {"app/app.py": SERVE, "requirements.txt": b""})
    for tag in ("v1.0.1", "v1.0.2", "v1.0.3"):
        repository(portal.repositories, "shop", {"app/app.py": SERVE + b"# " + tag.encode() + b"\n"}, tag=tag)
    assert portal.register("shop", url).returncode == 0
    assert portal.release("shop", "v1.0.0")[0] == 0
    yield portal
    assert portal.stop() == 0


def metrics(portal: RunningPortal) -> dict[str, float]:
    answer = requests.get(f"{portal.address}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10)
    assert answer.status_code == 200
    lines = (line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#"))
    return {name.removeprefix("release_portal_"): float(value) for name, value in lines}


def log(portal: RunningPortal) -> list[dict[str, Any]]:
    """What the terminal of ./run has said, each line an object; the last may not be whole yet."""
    return [json.loads(line) for line in portal.output.read_text().rpartition("\n")[0].splitlines()]


def test_pause_order_and_an_emptied_redis(watched: RunningPortal) -> None:
    """Held while asked for, moved to the front, the queue emptied, and begun again: in the order that people saw."""
    assert watched.manage("pause", "The engine is brought up to date").returncode == 0
    for tag in ("v1.0.1", "v1.0.2", "v1.0.3"):
        assert watched.manage("release", "shop", tag).returncode == 0
    watched.page().post("/applications/shop/builds/4/first/", come_from="/applications/shop/builds/4/")
    shown = watched.manage("shell", "-v", "0", "-c", "from django.conf import settings; print(settings.REDIS_URL)")
    redis.Redis.from_url(shown.stdout.strip()).flushall()
    found = metrics(watched)
    assert (found["paused"], found['queue_length{kind="build"}'], found['builds{state="queued"}']) == (1, 3, 3)
    assert "The engine is brought up to date" in watched.page().get("/").text

    assert watched.manage("resume").returncode == 0
    for number in (2, 3, 4):
        build = eventually(
            lambda number=number: (row := watched.build("shop", number))["state"] == "finished" and row,  # type: ignore[misc]
            seconds=150,
            what=f"shop #{number} ends",
        )
        assert build["outcome"] == "succeeded", build["message"]
    begun = watched.sql("SELECT number FROM releases_build WHERE number > 1 ORDER BY started_at")
    assert [row["number"] for row in begun] == [4, 2, 3]


def test_metrics_of_a_portal_at_work(watched: RunningPortal) -> None:
    """Redis was emptied a moment ago: the workers have said again who they are."""
    idle = [f'workers{{queue="{queue}",state="idle"}}' for queue in ("builds", "desk")]
    eventually(lambda: all(metrics(watched)[name] == 1 for name in idle), seconds=60, what="both workers are back")
    found = metrics(watched)
    assert found['builds_finished_total{outcome="succeeded"}'] == len(watched.numbers("shop"))
    assert found['step_duration_seconds_count{step="checkout"}'] == len(watched.numbers("shop"))
    assert found["engine_up"] == 1
    assert found["sweep_age_seconds"] < 60
    assert requests.get(f"{watched.address}/metrics", timeout=10).status_code == 401


def test_readyz_of_a_portal_at_work(watched: RunningPortal) -> None:
    eventually(
        lambda: requests.get(f"{watched.address}/readyz", timeout=10).status_code == 200, seconds=60, what="it is ready"
    )
    answer = requests.get(f"{watched.address}/readyz", timeout=10).json()
    checks = {
        name: check["ok"] for name, check in answer["checks"].items() if name not in ("cage", "web")
    }  # the two need root
    assert checks == dict.fromkeys(("database", "redis", "workers", "sweeper", "engine", "disk"), True)
    assert requests.get(f"{watched.address}/livez", timeout=10).json() == {"ok": True}


def test_every_line_of_the_log_is_json_and_names_its_build(watched: RunningPortal) -> None:
    first = watched.build("shop", 1)
    lines = [line for line in log(watched) if line.get("build") == first["id"]]
    assert [line["message"] for line in lines] == ["Took up build shop #1", "Build shop #1 ended: Succeeded"]
    for line in lines:
        assert (line["application"], line["number"], line["attempt"], line["process"]) == ("shop", 1, 1, "builds")
        assert line["job"]
    answer = watched.page().get("/no-such-page/")

    def said() -> list[dict[str, Any]]:
        return [line for line in log(watched) if line.get("request_id") == answer.headers["X-Request-ID"]]

    eventually(lambda: bool(said()), seconds=20, what="the log has the request")
    (told,) = said()
    assert told["message"] == "Not Found: /no-such-page/"
    assert told["process"] == "web"
