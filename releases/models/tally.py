"""Counts that are kept, so that whoever asks for them reads a few rows, however many builds there were."""

from __future__ import annotations

from bisect import bisect_left

from django.db import models
from django.db.models import F
from django.utils.translation import gettext_lazy as _

BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
"""Seconds; a duration is counted under the first bound that it does not exceed, or under none."""
NO_TIME = 0
"""The bucket of what never ran, such as a build that was cancelled while it waited."""


class TallyQuerySet(models.QuerySet["Tally"]):
    def add(self, noun: str, label: str, seconds: float | None) -> None:
        """Count one more. Call it last in the transaction of the end that it counts: its row is locked until then."""
        bucket = NO_TIME if seconds is None else 1 + bisect_left(BOUNDS, seconds)
        row, _made = self.get_or_create(noun=noun, label=label, bucket=bucket)
        self.filter(pk=row.pk).update(count=F("count") + 1, seconds=F("seconds") + (seconds or 0.0))


class Tally(models.Model):
    """How many builds ended with an outcome, or steps of a name ended, within one span of durations."""

    noun = models.CharField(_("of what"), max_length=10)
    label = models.CharField(_("which"), max_length=20)
    bucket = models.PositiveSmallIntegerField(
        _("span"), help_text=_("0 without a time; else the place of its bound, or one more than there are bounds.")
    )
    count = models.PositiveBigIntegerField(_("how many"), default=0)
    seconds = models.FloatField(_("seconds in all"), default=0.0)

    objects = TallyQuerySet.as_manager()

    class Meta:
        ordering = ["noun", "label", "bucket"]
        verbose_name = _("tally")
        verbose_name_plural = _("tallies")
        constraints = [models.UniqueConstraint(fields=["noun", "label", "bucket"], name="tally_once")]

    def __str__(self) -> str:
        return f"{self.noun} {self.label}"
