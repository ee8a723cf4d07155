"""A tag or branch of an application's repository, as it was when the refs were last read."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db import models, transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from releases.models.application import Application
from releases.models.checks import known
from releases.models.event import Event
from releases.specs import RemoteRef


class RefKindChoices(models.TextChoices):
    TAG = "tag", _("tag")
    BRANCH = "branch", _("branch")
    COMMIT = "commit", _("commit")


class RefQuerySet(models.QuerySet["Ref"]):
    def tags(self) -> RefQuerySet:
        return self.filter(kind=RefKindChoices.TAG).newest()

    def branches(self) -> RefQuerySet:
        return self.filter(kind=RefKindChoices.BRANCH).newest()

    def newest(self) -> RefQuerySet:
        return self.order_by("-committed_at", "-name")

    @transaction.atomic
    def replace_for(self, application: Application, found: Iterable[RemoteRef]) -> None:
        """Make the refs of an application equal to what its repository has now; a tag that moved is an Event."""
        now = timezone.now()
        known = {ref.full_name: ref for ref in self.select_for_update().filter(application=application)}
        for remote in found:
            ref = known.pop(remote.full_name, None) or Ref(application=application, first_seen_at=now)
            ref.take(remote, now=now)
        self.filter(pk__in=[ref.pk for ref in known.values()]).delete()
        Application.objects.filter(pk=application.pk).update(refs_read_at=Now(), refs_error="", refs_error_said=None)


class Ref(models.Model):
    application = models.ForeignKey(Application, models.CASCADE, related_name="refs", verbose_name=_("application"))
    kind = models.CharField(_("kind"), max_length=10, choices=RefKindChoices.choices)
    name = models.CharField(_("name"), max_length=255)
    full_name = models.CharField(_("full name"), max_length=275)
    commit = models.CharField(_("commit"), max_length=40)
    committed_at = models.DateTimeField(_("committed"))
    subject = models.CharField(_("subject"), max_length=200, blank=True)
    annotated = models.BooleanField(_("annotated"), default=False)
    first_seen_at = models.DateTimeField(_("first seen"))
    moved_at = models.DateTimeField(_("moved"), null=True, blank=True)
    moved_from = models.CharField(_("moved from"), max_length=40, blank=True)

    objects = RefQuerySet.as_manager()

    class Meta:
        ordering = ["application", "kind", "name"]
        verbose_name = _("ref")
        verbose_name_plural = _("refs")
        constraints = [
            known("ref", "kind", RefKindChoices),
            models.UniqueConstraint(fields=["application", "full_name"], name="ref_once_per_application"),
            models.CheckConstraint(condition=models.Q(commit__regex=r"^[0-9a-f]{40}$"), name="ref_commit_is_40_hex"),
            models.CheckConstraint(
                condition=models.Q(moved_at__isnull=True, moved_from="")
                | models.Q(moved_at__isnull=False) & ~models.Q(moved_from=""),
                name="ref_moved_at_with_moved_from",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def take(self, remote: RemoteRef, *, now: datetime) -> None:
        """Take over what the repository says; a tag that points elsewhere than before is remembered as moved."""
        moved = bool(self.pk) and self.kind == RefKindChoices.TAG and self.commit != remote.commit
        if moved:
            self.moved_at, self.moved_from = now, self.commit
            Event.objects.record(
                "ref.moved",
                application=self.application,
                data={"ref": remote.full_name, "from": self.commit, "to": remote.commit},
            )
        self.kind, self.name, self.full_name = remote.kind, remote.name, remote.full_name
        self.commit, self.committed_at = remote.commit, remote.committed_at
        self.subject, self.annotated = remote.subject, remote.annotated
        self.save()
