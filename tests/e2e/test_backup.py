"""A backup of one portal, restored on an empty home: every release downloads and verifies. And what is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.e2e.portal import ROOT, RunningPortal

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def backup(portal: RunningPortal, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the portal that runs, after a release."""
    folder = tmp_path_factory.mktemp("backup") / "tonight"
    assert portal.release("fruit-shop", "v1.1.0")[0] == 0
    make = "from releases.access import *; make_deploy_key(Application.objects.get(name='fruit-shop'), by=None)"
    assert portal.manage("shell", "--no-imports", "-c", make).returncode == 0
    done = portal.manage("backup", str(folder))
    assert (done.returncode, done.stderr) == (0, ""), done
    assert done.stdout.startswith("Backed up ")
    return folder


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[RunningPortal]:
    """A portal that was never started."""
    other = RunningPortal(tmp_path / "home", PORTAL_DEMO="0")
    yield other
    if other.process is not None and other.process.poll() is None:
        other.stop()


def restore(other: RunningPortal, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "portal", "--no-install", "restore", str(folder)],
        cwd=ROOT,
        env=other.environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def test_every_release_of_the_restored_portal_downloads_and_verifies(
    portal: RunningPortal, backup: Path, empty: RunningPortal
) -> None:
    done = restore(empty, backup)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The audit trail is whole" in done.stdout
    assert "Every kept file is what its record says" in done.stdout
    empty.start()
    visitor = empty.page()
    releases = empty.sql(
        "SELECT a.name, b.number, f.sha256 FROM releases_build b JOIN releases_application a ON a.id = b.application_id"
        " JOIN releases_artifact f ON f.id = b.artifact_id WHERE b.outcome = 'succeeded'"
    )
    assert releases
    for release in releases:
        page = f"/applications/{release['name']}/builds/{release['number']}"
        assert hashlib.sha256(visitor.get(f"{page}/app.tar.gz").content).hexdigest() == release["sha256"]
        log, there = visitor.get(f"{page}/log.txt").text, portal.page().get(f"{page}/log.txt").text
        assert log == there
    assert empty.instance == portal.instance
    assert_adds_events_alone(empty)
    assert empty.manage("secrets", "check").stdout.strip() == "All can be opened: 1."
    refused = restore(RunningPortal(empty.home), backup)
    assert refused.returncode == 2
    assert "A portal already runs with the data folder" in refused.stderr


def assert_adds_events_alone(portal: RunningPortal) -> None:
    """As the role that the portal itself works as, before and after a restore."""
    assert portal.sql("SELECT current_user AS name") == [{"name": "portal"}]
    for statement in (
        "UPDATE releases_event SET verb = 'nothing'",
        "DELETE FROM releases_link",
        "ALTER TABLE releases_event DISABLE TRIGGER ALL",
        "SET session_replication_role = replica",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            portal.sql(statement)


def test_the_portal_that_was_backed_up_may_add_events_alone(portal: RunningPortal) -> None:
    assert_adds_events_alone(portal)


def test_a_home_that_holds_something_is_left_alone(backup: Path, empty: RunningPortal) -> None:
    assert restore(empty, backup).returncode == 0
    again = restore(empty, backup)
    assert again.returncode == 2
    assert "The database holds 1 applications already: restore into an empty one." in again.stderr


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("flip", "in the backup is not what was backed up: nothing was restored."),
        ("remove", "is missing in the backup: nothing was restored."),
        ("empty", "is no backup of the portal: it has no sound backup.json."),
        ("lead out", "The backup's list names a file that belongs to no portal: keys/../../out."),
    ],
)
def test_a_damaged_backup_is_refused(
    backup: Path, empty: RunningPortal, tmp_path: Path, change: str, words: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(backup, copy)
    blob = next(path for path in sorted((copy / "blobs").rglob("*")) if path.is_file())
    if change == "flip":
        content = bytearray(blob.read_bytes())
        content[0] ^= 1
        blob.chmod(0o644)
        blob.write_bytes(content)
    elif change == "remove":
        blob.unlink()
    elif change == "empty":
        (copy / "backup.json").write_text("{}")
    else:
        listed = json.loads((copy / "backup.json").read_text())
        (tmp_path / "out").write_text("x")
        (copy / "keys").mkdir(exist_ok=True)
        listed["files"]["keys/../../out"] = {"sha256": hashlib.sha256(b"x").hexdigest(), "size": 1}
        (copy / "backup.json").write_text(json.dumps(listed))
    done = restore(empty, copy)
    assert done.returncode == 2
    assert words in done.stderr
    assert not list((empty.home / "blobs").rglob("?" * 64))


def test_a_folder_that_is_there_is_left_alone(portal: RunningPortal, backup: Path) -> None:
    done = portal.manage("backup", str(backup))
    assert done.returncode == 1
    assert done.stderr.strip() == f"{backup} exists already: name a folder that does not."
