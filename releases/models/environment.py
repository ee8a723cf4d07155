"""An environment that was made once and is kept: the packages that it holds, and the files that it is put together
from. It belongs to one application alone, so that no application can leave anything in another's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING

from django.db import models
from django.utils.translation import gettext_lazy as _

from releases.models.application import Application
from releases.models.artifact import SHA256, sheets_from
from releases.specs import KeptEnvironment, Locked, Part

if TYPE_CHECKING:
    from releases.models.build import Build

PARTS_OF = 50
"""How many environments are looked through for parts: more would only find packages that nobody uses any more."""


class EnvironmentQuerySet(models.QuerySet["Environment"]):
    def made_for(self, build: Build) -> EnvironmentQuerySet:
        """Those that this build may take from: of its application, made by the same builder of the same stack."""
        return self.filter(
            application=build.application_id, stack_digest=build.stack_digest, builder_image=build.builder_image
        )

    def for_inputs(self, build: Build, inputs: str) -> Environment | None:
        """The newest that was made from these very requirement files."""
        return self.made_for(build).filter(inputs=inputs).order_by("-id").first() if inputs else None

    def parts_for(self, build: Build) -> dict[str, Part]:
        """Every part of one wheel that can be taken as it is, by the sha256 of that wheel."""
        newest = self.made_for(build).order_by("-id")[:PARTS_OF]
        return {part.wheel: part for kept in newest for part in kept.parts_kept() if part.wheel}

    def keep(self, build: Build, made: KeptEnvironment) -> Environment:
        """Record what this build made. The caller owns the build (`Build.fenced`)."""
        return self.create(
            application=build.application,
            made_by=build,
            inputs=made.inputs,
            key=made.key,
            stack=build.stack,
            stack_digest=build.stack_digest,
            builder_image=build.builder_image,
            python=made.python,
            installer=made.installer,
            is_reproducible=made.is_reproducible,
            packages=[asdict(package) for package in made.packages],
            parts=[asdict(part) for part in made.parts],
            sheets=[asdict(sheet) for sheet in made.sheets],
        )


class Environment(models.Model):
    application = models.ForeignKey(
        Application, models.PROTECT, related_name="environments", verbose_name=_("application")
    )
    made_by = models.ForeignKey("Build", models.PROTECT, related_name="environments_made", verbose_name=_("made by"))
    inputs = models.CharField(
        _("digest of the requirement files"),
        max_length=64,
        blank=True,
        help_text=_("Empty when they name something that may change without them, such as a branch of a repository."),
    )
    key = models.CharField(_("digest"), max_length=64)
    stack = models.CharField(_("stack"), max_length=100)
    stack_digest = models.CharField(_("digest of the stack"), max_length=64)
    builder_image = models.CharField(_("builder image"), max_length=71)
    python = models.CharField(_("Python"), max_length=20)
    installer = models.CharField(_("installer"), max_length=10)
    is_reproducible = models.BooleanField(
        _("reproducible"), help_text=_("Made of wheels alone: made again it has the same bytes.")
    )
    packages = models.JSONField(_("lock"), default=list)
    parts = models.JSONField(_("parts"), default=list)
    sheets = models.JSONField(_("layers"), default=list)
    created_at = models.DateTimeField(_("made"), auto_now_add=True)

    objects = EnvironmentQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("environment")
        verbose_name_plural = _("environments")
        indexes = [models.Index(fields=["application", "inputs", "-id"], name="environment_by_inputs")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(inputs="") | models.Q(inputs__regex=SHA256), name="environment_inputs_is_64_hex"
            ),
            models.CheckConstraint(condition=models.Q(key__regex=SHA256), name="environment_key_is_64_hex"),
            models.CheckConstraint(
                condition=models.Q(stack_digest__regex=SHA256), name="environment_stack_digest_is_64_hex"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.application} {self.key[:12]}"

    def parts_kept(self) -> tuple[Part, ...]:
        return tuple(Part(**part) for part in self.parts)

    def locked(self) -> tuple[Locked, ...]:
        return tuple(Locked(**package) for package in self.packages)

    def kept(self) -> KeptEnvironment:
        """As the pipeline knows it."""
        return KeptEnvironment(
            inputs=self.inputs,
            python=self.python,
            installer=self.installer,
            packages=self.locked(),
            parts=self.parts_kept(),
            sheets=sheets_from(self.sheets),
        )

    def lock_text(self) -> str:
        """The lock as a requirements file: one line for each package, with the sha256 of the file it came from."""
        return "".join(f"{line}\n" for line in _lock_lines(self.locked()))


def _lock_lines(packages: Iterable[Locked]) -> Iterable[str]:
    for package in packages:
        if package.source in ("wheel", "sdist") and package.sha256:
            yield f"{package.name}=={package.version} --hash=sha256:{package.sha256}"
        else:
            yield f"# {package.name}=={package.version} came from a {package.source or 'place'} that has no sha256"
