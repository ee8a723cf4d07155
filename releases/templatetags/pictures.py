"""Small pictures drawn by the server as SVG: places and lengths are attributes, so no style is ever needed."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from django import template

from releases.templatetags.portal import megabytes, seconds

register = template.Library()

Points = Sequence[tuple[int, float]]
"""The number of a build and its value, oldest first."""

WIDTH, FLOOR, CEILING = 272.0, 82.0, 22.0


def scaled(values: Sequence[float], *, low: float, high: float, left: float, right: float) -> list[tuple[float, float]]:
    """Places on a sheet: `low` is the y of the smallest value, `high` that of the largest; equal ones lie between."""
    least, span = min(values), max(values) - min(values)
    step = (right - left) / max(1, len(values) - 1)
    height = [low + (high - low) * ((value - least) / span if span else 0.5) for value in values]
    return [(round(left + step * place, 1), round(y, 1)) for place, y in enumerate(height)]


@register.inclusion_tag("_spark.html")
def spark(points: Points) -> dict[str, Any]:
    """A line of sizes beside a number."""
    if len(points) < 2:
        return {}
    places = scaled([value for _, value in points], low=17, high=3, left=2, right=70)
    return {
        "line": " ".join(f"{x},{y}" for x, y in places),
        "end": places[-1],
        "count": len(points),
        "first": megabytes(points[0][1]),
        "last": megabytes(points[-1][1]),
    }


@register.inclusion_tag("_trend_size.html")
def size_trend(points: Points) -> dict[str, Any]:
    """Image sizes of the last releases as a line, with the same figures as a table."""
    places = scaled([value for _, value in points], low=70, high=34, left=4, right=266)
    marks = [(x, y, megabytes(value), number) for (x, y), (number, value) in zip(places, points, strict=True)]
    change = points[-1][1] - points[0][1]
    return {
        "marks": marks,
        "line": " ".join(f"{x},{y}" for x, y in places),
        "change": ("+" if change > 0 else "\N{MINUS SIGN}" if change < 0 else "±") + megabytes(abs(change)),
        "newest_first": [(number, value) for number, value in reversed(points)],
    }


@register.inclusion_tag("_trend_time.html")
def time_trend(points: Points) -> dict[str, Any]:
    """Build times of the last releases as bars from zero, with the same figures as a table."""
    slot = WIDTH / max(len(points), 6)
    most = max(value for _, value in points) or 1.0
    bars = []
    for place, (number, value) in enumerate(points):
        height = max(2.0, (FLOOR - CEILING) * value / most)
        bars.append((f"{place * slot:.1f}", f"{FLOOR - height:.1f}", f"{height:.1f}", seconds(value), number))
    return {
        "bars": bars,
        "width": f"{slot * 0.8:.1f}",
        "median": seconds(median(value for _, value in points)),
        "end": f"{len(points) * slot - slot * 0.2:.1f}",
        "newest_first": [(number, value) for number, value in reversed(points)],
    }
