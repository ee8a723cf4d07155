"""Rows for steps: begun, ended, and how long they took by a clock that no clock change moves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.utils import timezone

from releases.errors import BuildCancelled, LeaseLost
from releases.models import Build, State, Step, StepName, StepResult, Tally
from releases.sentences import columns
from releases.storage import LogWriter, log_path


@contextmanager
def step(build: Build, name: StepName, log: LogWriter) -> Iterator[Step]:
    """One step of a build that this attempt owns. What goes wrong inside ends the step and goes on."""
    position = list(StepName).index(name) + 1
    with build.fenced():
        row = Step.objects.create(build=build, name=name, position=position, started_at=timezone.now())
    log.step(name.value)
    started = time.monotonic()
    try:
        yield row
    except LeaseLost:
        raise
    except BuildCancelled:
        _end(build, row, StepResult.STOPPED, started)
        raise
    except BaseException as error:
        row.exit_code = getattr(error, "exit_code", None)
        _end(build, row, StepResult.FAILED, started)
        raise
    _end(build, row, StepResult.SUCCEEDED, started)


def skip(build: Build, name: StepName, why: str) -> None:
    """A step that is not wanted, and why."""
    now = timezone.now()
    with build.fenced():
        Step.objects.create(
            build=build,
            name=name,
            position=list(StepName).index(name) + 1,
            result=StepResult.SKIPPED,
            started_at=now,
            finished_at=now,
            **columns("detail", why, most=300),
        )


def tell_the_end(build: Build) -> None:
    """The last line of the log of a build that another hand than its worker's has just ended."""
    with LogWriter(log_path(build.pk)) as log:
        log.line(f"{build.get_standing_display()}: {build.message}")


def _end(build: Build, row: Step, result: StepResult, started: float) -> None:
    row.finished_at, row.seconds = timezone.now(), time.monotonic() - started
    with build.fenced():
        # A container that the sweeper took away because of a cancel looks like a failure from inside.
        cancelled = Build.objects.filter(pk=build.pk, state=State.CANCELLING).exists()
        row.result = StepResult.STOPPED if cancelled and result == StepResult.FAILED else result
        row.save()
        Tally.objects.add("step", row.name, row.seconds)
