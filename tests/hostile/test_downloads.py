"""Ten thousand downloads, whole and in part, of a file that is damaged meanwhile: none completes with a wrong byte.

A download completes when all the bytes came that its answer promised. One that is refused (410), or breaks off before,
is as good: nobody takes it for the release."""

from __future__ import annotations

import http.client
import os
from pathlib import Path
from random import Random

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.test import Client, RequestFactory
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from releases.errors import StorageError
from releases.models import Build
from releases.storage import Blobs, blobs
from releases.views import artifact
from tests import factories
from tests.hostile.damage import Vandal

COUNT = int(os.environ.get("HOSTILE_DOWNLOADS", "10000"))
SEED = int(os.environ.get("HOSTILE_SEED", "20261125"))
CHUNK, SIZE = 16_384, 45_000
"""Small, so that many can be made; three chunks, so that there is time for harm between them."""


@pytest.fixture
def content(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    monkeypatch.setattr(blobs, "CHUNK", CHUNK)
    settings.BLOBS_DIR = tmp_path / "blobs"
    content = Random(SEED).randbytes(SIZE)  # noqa: S311 - it must be the same each time
    Blobs(settings.BLOBS_DIR).put([content])
    return content


def kept(build: Build, settings: Settings) -> Path:
    assert build.artifact is not None
    return Blobs(settings.BLOBS_DIR).path(build.artifact.sha256)


def asked_range(chance: Random) -> str:
    """No range, or one of each kind; many that begin or end where chunks do."""
    edge = chance.choice((0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, SIZE - 1, chance.randrange(SIZE)))
    other = min(SIZE - 1, edge + chance.choice((0, 1, 99, CHUNK, SIZE)))
    return chance.choice(("", "", f"bytes={edge}-", f"bytes={edge}-{other}", f"bytes=-{other or 1}", "bytes=0-0"))


def promised(status: int, headers: dict[str, str], content: bytes) -> bytes | None:
    """The right bytes of what an answer says it holds; None when it holds none of the file."""
    if status == 200:
        return content
    if status != 206:
        return None
    first, last = headers["Content-Range"].removeprefix("bytes ").split("/")[0].split("-")
    return content[int(first) : int(last) + 1]


def received(response: HttpResponseBase) -> bytes:
    """What came until the answer ended or broke off."""
    assert isinstance(response, StreamingHttpResponse)
    came = b""
    try:
        for chunk in response:
            came += chunk
    except StorageError:
        assert len(came) < int(response["Content-Length"]), "it broke off only after all was there"
    finally:
        response.close()
    return came


def outcome(response: HttpResponseBase, content: bytes) -> str:
    right = promised(response.status_code, dict(response.items()), content)
    if right is None:
        assert response.status_code == 410, response.status_code
        return "refused"
    came = received(response)
    assert int(response["Content-Length"]) == len(right)
    if len(came) < len(right):
        return "broken off"
    assert came == right, "a wrong byte completed"
    return "complete"


def get(build: Build, person: User, wanted: str) -> HttpRequest:
    request: HttpRequest = RequestFactory().get("/", headers={"Range": wanted} if wanted else {})
    request.user = person
    return request


@pytest.mark.django_db
@pytest.mark.usefixtures("quiet", "one_connection")
def test_no_wrong_byte_completes_while_the_file_is_damaged(
    content: bytes, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = factories.succeeded_build(artifact_bytes=content)
    monkeypatch.setattr(artifact, "find", lambda *_: build)  # the row is always the same
    monkeypatch.setattr(artifact, "_check_if_doubtful", lambda _: None)  # as if nobody had met the damage before
    person, chance = factories.user(), Random(SEED)  # noqa: S311 - it must be the same each time
    person.has_perm("releases.view_build")  # asked once, not ten thousand times
    found = {"complete": 0, "broken off": 0, "refused": 0}
    with Vandal(kept(build, settings), SEED) as vandal:
        for number in range(COUNT):
            wanted = asked_range(chance)
            response = artifact.download(get(build, person, wanted), build.application.name, build.number)
            try:
                found[outcome(response, content)] += 1
            except AssertionError as error:
                raise AssertionError(f"download {number} of seed {SEED}, Range {wanted!r}: {error}") from error
    print(f"{COUNT} downloads of seed {SEED}, {vandal.rounds} times damaged: {found}")
    assert all(found.values()), f"nothing was tried: {found}"


def fetched(connection: http.client.HTTPConnection, address: str, headers: dict[str, str], content: bytes) -> str:
    """What a program sees that downloads from a server."""
    connection.request("GET", address, headers=headers)
    answer = connection.getresponse()
    right = promised(answer.status, dict(answer.getheaders()), content)
    try:
        came = answer.read()
    except (OSError, http.client.HTTPException):  # fewer bytes than the answer promised
        return "broken off"
    if right is None:
        assert answer.status == 410, answer.status
        return "refused"
    assert came == right, f"a wrong byte completed (Range {headers.get('Range')!r}, seed {SEED})"
    return "complete"


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("quiet")
def test_no_wrong_byte_leaves_a_server(content: bytes, settings: Settings, live_server: LiveServer) -> None:
    build = factories.succeeded_build(artifact_bytes=content)
    client, chance = Client(), Random(SEED)  # noqa: S311 - it must be the same each time
    client.force_login(factories.user())
    signed_in = f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"
    address = f"/applications/{build.application.name}/builds/{build.number}/app.tar.gz"
    host = live_server.url.removeprefix("http://")
    found = {"complete": 0, "broken off": 0, "refused": 0}
    with Vandal(kept(build, settings), SEED):
        for _ in range(COUNT // 50):
            wanted = asked_range(chance)
            headers = {"Cookie": signed_in, "Connection": "close", **({"Range": wanted} if wanted else {})}
            found[fetched(http.client.HTTPConnection(host, timeout=30), address, headers, content)] += 1
    assert found["complete"], found
    assert found["broken off"] + found["refused"], found
