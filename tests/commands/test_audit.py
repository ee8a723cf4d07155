"""`manage.py audit`: exit status, sentences, and what an auditor keeps elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pytest_django import Settings

from releases.models import Build, Link
from releases.storage import Blobs
from tests import factories
from tests.audit.conftest import execute, hang_on, past_the_guards
from tests.commands.conftest import Run

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def home(settings: Settings, tmp_path: Path) -> Path:
    settings.AUDIT_KEY, settings.AUDIT_CHECKPOINTS = tmp_path / "audit_key", tmp_path / "checkpoints.jsonl"
    factories.succeeded_build()
    hang_on()
    return tmp_path


def test_a_whole_trail(run: Run) -> None:
    made = json.loads(run("audit", "checkpoint").out)
    said = run("audit", "verify")
    assert (said.code, said.out.strip()) == (0, f"The audit trail is whole: {made['position']} events, 1 checkpoints.")
    facts = json.loads(run("audit", "verify", "--json").out)
    assert facts == {"ok": True, "links": made["position"], "checkpoints": 1, "findings": []}


def test_a_changed_row_is_named_and_the_exit_status_says_so(run: Run) -> None:
    event = Link.objects.get(position=2).event_id
    with past_the_guards():
        execute("UPDATE releases_event SET verb = 'nothing' WHERE id = %s", event)
        said = run("audit", "verify")
        facts = json.loads(run("audit", "verify", "--json").out)
    assert said.code == 1
    assert f"Event {event} is not what was written" in said.out
    assert (facts["ok"], facts["findings"][0]["event"], facts["findings"][0]["position"]) == (False, event, 2)


def test_a_copy_and_a_key_that_were_kept_elsewhere(run: Run, home: Path) -> None:
    run("audit", "checkpoint")
    (home / "copy").write_text((home / "checkpoints.jsonl").read_text())
    (home / "public.pem").write_text(run("audit", "key").out)
    (home / "checkpoints.jsonl").unlink()
    (home / "audit_key").unlink()
    kept = ("--checkpoints", str(home / "copy"), "--key", str(home / "public.pem"))
    assert run("audit", "verify", *kept).code == 0
    with past_the_guards():
        execute("DELETE FROM releases_link WHERE position > 2")
        execute("DELETE FROM releases_event WHERE id NOT IN (SELECT event_id FROM releases_link)")
        assert "its tail was cut off" in run("audit", "verify", *kept).out


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--checkpoints", "The checkpoints {} cannot be read: No such file or directory."),
        ("--key", "{} holds no public key in PEM"),
    ],
)
def test_a_file_that_is_not_there(run: Run, home: Path, option: str, words: str) -> None:
    missing = home / "missing"
    said = run("audit", "verify", option, str(missing))
    assert said.code == 2
    assert words.format(missing) in said.err


def test_a_key_that_is_none(run: Run, home: Path) -> None:
    (home / "audit_key").write_text("nonsense")
    said = run("audit", "key")
    assert said.code == 1
    assert "The key of the audit trail" in said.err


def test_scrub_names_what_is_missing_and_what_is_damaged(run: Run, settings: Settings, home: Path) -> None:
    settings.BLOBS_DIR = home / "blobs"
    blobs = Blobs(settings.BLOBS_DIR)
    build = factories.succeeded_build(artifact_bytes=b"bytes")
    first = Build.objects.exclude(pk=build.pk).get()
    assert first.artifact is not None
    kept = blobs.put([b"bytes"])
    assert f"{first.artifact.sha256} is missing" in run("audit", "scrub").out
    blobs.path(kept.sha256).chmod(0o644)
    blobs.path(kept.sha256).write_bytes(b"bytez")
    said = run("audit", "scrub", "--json")
    assert said.code == 1
    facts = json.loads(said.out)
    assert (facts["damaged"], facts["missing"]) == ([kept.sha256], [first.artifact.sha256])
