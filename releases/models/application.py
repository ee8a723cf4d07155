"""An application: a git repository that is released, and where in it the application lies."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models.functions import Now
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from releases.models.budget import APPLICATION_CONSTRAINTS, BudgetsOfApplication
from releases.models.checks import known
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


class ApplicationQuerySet(models.QuerySet["Application"]):
    def by_name(self) -> ApplicationQuerySet:
        return self.order_by("name")


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

    def note_refs_error(self, message: str) -> None:
        """The refs could not be read: the old ones stay, and the page says why."""
        Application.objects.filter(pk=self.pk).update(refs_read_at=Now(), refs_error=message[:1000])

    def last_release(self) -> Build | None:
        """Its newest build that succeeded."""
        return self.builds.succeeded().order_by("-number").first()
