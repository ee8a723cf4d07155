"""When builds begin and end, by what their like took last: one place for every page that says so.

What nothing tells is None, and pages say "unknown": no worker, a pause, an application's first build, a build that
has taken longer than the one that it is measured by.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from heapq import heapify, heapreplace
from math import inf

from redis.exceptions import RedisError

from releases.jobs import doorbell
from releases.models import Build, Pause, Preparation, PreparationState, State, StepName, StepResult, measures
from releases.views.timeline import timeline

OF_A_REBASE = (StepName.PACKAGE, StepName.PROBE)
"""The steps that a rebase does itself."""


@dataclass(frozen=True, slots=True)
class Expected:
    """One build that is not over."""

    build: Build
    place: int
    """In the line; 1 is the next that a worker takes, 0 is at work."""
    begins_in: float | None
    """Seconds; 0 for one that is at work."""
    ends_in: float | None
    """Seconds."""
    percent: int | None
    """How much of the expected time has passed; None while it waits, and when nothing tells."""
    is_late: bool = False
    """It has taken longer than what it is measured by."""


@dataclass(frozen=True, slots=True)
class Line:
    """Every build that is not over: those at work, then those that wait in the order in which they are taken up."""

    builds: tuple[Expected, ...]
    pause: Pause | None
    workers: int | None
    """How many listen for builds; None when Redis does not say."""

    @property
    def waiting(self) -> list[Expected]:
        return [one for one in self.builds if one.place]

    @property
    def working(self) -> list[Expected]:
        return [one for one in self.builds if not one.place]

    def of(self, build: Build) -> Expected | None:
        return next((one for one in self.builds if one.build.pk == build.pk), None)


def line(*, now: datetime, workers: int | None = None, ask: bool = True) -> Line:
    """Everything that is asked for and not over, in a fixed number of queries. Who knows how many `workers` listen
    says so, or that nobody is to `ask` Redis for it."""
    active = list(Build.objects.active().for_pages().prefetch_related("steps").order_by("turn", "id"))
    measure = _measures() if active else {}
    waiting = [build for build in active if build.state == State.QUEUED]
    working = [_at_work(build, measure.get(build.pk), now) for build in active if build.state != State.QUEUED]
    working.sort(key=lambda one: one.build.pk)
    if waiting and ask:
        workers = _workers()
    pause = Pause.objects.current()
    free = [] if pause or not workers else _free_in(working, workers)
    return Line((*working, *_waits(waiting, measure, free)), pause, workers)


def _measures() -> dict[int, Build]:
    """The measure of each active build, with its steps."""
    keys = measures()
    found = Build.objects.prefetch_related("steps").in_bulk(set(keys.values()))
    return {key: found[measure] for key, measure in keys.items()}


def _workers() -> int | None:
    try:
        return doorbell.workers("builds")
    except (RedisError, OSError):
        return None


def _at_work(build: Build, measure: Build | None, now: datetime) -> Expected:
    left = timeline(build, measure, now=now).left if measure else None
    passed = build.seconds or 0.0
    percent = round(100 * passed / (passed + left)) if left is not None and passed + left else None
    return Expected(build, 0, 0.0, left, percent, is_late=measure is not None and left is None)


def _free_in(working: Iterable[Expected], workers: int) -> list[float]:
    """Seconds until each worker is free; infinite for one of which nobody knows."""
    busy = [inf if one.ends_in is None else one.ends_in for one in working]
    busy += [inf] * Preparation.objects.filter(state=PreparationState.RUNNING).count()
    free = [*busy, *[0.0] * max(0, workers - len(busy))]
    heapify(free)
    return free


def _waits(waiting: Iterable[Build], measure: Mapping[int, Build], free: list[float]) -> Iterable[Expected]:
    """Let each of those that wait be taken by the worker who is free first."""
    for place, build in enumerate(waiting, start=1):
        begin = free[0] if free else inf
        end = begin + usual_seconds(build, measure.get(build.pk))
        if free:
            heapreplace(free, end)
        yield Expected(build, place, _known(begin), _known(end), None)


def usual_seconds(build: Build, measure: Build | None) -> float:
    """What the build will take, by its measure; infinite without one. The making of a stack's images is left out: only
    a stack's first build does it."""
    if measure is None:
        return inf
    names = OF_A_REBASE if build.rebase_of_id else [name for name in StepName if name != StepName.PREPARE]
    done = [step for step in measure.steps.all() if step.name in names and step.result == StepResult.SUCCEEDED]
    return sum(step.seconds or 0.0 for step in done)


def _known(seconds: float) -> float | None:
    return None if seconds == inf else seconds
