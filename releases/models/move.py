"""A tag that was taken away from a commit: it points elsewhere now, or is gone. Kept for good, because what was built
of that commit is no longer what the tag says."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from releases.models.application import Application
from releases.models.event import Actor, Event


class MoveQuerySet(models.QuerySet["Move"]):
    def open(self) -> MoveQuerySet:
        """Those that nobody has acknowledged."""
        return self.filter(acknowledged_at__isnull=True)

    def acknowledge(self, *, by: Actor) -> int:
        """A person has seen them; an Event for each. How many were still open. Call it in a transaction."""
        moves = list(self.open().select_for_update(of=("self",)).select_related("application"))
        self.model.objects.filter(pk__in=[move.pk for move in moves]).update(
            acknowledged_at=Now(), acknowledged_by_id=by.pk if by is not None else None
        )
        for move in moves:
            Event.objects.record("ref.move_seen", by=by, application=move.application, data=move.facts())
        return len(moves)


class Move(models.Model):
    application = models.ForeignKey(Application, models.PROTECT, related_name="moves", verbose_name=_("application"))
    name = models.CharField(_("tag"), max_length=255)
    full_name = models.CharField(_("full name"), max_length=275)
    before = models.CharField(_("commit before"), max_length=40)
    after = models.CharField(_("commit after"), max_length=40, blank=True, help_text=_("Empty: the tag is gone."))
    noticed_at = models.DateTimeField(_("noticed"))
    acknowledged_at = models.DateTimeField(_("acknowledged"), null=True, blank=True)
    acknowledged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("acknowledged by"),
    )

    objects = MoveQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("moved tag")
        verbose_name_plural = _("moved tags")
        indexes = [
            models.Index(fields=["application", "before"], name="move_by_commit"),
            models.Index(fields=["application", "full_name", "-id"], name="move_of_tag"),
            models.Index(fields=["-id"], condition=models.Q(acknowledged_at__isnull=True), name="move_open"),
        ]
        constraints = [
            models.CheckConstraint(condition=models.Q(before__regex=r"^[0-9a-f]{40}$"), name="move_before_is_40_hex"),
            models.CheckConstraint(
                condition=models.Q(after="") | models.Q(after__regex=r"^[0-9a-f]{40}$"), name="move_after_is_40_hex"
            ),
            models.CheckConstraint(condition=~models.Q(before=models.F("after")), name="move_goes_somewhere"),
        ]

    def __str__(self) -> str:
        return f"{self.application.name} {self.name}"

    @property
    def is_gone(self) -> bool:
        return not self.after

    def facts(self) -> dict[str, str]:
        """For the audit trail."""
        facts = {"ref": self.full_name, "from": self.before}
        return facts if self.is_gone else {**facts, "to": self.after}
