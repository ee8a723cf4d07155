"""The sweeper keeps the networks of builds closed, and says when they are not."""

from __future__ import annotations

import pytest

from releases.engine.cage import Kept
from releases.jobs import workbench
from releases.jobs.sweeper import Sweeper
from releases.models import Build, Workshop
from tests.fakes.cage import FakeCage
from tests.fakes.engine import FakeEngine
from tests.jobs.conftest import lines, run


def problem() -> str:
    seen = Workshop.objects.seen()
    assert seen is not None
    return seen.cage_problem


def test_sweep_says_why_the_networks_are_open_and_that_they_are_closed_again(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    cage = FakeCage("Only root can close it.")
    monkeypatch.setattr(workbench, "make_cage", lambda: cage)
    Sweeper().sweep()
    assert problem() == "Only root can close it."
    cage.trouble = ""
    Sweeper().sweep()
    assert problem() == ""


def test_sweep_says_that_the_engine_lacks_the_runtime_and_that_it_has_it_again(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking = ["The engine has no runtime runsc.", ""]
    monkeypatch.setattr(FakeCage, "missing_runtime", lambda _self: lacking.pop(0))
    sweeper, told = Sweeper(), []
    for _ in range(2):
        sweeper.sweep()
        seen = Workshop.objects.seen()
        assert seen is not None
        told.append(seen.runtime_problem)
    assert told == ["The engine has no runtime runsc.", ""]


def test_sweep_counts_what_it_closed_again_but_not_its_first_closing(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeCage, "keep", lambda _self: Kept(2, ""))
    sweeper = Sweeper()
    assert sweeper.sweep() == 0
    assert sweeper.sweep() == 2


def test_build_says_in_its_log_that_its_network_is_open(
    build: Build, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbench, "make_cage", lambda: FakeCage("Only root can close it."))
    assert run(build).outcome == "succeeded"
    assert lines(build).count("Warning: Only root can close it.") == 2  # the builder's and the probe's


def test_build_is_refused_where_its_network_must_be_closed(
    build: Build, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbench, "make_cage", lambda: FakeCage("Only root can close it.", required=True))
    assert run(build).outcome == "engine_unavailable"
    assert "Until then nothing is built" in build.message
    assert engine.runs == []


def test_shut_down_takes_the_networks_away(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    cage = FakeCage()
    cage.close("build")
    monkeypatch.setattr(workbench, "make_cage", lambda: cage)
    Sweeper().shut_down()
    assert cage.closed == []
