"""One resolved package of a build: what pip installed, and the sha256 of the file it came from."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from releases.models.build import Build


class Package(models.Model):
    build = models.ForeignKey(Build, models.PROTECT, related_name="packages", verbose_name=_("build"))
    name = models.CharField(_("name"), max_length=200, db_index=True)
    version = models.CharField(_("version"), max_length=100)
    sha256 = models.CharField(_("sha256"), max_length=64, blank=True)
    filename = models.CharField(_("file"), max_length=300, blank=True)

    class Meta:
        ordering = ["build", "name"]
        verbose_name = _("package")
        verbose_name_plural = _("packages")
        constraints = [
            models.UniqueConstraint(fields=["build", "name"], name="package_once_per_build"),
            models.CheckConstraint(
                condition=models.Q(sha256="") | models.Q(sha256__regex=r"^[0-9a-f]{64}$"),
                name="package_sha256_is_64_hex",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"
