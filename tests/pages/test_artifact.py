"""The download: the bytes of the record or none, in whole or in part, known again by its sha256."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from releases.errors import StorageError
from releases.models import Build, Event
from releases.storage import Blobs
from tests import factories

CONTENT = os.urandom(700_000)
"""More than two chunks of the store, so that some bytes are on their way before the last ones are checked."""
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def blobs(settings: Settings, tmp_path: Path) -> Blobs:
    settings.BLOBS_DIR = tmp_path / "blobs"
    return Blobs(settings.BLOBS_DIR)


@pytest.fixture
def build(blobs: Blobs, db: None) -> Build:
    blobs.put([CONTENT])
    return factories.succeeded_build(artifact_bytes=CONTENT)


def address(build: Build, name: str = "build-artifact") -> str:
    return reverse(name, args=[build.application.name, build.number])


def damage(blobs: Blobs) -> None:
    """Flip one bit in the middle."""
    path = blobs.path(SHA256)
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(350_000)
        byte = file.read(1)[0]
        file.seek(350_000)
        file.write(bytes([byte ^ 1]))


def events(build: Build, verb: str) -> list[Event]:
    return list(build.events.filter(verb=verb))


def test_artifact_is_the_recorded_bytes(manager: Client, build: Build) -> None:
    answer = manager.get(address(build))
    assert answer.status_code == 200
    assert answer.getvalue() == CONTENT
    assert answer["Content-Type"] == "application/gzip"
    assert answer["Content-Length"] == str(len(CONTENT))
    assert answer["Content-Disposition"] == 'attachment; filename="app.tar.gz"'
    assert answer["ETag"] == f'"{SHA256}"'
    assert answer["Accept-Ranges"] == "bytes"
    assert answer["X-Content-Type-Options"] == "nosniff"
    told = answer["Repr-Digest"].removeprefix("sha-256=:").removesuffix(":")
    assert base64.b64decode(told) == hashlib.sha256(CONTENT).digest()


def test_artifact_head_says_the_same_without_the_bytes(manager: Client, build: Build) -> None:
    answer = manager.head(address(build))
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer["Content-Length"] == str(len(CONTENT))
    assert answer["ETag"] == f'"{SHA256}"'
    assert not events(build, "artifact.downloaded")


def test_artifact_download_is_recorded_with_who(manager: Client, build: Build) -> None:
    manager.get(address(build)).getvalue()
    manager.get(address(build), headers={"Range": "bytes=0-9"}).getvalue()
    manager.get(address(build), headers={"Range": "bytes=10-"}).getvalue()
    assert [event.actor_name for event in events(build, "artifact.downloaded")] == ["marta", "marta"]


@pytest.mark.parametrize(
    "known", [f'"{SHA256}"', f'W/"{SHA256}"', f'"other", "{SHA256}"', "*"], ids=["same", "weak", "among", "any"]
)
def test_artifact_that_is_known_is_not_sent_again(manager: Client, build: Build, known: str) -> None:
    answer = manager.get(address(build), headers={"If-None-Match": known, "Range": "bytes=0-9"})
    assert (answer.status_code, answer.content) == (304, b"")
    assert answer["ETag"] == f'"{SHA256}"'
    assert not events(build, "artifact.downloaded")


def test_artifact_that_must_be_another_is_refused(manager: Client, build: Build) -> None:
    assert manager.get(address(build), headers={"If-Match": '"other"'}).status_code == 412


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=5-9", 5, 10),
        ("bytes=300000-600000", 300_000, 600_001),
        ("bytes=699990-", 699_990, 700_000),
        ("bytes=699990-9999999", 699_990, 700_000),
        ("bytes=-10", 699_990, 700_000),
        ("bytes=-9999999", 0, 700_000),
        ("bytes=0-699999", 0, 700_000),
    ],
)
def test_artifact_is_given_in_parts(manager: Client, build: Build, asked: str, start: int, stop: int) -> None:
    answer = manager.get(address(build), headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.getvalue() == CONTENT[start:stop]
    assert answer["Content-Range"] == f"bytes {start}-{stop - 1}/700000"
    assert answer["Content-Length"] == str(stop - start)


@pytest.mark.parametrize("asked", ["bytes=700000-", "bytes=700000-800000", "bytes=-0"])
def test_artifact_part_outside_of_it_is_refused(manager: Client, build: Build, asked: str) -> None:
    answer = manager.get(address(build), headers={"Range": asked})
    assert answer.status_code == 416
    assert answer["Content-Range"] == "bytes */700000"


@pytest.mark.parametrize("asked", ["bytes=9-5", "bytes=-", "bytes=a-b", "bytes=0-1,4-5", "items=0-5", "bytes=٣-٥"])
def test_artifact_is_given_whole_when_the_range_makes_no_sense(manager: Client, build: Build, asked: str) -> None:
    answer = manager.get(address(build), headers={"Range": asked})
    assert answer.status_code == 200
    assert answer.getvalue() == CONTENT


def test_artifact_part_of_another_version_is_given_whole(manager: Client, build: Build) -> None:
    same = {"Range": "bytes=0-9", "If-Range": f'"{SHA256}"'}
    other = {"Range": "bytes=0-9", "If-Range": '"another"'}
    assert manager.get(address(build), headers=same).status_code == 206
    assert manager.get(address(build), headers=other).status_code == 200


def test_artifact_with_a_flipped_bit_never_arrives_whole(manager: Client, build: Build, blobs: Blobs) -> None:
    damage(blobs)
    answer = manager.get(address(build))
    arrived: list[bytes] = []
    with pytest.raises(StorageError, match="differs from its record"):
        arrived.extend(answer.streaming_content)  # type: ignore[attr-defined] # the test client's type hides it
    assert 0 < len(b"".join(arrived)) < int(answer["Content-Length"])
    assert len(events(build, "artifact.damaged")) == 1


def test_artifact_found_damaged_is_a_page_with_a_sentence_from_then_on(
    manager: Client, build: Build, blobs: Blobs
) -> None:
    damage(blobs)
    with pytest.raises(StorageError):
        manager.get(address(build)).getvalue()
    answer = manager.get(address(build))
    assert answer.status_code == 410
    assert "differs from its record" in answer.content.decode()
    assert manager.head(address(build)).status_code == 410
    assert len(events(build, "artifact.damaged")) == 1


def test_artifact_that_was_mended_is_given_again(manager: Client, build: Build, blobs: Blobs) -> None:
    damage(blobs)
    with pytest.raises(StorageError):
        manager.get(address(build)).getvalue()
    blobs.path(SHA256).unlink()
    blobs.put([CONTENT])
    assert manager.get(address(build)).getvalue() == CONTENT


def test_artifact_part_of_a_damaged_file_is_refused_before_the_first_byte(
    manager: Client, build: Build, blobs: Blobs
) -> None:
    damage(blobs)
    answer = manager.get(address(build), headers={"Range": "bytes=0-9"})
    assert answer.status_code == 410
    assert len(events(build, "artifact.damaged")) == 1


def test_artifact_whose_file_is_gone_is_a_page_with_a_sentence(manager: Client, build: Build, blobs: Blobs) -> None:
    blobs.path(SHA256).unlink()
    answer = manager.get(address(build))
    assert answer.status_code == 410
    assert "build the release again" in answer.content.decode()


def test_artifact_of_a_build_without_one_is_not_found(manager: Client) -> None:
    failed = manager.get(address(factories.finished_build()))
    assert failed.status_code == 404
    assert "has no app.tar.gz" in failed.content.decode()
    assert "not made yet" in manager.get(address(factories.running_build())).content.decode()


@pytest.mark.parametrize("name", ["build-artifact", "build-packages", "build-image"])
def test_artifact_doors_are_for_those_who_may_see(client: Client, viewer: Client, build: Build, name: str) -> None:
    refused = client.get(address(build, name))
    assert refused.status_code == 302
    assert refused["Location"].startswith(reverse("login"))
    assert viewer.get(address(build, name)).status_code == 200
    client.force_login(factories.user(role=""))
    assert client.get(address(build, name)).status_code == 403
    assert viewer.post(address(build, name)).status_code == 405


def test_packages_are_lines_that_pip_reads(manager: Client) -> None:
    build = factories.succeeded_build(packages={"flask": "3.1.3", "click": "8.3.1"})
    answer = manager.get(address(build, "build-packages"))
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.content.decode().splitlines() == [
        f"click==8.3.1 --hash=sha256:{factories.sha256('click 8.3.1')}",
        f"flask==3.1.3 --hash=sha256:{factories.sha256('flask 3.1.3')}",
    ]


def test_packages_of_a_build_that_installed_none_are_not_found(manager: Client) -> None:
    answer = manager.get(address(factories.finished_build(), "build-packages"))
    assert answer.status_code == 404
    assert "no list of packages" in answer.content.decode()
