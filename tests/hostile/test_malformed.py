"""Ten thousand requests that no browser sends, over every address: each is answered, none with a fault of ours.

`./run hostile` asks all of them; here stands a share that is quick. A request is made of the seed and its number alone,
and what it changed is taken back, so that one which failed can be asked again by itself."""

from __future__ import annotations

import os
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.signals import got_request_exception
from django.db import connection, transaction
from django.test import Client, RequestFactory
from pytest_django import Settings

from portal.wsgi import application
from releases.models import Outcome, Preview, Workshop
from releases.storage import Blobs, LogWriter, log_path
from tests import factories
from tests.hostile.doors import asked_names, doors, fields_of
from tests.hostile.malformed import TOKEN, Malformed, World, request
from tests.pages.workshop import register, seen

COUNT = int(os.environ.get("HOSTILE_REQUESTS", "2000"))
SEED = int(os.environ.get("HOSTILE_SEED", "20261125"))
FIRST = int(os.environ.get("HOSTILE_FIRST", "0"))


@pytest.fixture
def faults() -> Iterator[list[str]]:
    """What broke while a request was answered."""
    found: list[str] = []

    def note(**_about: Any) -> None:
        found.append(traceback.format_exc())

    got_request_exception.connect(note)
    yield found
    got_request_exception.disconnect(note)


@pytest.fixture
def world(
    db: None,
    redis: Any,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    quiet: None,
    one_connection: None,
) -> World:
    """A portal in which every kind of row is there, and somebody of each role is signed in."""
    settings.LOGS_DIR, settings.BLOBS_DIR = tmp_path / "logs", tmp_path / "blobs"
    settings.ALLOWED_HOSTS = ["testserver"]
    monkeypatch.setattr(Workshop, "is_fresh", True)  # so that /healthz is content: nobody sweeps meanwhile
    register("builds")
    register("desk")
    seen()
    rows = _rows()
    roles = {
        "a manager": _cookies(factories.user(username="marta", is_staff=True)),
        "a viewer": _cookies(factories.user(role="viewers", username="vera")),
        "an admin": _cookies(User.objects.create_superuser("root", password=factories.PASSWORD)),
        "nobody": f"{settings.CSRF_COOKIE_NAME}={TOKEN}",
    }
    connection.check_constraints()
    return World(doors(), rows, asked_names(), _forms(rows, roles["an admin"]), roles)


def _rows() -> dict[str, list[bytes]]:
    shop = factories.application("fruit-shop", environment={"GREETING": "Hello"})
    factories.moved(factories.ref(shop, "v0.9.0"))
    factories.ref(shop, "main", kind="branch")
    content = os.urandom(5000)
    Blobs(settings.BLOBS_DIR).put([content])
    builds = [factories.succeeded_build(shop, artifact_bytes=content, runner="old") for _ in range(2)]
    builds.append(factories.finished_build(shop, Outcome.FAILED))
    builds.append(factories.running_build(shop))
    factories.prepared("new")
    with LogWriter(log_path(builds[0].pk)) as log:
        log.line("one line")
    factories.comparison(builds[0], builds[1])
    preview = Preview.objects.create(build=builds[0], environment={})
    numbers = [str(build.number).encode() for build in builds]
    keys = [b"1", *(str(build.pk).encode() for build in builds), str(shop.pk).encode(), str(preview.pk).encode()]
    keys += [str(move.pk).encode() for move in shop.moves.all()]
    return {
        "name": [b"fruit-shop", b"fruit-shop", b"python3.13-uwsgi"], "number": numbers, "old": numbers, "new": numbers,
        "pk": keys, "object_id": keys, "id": keys, "app_label": [b"releases", b"auth", b"axes"],
        "url": [b"releases/build", b"nothing"], "content_type_id": keys,
    }  # fmt: skip


def _cookies(person: User) -> str:
    client = Client()
    client.force_login(person)
    signed_in = client.cookies[settings.SESSION_COOKIE_NAME].value
    return f"{settings.SESSION_COOKIE_NAME}={signed_in}; {settings.CSRF_COOKIE_NAME}={TOKEN}"


def _forms(rows: dict[str, list[bytes]], cookies: str) -> dict[str, dict[str, str]]:
    """The fields of each page's forms, with their values, as the admin sees them."""
    forms = {}
    for door in doors():
        path = door.address({name: values[0] for name, values in rows.items()}).decode()
        status, _headers, page = ask(RequestFactory().get(path, headers={"cookie": cookies}).environ)
        forms[door.route] = fields_of(page) if status == 200 else {}
    return forms


def ask(environ: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    """What the application answers, to its last byte; whatever it changed is taken back."""
    said: list[tuple[str, list[tuple[str, str]]]] = []

    def start(status: str, headers: list[tuple[str, str]], _error: Any = None, /) -> Callable[[bytes], object]:
        said.append((status, headers))
        return said.append  # type: ignore[return-value] # nobody writes by this any more

    with transaction.atomic():
        chunks = application(environ, start)
        try:
            body = b"".join(chunks)
        finally:
            chunks.close()
        if environ["REQUEST_METHOD"] == "POST":
            connection.check_constraints()
        transaction.set_rollback(True)
    status, headers = said[0]
    return int(status.split()[0]), dict(headers), body


def complaint(asked: Malformed, faults: list[str]) -> tuple[int, str]:
    """The status, and what is wrong with the answer; empty when nothing is."""
    faults.clear()
    try:
        status, headers, body = ask(asked.environ)
    except Exception:  # noqa: BLE001 - any at all is what is looked for
        return 500, f"the server would have seen an exception\n{traceback.format_exc()}"
    if faults or status >= 500:
        return status, f"{status}\n{faults[0] if faults else body[:500]!r}"
    if headers.get("X-Content-Type-Options") != "nosniff" or "Content-Security-Policy" not in headers:
        return status, f"{status} without its guards: {headers}"
    return status, "the portal's key stands in it" if settings.SECRET_KEY.encode() in body else ""


def test_malformed_requests_are_answered(world: World, faults: list[str]) -> None:
    statuses: Counter[int] = Counter()
    wrong: dict[str, str] = {}
    for number in range(FIRST, FIRST + COUNT):
        asked = request(SEED, number, world)
        status, what = complaint(asked, faults)
        statuses[status] += 1
        if what:
            again = f"HOSTILE_SEED={SEED} HOSTILE_FIRST={number} HOSTILE_REQUESTS=1 asks it again"
            wrong.setdefault(what.strip().rsplit("\n")[-1], f"{again}: {asked.told()}\n{what[-2000:]}")
    print(f"{COUNT} requests of seed {SEED}: {dict(sorted(statuses.items()))}")
    assert not wrong, f"{len(wrong)} kinds of faults:\n" + "\n\n".join(wrong.values())
