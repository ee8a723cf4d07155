"""The small pieces that every page shares: icons, standings, sizes, times and digests."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

from django import template
from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Count, Q
from django.templatetags.static import static
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

import portal as product
from releases.models import Build, State, priority_of
from releases.sentences import sentence_of

register = template.Library()

MARKS = {
    "queued": ("idle", "queue"),
    "asked": ("idle", "queue"),
    "checking_out": ("run", "run"),
    "producing": ("run", "run"),
    "packaging": ("run", "run"),
    "probing": ("run", "run"),
    "cancelling": ("run", "run"),
    "running": ("run", "run"),
    "stopping": ("run", "run"),
    "succeeded": ("ok", "ok"),
    "failed": ("fail", "fail"),
    "timed_out": ("limit", "time"),
    "out_of_memory": ("limit", "oom"),
    "cancelled": ("idle", "cancel"),
    "stopped": ("idle", "cancel"),
    "worker_lost": ("ours", "lost"),
    "source_unavailable": ("ours", "src"),
    "engine_unavailable": ("ours", "eng"),
    "internal_error": ("ours", "int"),
    "skipped": ("idle", "none"),
}
"""What a state or an outcome looks like: whose move it is (a colour), and its shape."""

NOTHING = format_html('<span class="mute">{}</span>', "–")


@register.filter
def told(row: Any, name: str) -> str:
    """A sentence that a row keeps, in the reader's language."""
    return sentence_of(row, name) if row else ""


@register.simple_tag
@cache  # a table asks for the same few some hundred times
def icon(name: str, extra: str = "") -> SafeString:
    """A picture of `_icons.html`; decoration only, so a word must stand beside it."""
    return format_html('<svg class="{}" aria-hidden="true"><use href="#i-{}"/></svg>', f"i {extra}".strip(), name)


@register.simple_tag
def standing(thing: Any, badge: bool = False, words: str = "") -> SafeString:
    """Shape and word of a build, preview, preparation or step; `badge` is for the title line alone."""
    colour, shape = _look(thing)
    mark = icon(shape, "turn" if shape == "run" else "")
    return format_html(
        '<span class="st st-{}{}">{}{}</span>', colour, " badge" if badge else "", mark, words or standing_word(thing)
    )


def _look(thing: Any) -> tuple[str, str]:
    name = str(getattr(thing, "standing", "") or getattr(thing, "state", "") or getattr(thing, "result", ""))
    return MARKS.get(name, ("idle", "none"))


@register.simple_tag
def favicon(thing: Any) -> str:
    """The address of the picture that the tab of a build, preview or preparation has: its standing's shape."""
    return static(f"favicons/{_look(thing)[1]}.svg")


@register.filter
def standing_word(thing: Any) -> str:
    """The word alone, for titles."""
    for method in ("get_standing_display", "get_state_display", "get_result_display"):
        if hasattr(thing, method):
            word = str(getattr(thing, method)())
            return word[:1].upper() + word[1:]
    return ""


@register.filter
def megabytes(value: float | str | None) -> str:
    """Bytes in decimal units: 43.2 MB, 388 MB, 1.2 GB, 3.4 kB."""
    if value is None or isinstance(value, str):  # a template gives "" for what is not there
        return "–"
    for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= size * (0.9995 if unit != "MB" else 0.1):
            return f"{_rounded(value / size, 0 if value / size >= 99.95 else 1)}\N{NO-BREAK SPACE}{unit}"
    return ngettext("%(n)d byte", "%(n)d bytes", int(value)) % {"n": value}


@register.simple_tag
def size(value: int | str | None) -> SafeString:
    """The same with the exact number in the title."""
    if value is None or isinstance(value, str):
        return NOTHING
    exact = _("%(n)s bytes") % {"n": number_format(value, 0, force_grouping=True)}
    return format_html('<span class="nowrap" title="{}">{}</span>', exact, megabytes(value))


@register.filter
def grouped(value: int) -> str:
    """A count as a person reads it: 58,946."""
    return number_format(value, 0, force_grouping=True)


