"""At every boundary between two steps of a build: its process is killed there, or a person cancels there.

A work-horse is a fork of its worker, and so is the process that is killed here. Afterwards the sweeper closes the
build, and what was there before and is there afterwards must be whole.
"""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from releases import actions
from releases.errors import InvalidInput
from releases.jobs import build as building
from releases.jobs import environments
from releases.jobs.build import run_build
from releases.jobs.sweeper import Sweeper
from releases.models import Artifact, Build, Environment, Image, Outcome
from releases.models.environment import EnvironmentQuerySet
from releases.storage import Blobs
from tests.fakes.engine import FakeEngine
from tests.jobs.conftest import assert_ended, assert_nothing_left, lines, run
from tests.jobs.test_orphans import kept, two_days_go_by
from tests.jobs.test_sweeper_builds import lose
from tests.pipeline import shop

BOUNDARIES: list[tuple[Any, str]] = [
    (Build, "take_up"),
    (building, "check_out"),
    (building, "_freeze_source"),
    (Build, "mark_producing"),
    (building, "_stack_images"),
    (environments, "produce"),
    (EnvironmentQuerySet, "keep"),
    (environments, "keep_environment"),
    (building, "collect"),
    (building, "_keep_artifact"),
    (Build, "mark_packaging"),
    (building, "package_of"),
    (building, "_keep_image"),
    (Build, "mark_probing"),
    (building, "_keep_probe"),
    (building, "_end"),
]
"""In their order: where one of them ends, the next has not begun."""
EVERY = [
    pytest.param(room, name, when, id=f"{when} {name.strip('_')}")
    for room, name in BOUNDARIES
    for when in ("before", "after")
]
MIDDLES: list[tuple[Any, str]] = [(Blobs, "_copy"), (Blobs, "_publish")]
"""Not between steps, but between a file's bytes, its name, and its record. Their first call is the first part's."""


def meet(monkeypatch: pytest.MonkeyPatch, room: Any, name: str, when: str, happen: Callable[[], None]) -> None:
    """Something happens before or after the function is called there."""
    function = getattr(room, name)

    def met(*given: Any, **named: Any) -> Any:
        if when == "before":
            happen()
        answer = function(*given, **named)
        if when == "after":
            happen()
        return answer

    monkeypatch.setattr(room, name, met)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def run_in_a_fork(build: Build) -> int:
    """The signal that ended the process which ran it; 0 when it came to its end."""
    connections.close_all()  # a fork must not share a connection, as with a worker
    if (child := os.fork()) == 0:
        code = 1
        try:
            run_build(build.pk)
            code = 0
        finally:
            os._exit(code)
    return os.WTERMSIG(os.waitpid(child, 0)[1])


def assert_whole(home: Path) -> set[str]:
    """Every name stands for its bytes, and every row has them; all that rows name."""
    store = home / "blobs"
    for digest in kept(home):
        with Blobs(store).open(digest) as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == digest
    recorded = set(Artifact.objects.values_list("sha256", flat=True))
    recorded |= {part.sha256 for row in Environment.objects.all() for part in row.parts_kept()}
    recorded |= set(Image.objects.values_list("runner_layer", flat=True))
    assert recorded <= kept(home)
    return recorded


@pytest.mark.parametrize(("room", "name", "when"), [*EVERY, *((*middle, "after") for middle in MIDDLES)])
def test_process_killed_at_a_boundary(
    room: Any, name: str, when: str, build: Build, engine: FakeEngine, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as seam:
        meet(seam, room, name, when, die)
        assert run_in_a_fork(build) == signal.SIGKILL
    build.refresh_from_db()
    assert_whole(home)
    if (name, when) == ("_end", "after"):
        assert_ended(build, Outcome.SUCCEEDED)
        return
    if (name, when) == ("take_up", "before"):
        assert (build.state, lines(build)) == ("queued", [])
        return
    assert not build.is_finished
    lose(build)
    Sweeper().sweep()
    assert_ended(build, Outcome.WORKER_LOST, "press Rebuild")

    two_days_go_by(home)
    Sweeper().sweep()
    assert kept(home) == assert_whole(home) | {hashlib.sha256(shop.RUNNER).hexdigest()}
    assert not list((home / "blobs" / "tmp").iterdir())
    again = actions.rebuild(build, by=None)
    assert_ended(run(again), Outcome.SUCCEEDED)
    assert_whole(home)


@pytest.mark.parametrize(("room", "name", "when"), EVERY)
def test_cancel_at_a_boundary(
    room: Any, name: str, when: str, build: Build, engine: FakeEngine, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cancel() -> None:
        actions.cancel_build(Build.objects.get(pk=build.pk), by=None)

    with monkeypatch.context() as seam:
        meet(seam, room, name, when, cancel)
        if (name, when) == ("_end", "after"):
            with pytest.raises(InvalidInput, match="there is nothing to cancel"):
                run_build(build.pk)
            assert_ended(build, Outcome.SUCCEEDED)
            return
        run_build(build.pk)
    build.refresh_from_db()
    assert build.outcome == Outcome.CANCELLED
    assert "Cancelled by the portal" in build.message
    if (name, when) != ("take_up", "before"):  # nobody took it up: there is no log
        assert_ended(build, Outcome.CANCELLED)
    assert_nothing_left(engine)
    assert_whole(home)
    before = set(kept(home))
    assert_ended(run(actions.rebuild(build, by=None)), Outcome.SUCCEEDED)
    assert before <= kept(home)
