"""What the sweeper last saw of the engine and the disk: the pages read this row, never the engine itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from releases.sentences import columns


class WorkshopQuerySet(models.QuerySet["Workshop"]):
    def report(
        self,
        *,
        engine_answers: bool,
        engine: str,
        engine_problem: str,
        disk_free: int | None,
        disk_total: int | None,
        repaired: int,
        cage_problem: str = "",
        runtime_problem: str = "",
        **noticed: Any,
    ) -> None:
        """Write what was just seen: sizes in bytes; `noticed` are the other fields."""
        self.update_or_create(
            pk=1,
            defaults={
                "engine_answers": engine_answers,
                "engine": engine,
                **columns("engine_problem", engine_problem, most=1000),
                **columns("cage_problem", cage_problem, most=1000),
                **columns("runtime_problem", runtime_problem, most=1000),
                "disk_free": disk_free,
                "disk_total": disk_total,
                "seen_at": Now(),
                **noticed,
            },
        )
        if repaired:
            self.filter(pk=1).update(repairs=models.F("repairs") + repaired, mended_at=Now())

    def seen(self) -> Workshop | None:
        return self.filter(pk=1).first()


class Workshop(models.Model):
    """One row."""

    engine_answers = models.BooleanField(_("the engine answers"), default=False)
    engine = models.CharField(_("engine"), max_length=200, blank=True)
    engine_problem = models.CharField(_("what is wrong with the engine"), max_length=1000, blank=True)
    engine_problem_said = models.JSONField(null=True, blank=True, editable=False)
    cage_problem = models.CharField(_("why the network of builds is open"), max_length=1000, blank=True)
    cage_problem_said = models.JSONField(null=True, blank=True, editable=False)
    runtime_problem = models.CharField(_("what is wrong with the runtime of builds"), max_length=1000, blank=True)
    runtime_problem_said = models.JSONField(null=True, blank=True, editable=False)
    disk_free = models.PositiveBigIntegerField(_("free bytes"), null=True, blank=True)
    disk_total = models.PositiveBigIntegerField(_("bytes in all"), null=True, blank=True)
    seen_at = models.DateTimeField(_("seen"))
    repairs = models.PositiveBigIntegerField(
        _("repairs"), default=0, help_text=_("How often the sweeper closed, rang again or removed something.")
    )
    mended = models.JSONField(
        _("what was mended last"),
        default=dict,
        blank=True,
        help_text=_("How many of what, in the last round with any."),
    )
    mended_at = models.DateTimeField(_("mended last"), null=True, blank=True)
    round_seconds = models.FloatField(_("seconds of the last round"), null=True, blank=True)
    places = models.JSONField(
        _("places"), default=list, blank=True, help_text=_("Each disk in use: what lies there, free bytes, all bytes.")
    )
    holds = models.JSONField(
        _("what is kept"), default=dict, blank=True, help_text=_("How many images the engine has, and the like.")
    )

    objects = WorkshopQuerySet.as_manager()

    class Meta:
        verbose_name = _("workshop")
        verbose_name_plural = _("workshop")
        constraints = [models.CheckConstraint(condition=models.Q(pk=1), name="workshop_is_one_row")]

    def __str__(self) -> str:
        return "workshop"

    @property
    def is_fresh(self) -> bool:
        """The sweeper was here lately; otherwise nothing below can be trusted."""
        return timezone.now() - self.seen_at < timedelta(seconds=4 * settings.SWEEP_SECONDS)
