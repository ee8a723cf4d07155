"""The audit trail: who did what, when, and what it was before and after. Nothing in it can be changed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from releases.forms import PORTAL, AuditFilter
from releases.models import Application, Event
from releases.models.event import EventQuerySet
from releases.views import export, name_of, seeing
from releases.views.history import asked, chips
from releases.views.trail import Detail, choices, details, sentence, subject, what, who

ROWS = 50
COUNTED = 10_000
"""More are not counted: the number is for a person."""
MARKS = ("before", "after")
"""In the address: the event at which a page ends; such an address shows the same rows for ever."""
COLUMNS = ("id", "at", "who", "verb", "sentence", "application", "build", "data", "address")


@dataclass(frozen=True, slots=True)
class Row:
    event: Event
    who: str
    what: str
    subject: str
    """Of what it is, in one word, such as a tag."""
    details: list[Detail]


@seeing
@require_safe
def show(request: HttpRequest) -> HttpResponseBase:
    if not request.user.has_perm("releases.view_event"):
        raise PermissionDenied(_("Your account may not see the audit trail: ask an administrator for “view event”."))
    form = audit_filter(request)
    events = matching(form.cleaned_data) if form.is_valid() else Event.objects.none()
    if wanted := request.GET.get("format"):
        return _file(request, form, events, wanted)
    count = events.values("pk")[: COUNTED + 1].count()
    page, has_newer, has_older = leaf(events, form.cleaned_data)
    context = {
        "form": form,
        "problems": form.problems(),
        "rows": [Row(event, who(event), what(event), subject(event), details(event)) for event in page],
        "count": min(count, COUNTED),
        "has_more": count > COUNTED,
        "chips": chips(form),
        "address": urlencode([pair for pair in asked(form) if pair[0] not in MARKS]),
        "newer": page[0].pk if page and has_newer else None,
        "older": page[-1].pk if page and has_older else None,
    }
    return render(request, "audit.html", context)


def audit_filter(request: HttpRequest) -> AuditFilter:
    """The form with what is known by now."""
    people = User.objects.order_by("username")
    return AuditFilter(
        request.GET,
        applications=Application.objects.by_name().values_list("name", flat=True),
        people=[(someone.username, name_of(someone)) for someone in people],
        verbs=choices(),
    )


def matching(filters: Mapping[str, Any]) -> EventQuerySet:
    """The events that all these filters let through, newest first."""
    events = Event.objects.select_related("application", "build").order_by("-at", "-id")
    if filters.get("application"):
        events = events.filter(application__in=_keys(Application.objects.filter(name=filters["application"])))
    if filters.get("build"):
        events = events.filter(build__number=filters["build"])
    if filters.get("by") == PORTAL:
        events = events.filter(actor__isnull=True)
    elif filters.get("by"):
        events = events.filter(actor__in=_keys(User.objects.filter(username=filters["by"])))
    if filters.get("verb"):
        events = events.filter(verb=filters["verb"])
    if filters.get("from"):
        events = events.filter(at__gte=datetime.combine(filters["from"], time.min, UTC))
    if filters.get("to"):
        events = events.filter(at__lte=datetime.combine(filters["to"], time.max, UTC))
    return events


def _keys(found: Any) -> list[int]:
    """Asked for at once, so that the large table is met with a value, by which it has an index."""
    return list(found.values_list("pk", flat=True))


def leaf(events: EventQuerySet, marks: Mapping[str, Any]) -> tuple[list[Event], bool, bool]:
    """One page before or after an event, and whether there are newer and older ones. What is written meanwhile moves
    no row from page to page."""
    before, after = marks.get("before"), marks.get("after")
    at = Event.objects.filter(pk=after or before or 0).values_list("at", flat=True).first()
    if at is not None and after:
        later = Q(at__gte=at) & (Q(at__gt=at) | Q(pk__gt=after))
        found = list(events.filter(later).order_by("at", "id")[: ROWS + 1])
        return found[:ROWS][::-1], len(found) > ROWS, True
    if at is not None:
        events = events.filter(Q(at__lte=at) & (Q(at__lt=at) | Q(pk__lt=before)))
    found = list(events[: ROWS + 1])
    return found[:ROWS], at is not None, len(found) > ROWS


# ---- files ---------------------------------------------------------------------------------------------


def record(request: HttpRequest, event: Event) -> tuple[Any, ...]:
    """One event as flat facts, in the order of `COLUMNS`; times in UTC."""
    application, build = event.application, event.build
    page = build or application
    return (
        event.pk,
        f"{event.at:%Y-%m-%dT%H:%M:%S.%fZ}",
        event.actor_name,
        event.verb,
        sentence(event),
        application.name if application else "",
        build.number if build else None,
        event.data,
        request.build_absolute_uri(page.get_absolute_url()) if page else "",
    )


def _file(request: HttpRequest, form: AuditFilter, events: EventQuerySet, wanted: str) -> HttpResponseBase:
    """All events that match, sent while they are read; refused when a filter is not understood."""
    if wanted not in ("csv", "json") or form.errors:
        sentences = form.problems() or [_("The format is csv or json.")]
        return HttpResponse("\n".join(sentences) + "\n", status=400, content_type="text/plain; charset=utf-8")
    rows = (record(request, event) for event in export.in_turn(events.select_related("build__application")))
    if wanted == "json":
        return export.attachment(export.json_pieces("events", COLUMNS, rows), "application/json", "audit.json")
    return export.attachment(export.csv_lines(COLUMNS, _flat(rows)), "text/csv; charset=utf-8", "audit.csv")


def _flat(rows: Iterator[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        yield tuple(json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value for value in row)
