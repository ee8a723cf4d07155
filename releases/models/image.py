"""A runtime image that a build made, by its id; the tag is only a pointer to it."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from releases.models.artifact import SHA256, Artifact
from releases.specs import ImageConfig


class Image(models.Model):
    image_id = models.CharField(_("id"), max_length=71, db_index=True)
    tag = models.CharField(_("tag"), max_length=300)
    size = models.PositiveBigIntegerField(_("size in bytes"))
    builder_size = models.PositiveBigIntegerField(_("size of the builder in bytes"))
    runner_size = models.PositiveBigIntegerField(
        _("size of the runtime before the application in bytes"), null=True, blank=True
    )
    config_digest = models.CharField(
        _("config digest"), max_length=71, blank=True, help_text=_("The same on every engine, also after a push.")
    )
    manifest_digest = models.CharField(_("manifest digest"), max_length=71, blank=True)
    runner_layer = models.CharField(
        _("layer of the runtime"), max_length=64, blank=True, help_text=_("The diff id under which its bytes are kept.")
    )
    runner_config = models.JSONField(_("configuration of the runtime"), default=dict, blank=True)
    artifact = models.ForeignKey(Artifact, models.PROTECT, related_name="images", verbose_name=_("artifact"))
    created_at = models.DateTimeField(_("made"), auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        verbose_name = _("image")
        verbose_name_plural = _("images")
        indexes = [
            models.Index(fields=[f"{which}_digest"], opclasses=["varchar_pattern_ops"], name=f"image_by_{which}_start")
            for which in ("config", "manifest")
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(image_id__regex=r"^sha256:[0-9a-f]{64}$"), name="image_id_is_a_digest"
            ),
            models.CheckConstraint(
                condition=models.Q(runner_layer="") | models.Q(runner_layer__regex=SHA256),
                name="image_runner_layer_is_64_hex",
            ),
        ]

    def __str__(self) -> str:
        return self.tag

    def runner(self) -> ImageConfig:
        """How the runtime's containers start, as the pipeline knows it: JSON has lists for tuples."""
        facts: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in self.runner_config.items()
        }
        return ImageConfig(**facts)

    @property
    def saved_percent(self) -> int:
        """How much of the builder's size never reaches the runtime, in per cent."""
        if not self.builder_size or self.size >= self.builder_size:
            return 0
        return round(100 * (self.builder_size - self.size) / self.builder_size)
