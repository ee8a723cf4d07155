"""A trend as a picture: where each build stands on a sheet, what its shape is, and the same figures as rows.

Across, places are per cent of the sheet, so that one picture fits a side column, a page and a phone; down, they are
pixels. Both are attributes: a strict policy allows no style. Nothing is told by colour alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from releases.models import Outcome
from releases.templatetags.portal import megabytes, seconds
from releases.views.timeline import said, scale

if TYPE_CHECKING:
    from releases.views.series import Point

Value = Callable[["Point"], int | None]

TOP, FOOT = 20.0, 18.0
"""Pixels above the highest and below the lowest line of the scale: room for labels."""
FAR = 2.0
"""A budget that is so many times the largest value is not drawn: it would press the line flat."""
LABEL_WIDTH, LABEL_HEIGHT = 24.0, 13.0
"""What a label takes at most, in per cent of the narrowest sheet and in pixels."""


@dataclass(frozen=True, slots=True)
class Tick:
    y: str
    text: str


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of the budget's line: it held for the builds between these places."""

    x1: str
    x2: str
    y: str


@dataclass(frozen=True, slots=True)
class Bar:
    x: str
    width: str
    y: str
    height: str
    look: str


@dataclass(frozen=True, slots=True)
class Mark:
    """One build: a link over its whole column, its shape, and what is said of it."""

    number: int
    address: str
    words: str
    x: str
    """The middle of its column."""
    left: str
    width: str
    y: str
    shape: str
    bar: Bar | None = None


@dataclass(frozen=True, slots=True)
class Label:
    x: str
    y: str
    text: str
    anchor: str
    is_last: bool


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the table behind the picture."""

    number: int
    address: str
    ref: str
    value: str
    exact: str
    note: str


@dataclass(slots=True)
class Chart:
    name: str
    title: str
    height: int
    head: str = ""
    """The one figure beside the title."""
    empty: str = ""
    """Why there is no picture yet, and when there will be one."""
    ticks: list[Tick] = field(default_factory=list)
    path: str = ""
    budget: list[Segment] = field(default_factory=list)
    budget_words: str = ""
    marks: list[Mark] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    facts: list[tuple[str, str, int]] = field(default_factory=list)
    """First, last, least and most, each with its build."""
    legend: list[tuple[str, str]] = field(default_factory=list)
    rows: list[Line] = field(default_factory=list)
    """Newest first."""
    words: str = ""

    @property
    def bottom(self) -> str:
        return f"{self.height - FOOT:.1f}"

    @property
    def end(self) -> str:
        """Where the last column ends: of a few builds, before the sheet does."""
        return f"{float(self.last.left.rstrip('%')) + float(self.last.width.rstrip('%')):.3f}%"

    @property
    def first(self) -> Mark:
        return self.marks[0]

    @property
    def last(self) -> Mark:
        return self.marks[-1]


# ---- sizes: a line ------------------------------------------------------------------------------------------------


def sizes_chart(name: str, title: str, series: Sequence[Point], value: Value, *, height: int) -> Chart:
    """A line through the releases; what was refused stands beside it, with a shape of its own."""
    shown = [(point, size) for point in series if (size := value(point))]
    chart = Chart(name, title, height, rows=[_size_row(name, *pair) for pair in reversed(shown)])
    released = [size for point, size in shown if point.succeeded]
    if len(released) < 2:
        chart.empty = _nothing_yet(len(released))
        return chart
    most = max(size for _point, size in shown)
    budgets = [budget if budget and budget <= FAR * most else None for budget in (p.budget(name) for p, _size in shown)]
    low, high, chart.ticks = _size_scale([size for _point, size in shown] + [b for b in budgets if b], height)

    def place(size: float) -> float:
        return height - FOOT - (height - FOOT - TOP) * (size - low) / (high - low)

    at = _columns(len(shown))
    last = max(index for index, (point, _size) in enumerate(shown) if point.succeeded)
    chart.marks = [
        _mark(point, at(index), place(size), _size_shape(name, point, is_last=index == last),
              _size_words(name, point, size))
        for index, (point, size) in enumerate(shown)
    ]  # fmt: skip
    chart.path = " ".join(f"{at(i)[0]:.3f},{place(size):.1f}" for i, (p, size) in enumerate(shown) if p.succeeded)
    chart.budget = list(_segments(budgets, at, place))
    chart.budget_words = _budget_words(shown[-1][0].budget(name), drawn=budgets[-1] is not None)
    values = [(index, point, float(size)) for index, (point, size) in enumerate(shown) if point.succeeded]
    chart.facts, chart.labels = _extremes(values, at, place, megabytes, ground=height - FOOT, taken=_written(chart))
    chart.head = _change(released)
    chart.legend = _legend(chart.marks)
    chart.words = _("%(title)s of %(n)d releases, from %(first)s to %(last)s") % {
        "title": title, "n": len(released), "first": megabytes(released[0]), "last": megabytes(released[-1]),
    }  # fmt: skip
    return chart


def _size_shape(name: str, point: Point, *, is_last: bool) -> str:
    if not point.succeeded:
        return "refused" if point.crossings else "no"
    if _is_over(name, point):
        return "over"
    return "end" if is_last else "dot"


def _is_over(name: str, point: Point) -> bool:
    return name in point.crossings or (name == "image" and "growth" in point.crossings)


def _size_words(name: str, point: Point, size: int) -> str:
    note = _size_note(name, point)
    exact = _exact(size)
    return f"#{point.number} {point.ref[:24]}: {megabytes(size)}, {exact}" + (f", {note}" if note else "")


def _size_note(name: str, point: Point) -> str:
    if not point.succeeded:
        return _("refused: over budget") if point.crossings else str(Outcome(point.outcome).label).lower()
    return _("over budget") if _is_over(name, point) else ""


def _exact(size: int) -> str:
    return _("%(n)s bytes") % {"n": number_format(size, 0, force_grouping=True)}


def _size_row(name: str, point: Point, size: int) -> Line:
    return Line(point.number, point.address, point.ref, megabytes(size), _exact(size), _size_note(name, point))


def _size_scale(values: Sequence[int], height: int) -> tuple[float, float, list[Tick]]:
    """Round numbers below and above, and the lines between them."""
    least, most = min(values), max(values)
    step = _round_up(max((most - least) / 3, most * 0.005))
    low, high = math.floor(least / step) * step, math.ceil(most / step) * step
    high = high if high > low else low + step
    unit, word = (1e6, "MB") if most >= 100_000 else (1e3, "kB")
    places = max(0, -math.floor(math.log10(step / unit)))
    count = round((high - low) / step)
    space = (height - FOOT - TOP) / count
    return low, high, [
        Tick(f"{height - FOOT - space * n:.1f}",
             f"{number_format(f'{(low + step * n) / unit:.{places}f}', places)}\N{NO-BREAK SPACE}{word}")
        for n in range(count + 1)
    ]  # fmt: skip


def _round_up(value: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50 …"""
    power = 10.0 ** math.floor(math.log10(value))
    return next(power * digit for digit in (1, 2, 5, 10) if power * digit >= value * 0.999)


