"""Small pictures drawn by the server as SVG: places and lengths are attributes, so no style is ever needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import template
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from releases.templatetags.portal import megabytes

register = template.Library()

Points = Sequence[tuple[int, float]]
"""The number of a build and its value, oldest first."""


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


@register.simple_tag
def change(value: int | None) -> SafeString:
    """Bytes more or less than elsewhere, with a sign; nothing where nothing is known."""
    if value is None:
        return format_html("{}", "")
    if not value:
        return format_html('<span title="{}">±0</span>', _("the same"))
    sign = "+" if value > 0 else "\N{MINUS SIGN}"
    exact = _("%(n)s bytes") % {"n": sign + number_format(abs(value), 0, force_grouping=True)}
    return format_html('<span class="nowrap" title="{}">{}{}</span>', exact, sign, megabytes(abs(value)))
