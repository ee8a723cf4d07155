"""One line of the audit trail: written in the same transaction as what it tells, and never changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from releases.models.application import Application
    from releases.models.build import Build

Actor = AbstractBaseUser | AnonymousUser | None
"""Who asked; None is the portal itself."""


class EventQuerySet(models.QuerySet["Event"]):
    def record(
        self,
        verb: str,
        *,
        by: Actor = None,
        application: Application | None = None,
        build: Build | None = None,
        data: dict[str, Any] | None = None,
    ) -> Event:
        """Write one line. Call it in the transaction of the change that it tells."""
        known = by if by is not None and by.pk is not None else None
        return self.create(
            verb=verb,
            actor_id=known.pk if known else None,
            actor_name=known.get_username() if known else "",
            application=application or (build.application if build else None),
            build=build,
            data=data or {},
        )

    def record_each(self, verb: str, facts: Iterable[dict[str, Any]], *, application: Application) -> None:
        """Many lines of the portal itself at once. Call it in the transaction of the change that they tell."""
        self.bulk_create([Event(verb=verb, application=application, data=data) for data in facts], batch_size=1000)


class Event(models.Model):
    at = models.DateTimeField(_("at"), db_default=Now())
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("who")
    )
    actor_name = models.CharField(
        _("name then"), max_length=150, blank=True, help_text=_("Kept as it was; empty is the portal itself.")
    )
    verb = models.CharField(_("what"), max_length=50)
    application = models.ForeignKey(
        "releases.Application",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="events",
        verbose_name=_("application"),
    )
    build = models.ForeignKey(
        "releases.Build", models.PROTECT, null=True, blank=True, related_name="events", verbose_name=_("build")
    )
    data = models.JSONField(_("details"), default=dict, blank=True)

    objects = EventQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("event")
        verbose_name_plural = _("events")
        indexes = [
            models.Index(fields=["build", "id"], name="event_of_build"),
            # The page of the audit trail, by each of its filters: newest first, leafed by (at, id).
            models.Index(fields=["-at", "-id"], name="event_by_time"),
            models.Index(fields=["application", "-at", "-id"], name="event_of_application"),
            models.Index(fields=["actor", "-at", "-id"], name="event_of_person"),
            models.Index(fields=["verb", "-at", "-id"], name="event_by_verb"),
            models.Index(
                fields=["application", "-id"],
                condition=models.Q(verb="application.changed"),
                name="event_of_changed_settings",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.verb} by {self.actor_name or 'the portal'}"
