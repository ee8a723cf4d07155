"""One kept file, by its sha256. The bytes lie in the blob store; this row says what they must be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from releases.specs import BuiltFile, Member, Sheet

SHA256 = r"^[0-9a-f]{64}$"


class Artifact(models.Model):
    """Two builds that made the same bytes share one row: `artifact.builds` answers "which build made this file?"."""

    name = models.CharField(_("name"), max_length=100, default="app.tar.gz")
    sha256 = models.CharField(_("sha256"), max_length=64, unique=True)
    size = models.PositiveBigIntegerField(_("size in bytes"))
    members = models.JSONField(
        _("members"), default=list, help_text=_("The gzip members that the file is put together from, in their order.")
    )
    sheets = models.JSONField(_("layers"), default=list, help_text=_("The layers that its members make in an image."))
    created_at = models.DateTimeField(_("kept since"), auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        verbose_name = _("artifact")
        verbose_name_plural = _("artifacts")
        indexes = [models.Index(fields=["-size"], name="artifact_by_size")]
        constraints = [
            models.CheckConstraint(condition=models.Q(sha256__regex=SHA256), name="artifact_sha256_is_64_hex"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.sha256[:12]}"

    def kept(self) -> BuiltFile:
        """As the pipeline knows it."""
        members = tuple(Member(**member) for member in self.members)
        return BuiltFile(self.name, self.sha256, self.size, members, sheets_from(self.sheets))


def sheets_from(records: Sequence[Mapping[str, Any]]) -> tuple[Sheet, ...]:
    """Layers as a JSON field has them: there, a tuple is a list."""
    return tuple(Sheet(record["diff_id"], record["size"], tuple(record["members"])) for record in records)
