"""How very many builds are read: an index for each question of the history, and rows without what they do not show."""

from __future__ import annotations

from typing import Self, TypeVar

from django.contrib.postgres.indexes import OpClass
from django.db import models
from django.db.models import Q
from django.db.models.functions import Upper

WIDE = ("environment", "limits", "probe_body", "artifact__members", "artifact__sheets", "image__runner_config")
"""What no table of builds shows."""
NARROW = (
    "application", "number", "state", "outcome", "requested_by", "stack", "ref", "ref_kind", "retry_of", "rebase_of",
    "created_at",
)  # fmt: skip
"""What the history filters by and counts: an index holds it apart from the wide rows of the table."""
Model = TypeVar("Model", bound=models.Model)


def indexes() -> list[models.Index]:
    """Of the table of builds."""
    return [
        models.Index(fields=["application", "-number"], name="build_of_application"),
        models.Index(
            fields=["application", "-number"], condition=Q(outcome="succeeded"), name="build_release_of_application"
        ),
        models.Index(fields=["state"], condition=~Q(state="finished"), name="build_active"),
        models.Index(fields=["-finished_at"], condition=~Q(outcome="succeeded"), name="build_not_succeeded"),
        models.Index(fields=["commit"], opclasses=["varchar_pattern_ops"], name="build_by_commit_start"),
        models.Index(OpClass(Upper("ref"), "varchar_pattern_ops"), name="build_by_ref_start"),
        models.Index(fields=["-id"], include=NARROW, name="build_narrow"),
    ]


class LeanQuerySet(models.QuerySet[Model]):
    def for_rows(self) -> Self:
        """For tables of very many builds, which show nothing that is wide and, but for its number in `with_origins`,
        no build beside."""
        return self.select_related("application", "artifact", "image", "requested_by").defer(*WIDE)

    def with_origins(self) -> Self:
        """`for_rows`, with the number of the build that each is a rebuild or a rebase of."""
        names = [field.name for field in self.model._meta.concrete_fields]
        others = [name for name in names if name not in ("id", "number", "application")]
        left_out = [f"{one}__{name}" for one in ("retry_of", "rebase_of") for name in others]
        return self.for_rows().select_related("retry_of", "rebase_of").defer(*left_out)
