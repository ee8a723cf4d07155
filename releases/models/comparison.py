"""What lies between two commits of an application, read once from its mirror: neither commit can ever change.

A row is kept for each pair, whatever builds have them and whichever is the older, and is turned to face its reader.
It is asked for by whoever opens a comparison, or by a build that ended, and read by a worker; what could not be read
says why, and may be asked for again."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from releases.models.application import Application
from releases.models.build import Build
from releases.models.builds import BuildQuerySet
from releases.sentences import columns
from releases.specs import Difference

COMMIT = r"^[0-9a-f]{40}$"


def builds_to_compare() -> BuildQuerySet:
    """With what a comparison shows of each, beside the rows that belong to it."""
    return Build.objects.for_pages().select_related("kept_environment", "image__artifact")


def last_good(build: Build) -> Build | None:
    """The newest release of the same application before this build, on whatever stack."""
    earlier = builds_to_compare().succeeded().filter(application=build.application_id, number__lt=build.number)
    return earlier.order_by("-number").first()


class ComparisonQuerySet(models.QuerySet["Comparison"]):
    def of(self, application: Application, one: str, other: str) -> Comparison | None:
        """The row of these two commits, in either order."""
        low, high = sorted((one, other))
        return self.filter(application=application, low=low, high=high).first()

    def ask(self, application: Application, one: str, other: str) -> tuple[Comparison, bool]:
        """The row of these two commits, and whether it is new."""
        low, high = sorted((one, other))
        return self.get_or_create(application=application, low=low, high=high)

    def waiting(self, since: timedelta = timedelta(0)) -> ComparisonQuerySet:
        """Those that nobody has read, or failed to read, for so long."""
        return self.filter(read_at=None, error="", asked_at__lt=Now() - since)


class Comparison(models.Model):
    application = models.ForeignKey(
        Application, models.PROTECT, related_name="comparisons", verbose_name=_("application")
    )
    low = models.CharField(_("one commit"), max_length=40)
    high = models.CharField(_("the other commit"), max_length=40)
    job_id = models.UUIDField(_("job"), default=uuid.uuid4, unique=True, editable=False)
    asked_at = models.DateTimeField(_("asked"), auto_now_add=True)
    read_at = models.DateTimeField(_("read"), null=True, blank=True)
    facts = models.JSONField(_("what lies between them"), default=dict)
    error = models.CharField(_("why it could not be read"), max_length=1000, blank=True)
    error_said = models.JSONField(null=True, blank=True, editable=False)

    objects = ComparisonQuerySet.as_manager()

    class Meta:
        ordering = ["-asked_at"]
        verbose_name = _("comparison")
        verbose_name_plural = _("comparisons")
        constraints = [
            models.UniqueConstraint(fields=["application", "low", "high"], name="comparison_once_per_pair"),
            models.CheckConstraint(
                condition=Q(low__regex=COMMIT, high__regex=COMMIT, low__lt=models.F("high")),
                name="comparison_of_two_commits_in_order",
            ),
            models.CheckConstraint(
                condition=Q(read_at__isnull=True, facts={}) | Q(read_at__isnull=False, error="") & ~Q(facts={}),
                name="comparison_read_means_facts",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.application.name} {self.low[:7]}…{self.high[:7]}"

    @property
    def is_waiting(self) -> bool:
        return self.read_at is None and not self.error

    def difference(self, old: str) -> Difference | None:
        """From the commit `old` to the other one; None while it is not read."""
        if self.read_at is None:
            return None
        found = Difference.from_json(self.facts)
        return found if old == self.low else found.turned()

    # ---- verbs ---------------------------------------------------------------------------------------

    def mark_read(self, found: Difference) -> None:
        """Keep what was read, from `low` to `high`. Whoever was first is right: the commits cannot change."""
        unread = Comparison.objects.filter(pk=self.pk, read_at=None)
        unread.update(read_at=Now(), facts=found.as_json(), error="", error_said=None)
        self.refresh_from_db()

    def mark_failed(self, error: str) -> None:
        Comparison.objects.filter(pk=self.pk, read_at=None).update(**columns("error", error, most=1000))
        self.refresh_from_db()

    def mark_asked_again(self) -> bool:
        """After a failure; False when there was none, or somebody else has asked already."""
        failed = Comparison.objects.filter(pk=self.pk, read_at=None).exclude(error="")
        return bool(failed.update(error="", error_said=None, asked_at=Now(), job_id=uuid.uuid4()))
