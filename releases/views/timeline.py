"""The steps of a build as bars on one scale, beside the build that they are measured against.

Every length is worked out here, as text such as `12.50%`, because a strict policy allows no style attribute and a
language must not turn its points into commas.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.utils.formats import number_format
from django.utils.translation import gettext as _

from releases.models import Build, Step, StepName, StepResult
from releases.sentences import sentence_of

TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
"""Seconds between two lines of the scale."""
MOST_TICKS = 5
SHAPES = {
    StepResult.SUCCEEDED: ("ok", "ok"),
    StepResult.FAILED: ("fail", "fail"),
    StepResult.STOPPED: ("cancel", "mute"),
    StepResult.SKIPPED: ("none", "mute"),
    StepResult.RUNNING: ("run", "turn accent"),
}


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of time, in seconds from the start of its build."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Bar:
    """One rectangle of a row; `look` is a class of the sheet of styles."""

    look: str
    x: str
    width: str


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    label: str
    icon: str
    colour: str
    word: str
    """What the shape says, for those who do not see it."""
    detail: str
    exit_code: int | None
    """Of the container that did it; None where there is none to tell."""
    ran: bool
    skipped: bool
    """Not wanted, or not needed."""
    seconds: float | None
    then: float | None
    """Seconds of the same step in the build it is measured against."""
    bars: tuple[Bar, ...]
    mark: str
    """Where the same step ended then; empty when it is not known."""


@dataclass(frozen=True, slots=True)
class Tick:
    x: str
    text: str
    anchor: str
    odd: bool


@dataclass(frozen=True, slots=True)
class Timeline:
    rows: tuple[Row, ...]
    ticks: tuple[Tick, ...]
    total: float | None
    then_total: float | None
    left: float | None
    """Seconds that are still to be expected; None when nothing tells."""
    against: Build | None
    stopped_in: Row | None
    not_run: tuple[str, ...]

    @property
    def left_in_words(self) -> str:
        """Whole seconds, because it is a guess: `9 s`, `2 min 10 s`."""
        minutes, seconds = divmod(round(self.left or 0.0), 60)
        space = "\N{NO-BREAK SPACE}"
        return f"{minutes}{space}min {seconds}{space}s" if minutes else f"{seconds}{space}s"


def timeline(build: Build, against: Build | None, *, now: datetime) -> Timeline:
    """The steps of a build. `against` is the build whose times are shown beside it, if there is one."""
    steps = {step.name: step for step in build.steps.all()}
    spans = _spans(build, steps.values(), now)
    usual = _spans(against, against.steps.all(), now) if against else {}
    waited = _drop_preparing(usual) if StepName.PREPARE not in steps else 0.0
    due = dict(_expected(build, steps, spans, usual, _elapsed(build, now)))
    names = [name for name in StepName if name != StepName.PREPARE or name in steps]
    ends = [span.end for part in (spans, usual, due) for span in part.values()]
    tick, count = scale(max([build.seconds or 0.0, *ends]))
    rows = tuple(_row(name, build, steps.get(name), spans, usual, due, tick * count) for name in names)
    return Timeline(
        rows=rows,
        ticks=tuple(_ticks(tick, count)),
        total=build.seconds,
        then_total=max(0.0, (against.seconds or 0.0) - waited) if against else None,
        left=_left(build, due, usual, now),
        against=against,
        stopped_in=next((row for row in rows if row.icon in ("fail", "cancel")), None) if build.is_finished else None,
        not_run=tuple(row.label for row in rows if not row.ran and not row.skipped),
    )


def _elapsed(build: Build, now: datetime) -> float:
    return (now - build.started_at).total_seconds() if build.started_at else 0.0


def _spans(build: Build, steps: Iterable[Step], now: datetime) -> dict[str, Span]:
    """When each step ran. Lengths are by the worker's own clock; a step never begins before the last one ended."""
    spans: dict[str, Span] = {}
    at = 0.0
    for step in sorted(steps, key=lambda step: step.position):
        offset = (step.started_at - build.started_at).total_seconds() if build.started_at else 0.0
        start = max(at, offset)
        running = max(0.0, (now - step.started_at).total_seconds()) if step.finished_at is None else 0.0
        at = start + (running if step.seconds is None else step.seconds)
        spans[step.name] = Span(start, at)
    return spans


