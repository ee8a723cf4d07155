"""One making of a stack's images, asked for on the stack's page or by the first build that needs them."""

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
from releases.specs import Anew, StackImages


class PreparationState(models.TextChoices):
    QUEUED = "queued", _("Queued")
    RUNNING = "running", _("Preparing")
    SUCCEEDED = "succeeded", _("Succeeded")
    FAILED = "failed", _("Failed")


class AnewChoices(models.TextChoices):
    """Which halves are made again although they are there, with the distribution's packages of today."""

    RUNNER = "runner", _("runtime")
    BOTH = "both", _("builder and runtime")


LIVE = (PreparationState.QUEUED, PreparationState.RUNNING)


class PreparationQuerySet(models.QuerySet["Preparation"]):
    def live(self) -> PreparationQuerySet:
        return self.filter(state__in=LIVE)

    def latest_success(self, stack: str, digest: str) -> Preparation | None:
        done = self.filter(stack=stack, digest=digest, state=PreparationState.SUCCEEDED)
        return done.order_by("-id").first()

    def newer_runtime(self, build: Build, digest: str) -> Preparation | None:
        """The newest images of the build's stack, when their runtime is another than the one that it stands on."""
        latest = self.latest_success(build.stack, digest)
        return latest if latest and latest.runner_image != build.runner_image else None

    def lease_ran_out(self) -> PreparationQuerySet:
        return self.filter(state=PreparationState.RUNNING, lease_until__lt=Now())

    def note_images(self, stack: str, images: StackImages, *, build: Build) -> None:
        """A build found or made these images: they are the stack's, unless that is known already, or newer ones were
        made since the build began."""
        known = self.latest_success(stack, images.digest)
        if known and (known.builder_image, known.runner_image) == (images.builder_id, images.runner_id):
            return
        if known and known.finished_at and build.started_at and known.finished_at > build.started_at:
            return
        made_by = say("Made or found by build %(build)s; what was done stands in its log.", build=str(build))
        self.create(
            stack=stack,
            digest=images.digest,
            state=PreparationState.SUCCEEDED,
            **columns("message", made_by, most=1000),
            builder_image=images.builder_id,
            builder_size=images.builder_size,
            runner_image=images.runner_id,
            runner_size=images.runner_size,
            base_image=images.base_id,
            started_at=Now(),
            finished_at=Now(),
        )

    @transaction.atomic
    def request(self, stack: str, digest: str, *, by: Actor, anew: Anew = "") -> Preparation:
        """A new queued preparation and its Event; a live one of the same stack makes the database refuse."""
        made = self.create(stack=stack, digest=digest, anew=anew, requested_by_id=by.pk if by is not None else None)
        facts = {"stack": stack, "digest": digest, **({"anew": anew} if anew else {})}
        Event.objects.record("stack.prepare_asked", by=by, data=facts)
        return made


class Preparation(models.Model):
    stack = models.CharField(_("stack"), max_length=100)
    digest = models.CharField(_("digest of the stack"), max_length=64)
    state = models.CharField(
        _("state"), max_length=10, choices=PreparationState.choices, default=PreparationState.QUEUED
    )
    anew = models.CharField(
        _("made anew"),
        max_length=10,
        choices=AnewChoices.choices,
        blank=True,
        help_text=_("Empty when only what was missing was made."),
    )
    message = models.CharField(_("message"), max_length=1000, blank=True)
    message_said = models.JSONField(null=True, blank=True, editable=False)
    builder_image = models.CharField(_("builder image"), max_length=71, blank=True)
    builder_size = models.PositiveBigIntegerField(_("size of the builder in bytes"), null=True, blank=True)
    runner_image = models.CharField(_("runner image"), max_length=71, blank=True)
    runner_size = models.PositiveBigIntegerField(_("size of the runner in bytes"), null=True, blank=True)
    base_image = models.CharField(_("base image"), max_length=71, blank=True)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("asked by")
    )
    job_id = models.UUIDField(_("job"), default=uuid.uuid4, unique=True, editable=False)
    lease_until = models.DateTimeField(_("lease until"), null=True, blank=True)
    created_at = models.DateTimeField(_("asked"), auto_now_add=True)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    objects = PreparationQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("preparation")
        verbose_name_plural = _("preparations")
        constraints = [
            known("preparation", "state", PreparationState),
            known("preparation", "anew", AnewChoices, blank=True),
            models.UniqueConstraint(
                fields=["stack", "digest"], condition=Q(state__in=["queued", "running"]), name="preparation_one_live"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["succeeded", "failed"], finished_at__isnull=False)
                | ~Q(state__in=["succeeded", "failed"]) & Q(finished_at__isnull=True),
                name="preparation_over_means_finished_at",
            ),
            models.CheckConstraint(
                condition=~Q(state="succeeded") | ~Q(builder_image="") & ~Q(runner_image=""),
                name="preparation_succeeded_means_images",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.stack} {self.digest[:12]}"

    def get_absolute_url(self) -> str:
        return reverse("stack", args=[self.stack])

    @property
    def is_live(self) -> bool:
        return self.state in LIVE

    @property
    def is_finished(self) -> bool:
        return not self.is_live

    def take_up(self) -> bool:
        """QUEUED → RUNNING with a lease; False when another worker was first."""
        won = Preparation.objects.filter(pk=self.pk, state=PreparationState.QUEUED).update(
            state=PreparationState.RUNNING, started_at=Now(), lease_until=_lease()
        )
        self.refresh_from_db()
        return bool(won)

    def renew_lease(self) -> None:
        running = Preparation.objects.filter(pk=self.pk, state=PreparationState.RUNNING)
        if not running.update(lease_until=_lease()):
            raise IllegalTransition(say("The preparation of %(stack)s is no longer running.", stack=self))

    def mark_succeeded(self, images: StackImages, message: str) -> None:
        self._end(
            PreparationState.SUCCEEDED,
            message,
            builder_image=images.builder_id,
            builder_size=images.builder_size,
            runner_image=images.runner_id,
            runner_size=images.runner_size,
            base_image=images.base_id,
        )

    def mark_failed(self, message: str) -> None:
        self._end(PreparationState.FAILED, message)

    def _end(self, to: PreparationState, message: str, **facts: Any) -> None:
        facts |= columns("message", message, most=1000)
        with transaction.atomic():
            live = Preparation.objects.filter(pk=self.pk, state__in=LIVE)
            if not live.update(state=to, finished_at=Now(), lease_until=None, **facts):
                raise IllegalTransition(say("The preparation of %(stack)s is over.", stack=self))
            Event.objects.record(
                f"stack.{to.value}", data={"stack": self.stack, "digest": self.digest, "message": message[:1000]}
            )
        self.refresh_from_db()


def _lease() -> models.expressions.CombinedExpression:
    return Now() + timedelta(seconds=settings.LEASE_SECONDS)
