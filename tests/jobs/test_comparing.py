"""Comparing two commits for a page, and explaining a build when it ends: real repositories, real rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from releases import actions
from releases.jobs import comparing
from releases.jobs.comparing import read_comparison
from releases.jobs.sweeper import Sweeper
from releases.models import Application, Build, Comparison, Outcome
from releases.storage import LogLine
from tests import factories
from tests.fakes.engine import FakeEngine, Script
from tests.git.conftest import Origin
from tests.jobs.conftest import lines, run, rung, typed
from tests.pipeline import shop

BROKEN = Script(
    lines=["$ pip install -r requirements.txt", "ERROR: No matching distribution found for nosuch==9", "It cannot be."],
    exit_code=11,
)


@pytest.fixture
def good(app: Application, engine: FakeEngine) -> Build:
    return run(typed(app))


def pushed(origin: Origin, tag: str, files: dict[str, bytes]) -> str:
    commit = origin.commit(f"What {tag} brings", files)
    origin.git("tag", tag)
    origin.push()
    return commit


def test_failed_build_knows_its_first_error_and_what_changed(
    good: Build, app: Application, origin: Origin, engine: FakeEngine
) -> None:
    commit = pushed(origin, "v2.0.0", {"requirements.txt": b"Flask\nnosuch==9\n"})
    engine.on_run(shop.BUILDER, BROKEN)
    build = run(typed(app, "v2.0.0"))
    assert build.outcome == Outcome.FAILED
    assert build.error_text == "ERROR: No matching distribution found for nosuch==9"
    assert build.error_line is not None
    assert lines(build)[build.error_line - 1] == build.error_text
    assert lines(build)[-1] == f"Failed: {build.message}"
    row = Comparison.objects.of(app, good.commit, build.commit)
    assert row is not None
    found = row.difference(good.commit)
    assert found is not None
    assert [(one.commit, one.subject) for one in found.come] == [(commit, "What v2.0.0 brings")]
    assert [file.path for file in found.files] == ["requirements.txt"]
    assert found.requirements[0].come == ("nosuch==9",)
    assert rung("desk") == []  # nobody needs to be asked any more


def test_release_is_compared_with_the_one_before(good: Build, app: Application, origin: Origin) -> None:
    pushed(origin, "v2.0.0", {"app/more.py": b"more"})
    build = run(typed(app, "v2.0.0"))
    assert build.succeeded
    assert (build.error_line, build.error_text) == (None, "")
    row = Comparison.objects.of(app, build.commit, good.commit)
    assert row is not None
    assert row.read_at is not None


def test_first_build_and_the_same_commit_leave_nothing_to_compare(good: Build, app: Application) -> None:
    run(typed(app))
    assert not Comparison.objects.exists()


def test_build_that_a_person_cancelled_has_no_error(app: Application, engine: FakeEngine) -> None:
    build = typed(app)

    def cancel(_container: object) -> Script:
        Build.objects.get(pk=build.pk).mark_cancelling(by=None)
        return BROKEN

    engine.on_run(shop.BUILDER, cancel)
    run(build)
    assert build.outcome == Outcome.CANCELLED
    assert (build.error_line, build.error_text) == (None, "")


def test_what_goes_wrong_with_the_explanation_costs_the_build_nothing(
    good: Build, app: Application, origin: Origin, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_lines: list[LogLine]) -> None:
        raise OSError("the log is gone")

    pushed(origin, "v2.0.0", {"requirements.txt": b"Flask\nnosuch==9\n"})
    monkeypatch.setattr(comparing, "first_error", broken)
    engine.on_run(shop.BUILDER, BROKEN)
    build = run(typed(app, "v2.0.0"))
    assert build.outcome == Outcome.FAILED
    assert build.error_line is None


# ---- asked for by a page -------------------------------------------------------------------------------


def two(app: Application, old: str, new: str) -> tuple[Build, Build]:
    """Two builds of commits that nobody has compared."""
    return tuple(factories.finished_build(app, commit=commit) for commit in (old, new))  # type: ignore[return-value]


def test_page_asks_once_and_a_worker_reads(app: Application, origin: Origin) -> None:
    old, new = two(app, origin.git("rev-parse", "HEAD"), pushed(origin, "v2.0.0", {"app/more.py": b"more"}))
    row = actions.comparison_of(old, new)
    assert row is not None
    assert actions.comparison_of(new, old) == row
    assert rung("desk") == [("read_comparison", row.pk)]
    read_comparison(row.pk)  # the mirror is made by it
    row.refresh_from_db()
    found = row.difference(old.commit)
    assert found is not None
    assert found.come_count >= 1
    assert row.difference(new.commit) == found.turned()
    read_comparison(row.pk)  # a job that came twice
    assert not row.error


def test_commit_that_is_gone_is_said_and_may_be_asked_again(app: Application, origin: Origin) -> None:
    old, new = two(app, factories.commit("rewritten"), origin.git("rev-parse", "HEAD"))
    row = actions.comparison_of(old, new)
    assert row is not None
    read_comparison(row.pk)
    row.refresh_from_db()
    assert f"The commit {old.commit[:7]} is no longer in {app.repository}" in row.error
    assert "history was rewritten" in row.error
    assert actions.comparison_of(old, new) == row
    assert len(rung("desk")) == 1
    again = actions.comparison_of(old, new, again=True)
    assert again is not None
    assert again.is_waiting
    assert len(rung("desk")) == 2


def test_repository_that_is_away_is_said(app: Application, origin: Origin) -> None:
    old, new = two(app, origin.git("rev-parse", "HEAD"), pushed(origin, "v2.0.0", {"app/more.py": b"more"}))
    shop.remove(origin)
    row = actions.comparison_of(old, new)
    assert row is not None
    read_comparison(row.pk)
    row.refresh_from_db()
    assert app.repository in row.error
    assert not row.is_waiting


def test_defect_is_said_too(app: Application, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_given: object) -> str:
        raise RuntimeError("a defect")

    old, new = two(app, "a" * 40, "b" * 40)
    row = actions.comparison_of(old, new)
    assert row is not None
    monkeypatch.setattr(comparing, "_mirror_of_both", broken)
    read_comparison(row.pk)
    row.refresh_from_db()
    assert "The portal itself failed (RuntimeError)" in row.error


def test_one_without_a_commit_and_twice_the_same_are_not_asked_for(app: Application) -> None:
    typed_by_hand = factories.finished_build(app, commit="")
    one, same = two(app, "a" * 40, "a" * 40)
    assert actions.comparison_of(typed_by_hand, one) is None
    assert actions.comparison_of(one, same) is None
    assert rung("desk") == []


def test_sweeper_rings_for_what_nobody_reads(app: Application, engine: FakeEngine, home: Path) -> None:
    row, _ = Comparison.objects.ask(app, "a" * 40, "b" * 40)
    Sweeper().sweep()
    assert rung("desk") == []  # it may be on its way
    Comparison.objects.update(asked_at="2026-01-01T00:00:00Z")
    Sweeper().sweep()
    Sweeper().sweep()
    assert rung("desk") == [("read_comparison", row.pk)]
