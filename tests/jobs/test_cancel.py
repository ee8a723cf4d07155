"""Cancel works in every state: the build is over, its container gone, and nothing is published afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from releases import actions
from releases.errors import InvalidInput
from releases.jobs import build as building
from releases.jobs import sweeper as sweeping
from releases.jobs.build import run_build
from releases.jobs.sweeper import Sweeper
from releases.models import Build, Outcome
from releases.specs import ContainerSpec
from releases.stacks import stack as stacks
from tests import factories
from tests.fakes.engine import BuildScript, FakeEngine, Script
from tests.jobs.conftest import (
    Start,
    assert_ended,
    assert_nothing_left,
    in_state,
    kept_files,
    lines,
    results,
    wait_until,
)
from tests.pipeline import shop

BY = "Cancelled by ana; nothing of it was released."


def cancel(build: Build) -> None:
    actions.cancel_build(Build.objects.get(pk=build.pk), by=factories.user(role="", username="ana"))


def runs(engine: FakeEngine, role: str) -> bool:
    return any(container.running for container in engine.containers(dict([role.split("=")])))


def alive(pid: str) -> bool:
    """Whether a process is there and not merely waiting to be buried."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][:3]
    except FileNotFoundError:
        return False


def test_cancel_before_a_worker_came(build: Build, engine: FakeEngine) -> None:
    cancel(build)
    run_build(build.pk)
    build.refresh_from_db()
    assert (build.outcome, build.message) == (
        Outcome.CANCELLED,
        "Cancelled by ana before a worker took it up.",
    )
    assert engine.runs == []


def test_cancel_while_git_fetches(build: Build, engine: FakeEngine, git_that_waits: Path, start: Start) -> None:
    worker = start(lambda: run_build(build.pk))
    wait_until(git_that_waits.exists)
    cancel(build)
    worker.join(30)
    assert_ended(build, Outcome.CANCELLED, BY)
    assert results(build) == {"checkout": "stopped"}
    wait_until(lambda: not alive(git_that_waits.read_text().strip()))


def test_cancel_while_the_builder_works(build: Build, engine: FakeEngine, home: Path, start: Start) -> None:
    engine.on_run(shop.BUILDER, Script(lines=["compiling"], forever=True, files=shop.left_behind()))
    worker = start(lambda: run_build(build.pk))
    wait_until(lambda: runs(engine, shop.BUILDER))
    cancel(build)
    worker.join(30)
    assert_ended(build, Outcome.CANCELLED, BY)
    assert results(build) == {"checkout": "succeeded", "produce": "stopped"}
    assert "compiling" in lines(build)
    assert kept_files(home) == []
    assert_nothing_left(engine)


def test_cancel_while_the_image_is_made(build: Build, engine: FakeEngine, start: Start) -> None:
    engine.on_build("fruit-shop", BuildScript(forever=True))
    worker = start(lambda: run_build(build.pk))
    wait_until(in_state(build, "packaging"))
    cancel(build)
    worker.join(30)
    assert_ended(build, Outcome.CANCELLED, BY)
    assert results(build)["package"] == "stopped"
    assert build.image is None


def test_cancel_while_the_stack_is_prepared(build: Build, engine: FakeEngine, start: Start) -> None:
    stack = stacks.load(build.stack)
    engine.remove_image(stack.builder_tag)
    engine.on_build(stack.builder_tag, BuildScript(forever=True))
    worker = start(lambda: run_build(build.pk))
    wait_until(lambda: bool(engine.builds))
    cancel(build)
    worker.join(30)
    assert_ended(build, Outcome.CANCELLED, BY)
    assert results(build)["prepare"] == "stopped"


def test_cancel_while_the_image_is_probed(build: Build, engine: FakeEngine, start: Start) -> None:
    engine.on_run(shop.PROBE, Script(forever=True))
    worker = start(lambda: run_build(build.pk))
    wait_until(lambda: runs(engine, shop.PROBE))
    cancel(build)
    worker.join(30)
    assert_ended(build, Outcome.CANCELLED, BY)
    assert results(build)["probe"] == "stopped"
    assert_nothing_left(engine)


def test_cancel_after_the_last_step_is_a_cancel(
    build: Build, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All steps are over, and the success is not yet written."""
    end = building._end

    def cancelled_at_last(build: Build, *rest: object) -> None:
        cancel(build)
        end(build, *rest)  # type: ignore[arg-type]  # handed on as it came

    monkeypatch.setattr(building, "_end", cancelled_at_last)
    run_build(build.pk)
    assert_ended(build, Outcome.CANCELLED, BY)
    assert set(results(build).values()) == {"succeeded"}
    assert not any(line.startswith("Succeeded") for line in lines(build))


@pytest.mark.parametrize("verb", ["mark_producing", "mark_packaging", "mark_probing"])
def test_cancel_between_two_states(
    verb: str, build: Build, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = getattr(Build, verb)

    def cancelled_before(self: Build) -> None:
        cancel(self)
        move(self)

    monkeypatch.setattr(Build, verb, cancelled_before)
    run_build(build.pk)
    assert_ended(build, Outcome.CANCELLED, BY)
    assert_nothing_left(engine)


def test_cancel_is_told_as_one_when_the_sweeper_was_quicker_than_the_worker(
    build: Build, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, start: Start
) -> None:
    """The container vanishes under the worker's feet before it has looked at its row."""
    monkeypatch.setattr("releases.jobs.lease.LOOK_SECONDS", 600.0)
    engine.on_run(shop.BUILDER, Script(forever=True))
    worker = start(lambda: run_build(build.pk))
    wait_until(lambda: runs(engine, shop.BUILDER))
    cancel(build)
    Sweeper().tick()
    worker.join(30)
    assert_ended(build, Outcome.CANCELLED, BY)
    assert results(build)["produce"] == "stopped"
    assert_nothing_left(engine)


@pytest.mark.parametrize("engine_is_away", [False, True])
def test_cancel_overrules_a_worker_that_does_not_let_go(
    engine_is_away: bool, build: Build, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its worker hangs: no thread of it looks at the row."""
    build.take_up(worker="stuck")
    build.mark_producing()
    cancel(build)
    engine.away = engine_is_away
    Sweeper().tick()
    build.refresh_from_db()
    assert build.is_active  # there is patience first
    monkeypatch.setattr(sweeping, "CANCEL_PATIENCE", sweeping.CANCEL_PATIENCE * 0)
    Sweeper().tick()
    assert_ended(build, Outcome.CANCELLED, "its worker did not let go")


def test_cancel_twice_or_too_late_says_what_is(build: Build, engine: FakeEngine) -> None:
    run_build(build.pk)
    with pytest.raises(InvalidInput, match="is succeeded: there is nothing to cancel"):
        cancel(build)
    assert_ended(build, Outcome.SUCCEEDED)


def test_cancel_leaves_containers_of_other_builds_alone(build: Build, engine: FakeEngine) -> None:
    other = factories.running_build(factories.application())
    labels = {"release-portal.build": str(other.pk), "release-portal.attempt": "1"}
    image = engine.add_image("any")
    engine.create(ContainerSpec(name="other", image=image.image_id, labels=labels))
    build.take_up(worker="forge")
    cancel(build)
    Sweeper().tick()
    assert [container.name for container in engine.containers({})] == ["other"]
