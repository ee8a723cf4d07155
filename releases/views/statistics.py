"""How builds went lately, by application."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Aggregate, Count, F, FloatField, Q
from django.db.models.functions import Extract
from django.utils import timezone

from releases.models import Application, Build, Outcome

DAYS = 30
MOST = 10
"""Applications in the table: those that were built most."""


class Median(Aggregate):
    """PostgreSQL's own."""

    template = "PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = FloatField()


@dataclass(frozen=True, slots=True)
class Statistic:
    application: str
    builds: int
    """That ended, without those that a person cancelled."""
    succeeded: int
    seconds: float | None
    """The median of the builds that succeeded."""

    @property
    def percent(self) -> int:
        return round(100 * self.succeeded / self.builds) if self.builds else 0

    @property
    def width(self) -> str:
        return f"{100 * self.succeeded / self.builds:.2f}%" if self.builds else "0%"


def by_application(days: int = DAYS) -> list[Statistic]:
    """The applications that were built most in the last days, the most first.

    Counted by an index alone, for all builds; the times are looked up only for those that are shown."""
    ended = Build.objects.filter(finished_at__gte=timezone.now() - timedelta(days=days)).order_by()
    counted = (
        ended.exclude(outcome=Outcome.CANCELLED)
        .values("application_id")
        .annotate(builds=Count("pk"), good=Count("pk", filter=Q(outcome=Outcome.SUCCEEDED)))
        .order_by("-builds", "application_id")[:MOST]
    )
    found = {row["application_id"]: row for row in counted}
    took = (
        ended.filter(application__in=found, outcome=Outcome.SUCCEEDED)
        .values("application_id")
        .annotate(median=Median(Extract(F("finished_at") - F("started_at"), "epoch")))
    )
    seconds = dict(took.values_list("application_id", "median"))
    names = dict(Application.objects.filter(pk__in=found).values_list("pk", "name"))
    return [Statistic(names[key], row["builds"], row["good"], seconds.get(key)) for key, row in found.items()]
