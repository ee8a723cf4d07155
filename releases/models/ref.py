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
from releases.models.move import Move
from releases.models.version import LONGEST_KEY, version_key
from releases.specs import RemoteRef


class RefKindChoices(models.TextChoices):
    TAG = "tag", _("tag")
    BRANCH = "branch", _("branch")
    COMMIT = "commit", _("commit")


class SignatureChoices(models.TextChoices):
    """What a tag is signed with. That it is signed says nothing of who did it: the portal checks no signature."""

    OPENPGP = "openpgp", "OpenPGP"
    SSH = "ssh", "SSH"
    X509 = "x509", "X.509"


TAKEN = ("commit", "committed_at", "subject", "annotated", "tagger", "tagged_at", "message", "signature")
"""What a ref takes over from the repository at each reading."""


class RefQuerySet(models.QuerySet["Ref"]):
    def tags(self) -> RefQuerySet:
        return self.filter(kind=RefKindChoices.TAG).newest()

    def branches(self) -> RefQuerySet:
        return self.filter(kind=RefKindChoices.BRANCH).newest()

    def newest(self) -> RefQuerySet:
        """By version; names that are no versions (as all branches) after those, by date."""
        return self.order_by("-version", "-committed_at", "-name")

    @transaction.atomic
    def replace_for(
        self, application: Application, found: Iterable[RemoteRef], *, listed_at: datetime | None = None
    ) -> list[Ref] | None:
        """Make the refs of an application equal to what its repository had at `listed_at` (now, when it is left out).

        A tag that points elsewhere than before, or is gone, becomes a `Move` and an Event. Gives the tags whose names
        were never met before; none at the first reading. None when nothing was taken over, because something newer is
        known already or `application` has another repository now."""
        now = listed_at or timezone.now()
        current = Application.objects.select_for_update(no_key=True).get(pk=application.pk)
        answered = Application.objects.filter(pk=application.pk)
        is_late = current.refs_good_at is not None and now <= current.refs_good_at
        if is_late or current.repository != application.repository:
            answered.update(refs_read_at=Now())
            return None
        appeared = _Reading(current, now).take(found)
        if current.refs_failures:
            Event.objects.record("refs.recovered", application=current, data={"failures": current.refs_failures})
        answered.update(
            refs_read_at=Now(),
            refs_good_at=now,
            refs_error="",
            refs_error_said=None,
            refs_failures=0,
            refs_failed_since=None,
        )
        return appeared


