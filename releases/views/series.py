"""How an application's releases grew and how long they took: one series of builds behind three pictures, their tables
and the JSON for other programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery
from django.urls import reverse
from django.utils.translation import gettext as _

from releases.models import Application, Build, Outcome, Step, StepName
from releases.views.chart import Chart
from releases.views.chart_sizes import sizes_chart
from releases.views.chart_times import times_chart

RANGES = {"30": 30, "100": 100, "all": 250}
"""What `?last=` takes, and how many builds that is: a picture of more could not be read any more."""
USUAL = "30"
FIELDS = (
    "pk", "number", "ref", "outcome", "started_at", "finished_at", "image__size", "artifact__size", "budgets",
    "crossings", "kept_environment__made_by", "rebase_of",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Point:
    """One build that a worker took up and that is over. Sizes in bytes."""

    number: int
    address: str
    ref: str
    outcome: str
    finished_at: datetime
    seconds: float
    """Without the making of its stack's images, which only a stack's first build does."""
    preparing: float
    """What that making took, in seconds."""
    environment: str
    """`made`, `reused`, or `taken over` by a rebase; empty when the build did not come so far."""
    image: int | None
    """Of a build that was refused because of it, too."""
    archive: int | None
    budgets: Mapping[str, Mapping[str, Any]]
    crossings: tuple[str, ...]
    """The names of the budgets that it is over."""

    @property
    def succeeded(self) -> bool:
        return self.outcome == Outcome.SUCCEEDED

    def budget(self, name: str) -> int | None:
        found = self.budgets.get(name)
        return found["most"] if found else None


def points(application: Application, count: int) -> list[Point]:
    """The last builds, oldest first: one question, however many there are."""
    preparing = Step.objects.filter(build=OuterRef("pk"), name=StepName.PREPARE).values("seconds")[:1]
    rows = (
        drawable(application).annotate(preparing=Subquery(preparing)).order_by("-number").values(*FIELDS, "preparing")
    )
    return [_point(application, row) for row in reversed(rows[:count])]


def drawable(application: Application) -> QuerySet[Build]:
    """The builds that took time: one that was cancelled in the queue has nothing to draw."""
    return Build.objects.finished().filter(application=application, started_at__isnull=False)


def _point(application: Application, row: Mapping[str, Any]) -> Point:
    crossed = {crossing["budget"]: crossing["size"] for crossing in row["crossings"]}
    took = (row["finished_at"] - row["started_at"]).total_seconds() - (row["preparing"] or 0.0)
    return Point(
        number=row["number"],
        address=reverse("build", args=[application.name, row["number"]]),
        ref=row["ref"],
        outcome=row["outcome"],
        finished_at=row["finished_at"],
        seconds=max(0.0, took),
        preparing=row["preparing"] or 0.0,
        environment=_environment(row),
        image=row["image__size"] or crossed.get("image") or crossed.get("growth"),
        archive=row["artifact__size"],
        budgets=row["budgets"],
        crossings=tuple(crossed),
    )


def _environment(row: Mapping[str, Any]) -> str:
    if row["rebase_of"] is not None:
        return "taken over"
    maker = row["kept_environment__made_by"]
    return "" if maker is None else "made" if maker == row["pk"] else "reused"


def charts(series: list[Point], *, wide: bool = False) -> list[Chart]:
    """Image, archive and time, in the order in which they stand below each other."""
    height = 200 if wide else 112
    return [
        sizes_chart("image", _("Image size"), series, lambda point: point.image, height=height),
        sizes_chart("archive", _("Size of app.tar.gz"), series, lambda point: point.archive, height=height),
        times_chart("time", _("Build time"), series, height=height),
    ]
