"""One resolved package of a build: what pip installed, and the sha256 of the file it came from."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from releases.models.build import Build
from releases.models.wanted import Wanted


class PackageQuerySet(models.QuerySet["Package"]):
    def meant(self, wanted: Wanted) -> models.Q:
        """Those that a person means. Which versions there are is asked first, for a database cannot order versions."""
        named = models.Q(known_as=wanted.name)
        if wanted.is_any_version:
            return named
        versions = self.filter(named).order_by().values_list("version", flat=True).distinct()
        return named & models.Q(version__in=wanted.among(versions))


class Package(models.Model):
    build = models.ForeignKey(Build, models.PROTECT, related_name="packages", verbose_name=_("build"))
    name = models.CharField(_("name"), max_length=200)
    known_as = models.GeneratedField(
        expression=Lower(
            models.Func(
                "name", models.Value("[-_.]+"), models.Value("-"), models.Value("g"), function="regexp_replace",
                output_field=models.CharField(),
            )
        ),
        output_field=models.CharField(_("name in its one spelling"), max_length=200),
        db_persist=True,
    )  # fmt: skip
    """`flask-login` for `Flask_Login`: packages are the same in any spelling."""
    version = models.CharField(_("version"), max_length=100)
    sha256 = models.CharField(_("sha256"), max_length=64, blank=True)
    filename = models.CharField(_("file"), max_length=300, blank=True)

    objects = PackageQuerySet.as_manager()

    class Meta:
        ordering = ["build", "name"]
        verbose_name = _("package")
        verbose_name_plural = _("packages")
        indexes = [
            models.Index(fields=["known_as", "-build"], include=["version"], name="package_by_name"),
            models.Index(fields=["sha256"], opclasses=["varchar_pattern_ops"], name="package_by_sha256_start"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["build", "name"], name="package_once_per_build"),
            models.CheckConstraint(
                condition=models.Q(sha256="") | models.Q(sha256__regex=r"^[0-9a-f]{64}$"),
                name="package_sha256_is_64_hex",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"
