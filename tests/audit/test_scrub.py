"""A flipped bit is found before somebody downloads it; a rebuild keeps the right bytes again."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest
from pytest_django import Settings

from releases.audit import scrub
from releases.jobs.sweeper import Sweeper
from releases.models import Event
from releases.storage import Blobs
from tests import factories
from tests.fakes.engine import FakeEngine

pytestmark = pytest.mark.django_db

BYTES = b"the bytes of a release" * 1000


@pytest.fixture
def blobs(settings: Settings, tmp_path: Path) -> Blobs:
    settings.BLOBS_DIR = tmp_path / "blobs"
    return Blobs(settings.BLOBS_DIR)


def flip(path: Path, at: int) -> None:
    """One bit of one byte."""
    content = bytearray(path.read_bytes())
    content[at % len(content)] ^= 1 << (at % 8)
    path.chmod(0o644)
    path.write_bytes(content)


def test_whole_files_have_nothing_to_tell(blobs: Blobs) -> None:
    for text in (b"one", b"two", b"three"):
        blobs.put([text])
    done = scrub.scrub(blobs)
    assert (done.files, done.bytes, done.damaged, done.last) == (3, 11, [], "")


def test_a_damaged_release_is_told_once_and_a_rebuild_keeps_it_again(blobs: Blobs) -> None:
    kept = blobs.put([BYTES])
    builds = [factories.succeeded_build(artifact_bytes=BYTES), factories.succeeded_build(artifact_bytes=BYTES)]
    flip(blobs.path(kept.sha256), 4711)
    assert scrub.scrub(blobs).damaged == [kept.sha256]
    assert [event.build for event in Event.objects.filter(verb="artifact.damaged").order_by("build_id")] == builds
    assert not blobs.exists(kept.sha256)
    assert [artifact.sha256 for artifact in scrub.missing(blobs)] == [kept.sha256]
    assert scrub.scrub(blobs).damaged == []
    blobs.put([BYTES])
    assert blobs.is_intact(kept.sha256)
    assert list(scrub.missing(blobs)) == []


def test_a_damaged_part_is_told_too(blobs: Blobs) -> None:
    kept = blobs.put([BYTES])
    flip(blobs.path(kept.sha256), 1)
    scrub.scrub(blobs)
    assert Event.objects.get(verb="blob.damaged").data["sha256"] == kept.sha256


def test_rounds_with_a_budget_come_by_every_file(blobs: Blobs) -> None:
    names = {blobs.put([f"file {n}".encode() * 100]).sha256 for n in range(40)}
    seen, last, rounds = 0, "", 0
    while True:
        done = scrub.scrub(blobs, after=last, budget=1500)
        seen, last, rounds = seen + done.files, done.last, rounds + 1
        if not last:
            break
    assert (seen, rounds > 10) == (len(names), True)


def test_of_a_thousand_flipped_bits_every_one_is_found(blobs: Blobs) -> None:
    chance = random.Random(20261124)  # noqa: S311 (a seeded choice of bits, no secret)
    names = [blobs.put([f"release {n}".encode() * chance.randint(1, 300)]).sha256 for n in range(1000)]
    for name in names:
        flip(blobs.path(name), chance.randrange(1 << 30))
    assert sorted(scrub.scrub(blobs).damaged) == sorted(names)


def test_the_sweeper_comes_by(
    blobs: Blobs, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.AUDIT_KEY, settings.AUDIT_CHECKPOINTS = tmp_path / "audit_key", tmp_path / "checkpoints.jsonl"
    monkeypatch.setattr("releases.jobs.workbench.connect", FakeEngine)
    kept = blobs.put([BYTES])
    flip(blobs.path(kept.sha256), 99)
    sweeper = Sweeper()
    sweeper.sweep()
    sweeper.sweep()  # the first round may have begun behind the file
    assert Event.objects.filter(verb="blob.damaged").count() == 1


def test_the_digest_is_the_files(blobs: Blobs) -> None:
    kept = blobs.put([BYTES])
    assert blobs.inspect(kept.sha256) == len(BYTES)
    assert list(blobs.digests()) == [hashlib.sha256(BYTES).hexdigest()]
    assert list(blobs.digests(after=kept.sha256)) == []
