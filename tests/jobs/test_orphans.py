"""Files that were published and never recorded go when they are old; what is recorded or in use never does."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from releases.jobs import sweeper
from releases.jobs.sweeper import Sweeper
from releases.models import Application, Build, Outcome, Workshop
from releases.storage import Blobs
from tests.fakes.engine import FakeEngine
from tests.git.conftest import Origin
from tests.jobs.conftest import assert_ended, results, run, typed


def two_days_go_by(home: Path) -> None:
    for path in (home / "blobs").rglob("*"):
        os.utime(path, (time.time() - 2 * 86400,) * 2)


def kept(home: Path) -> set[str]:
    return {path.name for path in (home / "blobs" / "sha256").rglob("*") if path.is_file()}


def test_sweep_removes_an_old_file_without_a_record_and_no_other(
    build: Build, app: Application, engine: FakeEngine, home: Path, origin: Origin
) -> None:
    assert_ended(run(build), Outcome.SUCCEEDED)
    whole = kept(home)
    orphan = Blobs(home / "blobs").put([b"a worker was killed before it recorded this"]).sha256
    Sweeper().sweep()
    assert kept(home) == whole | {orphan}  # it may still be recorded
    two_days_go_by(home)
    Sweeper().sweep()
    assert kept(home) == whole
    seen = Workshop.objects.seen()
    assert seen is not None
    assert seen.mended == {"orphans": 1}

    origin.commit("Sell figs", {"app/app.py": b"app = 3\n"})
    origin.git("tag", "v1.1.0")
    origin.push()
    again = run(typed(app, "v1.1.0"))
    assert_ended(again, Outcome.SUCCEEDED)
    assert results(again)["produce"] == "skipped"  # what is kept for it was kept


def test_sweep_keeps_the_runner_of_a_stack_without_a_release(engine: FakeEngine, home: Path) -> None:
    before = kept(home)
    two_days_go_by(home)
    assert Sweeper().sweep() == 0
    assert len(before) == 1
    assert kept(home) == before


def test_sweep_without_an_engine_removes_none(engine: FakeEngine, home: Path) -> None:
    """It is not known then which runners are in use."""
    orphan = Blobs(home / "blobs").put([b"old"]).sha256
    two_days_go_by(home)
    engine.away = True
    Sweeper().sweep()
    assert orphan in kept(home)


def test_sweep_looks_for_them_once_in_a_while(engine: FakeEngine, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Sweeper()
    one.sweep()
    orphan = Blobs(home / "blobs").put([b"old"]).sha256
    two_days_go_by(home)
    one.sweep()
    assert orphan in kept(home)
    monkeypatch.setattr(sweeper, "ORPHANS_EVERY", 0.0)
    one.sweep()
    assert orphan not in kept(home)