def _drop_preparing(spans: dict[str, Span]) -> float:
    """Leave out the making of the stack's images, which only a stack's first build does; answers its seconds."""
    dropped = spans.pop(StepName.PREPARE, None)
    if dropped is None:
        return 0.0
    for name, span in spans.items():
        if span.start >= dropped.start:
            spans[name] = Span(span.start - dropped.seconds, span.end - dropped.seconds)
    return dropped.seconds


def _expected(
    build: Build, steps: Mapping[str, Step], spans: Mapping[str, Span], usual: Mapping[str, Span], elapsed: float
) -> Iterator[tuple[str, Span]]:
    """What is still to come of a build that is not over, one step after the other."""
    if build.is_finished or not usual:
        return
    at = elapsed
    for name in StepName:
        step, then = steps.get(name), usual.get(name)
        if then is None or (step is not None and step.result != StepResult.RUNNING):
            continue
        start = spans[name].start if step is not None else at
        end = max(at, start + then.seconds)
        if end > at:
            yield name, Span(at, end)
        at = end


def _left(build: Build, due: Mapping[str, Span], usual: Mapping[str, Span], now: datetime) -> float | None:
    """Nothing is guessed for a build that has already taken longer than the other did in all."""
    if not due or _elapsed(build, now) > max(span.end for span in usual.values()):
        return None
    return max(0.0, max(span.end for span in due.values()) - _elapsed(build, now))


def _row(
    name: StepName,
    build: Build,
    step: Step | None,
    spans: Mapping[str, Span],
    usual: Mapping[str, Span],
    due: Mapping[str, Span],
    width: float,
) -> Row:
    icon, colour = SHAPES[StepResult(step.result)] if step else (("none" if build.is_finished else "queue"), "mute")
    waits = _("did not run") if build.is_finished else _("not yet")
    then = usual.get(name)
    ran = step is not None and step.result != StepResult.SKIPPED
    return Row(
        name=name.value,
        label=str(name.label),
        icon=icon,
        colour=colour,
        word=str(step.get_result_display()) if step else waits,
        exit_code=step.exit_code if step else None,
        detail=sentence_of(step, "detail") if step else "",
        ran=ran,
        skipped=step is not None and not ran,
        seconds=spans[name].seconds if ran else None,
        then=then.seconds if then else None,
        bars=tuple(_bars(step, spans.get(name), due.get(name), width)),
        mark=_percent(then.end, width) if then and (step is not None or build.is_finished) else "",
    )


def _bars(step: Step | None, span: Span | None, due: Span | None, width: float) -> Iterator[Bar]:
    if due is not None:
        yield Bar("due", _percent(due.start, width), _percent(due.seconds, width))
    if step is None or span is None or step.result == StepResult.SKIPPED:
        return
    look = "live" if step.result == StepResult.RUNNING else "bar"
    yield Bar(look, _percent(span.start, width), _percent(max(span.seconds, width * 0.002), width))
    if step.result == StepResult.FAILED:
        yield Bar("bad", _percent(max(span.start, span.end - width * 0.009), width), "0.90%")


def scale(longest: float) -> tuple[float, int]:
    """Seconds between two lines, and how many of them hold the longest time."""
    for tick in TICKS:
        if longest <= tick * MOST_TICKS:
            break
    return tick, max(2, int(-(-longest // tick)))


def _ticks(tick: float, count: int) -> Iterator[Tick]:
    for number in range(count + 1):
        anchor = "start" if number == 0 else "end" if number == count else "middle"
        yield Tick(_percent(number, count), said(number * tick), anchor, odd=number % 2 == 1)


def said(seconds: float) -> str:
    """A round time as the scale names it."""
    if seconds >= 120:
        return f"{number_format(f'{seconds / 60:g}')}\N{NO-BREAK SPACE}min"
    return f"{number_format(f'{round(seconds, 1):g}')}\N{NO-BREAK SPACE}s"


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.2f}%"
