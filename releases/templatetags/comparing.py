"""What changed, with its sign: bytes, sizes and times."""

from __future__ import annotations

from datetime import UTC, datetime

from django import template
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from releases.templatetags.portal import NOTHING, ago, megabytes, seconds

register = template.Library()

MINUS = "\N{MINUS SIGN}"


@register.filter
def signed(value: int | None) -> str:
    """A whole number: `+1,096`, `−12`, `0`."""
    if value is None:
        return "–"
    return f"{_sign(value)}{number_format(abs(value), 0, force_grouping=True)}"


@register.simple_tag
def growth(was: int | str | None, now: int | str | None) -> SafeString:
    """How much larger it became, with the exact bytes in the title; nothing while one of the two is not known."""
    if not isinstance(was, int) or not isinstance(now, int):
        return NOTHING
    exact = _("%(n)s bytes") % {"n": signed(now - was)}
    shown = f"{_sign(now - was)}{megabytes(abs(now - was))}" if now != was else "0"
    return format_html('<span class="nowrap" title="{}">{}</span>', exact, shown)


@register.filter
def signed_seconds(value: float | None) -> str:
    """`+0.02 s`; what is less than a hundredth is 0."""
    if value is None:
        return "–"
    return f"{_sign(value)}{seconds(abs(value))}" if abs(value) >= 0.005 else "0"


@register.simple_tag
def written(at: int) -> SafeString:
    """When a commit was written, from seconds since 1970; 0 is not known."""
    return ago(datetime.fromtimestamp(at, UTC)) if at else NOTHING


def _sign(value: float) -> str:
    return "+" if value > 0 else MINUS if value < 0 else ""