def _segments(budgets: Sequence[int | None], at: Columns, place: Callable[[float], float]) -> Iterable[Segment]:
    start = 0
    for index in range(1, len(budgets) + 1):
        if index == len(budgets) or budgets[index] != budgets[start]:
            if (budget := budgets[start]) is not None:
                left, right = at(start)[1], at(index - 1)[1] + at(index - 1)[2]
                yield Segment(f"{left:.3f}%", f"{right:.3f}%", f"{place(budget):.1f}")
            start = index


def _budget_words(budget: int | None, *, drawn: bool) -> str:
    if budget is None:
        return ""
    words = {"budget": f"{number_format(budget // 1_000_000, 0, force_grouping=True)}\N{NO-BREAK SPACE}MB"}
    return _("Budget %(budget)s") % words if drawn else _("Budget %(budget)s, far above") % words


def _written(chart: Chart) -> list[tuple[float, float]]:
    """Where the budget's words stand."""
    return [(float(part.x1.rstrip("%")) + LABEL_WIDTH / 2, float(part.y) - 5) for part in chart.budget[-1:]]


def _change(values: Sequence[float]) -> str:
    change = values[-1] - values[0]
    sign = "+" if change > 0 else "\N{MINUS SIGN}" if change < 0 else "±"
    words = ngettext("%(change)s in %(n)d release", "%(change)s in %(n)d releases", len(values))
    return words % {"change": sign + megabytes(abs(change)), "n": len(values)}


# ---- times: bars from zero ----------------------------------------------------------------------------------------


def times_chart(name: str, title: str, series: Sequence[Point], *, height: int) -> Chart:
    """Hatched where an environment was made, outlined with a mark above where the build did not succeed."""
    chart = Chart(name, title, height, rows=[_time_row(point) for point in reversed(series)])
    good = [point.seconds for point in series if point.succeeded]
    if len(series) < 2:
        chart.empty = _("One build so far: from the second on, each is a bar here.") if series else _nothing_yet(0)
        return chart
    tick, count = scale(max(point.seconds for point in series))
    ground = height - FOOT
    chart.ticks = [Tick(f"{ground - (ground - TOP) * n / count:.1f}", said(tick * n)) for n in range(count + 1)]

    def place(value: float) -> float:
        return ground - max(1.5, (ground - TOP) * value / (tick * count))

    at = _columns(len(series))
    chart.marks = [
        _mark(point, at(index), place(point.seconds), _time_shape(point),
              _time_words(point), _bar(point, at(index), place(point.seconds), ground))
        for index, point in enumerate(series)
    ]  # fmt: skip
    chart.facts, chart.labels = _extremes(
        [(i, p, p.seconds) for i, p in enumerate(series) if p.succeeded], at, place, seconds
    )
    chart.head = _("median %(time)s") % {"time": seconds(median(good))} if good else ""
    chart.legend = _legend(chart.marks)
    chart.words = _("%(title)s of %(n)d builds, the newest %(last)s") % {
        "title": title, "n": len(series), "last": seconds(series[-1].seconds),
    }  # fmt: skip
    return chart


