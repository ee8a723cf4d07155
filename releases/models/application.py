"""An application: a git repository that is released, and where in it the application lies."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models, transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from releases.models.budget import APPLICATION_CONSTRAINTS, BudgetsOfApplication
from releases.models.checks import known
from releases.models.event import Event
from releases.models.rule import LONGEST_RULE, check_rule
from releases.sentences import columns
from releases.specs import Layout, Limits

if TYPE_CHECKING:
    from releases.models.build import Build

MEBIBYTE = 1024 * 1024

name_validator = RegexValidator(
    r"^[a-z0-9](?:[a-z0-9-]{0,60}[a-z0-9])?\Z",
    _("Use lower-case letters, digits and single hyphens, such as fruit-shop; at most 62 characters."),
)
module_validator = RegexValidator(
    r"^[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*\Z",
    _("Write the module as Python would import it from the working folder, such as app or shop.wsgi."),
)
callable_validator = RegexValidator(
    r"^[A-Za-z_][A-Za-z0-9_]*\Z", _("Write the name of the callable alone, such as app or application.")
)
path_validator = RegexValidator(
    r"^(?!-)(?!.*(?:^|/)\.{1,2}(?:/|\Z))[A-Za-z0-9_.@+ -]+(?:/[A-Za-z0-9_.@+ -]+)*\Z",
    _("Write a path inside the repository with plain characters, without a leading slash and without “..”."),
)
directory_validator = RegexValidator(
    r"^(?:\.|(?!-)(?!.*(?:^|/)\.{1,2}(?:/|\Z))[A-Za-z0-9_.@+-]+(?:/[A-Za-z0-9_.@+-]+)*)\Z",
    _("Write a folder inside the repository such as app or src/shop, or a single dot for its root."),
)
probe_path_validator = RegexValidator(
    r"^/[A-Za-z0-9/._~%!$&'()*+,;=:@?-]*\Z",
    _("Write the path that is asked for, beginning with a slash, such as /health."),
)


class ProbePolicyChoices(models.TextChoices):
    OFF = "off", _("Off: the image is not booted")
    RECORD = "record", _("Record: the answer is kept, the release succeeds either way")
    REQUIRED = "required", _("Required: without a good answer the release fails")


LONGEST_PAUSE = 6 * 3600.0
MOST_FAILURES = 10
"""Seconds, and doublings, to which the pause between two readings grows while a repository fails."""


def pause(every: float, failures: int) -> float:
    """Seconds from one reading of the refs to the next: twice as long after each failure, up to six hours."""
    return min(every * 2.0 ** min(failures, MOST_FAILURES), max(every, LONGEST_PAUSE))


class ApplicationQuerySet(models.QuerySet["Application"]):
    def by_name(self) -> ApplicationQuerySet:
        return self.order_by("name")

    def with_refs_being_read(self) -> ApplicationQuerySet:
        """Those whose refs somebody has asked for, and nobody has answered yet."""
        return self.filter(refs_asked_at__isnull=False).filter(
            Q(refs_read_at__isnull=True) | Q(refs_read_at__lt=F("refs_asked_at"))
        )

    def with_refs_due(self, every: float) -> ApplicationQuerySet:
        """Those whose last reading is longer ago than their pause, the longest ago first; none that is being read."""
        due = Q(refs_read_at__isnull=True)
        for failures in range(MOST_FAILURES + 1):
            many = Q(refs_failures__gte=failures) if failures == MOST_FAILURES else Q(refs_failures=failures)
            due |= many & Q(refs_read_at__lt=Now() - timedelta(seconds=pause(every, failures)))
        answered = Q(refs_asked_at__isnull=True) | Q(refs_read_at__gte=F("refs_asked_at"))
        return self.filter(due, answered).order_by(F("refs_read_at").asc(nulls_first=True), "pk")


class Application(BudgetsOfApplication):
    """What the fields mean is said by their help texts, which the form and the admin show."""

    name = models.CharField(
        _("name"),
        max_length=62,
        unique=True,
        validators=[name_validator],
        help_text=_("Short and lasting: it stands in addresses, image tags and records."),
    )
    repository = models.CharField(
        _("repository"),
        max_length=500,
        help_text=_("The address that git clones from, without a password in it."),
    )
    stack = models.CharField(_("stack"), max_length=100, help_text=_("Which builder and runner make the release."))
    directory = models.CharField(
        _("working folder"),
        max_length=200,
        default="app",
        validators=[directory_validator],
        help_text=_("The folder in the repository that the server changes to."),
    )
    module = models.CharField(
        _("module"),
        max_length=200,
        default="app",
        validators=[module_validator],
        help_text=_("The module in the working folder that holds the callable."),
    )
    callable = models.CharField(
        _("callable"),
        max_length=100,
        default="app",
        validators=[callable_validator],
        help_text=_("The WSGI callable in the module."),
    )
    requirements = models.CharField(
        _("requirements file"),
        max_length=200,
        default="requirements.txt",
        validators=[path_validator],
        help_text=_("Where pip finds what to install."),
    )
    probe_path = models.CharField(
        _("probe path"),
        max_length=200,
        default="/",
        validators=[probe_path_validator],
        help_text=_("What is asked of the booted image."),
    )
    probe_policy = models.CharField(
        _("probe"), max_length=10, choices=ProbePolicyChoices.choices, default=ProbePolicyChoices.RECORD
    )
    environment = models.JSONField(
        _("environment"),
        default=dict,
        blank=True,
        help_text=_("Variables for the probe and for previews. They are not part of the image."),
    )
    memory_mb = models.PositiveIntegerField(
        _("memory of the builder, MB"),
        null=True,
        blank=True,
        validators=[MinValueValidator(128), MaxValueValidator(65536)],
    )
    cpus = models.FloatField(
        _("processors of the builder"),
        null=True,
        blank=True,
        validators=[MinValueValidator(0.1), MaxValueValidator(64)],
    )
    pids = models.PositiveIntegerField(
        _("processes of the builder"),
        null=True,
        blank=True,
        validators=[MinValueValidator(16), MaxValueValidator(8192)],
    )
    seconds = models.PositiveIntegerField(
        _("time limit of a build, seconds"),
        null=True,
        blank=True,
        validators=[MinValueValidator(10), MaxValueValidator(6 * 3600)],
    )
    artifact_mb = models.PositiveIntegerField(
        _("largest app.tar.gz, MB"), null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(16384)]
    )
    rule = models.CharField(
        _("build new tags that match"),
        max_length=LONGEST_RULE,
        blank=True,
        validators=[check_rule],
        help_text=_(
            "Patterns with commas, such as v*, !*-rc*: a new tag that matches is built by itself; ! leaves tags out. "
            "Tags that exist already and tags that move are not. Empty: never."
        ),
    )
    created_at = models.DateTimeField(_("registered"), auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("registered by"),
    )
    refs_asked_at = models.DateTimeField(_("refs asked for"), null=True, blank=True, editable=False)
    refs_read_at = models.DateTimeField(_("refs read"), null=True, blank=True, editable=False)
    refs_error = models.CharField(_("why the refs could not be read"), max_length=1000, blank=True, editable=False)
    refs_error_said = models.JSONField(null=True, blank=True, editable=False)
    refs_good_at = models.DateTimeField(_("refs as of"), null=True, blank=True, editable=False)
    refs_failures = models.PositiveSmallIntegerField(_("failed readings in a row"), default=0, editable=False)
    refs_failed_since = models.DateTimeField(_("refs unread since"), null=True, blank=True, editable=False)
    rule_set_at = models.DateTimeField(_("rule set"), null=True, blank=True, editable=False)
    rule_armed = models.BooleanField(
        _("rule in force"),
        default=False,
        editable=False,
        help_text=_("Since the tags that existed when it was set have been read."),
    )
    rule_note = models.CharField(_("what the rule left"), max_length=500, blank=True, editable=False)
    rule_note_said = models.JSONField(null=True, blank=True, editable=False)

    objects = ApplicationQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        verbose_name = _("application")
        verbose_name_plural = _("applications")
        constraints = [known("application", "probe_policy", ProbePolicyChoices), *APPLICATION_CONSTRAINTS]
        permissions = [("release_application", "Can register applications and build, cancel and preview releases")]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("application", args=[self.name])

    @property
    def layout(self) -> Layout:
        return Layout(
            directory=self.directory, module=self.module, callable=self.callable, requirements=self.requirements
        )

    @property
    def entry_point(self) -> str:
        return self.layout.entry_point

    def mirror_of(self, repository: str) -> str:
        """The bare mirror of one address, so that no commit of an earlier address is taken for the new one's."""
        return f"{self.pk}-{hashlib.sha256(repository.encode()).hexdigest()[:8]}.git"

    @property
    def mirror(self) -> str:
        return self.mirror_of(self.repository)

    @property
    def refs_are_being_read(self) -> bool:
        return self.refs_asked_at is not None and (self.refs_read_at is None or self.refs_asked_at > self.refs_read_at)

    def limits(self, site: Limits) -> Limits:
        """The site's limits, with what this application sets itself."""
        chosen: dict[str, Any] = {
            "memory": self.memory_mb and self.memory_mb * MEBIBYTE,
            "cpus": self.cpus,
            "pids": self.pids,
            "seconds": self.seconds,
            "artifact_bytes": self.artifact_mb and self.artifact_mb * MEBIBYTE,
        }
        return Limits(**{**site.as_json(), **{key: value for key, value in chosen.items() if value}})

    def refs_next_at(self, every: float) -> datetime | None:
        """When the refs are read again by themselves; None for never, or when they are being read."""
        if not every or self.refs_read_at is None or self.refs_are_being_read:
            return None
        return self.refs_read_at + timedelta(seconds=pause(every, self.refs_failures))

    @transaction.atomic
    def note_refs_error(self, message: str) -> None:
        """The refs could not be read: the old ones stay, and the page says why, since when, and when it is tried next.

        An Event tells the first failure of a row of them."""
        current = Application.objects.select_for_update(no_key=True).get(pk=self.pk)
        if not current.refs_failures:
            Event.objects.record("refs.failed", application=self, data={"message": message[:1000]})
        Application.objects.filter(pk=self.pk).update(
            refs_read_at=Now(),
            **columns("refs_error", message, most=1000),
            refs_failures=min(current.refs_failures + 1, 30_000),
            refs_failed_since=current.refs_failed_since or Now(),
        )

    def last_release(self) -> Build | None:
        """Its newest build that succeeded."""
        return self.builds.succeeded().order_by("-number").first()
