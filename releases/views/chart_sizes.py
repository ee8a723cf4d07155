"""Sizes of releases as a line, under the budget that held for each of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from releases.models import Outcome
from releases.templatetags.portal import megabytes
from releases.views.chart import (
    FOOT,
    LABEL_WIDTH,
    TOP,
    Chart,
    Columns,
    Line,
    Segment,
    Tick,
    columns,
    extremes,
    legend,
    mark,
    nothing_yet,
)

if TYPE_CHECKING:
    from releases.views.series import Point

Value = Callable[["Point"], int | None]

FAR = 2.0
"""A budget that is so many times the largest value is not drawn: it would press the line flat."""


def sizes_chart(name: str, title: str, series: Sequence[Point], value: Value, *, height: int) -> Chart:
    """A line through the releases; what was refused stands beside it, with a shape of its own."""
    shown = [(point, size) for point in series if (size := value(point))]
    rows = [_row(name, *pair) for pair in shown]
    chart = Chart(name, title, height, rows=rows[::-1])
    released = [size for point, size in shown if point.succeeded]
    if len(released) < 2:
        chart.empty = nothing_yet(len(released))
        return chart
    most = max(size for _point, size in shown)
    budgets = [budget if budget and budget <= FAR * most else None for budget in (p.budget(name) for p, _size in shown)]
    low, high, chart.ticks = _scale([size for _point, size in shown] + [b for b in budgets if b], height)

    def place(size: float) -> float:
        return height - FOOT - (height - FOOT - TOP) * (size - low) / (high - low)

    at = columns(len(shown))
    last = max(index for index, (point, _size) in enumerate(shown) if point.succeeded)
    chart.marks = [
        mark(rows[index], at(index), place(size), _shape(name, point, is_last=index == last))
        for index, (point, size) in enumerate(shown)
    ]
    chart.path = " ".join(f"{at(i)[0]:.3f},{place(size):.1f}" for i, (p, size) in enumerate(shown) if p.succeeded)
    chart.budget = list(_segments(budgets, at, place))
    chart.budget_words = _budget_words(shown[-1][0].budget(name), drawn=budgets[-1] is not None)
    values = [(index, point, float(size)) for index, (point, size) in enumerate(shown) if point.succeeded]
    chart.facts, chart.labels = extremes(values, at, place, megabytes, ground=height - FOOT, taken=_written(chart))
    chart.head = _change(released)
    chart.legend = legend(chart.marks)
    chart.words = _("%(title)s of %(n)d releases, from %(first)s to %(last)s") % {
        "title": title, "n": len(released), "first": megabytes(released[0]), "last": megabytes(released[-1]),
    }  # fmt: skip
    return chart


def _shape(name: str, point: Point, *, is_last: bool) -> str:
    if not point.succeeded:
        return "refused" if point.crossings else "no"
    if _is_over(name, point):
        return "over"
    return "end" if is_last else "dot"


def _is_over(name: str, point: Point) -> bool:
    return name in point.crossings or (name == "image" and "growth" in point.crossings)


def _note(name: str, point: Point) -> str:
    if not point.succeeded:
        return _("refused: over budget") if point.crossings else str(Outcome(point.outcome).label).lower()
    return _("over budget") if _is_over(name, point) else ""


def _row(name: str, point: Point, size: int) -> Line:
    exact = _("%(n)s bytes") % {"n": number_format(size, 0, force_grouping=True)}
    return Line(point.number, point.address, point.ref, megabytes(size), exact, _note(name, point))


def _scale(values: Sequence[int], height: int) -> tuple[float, float, list[Tick]]:
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
