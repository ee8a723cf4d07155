"""The data folder's disk is full, sooner or later in a build: it is said, nothing is half-published, pages work."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from releases import actions
from releases.models import Application, Build, Outcome
from releases.storage import Blobs
from tests import factories
from tests.fakes.engine import FakeEngine
from tests.git.conftest import Origin
from tests.jobs.conftest import assert_ended, assert_nothing_left, run, typed
from tests.jobs.test_boundaries import assert_whole
from tests.pipeline import shop

FREE = (0, 8, 24, 80, 140, 200, 240, 280, 320, 1000)
"""KiB that are left when a build begins: from none to enough. Of the commit, the mirror takes some 190, and then the
store some 150."""


@pytest.fixture
def disk(home: Path, settings: Settings) -> Iterator[Path]:
    """A data folder on a disk of its own, with room for two megabytes."""
    if os.getuid() != 0:
        pytest.skip("A small disk can only be mounted by root: run the tests as root.")
    folder = home / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], check=True)
    settings.PORTAL_HOME = folder
    settings.BLOBS_DIR, settings.LOGS_DIR = folder / "blobs", folder / "logs"
    settings.MIRRORS_DIR, settings.TEMP_DIR = folder / "mirrors", folder / "tmp"
    shop.keep_runner(Blobs(folder / "blobs"))
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(disk: Path, leave: int) -> Path:
    """A file that takes all room but so many KiB."""
    ballast = disk / "ballast"
    known = os.statvfs(disk)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(known.f_bavail * known.f_frsize - leave * 1024, 1))
    return ballast


@pytest.mark.parametrize("leave", FREE)
def test_build_on_a_disk_with_little_room(
    leave: int, disk: Path, app: Application, engine: FakeEngine, origin: Origin, manager: Client
) -> None:
    origin.commit("Bring much", {"app/noise.bin": os.urandom(150_000)})
    origin.git("tag", "v1.1.0")
    origin.push()
    ballast = fill(disk, leave)
    build = run(typed(app, "v1.1.0"))
    if leave == FREE[-1]:
        assert_ended(build, Outcome.SUCCEEDED)
    elif leave == FREE[0]:
        assert build.outcome == Outcome.INTERNAL_ERROR
    if build.outcome != Outcome.SUCCEEDED:
        assert build.outcome == Outcome.INTERNAL_ERROR
        assert "No space is left" in build.message, build.message
        assert build.image is None
    for page in ("/", f"/applications/{app.name}/", build.get_absolute_url(), f"{build.get_absolute_url()}log.txt"):
        assert manager.get(page).status_code == 200
    assert_whole(disk)
    assert_nothing_left(engine)

    ballast.unlink()
    assert_ended(run(actions.rebuild(build, by=None)), Outcome.SUCCEEDED)
    assert_whole(disk)


def test_ask_on_a_full_disk_is_taken(disk: Path, origin: Origin, engine: FakeEngine) -> None:
    """A row needs no room in the data folder when the database lies elsewhere."""
    fill(disk, 0)
    build = actions.request_build(factories.application("fruit-shop", repository=origin.url), "v1.0.0", by=None)
    assert Build.objects.get(pk=build.pk).state == "queued"
