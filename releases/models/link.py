"""One link of the chain that the events hang on: the database adds it when a transaction commits; it never changes."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from releases.models.artifact import SHA256
from releases.models.event import Event


class Link(models.Model):
    """`hash` is the sha256 of the link before it and of its event (migration 0022 says how); positions have no gap.

    The order is that of the commits, which is not always that of the events' numbers."""

    position = models.BigIntegerField(_("position"), primary_key=True)
    event = models.OneToOneField(Event, models.PROTECT, related_name="link", verbose_name=_("event"))
    record = models.CharField(
        _("record"),
        max_length=64,
        blank=True,
        help_text=_("Where its event is the end of a build: the sha256 of all that is final with it."),
    )
    hash = models.CharField(_("hash"), max_length=64)

    class Meta:
        ordering = ["position"]
        verbose_name = _("link of the audit trail")
        verbose_name_plural = _("links of the audit trail")
        constraints = [
            models.CheckConstraint(condition=models.Q(position__gte=1), name="link_position_from_1"),
            models.CheckConstraint(condition=models.Q(hash__regex=SHA256), name="link_hash_is_64_hex"),
            models.CheckConstraint(
                condition=models.Q(record="") | models.Q(record__regex=SHA256), name="link_record_is_64_hex"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.position} {self.hash[:12]}"
