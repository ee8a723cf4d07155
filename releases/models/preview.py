"""A runtime image that a person booted to look at it; it stops when asked, and by itself after half an hour."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from releases.errors import IllegalTransition, say
from releases.models.build import Build
from releases.models.checks import known
from releases.models.event import Actor, Event
from releases.sentences import columns


class PreviewState(models.TextChoices):
    ASKED = "asked", _("Asked for")
    RUNNING = "running", _("Running")
    STOPPING = "stopping", _("Stopping")
    STOPPED = "stopped", _("Stopped")
    FAILED = "failed", _("Failed")


LIVE = (PreviewState.ASKED, PreviewState.RUNNING, PreviewState.STOPPING)


class PreviewQuerySet(models.QuerySet["Preview"]):
    def live(self) -> PreviewQuerySet:
        return self.filter(state__in=LIVE)

    def to_be_stopped(self) -> PreviewQuerySet:
        """Somebody asked, or its time is over."""
        return self.filter(Q(state=PreviewState.STOPPING) | Q(state=PreviewState.RUNNING, ends_at__lt=Now()))


class Preview(models.Model):
    build = models.ForeignKey(Build, models.PROTECT, related_name="previews", verbose_name=_("build"))
    state = models.CharField(_("state"), max_length=10, choices=PreviewState.choices, default=PreviewState.ASKED)
    message = models.CharField(_("message"), max_length=1000, blank=True)
    message_said = models.JSONField(null=True, blank=True, editable=False)
    environment = models.JSONField(_("environment"), default=dict, blank=True)
    address = models.CharField(_("address"), max_length=200, blank=True)
    answer_status = models.PositiveSmallIntegerField(_("HTTP status"), null=True, blank=True)
    answer_seconds = models.FloatField(_("seconds to the first answer"), null=True, blank=True)
    answer_body = models.TextField(_("what was answered"), blank=True)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("asked by")
    )
    job_id = models.UUIDField(_("job"), default=uuid.uuid4, unique=True, editable=False)
    created_at = models.DateTimeField(_("asked"), auto_now_add=True)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    ends_at = models.DateTimeField(_("stops by itself"), null=True, blank=True)
    stopped_at = models.DateTimeField(_("stopped"), null=True, blank=True)

    objects = PreviewQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("preview")
        verbose_name_plural = _("previews")
        constraints = [
            known("preview", "state", PreviewState),
            models.CheckConstraint(
                condition=Q(state__in=["stopped", "failed"], stopped_at__isnull=False)
                | ~Q(state__in=["stopped", "failed"]) & Q(stopped_at__isnull=True),
                name="preview_over_means_stopped_at",
            ),
            models.CheckConstraint(
                condition=~Q(state="running") | ~Q(address="") & Q(started_at__isnull=False, ends_at__isnull=False),
                name="preview_running_means_address",
            ),
        ]

    def __str__(self) -> str:
        return f"preview {self.pk} of {self.build}"

    def get_absolute_url(self) -> str:
        return reverse("preview", args=[self.build.application.name, self.build.number, self.pk])

    @property
    def container(self) -> str:
        return f"preview-{self.pk}"

    @property
    def is_live(self) -> bool:
        return self.state in LIVE

    def mark_running(self, *, address: str, status: int, seconds: float, body: str, message: str) -> None:
        """ASKED → RUNNING; `IllegalTransition` when somebody has stopped it meanwhile."""
        self._move(
            PreviewState.RUNNING,
            come_from=(PreviewState.ASKED,),
            address=address,
            answer_status=status or None,
            answer_seconds=seconds if status else None,
            answer_body=body,
            **columns("message", message, most=1000),
            started_at=Now(),
            ends_at=Now() + timedelta(seconds=settings.PREVIEW_SECONDS),
        )

    def mark_stopping(self, *, by: Actor) -> None:
        with transaction.atomic():
            self._move(PreviewState.STOPPING, come_from=(PreviewState.ASKED, PreviewState.RUNNING))
            Event.objects.record("preview.stop_asked", by=by, build=self.build, data={"preview": self.pk})

    def mark_stopped(self, message: str) -> None:
        with transaction.atomic():
            self._move(PreviewState.STOPPED, come_from=LIVE, stopped_at=Now(), **columns("message", message, most=1000))
            Event.objects.record("preview.stopped", build=self.build, data={"preview": self.pk, "message": message})

    def mark_failed(self, message: str) -> None:
        with transaction.atomic():
            self._move(PreviewState.FAILED, come_from=LIVE, stopped_at=Now(), **columns("message", message, most=1000))
            Event.objects.record("preview.failed", build=self.build, data={"preview": self.pk, "message": message})

    def _move(self, to: PreviewState, *, come_from: tuple[PreviewState, ...], **facts: Any) -> None:
        if not Preview.objects.filter(pk=self.pk, state__in=come_from).update(state=to, **facts):
            now = Preview.objects.get(pk=self.pk)
            raise IllegalTransition(
                say(
                    "The preview is %(state)s and cannot become %(wanted)s.",
                    state=now.get_state_display().lower(),
                    wanted=to.label.lower(),
                )
            )
        self.refresh_from_db()
