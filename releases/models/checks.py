"""Constraints that several records share."""

from __future__ import annotations

from django.db import models


def known(model: str, field: str, choices: type[models.TextChoices], *, blank: bool = False) -> models.CheckConstraint:
    """The field holds one of its choices (or, with `blank`, nothing): Django itself only checks that in forms."""
    words = [*([""] if blank else []), *choices.values]
    return models.CheckConstraint(condition=models.Q(**{f"{field}__in": words}), name=f"{model}_{field}_is_known")
