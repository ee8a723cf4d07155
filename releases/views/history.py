"""All builds: filtered, searched, by day, and as files for other programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from itertools import groupby
from typing import Any

from django import forms
from django.conf import settings
from django.core.paginator import Page, Paginator
from django.db.models import Count, Max, Q
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from releases.models import Application, Artifact, Build, Outcome, Package, Wanted
from releases.models.application import MEBIBYTE
from releases.models.builds import BuildQuerySet
from releases.views import seeing
from releases.views.export import as_csv, as_json
from releases.views.filters import HistoryFilter
from releases.views.moved import marks
from releases.views.search import matching
from releases.views.words import Meaning, meaning_of, packages_in

ROWS = 50
PLACES = ("top", "before", "after")
"""What stands in an address to say where in the rows it is, not which rows."""
NAMES = 30
"""Applications that are offered while a name is typed."""
FORMATS = {"csv": as_csv, "json": as_json}


@seeing
@require_safe
def show(request: HttpRequest) -> HttpResponseBase:
    form = HistoryFilter(request.GET)
    given = understood(form)
    meaning, packages = meaning_of(given.get("q", "")), packages_of(given.get("package"))
    builds = matching(given, meaning, packages) if form.is_valid() else Build.objects.none()
    if wanted := request.GET.get("format"):
        return file(request, form, builds, wanted)
    counts = counted(builds, given.get("top"))
    page = leaf(builds, counts, request.GET.get("page"))
    rows = list(page)
    context = {
        "form": form,
        "problems": form.problems(),
        "counts": counts,
        "chips": chips(form),
        "days": by_day(rows),
        "page": page,
        "shown": len(rows),
        "numbers": page.paginator.get_elided_page_range(page.number, on_each_side=2, on_ends=1),
        "reasons": reasons(rows, meaning, packages),
        "marks": marks(rows),
        "has_reasons": meaning is not None or packages is not None,
        "meaning": meaning,
        "applications": offered(""),
        "alike": alike(form) if not rows else [],
        "largest": largest_file(),
        "address": urlencode([pair for pair in asked(form) if pair[0] not in PLACES]),
    }
    return render(request, "history.html", context)


@seeing
@require_safe
def names(request: HttpRequest) -> HttpResponse:
    """Applications whose name holds what was typed so far, for the browser to offer."""
    return render(request, "history/_names.html", {"applications": offered(request.GET.get("application", ""))})


def offered(typed: str) -> Sequence[str]:
    typed = typed.strip()
    found = Application.objects.filter(name__icontains=typed) if typed.isprintable() else Application.objects.none()
    return list(found.by_name().values_list("name", flat=True)[:NAMES])


def alike(form: HistoryFilter) -> Sequence[Application]:
    """Applications that somebody may have meant by the words of a search that found nothing."""
    words = understood(form).get("q", "").strip()
    return list(Application.objects.filter(name__icontains=words).by_name()[:5]) if words else []


def largest_file() -> int:
    """Bytes beyond which no file can be one that was made here: by today's limits, or by those of its day."""
    kept = Artifact.objects.aggregate(most=Max("size"))["most"]
    chosen = Application.objects.aggregate(most=Max("artifact_mb"))["most"]
    return max(settings.BUILD_LIMITS.artifact_bytes, (chosen or 0) * MEBIBYTE, kept or 0)


def counted(builds: BuildQuerySet, top: int | None) -> dict[str, int]:
    """How many match in all and by outcome, and the newest of them; with `top` only what was there by then."""
    found = (builds.filter(pk__lte=top) if top else builds).aggregate(
        found=Count("pk"),
        succeeded=Count("pk", filter=Q(outcome=Outcome.SUCCEEDED)),
        failed=Count("pk", filter=Q(outcome=Outcome.FAILED)),
        newest=Max("pk"),
    )
    other = found["found"] - found["succeeded"] - found["failed"]
    return {**found, "other": other, "top": top or found["newest"] or 0}


def leaf(builds: BuildQuerySet, counts: dict[str, int], number: str | None) -> Page[Build]:
    """One page, the last one for a number past the end: first which builds, then all that their rows show."""
    ids = builds.filter(pk__lte=counts["top"]).order_by("-id").values_list("pk", flat=True)
    paginator: Paginator[Any] = Paginator(ids, ROWS)
    paginator.count = counts["found"]  # counted already
    page = paginator.get_page(number)
    page.object_list = Build.objects.with_origins().filter(pk__in=list(page.object_list)).order_by("-id")
    return page


def file(request: HttpRequest, form: HistoryFilter, builds: BuildQuerySet, wanted: str) -> HttpResponseBase:
    """All rows that match, not only a page of them; refused when a filter is not understood."""
    if wanted not in FORMATS or form.errors:
        sentences = form.problems() or [_("The format is csv or json.")]
        return HttpResponse("\n".join(sentences) + "\n", status=400, content_type="text/plain; charset=utf-8")
    return FORMATS[wanted](request, builds.with_origins().order_by("-id"))


def understood(form: HistoryFilter) -> Mapping[str, Any]:
    """What the filters say; nothing when one of them is refused."""
    return form.cleaned_data if form.is_valid() else {}


def packages_of(wanted: Wanted | None) -> Q | None:
    return Package.objects.meant(wanted) if wanted else None


def reasons(rows: Sequence[Build], meaning: Meaning | None, packages: Q | None) -> dict[int, str]:
    """Why each row is here: by the words that were searched for, or by its package."""
    found = packages_in(rows, packages) if packages is not None else {}
    return found | (meaning.reasons(rows) if meaning else {})


def asked(form: forms.Form) -> list[tuple[str, str]]:
    """What stands in the address, without what is empty."""
    return [(name, value) for name in form.fields if (value := form.data.get(name, "").strip())]


def chips(form: forms.Form) -> list[tuple[str, str, str]]:
    """Each filter that is set: its label, its value, and the address without it."""
    given = [(name, value) for name, value in asked(form) if name not in PLACES]
    return [
        (str(form[name].label), word(form, name, value), urlencode([pair for pair in given if pair[0] != name]))
        for name, value in given
    ]


def word(form: forms.Form, name: str, value: str) -> str:
    """A choice in the words of its list."""
    choices: Any = getattr(form.fields[name], "choices", ())
    return str(dict(choices).get(value, value))


def by_day(builds: Iterable[Build]) -> list[tuple[date, list[Build]]]:
    """The rows under the day (in UTC; the reader's browser cuts them in its own zone) on which they were asked for."""
    return [(day, list(rows)) for day, rows in groupby(builds, key=lambda build: build.created_at.date())]
