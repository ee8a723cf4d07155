"""How builds went lately, by application."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Aggregate, Count, F, FloatField, Q
from django.db.models.functions import Extract
from django.utils import timezone

from releases.models import Build, Outcome

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
    """The applications that were built most in the last days, the most first."""
    ended = Build.objects.finished().filter(finished_at__gte=timezone.now() - timedelta(days=days))
    good = Q(outcome=Outcome.SUCCEEDED)
    found = (
        ended.exclude(outcome=Outcome.CANCELLED)
        .order_by()
        .values(name=F("application__name"))
        .annotate(
            builds=Count("pk"),
            good=Count("pk", filter=good),
            took=Median(Extract(F("finished_at") - F("started_at"), "epoch"), filter=good),
        )
        .order_by("-builds", "name")[:MOST]
    )
    return [Statistic(row["name"], row["builds"], row["good"], row["took"]) for row in found]