@register.filter
def seconds(value: float | str | None) -> str:
    """A duration as a person says it: 0.36 s, 23.9 s, 2 min 5 s, 1 h 4 min."""
    if value is None or isinstance(value, str):
        return "–"
    if value < 59.95:
        return f"{_rounded(value, 2 if value < 0.995 else 1)}\N{NO-BREAK SPACE}s"
    whole = round(value)
    if whole < 3600:
        return _joined(whole // 60, "min", whole % 60, "s")
    return _joined(whole // 3600, "h", whole % 3600 // 60, "min")


register.filter("priority", priority_of)


@register.filter
def about(value: float | None) -> str:
    """A guess at a duration, in whole seconds or minutes: 9 s, 2 min 10 s, 14 min, 1 h 5 min."""
    if value is None:
        return _("unknown")
    whole = max(1, round(value))
    if whole < 60:
        return f"{whole}\N{NO-BREAK SPACE}s"
    if whole < 300:
        return _joined(whole // 60, "min", whole % 60, "s")
    minutes = round(whole / 60)
    return _joined(minutes // 60, "h", minutes % 60, "min") if minutes >= 60 else f"{minutes}\N{NO-BREAK SPACE}min"


def _rounded(value: float, places: int) -> str:
    """In the reader's language; `number_format` by itself cuts off and would make 43.1 of 43.19."""
    return number_format(f"{value:.{places}f}", places)


def _joined(large: int, large_unit: str, small: int, small_unit: str) -> str:
    head = f"{large}\N{NO-BREAK SPACE}{large_unit}"
    return f"{head} {small}\N{NO-BREAK SPACE}{small_unit}" if small else head


@register.simple_tag
def ago(at: datetime | str | None) -> SafeString:
    """Relative words with the exact time in the title, which portal.js puts into the reader's zone."""
    if not isinstance(at, datetime):
        return NOTHING
    return _time(at, relative(at), "title")


@register.simple_tag
def clock(at: datetime | str | None) -> SafeString:
    """The time of day, under a heading that says the day."""
    return NOTHING if not isinstance(at, datetime) else _time(at, f"{at:%H:%M}", "clock")


@register.simple_tag
def moment(at: datetime | str | None) -> SafeString:
    """Date and time in full, for records."""
    return NOTHING if not isinstance(at, datetime) else _time(at, f"{at:%Y-%m-%d %H:%M} UTC", "moment")


def _time(at: datetime, words: str, local: str) -> SafeString:
    return format_html(
        '<time class="nowrap" datetime="{}" title="{}" data-local="{}">{}</time>',
        f"{at:%Y-%m-%dT%H:%M:%SZ}", f"{at:%Y-%m-%d %H:%M:%S} UTC", local, words,
    )  # fmt: skip


def relative(at: datetime) -> str:
    """How long ago, in as few words as are still exact enough."""
    now = timezone.now()
    passed = (now - at).total_seconds()
    if passed < 0:
        return _ahead(-passed)
    if passed < 5:
        return _("now")
    if passed < 60:
        return _("%(n)d s ago") % {"n": passed}
    if passed < 3600:
        return _("%(n)d min ago") % {"n": passed // 60}
    if passed < 86400:
        return ngettext("%(n)d hour ago", "%(n)d hours ago", int(passed // 3600)) % {"n": passed // 3600}
    if passed < 2 * 86400:
        return _("yesterday")
    if passed < 7 * 86400:
        return _("%(n)d days ago") % {"n": passed // 86400}
    this_year = at.year == now.year
    return date_format(at, pgettext("date", "j M") if this_year else pgettext("date", "j M Y"))


def _ahead(left: float) -> str:
    if left < 60:
        return _("in %(n)d s") % {"n": left}
    return _("in %(n)d min") % {"n": round(left / 60)}


@register.simple_tag
def digest(value: str, label: str = "", length: int = 12) -> SafeString:
    """The first characters of a sha256, an image id or a commit, and a button that copies the whole.

    `label` completes "Copy …", such as "the sha256 of app.tar.gz"."""
    if not value:
        return NOTHING
    return format_html(
        '<span class="nowrap"><code title="{}">{}</code> {}</span>',
        value, value.removeprefix("sha256:")[:length], copy(value, label),
    )  # fmt: skip


@register.simple_tag
def copy(value: str, label: str = "") -> SafeString:
    """A button that copies `value`; without a script it is not there."""
    words = _("Copy %(what)s") % {"what": label or _("the whole")}
    return format_html(
        '<button type="button" class="copy" data-copy="{}" data-copied="{}" aria-label="{}" title="{}">{}</button>',
        value, _("Copied"), words, words, icon("copy"),
    )  # fmt: skip


@register.filter
def short(commit: str) -> str:
    """A commit as git abbreviates it."""
    return commit[:7]


@register.filter
def address(url: str) -> str:
    """A repository's address without what every one has in common."""
    return url.removeprefix("https://").removesuffix(".git")


@register.filter
def person(user: AbstractBaseUser | None) -> str:
    """The name that colleagues know."""
    if user is None:
        return _("the portal")
    full_name = str(getattr(user, "get_full_name", str)())
    return full_name or user.get_username()


@register.filter
def asker(build: Build) -> str:
    """Who asked for a build: a person, or the rule that a new tag matched."""
    return _("the rule %(rule)s") % {"rule": build.rule} if build.rule else person(build.requested_by)


@register.filter
def initials(user: AbstractBaseUser) -> str:
    words = person(user).replace(".", " ").replace("-", " ").split()
    return "".join(word[0] for word in words[:2]).upper()


@register.simple_tag
def version() -> str:
    """The product's version, for the foot of each page."""
    return getattr(product, "__version__", "")


@register.inclusion_tag("_pulse.html")
def pulse(*, oob: bool = False) -> dict[str, int | bool]:
    """How many builds run and wait at this moment; `oob` for an answer that brings it anew to a page."""
    queued = Count("pk", filter=Q(state=State.QUEUED))
    return {"oob": oob, **Build.objects.active().aggregate(queued=queued, building=Count("pk") - queued)}


@register.filter
def at(known: dict[Any, str], key: Any) -> str:
    """What stands under a key; nothing when it is not there."""
    return known.get(key, "")