class Ref(models.Model):
    application = models.ForeignKey(Application, models.CASCADE, related_name="refs", verbose_name=_("application"))
    kind = models.CharField(_("kind"), max_length=10, choices=RefKindChoices.choices)
    name = models.CharField(_("name"), max_length=255)
    full_name = models.CharField(_("full name"), max_length=275)
    version = models.CharField(
        _("as a version"), max_length=LONGEST_KEY, blank=True, editable=False, db_collation="C",
        help_text=_("The key by which tags are sorted; empty for a name that is no version."),
    )  # fmt: skip
    commit = models.CharField(_("commit"), max_length=40)
    committed_at = models.DateTimeField(_("committed"))
    subject = models.CharField(_("subject"), max_length=200, blank=True)
    annotated = models.BooleanField(_("annotated"), default=False)
    tagger = models.CharField(_("tagger"), max_length=200, blank=True)
    tagged_at = models.DateTimeField(_("tagged"), null=True, blank=True)
    message = models.CharField(_("first line of the tag's message"), max_length=200, blank=True)
    signature = models.CharField(_("signature"), max_length=10, choices=SignatureChoices.choices, blank=True)
    first_seen_at = models.DateTimeField(_("first seen"))
    moved_at = models.DateTimeField(_("moved"), null=True, blank=True)
    moved_from = models.CharField(_("moved from"), max_length=40, blank=True)

    objects = RefQuerySet.as_manager()

    class Meta:
        ordering = ["application", "kind", "name"]
        verbose_name = _("ref")
        verbose_name_plural = _("refs")
        indexes = [
            models.Index(fields=["application", "kind", "-version", "-committed_at", "-name"], name="ref_in_order")
        ]
        constraints = [
            known("ref", "kind", RefKindChoices),
            known("ref", "signature", SignatureChoices, blank=True),
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

    @classmethod
    def of(cls, application: Application, remote: RemoteRef, *, now: datetime) -> Ref:
        """A ref that was not known; not saved yet."""
        ref = cls(application=application, kind=remote.kind, name=remote.name, full_name=remote.full_name)
        ref.first_seen_at = now
        ref.take(remote)
        return ref

    def take(self, remote: RemoteRef) -> bool:
        """Take over what the repository says; whether anything is new in it. Saving is the caller's."""
        facts = {name: getattr(remote, name) for name in TAKEN}
        facts["version"] = version_key(remote.name) if remote.kind == "tag" else ""
        changed = {name: value for name, value in facts.items() if getattr(self, name) != value}
        for name, value in changed.items():
            setattr(self, name, value)
        return bool(changed)

    def frozen(self) -> dict[str, str]:
        """What a build keeps of the ref that was seen."""
        return {
            "ref": self.name,
            "ref_kind": self.kind,
            "ref_full": self.full_name,
            "commit": self.commit,
            "subject": self.subject,
        }


class _Reading:
    """One reading of a repository, whose application is locked, while it is written down."""

    def __init__(self, application: Application, now: datetime) -> None:
        self.application, self.now = application, now
        self.known = {ref.full_name: ref for ref in application.refs.all()}
        self.is_first = application.refs_good_at is None and not self.known
        self.new: list[Ref] = []
        self.changed: list[Ref] = []
        self.moves: list[Move] = []

    def take(self, found: Iterable[RemoteRef]) -> list[Ref]:
        for remote in found:
            if ref := self.known.pop(remote.full_name, None):
                self._compare(ref, remote)
            else:
                self.new.append(Ref.of(self.application, remote, now=self.now))
        appeared = self._appeared()
        self._part_with(self.known.values())
        Ref.objects.bulk_create(self.new, batch_size=1000)
        Ref.objects.bulk_update(self.changed, [*TAKEN, "version", "moved_at", "moved_from"], batch_size=500)
        Move.objects.bulk_create(self.moves, batch_size=1000)
        self._tell(appeared)
        return [] if self.is_first else appeared

    def _compare(self, ref: Ref, remote: RemoteRef) -> None:
        if ref.kind == RefKindChoices.TAG and ref.commit != remote.commit:
            self._moved(ref, ref.commit, remote.commit)
        if ref.take(remote):
            self.changed.append(ref)

    def _moved(self, ref: Ref, before: str, after: str) -> None:
        ref.moved_at, ref.moved_from = self.now, before
        self.moves.append(self._move(ref, before, after))

    def _move(self, ref: Ref, before: str, after: str) -> Move:
        return Move(
            application=self.application, name=ref.name, full_name=ref.full_name, before=before, after=after,
            noticed_at=self.now,
        )  # fmt: skip

    def _appeared(self) -> list[Ref]:
        """The tags whose names were never met. One that comes back after it was gone has moved, if it is another
        commit now."""
        tags = [ref for ref in self.new if ref.kind == RefKindChoices.TAG]
        if self.is_first or not tags:
            return tags
        earlier = Move.objects.filter(application=self.application, full_name__in=[ref.full_name for ref in tags])
        last = {move.full_name: move for move in earlier.order_by("id")}
        for ref in tags:
            move = last.get(ref.full_name)
            if move is not None and move.is_gone and move.before != ref.commit:
                self._moved(ref, move.before, ref.commit)
        return [ref for ref in tags if ref.full_name not in last]

    def _part_with(self, gone: Iterable[Ref]) -> None:
        left = list(gone)
        self.moves += [self._move(ref, ref.commit, "") for ref in left if ref.kind == RefKindChoices.TAG]
        Ref.objects.filter(pk__in=[ref.pk for ref in left]).delete()

    def _tell(self, appeared: list[Ref]) -> None:
        record = Event.objects.record_each
        record("ref.moved", [move.facts() for move in self.moves if not move.is_gone], application=self.application)
        record("ref.deleted", [move.facts() for move in self.moves if move.is_gone], application=self.application)
        if self.is_first:
            counts = {"tags": len(appeared), "branches": len(self.new) - len(appeared)}
            Event.objects.record("refs.first_read", application=self.application, data=counts)
            return
        moved = {move.full_name for move in self.moves}
        created = [ref for ref in self.new if ref.kind == RefKindChoices.TAG and ref.full_name not in moved]
        facts = [{"ref": ref.full_name, "to": ref.commit} for ref in created]
        record("ref.created", facts, application=self.application)