def _time_shape(point: Point) -> str:
    if point.succeeded:
        return ""
    return "fail" if point.outcome == Outcome.FAILED else "no"


def _bar(point: Point, column: tuple[float, float, float], y: float, ground: float) -> Bar:
    _middle, left, width = column
    look = "void" if not point.succeeded else "cast" if point.environment == "made" else "keep"
    return Bar(f"{left + width * 0.1:.3f}%", f"{width * 0.8:.3f}%", f"{y:.1f}", f"{ground - y:.1f}", look)


def _time_words(point: Point) -> str:
    return f"#{point.number} {point.ref[:24]}: {seconds(point.seconds)}, {_time_note(point)}"


def _time_note(point: Point) -> str:
    if not point.succeeded:
        return str(Outcome(point.outcome).label).lower()
    words = {"made": _("new environment"), "reused": _("environment reused"), "taken over": _("rebased")}
    return words.get(point.environment, _("succeeded"))


def _time_row(point: Point) -> Line:
    exact = _("%(n)s seconds") % {"n": number_format(f"{point.seconds:.2f}", 2)}
    return Line(point.number, point.address, point.ref, seconds(point.seconds), exact, _time_note(point))


# ---- both -----------------------------------------------------------------------------------------------------------

Columns = Callable[[int], tuple[float, float, float]]
"""The middle, the left edge and the width of a build's column, in per cent."""


def _columns(count: int) -> Columns:
    width = 100 / max(count, 6)
    return lambda index: (width * (index + 0.5), width * index, width)


def _mark(
    point: Point,
    column: tuple[float, float, float],
    y: float,
    shape: str,
    words: str,
    bar: Bar | None = None,
) -> Mark:
    middle, left, width = column
    return Mark(
        number=point.number,
        address=point.address,
        words=words,
        x=f"{middle:.3f}%",
        left=f"{left:.3f}%",
        width=f"{width:.3f}%",
        y=f"{y - 7 if bar else y:.1f}",
        shape=shape,
        bar=bar,
    )


def _extremes(
    values: Sequence[tuple[int, Point, float]],
    at: Columns,
    place: Callable[[float], float],
    words: Callable[[float], str],
    *,
    ground: float = 0.0,
    taken: Sequence[tuple[float, float]] = (),
) -> tuple[list[tuple[str, str, int]], list[Label]]:
    """First, last, least and most in words; and as labels in the picture, as far as they do not cover each other.

    Above `ground`, the foot of a line, there is room for a label below the least; bars, which have none, hide it."""
    if not values:
        return [], []
    least, most = min(values, key=lambda one: one[2]), max(values, key=lambda one: one[2])
    named = [(_("first"), values[0]), (_("last"), values[-1]), (_("least"), least), (_("most"), most)]
    covered = list(taken)
    labels = []
    for index, _point, value in (values[-1], most, *((least, values[0]) if ground else ())):
        middle, y = at(index)[0], place(value)
        below = index == least[0] and value < most[2] and y + 16 < ground
        y += 15 if below else -8
        if all(abs(middle - x) > LABEL_WIDTH or abs(y - other) > LABEL_HEIGHT for x, other in covered):
            covered.append((middle, y))
            anchor = "start" if middle < LABEL_WIDTH / 2 else "end" if middle > 100 - LABEL_WIDTH / 2 else "middle"
            labels.append(Label(f"{middle:.3f}%", f"{y:.1f}", words(value), anchor, index == values[-1][0]))
    return [(name, words(value), point.number) for name, (_index, point, value) in named], labels


def _legend(marks: Iterable[Mark]) -> list[tuple[str, str]]:
    """The shapes that are there and what they mean, in a fixed order."""
    words = {
        "keep": _("environment reused"),
        "cast": _("a new environment was made"),
        "over": _("over budget"),
        "refused": _("refused: over budget"),
        "fail": _("failed"),
        "no": _("did not succeed"),
    }
    there = {shape for mark in marks for shape in (mark.shape, mark.bar.look if mark.bar else "")}
    return [(shape, said) for shape, said in words.items() if shape in there]


def _nothing_yet(count: int) -> str:
    if count:
        return _("One release so far: from the second on, a line shows how it grows.")
    return _("Nothing to draw yet: from the second release on, it is drawn here.")
