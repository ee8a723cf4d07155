"""The first page: what is building, what did not succeed, and where each application stands."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib.postgres.expressions import ArraySubquery
from django.core.paginator import Paginator
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from releases.models import Application, Build, Outcome, Ref, RefKindChoices
from releases.models.application import ApplicationQuerySet
from releases.views import seeing
from releases.views.expectation import line
from releases.views.moved import alarms

LATELY = timedelta(days=7)
FEW = 6
MOST_ACTIVE = 8
"""Builds at work that are shown one by one."""
ROWS = 30
FILTERED_FROM = 12
"""From so many applications on the table has filters."""
SPARK = 11
"""How many releases a line of the table draws."""


class ApplicationFilter(forms.Form):
    """Which applications the table shows; what is not understood shows all of them."""

    name = forms.CharField(
        label=_("Name"),
        required=False,
        max_length=62,
        widget=forms.TextInput(attrs={"class": "form-control", "type": "search"}),
    )
    show = forms.ChoiceField(
        label=_("Which"),
        required=False,
        widget=forms.Select(attrs={"class": "form-select"}),
        choices=[
            ("", _("All")),
            ("failing", _("Last build did not succeed")),
            ("unbuilt", _("Newest tag is not built")),
            ("unreleased", _("No release yet")),
            ("unread", _("Refs could not be read")),
        ],
    )


@dataclass(slots=True)
class Row:
    """One application in the table."""

    application: Application
    last_build: Build | None
    last_release: Build | None
    unbuilt: Ref | None
    """Its newest tag, when nobody has built that."""
    sizes: list[tuple[int, int]] = field(default_factory=list)
    """The number and the image's bytes of its last releases, oldest first."""


@seeing
@require_safe
def show(request: HttpRequest) -> HttpResponse:
    form = ApplicationFilter(request.GET, label_suffix="", auto_id="f-%s")
    asked = form.cleaned_data if form.is_valid() else {}
    found = chosen(asked.get("name", ""), asked.get("show", ""))
    page = Paginator(found.by_name(), ROWS).get_page(request.GET.get("page"))
    total = Application.objects.count()
    context = {
        **happening(),
        "rows": application_rows(page.object_list),
        "page": page,
        "numbers": page.paginator.get_elided_page_range(page.number, on_each_side=2, on_ends=1),
        "total": total,
        "form": form if total >= FILTERED_FROM or any(asked.values()) or form.errors else None,
        "is_filtered": any(asked.values()),
        "address": urlencode({name: value for name, value in asked.items() if value}),
        "moved": alarms(),
    }
    return render(request, "home.html", context)


@seeing
@require_safe
def now(request: HttpRequest) -> HttpResponse:
    """The part of the page that moves, by itself."""
    return render(request, "home/_moving.html", happening())


def happening() -> dict[str, Any]:
    """What is being built, and what lately did not succeed."""
    since = timezone.now() - LATELY
    now = line(now=timezone.now())
    bad = Build.objects.filter(~Q(outcome=Outcome.SUCCEEDED), finished_at__gte=since)
    return {
        "line": now,
        "shown": now.builds[:MOST_ACTIVE],
        "more_active": max(0, len(now.builds) - MOST_ACTIVE),
        "bad": bad.for_rows().order_by("-finished_at", "-id")[:FEW],
        "bad_count": bad.count(),
        "since": since.date(),
    }


# ---- the table -------------------------------------------------------------------------------------------


def chosen(name: str, which: str) -> ApplicationQuerySet:
    """The applications whose name holds `name`, and of these the ones that `which` means."""
    found = Application.objects.all()
    if name.strip():
        found = found.filter(name__icontains=name.strip())
    builds = Build.objects.filter(application=OuterRef("pk"))
    if which == "failing":
        last = Subquery(builds.finished().order_by("-number").values("outcome")[:1])
        found = found.alias(last=last).filter(~Q(last=Outcome.SUCCEEDED), last__isnull=False)
    elif which == "unbuilt":
        tag = newest_tags().values("commit")[:1]
        built = Build.objects.filter(application=OuterRef("pk"), commit=OuterRef("tag"))
        found = found.alias(tag=Subquery(tag)).filter(~Exists(built), tag__isnull=False)
    elif which == "unreleased":
        found = found.filter(~Exists(builds.succeeded()))
    elif which == "unread":
        found = found.exclude(refs_error="")
    return found


def newest_tags() -> QuerySet[Ref]:
    """Of an application of an outer query."""
    return Ref.objects.filter(application=OuterRef("pk"), kind=RefKindChoices.TAG).newest()


def application_rows(applications: Iterable[Application]) -> list[Row]:
    """Every application with its standing, in as many queries for a hundred as for one."""
    shown = list(applications)
    builds = Build.objects.filter(application=OuterRef("pk")).order_by("-number").values("pk")
    standing = Application.objects.filter(pk__in=[application.pk for application in shown]).values_list(
        "pk",
        Subquery(builds[:1]),
        Subquery(newest_tags().values("pk")[:1]),
        ArraySubquery(builds.filter(outcome=Outcome.SUCCEEDED)[:SPARK]),
    )
    of = {key: (build, tag, releases) for key, build, tag, releases in standing}
    last = last_builds(key for build, _tag, releases in of.values() for key in (build, *releases[:1]) if key)
    unbuilt = unbuilt_tags(tag for _build, tag, _releases in of.values() if tag)
    sizes = image_sizes(key for _build, _tag, releases in of.values() for key in releases)
    rows = []
    for application in shown:
        build, tag, releases = of.get(application.pk, (None, None, []))
        release = last.get(releases[0]) if releases else None
        rows.append(Row(application, last.get(build), release, unbuilt.get(tag), sizes[application.pk]))
    return rows


def last_builds(ids: Iterable[int]) -> dict[int | None, Build]:
    return {build.pk: build for build in Build.objects.for_rows().filter(pk__in=set(ids))}


def unbuilt_tags(ids: Iterable[int]) -> dict[int | None, Ref]:
    known = Build.objects.filter(application=OuterRef("application"), commit=OuterRef("commit"))
    return {ref.pk: ref for ref in Ref.objects.filter(~Exists(known), pk__in=list(ids))}


def image_sizes(ids: Iterable[int]) -> dict[int, list[tuple[int, int]]]:
    found: dict[int, list[tuple[int, int]]] = defaultdict(list)
    releases = Build.objects.filter(pk__in=list(ids)).order_by("number")
    for application, number, size in releases.values_list("application", "number", "image__size"):
        found[application].append((number, size))
    return found
