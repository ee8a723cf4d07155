"""The first page: what is building, what did not succeed, and where each application stands."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta

from django.db.models import Exists, F, OuterRef, Subquery, Window
from django.db.models.functions import RowNumber
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from releases.models import Application, Build, Outcome, Ref, RefKindChoices
from releases.views import seeing
from releases.views.expectation import line
from releases.views.moved import alarms

LATELY = timedelta(days=7)
FEW = 6
SPARK = 11
"""How many releases a line of the table draws."""


@dataclass(slots=True)
class Row:
    """One application in the table."""

    application: Application
    last_build: Build | None
    unbuilt: Ref | None
    """Its newest tag, when nobody has built that."""
    releases: list[Build] = field(default_factory=list)
    """Oldest first."""

    @property
    def last_release(self) -> Build | None:
        return self.releases[-1] if self.releases else None

    @property
    def sizes(self) -> list[tuple[int, int]]:
        return [(build.number, build.image.size) for build in self.releases if build.image]


@seeing
@require_safe
def show(request: HttpRequest) -> HttpResponse:
    rows = application_rows()
    bad = Build.objects.finished().exclude(outcome=Outcome.SUCCEEDED).filter(finished_at__gte=timezone.now() - LATELY)
    page = {
        "rows": rows,
        "line": line(now=timezone.now()),
        "bad": bad.for_pages().order_by("-finished_at", "-id")[:FEW],
        "bad_count": bad.count(),
        "since": (timezone.now() - LATELY).date(),
        "moved": alarms(),
    }
    return render(request, "home.html", page)


def application_rows() -> list[Row]:
    """Every application with its standing, in as many queries for a hundred as for one."""
    builds = Build.objects.filter(application=OuterRef("pk")).order_by("-number")
    tags = Ref.objects.filter(application=OuterRef("pk"), kind=RefKindChoices.TAG).newest()
    applications = Application.objects.by_name().annotate(
        last_build_id=Subquery(builds.values("pk")[:1]), newest_tag_id=Subquery(tags.values("pk")[:1])
    )
    ids = {key: (build, tag) for key, build, tag in applications.values_list("pk", "last_build_id", "newest_tag_id")}
    last = Build.objects.in_bulk([build for build, _tag in ids.values() if build])
    known = Build.objects.filter(application=OuterRef("application"), commit=OuterRef("commit"))
    unbuilt = Ref.objects.filter(~Exists(known), pk__in=[tag for _build, tag in ids.values() if tag]).in_bulk()
    releases = recent_releases()
    return [
        Row(
            application, last.get(ids[application.pk][0]), unbuilt.get(ids[application.pk][1]), releases[application.pk]
        )
        for application in applications
    ]


def recent_releases() -> dict[int, list[Build]]:
    """The last releases of each application, oldest first."""
    rank = Window(RowNumber(), partition_by=F("application"), order_by=F("number").desc())
    found: dict[int, list[Build]] = defaultdict(list)
    for build in Build.objects.succeeded().for_pages().annotate(rank=rank).filter(rank__lte=SPARK).order_by("number"):
        found[build.application_id].append(build)
    return found
