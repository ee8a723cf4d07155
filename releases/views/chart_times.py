"""Times of builds as bars from zero."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

from django.utils.formats import number_format
from django.utils.translation import gettext as _

from releases.models import Outcome
from releases.templatetags.portal import seconds
from releases.views.chart import FOOT, TOP, Bar, Chart, Line, Tick, columns, extremes, legend, mark, nothing_yet
from releases.views.timeline import said, scale

if TYPE_CHECKING:
    from releases.views.series import Point


def times_chart(name: str, title: str, series: Sequence[Point], *, height: int) -> Chart:
    """Hatched where an environment was made, outlined with a mark above where the build did not succeed."""
    rows = [_row(point) for point in series]
    chart = Chart(name, title, height, rows=rows[::-1])
    good = [point.seconds for point in series if point.succeeded]
    if len(series) < 2:
        chart.empty = _("One build so far: from the second on, each is a bar here.") if series else nothing_yet(0)
        return chart
    tick, count = scale(max(point.seconds for point in series))
    ground = height - FOOT
    chart.ticks = [Tick(f"{ground - (ground - TOP) * n / count:.1f}", said(tick * n)) for n in range(count + 1)]

    def place(value: float) -> float:
        return ground - max(1.5, (ground - TOP) * value / (tick * count))

    at = columns(len(series))
    chart.marks = [
        mark(
            rows[index],
            at(index),
            place(point.seconds),
            _shape(point),
            _bar(point, at(index), place(point.seconds), ground),
        )
        for index, point in enumerate(series)
    ]
    chart.facts, chart.labels = extremes(
        [(i, p, p.seconds) for i, p in enumerate(series) if p.succeeded], at, place, seconds
    )
    chart.head = _("median %(time)s") % {"time": seconds(median(good))} if good else ""
    chart.legend = legend(chart.marks)
    if any(point.preparing >= 0.1 for point in series):  # the least that two times side by side show
        chart.note = _("Without the step Prepare: a stack's images are made once, for all applications.")
    chart.words = _("%(title)s of %(n)d builds, the newest %(last)s") % {
        "title": title, "n": len(series), "last": seconds(series[-1].seconds),
    }  # fmt: skip
    return chart


def _shape(point: Point) -> str:
    if point.succeeded:
        return ""
    return "fail" if point.outcome == Outcome.FAILED else "no"


def _bar(point: Point, column: tuple[float, float, float], y: float, ground: float) -> Bar:
    _middle, left, width = column
    look = "void" if not point.succeeded else "cast" if point.environment == "made" else "keep"
    return Bar(f"{left + width * 0.1:.3f}%", f"{width * 0.8:.3f}%", f"{y:.1f}", f"{ground - y:.1f}", look)


def _note(point: Point) -> str:
    if not point.succeeded:
        return str(Outcome(point.outcome).label).lower()
    words = {"made": _("new environment"), "reused": _("environment reused"), "taken over": _("rebased")}
    return words.get(point.environment, _("succeeded"))


def _row(point: Point) -> Line:
    exact = _("%(n)s seconds") % {"n": number_format(f"{point.seconds:.2f}", 2)}
    return Line(point.number, point.address, point.ref, seconds(point.seconds), exact, _note(point))
