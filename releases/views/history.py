"""All builds: filtered, searched, by day, and as files for other programs."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from itertools import groupby
from typing import Any

from django.contrib.auth.models import User
from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from releases.forms import Filter, HistoryFilter
from releases.models import Application, Build, Outcome
from releases.models.build import BuildQuerySet
from releases.views import name_of, seeing
from releases.views.export import as_csv, as_json
from releases.views.moved import marks
from releases.views.search import matching, reasons

ROWS = 50
PLACES = ("top", "before", "after")
"""What stands in an address to say where in the rows it is, not which rows."""
FORMATS = {"csv": as_csv, "json": as_json}


@seeing
@require_safe
def show(request: HttpRequest) -> HttpResponseBase:
    form = history_filter(request)
    builds = matching(form.cleaned_data) if form.is_valid() else Build.objects.none()
    if wanted := request.GET.get("format"):
        return file(request, form, builds, wanted)
    counts = builds.aggregate(
        found=Count("pk"),
        succeeded=Count("pk", filter=Q(outcome=Outcome.SUCCEEDED)),
        failed=Count("pk", filter=Q(outcome=Outcome.FAILED)),
    )
    top = form.cleaned_data.get("top") or builds.values_list("pk", flat=True).first()
    page = Paginator(builds.filter(pk__lte=top) if top else builds, ROWS).get_page(request.GET.get("page"))
    rows = list(page)
    words = (form.cleaned_data.get("q") or "").strip()
    context = {
        "form": form,
        "problems": form.problems(),
        "counts": counts | {"other": counts["found"] - counts["succeeded"] - counts["failed"]},
        "chips": chips(form),
        "days": by_day(rows),
        "page": page,
        "shown": len(rows),
        "numbers": page.paginator.get_elided_page_range(page.number, on_each_side=2, on_ends=1),
        "reasons": reasons(rows, words),
        "marks": marks(rows),
        "searched": words,
        "address": urlencode({name: value for name, value in asked(form) if name != "top"}),
        "top": top,
    }
    return render(request, "history.html", context)


def history_filter(request: HttpRequest) -> HistoryFilter:
    """The form with what is known by now."""
    asked_by = User.objects.filter(pk__in=Build.objects.values("requested_by").distinct()).order_by("username")
    return HistoryFilter(
        request.GET,
        applications=Application.objects.by_name().values_list("name", flat=True),
        people=[(someone.username, name_of(someone)) for someone in asked_by],
    )


def file(request: HttpRequest, form: HistoryFilter, builds: BuildQuerySet, wanted: str) -> HttpResponseBase:
    """All rows that match, not only a page of them; refused when a filter is not understood."""
    if wanted not in FORMATS or form.errors:
        sentences = form.problems() or [_("The format is csv or json.")]
        return HttpResponse("\n".join(sentences) + "\n", status=400, content_type="text/plain; charset=utf-8")
    return FORMATS[wanted](request, builds)


def asked(form: Filter) -> list[tuple[str, str]]:
    """What stands in the address, without what is empty."""
    return [(name, value) for name in form.fields if (value := form.data.get(name, "").strip())]


def chips(form: Filter) -> list[tuple[str, str, str]]:
    """Each filter that is set: its label, its value, and the address without it."""
    given = [(name, value) for name, value in asked(form) if name not in PLACES]
    return [
        (str(form[name].label), word(form, name, value), urlencode([pair for pair in given if pair[0] != name]))
        for name, value in given
    ]


def word(form: Filter, name: str, value: str) -> str:
    """A choice in the words of its list."""
    choices: Any = getattr(form.fields[name], "choices", ())
    return str(dict(choices).get(value, value))


def by_day(builds: Iterable[Build]) -> list[tuple[date, list[Build]]]:
    """The rows under the day (in UTC; the reader's browser cuts them in its own zone) on which they were asked for."""
    return [(day, list(rows)) for day, rows in groupby(builds, key=lambda build: build.created_at.date())]
