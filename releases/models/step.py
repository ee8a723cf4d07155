"""One named part of a build, with its times: the rows behind the bars on the build's page."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from releases.models.build import Build
from releases.models.checks import known


class StepName(models.TextChoices):
    CHECKOUT = "checkout", pgettext_lazy("step of a build", "checkout")
    PREPARE = "prepare", pgettext_lazy("step of a build", "prepare")  # only in the build that is a stack's first
    PRODUCE = "produce", pgettext_lazy("step of a build", "produce")
    COLLECT = "collect", pgettext_lazy("step of a build", "collect")
    PACKAGE = "package", pgettext_lazy("step of a build", "package")
    PROBE = "probe", pgettext_lazy("step of a build", "probe")


class StepResult(models.TextChoices):
    RUNNING = "running", _("running")
    SUCCEEDED = "succeeded", _("succeeded")
    FAILED = "failed", _("failed")
    STOPPED = "stopped", _("stopped")
    SKIPPED = "skipped", _("skipped")


class Step(models.Model):
    build = models.ForeignKey(Build, models.PROTECT, related_name="steps", verbose_name=_("build"))
    position = models.PositiveSmallIntegerField(_("position"))
    name = models.CharField(_("name"), max_length=20, choices=StepName.choices)
    result = models.CharField(_("result"), max_length=10, choices=StepResult.choices, default=StepResult.RUNNING)
    started_at = models.DateTimeField(_("started"))
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    seconds = models.FloatField(
        _("seconds"),
        null=True,
        blank=True,
        help_text=_("By the worker's monotonic clock, which no clock change moves."),
    )
    exit_code = models.PositiveSmallIntegerField(
        _("exit code"),
        null=True,
        blank=True,
        help_text=_("Of the container that did the step; none for a step without one, or one that was stopped."),
    )
    detail = models.CharField(_("detail"), max_length=300, blank=True)
    detail_said = models.JSONField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["build", "position"]
        verbose_name = _("step")
        verbose_name_plural = _("steps")
        constraints = [
            known("step", "name", StepName),
            known("step", "result", StepResult),
            models.UniqueConstraint(fields=["build", "name"], name="step_once_per_build"),
            models.CheckConstraint(
                condition=models.Q(result="running", finished_at__isnull=True)
                | ~models.Q(result="running") & models.Q(finished_at__isnull=False),
                name="step_over_means_finished_at",
            ),
            models.CheckConstraint(
                condition=models.Q(seconds__isnull=True) | models.Q(seconds__gte=0), name="step_seconds_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return self.name
