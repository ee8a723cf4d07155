"""Budgets of size: what a person sets on an application, what is frozen on a build, and what was crossed."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from releases.models.checks import known
from releases.specs import Budget, BudgetPolicy, Budgets, Crossing

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

MEGABYTE = 1_000_000
"""As sizes are shown; the limits of a builder are set in binary megabytes, as the engine counts memory."""
MOST_MB, MOST_PERCENT = 20_000, 1_000


class BudgetPolicyChoices(models.TextChoices):
    WARN = "warn", _("Warn: the release succeeds and says so")
    FAIL = "fail", _("Fail: nothing is released")


def _amount(
    words: StrOrPromise, most: int, refusal: StrOrPromise, about: StrOrPromise
) -> models.PositiveIntegerField[int | None, int | None]:
    return models.PositiveIntegerField(
        words,
        null=True,
        blank=True,
        validators=[MinValueValidator(1, refusal), MaxValueValidator(most, refusal)],
        help_text=about,
    )


def _policy(words: StrOrPromise) -> models.CharField[str, str]:
    return models.CharField(words, max_length=10, choices=BudgetPolicyChoices.choices, default=BudgetPolicyChoices.WARN)


class BudgetsOfApplication(models.Model):
    """Empty: there is no such budget."""

    image_budget_mb = _amount(
        _("budget of the image, MB"),
        MOST_MB,
        _("Write whole megabytes from 1 to 20,000, or leave it empty for no budget."),
        _("The largest runtime image that is meant to be released, in megabytes of 1,000,000 bytes."),
    )
    image_budget_policy = _policy(_("when the image is larger"))
    archive_budget_mb = _amount(
        _("budget of app.tar.gz, MB"),
        MOST_MB,
        _("Write whole megabytes from 1 to 20,000, or leave it empty for no budget."),
        _("The largest app.tar.gz that is meant to be released; it is judged before the image is made."),
    )
    archive_budget_policy = _policy(_("when app.tar.gz is larger"))
    growth_budget = _amount(
        _("budget of growth, per cent"),
        MOST_PERCENT,
        _("Write whole per cent from 1 to 1,000, or leave it empty for no budget."),
        _("By how much an image may be larger than that of the last release."),
    )
    growth_budget_policy = _policy(_("when it has grown more"))

    class Meta:
        abstract = True

    def budgets(self) -> Budgets:
        """What is frozen on a build that is asked for now; sizes in bytes."""
        return Budgets(
            image=_budget(self.image_budget_mb, MEGABYTE, self.image_budget_policy),
            archive=_budget(self.archive_budget_mb, MEGABYTE, self.archive_budget_policy),
            growth=_budget(self.growth_budget, 1, self.growth_budget_policy),
        )


def _budget(amount: int | None, unit: int, policy: str) -> Budget | None:
    return Budget(amount * unit, cast(BudgetPolicy, policy)) if amount else None


def _between(field: str, most: int) -> models.CheckConstraint:
    condition = Q(**{f"{field}__isnull": True}) | Q(**{f"{field}__range": (1, most)})
    return models.CheckConstraint(condition=condition, name=f"application_{field}_is_sensible")


APPLICATION_CONSTRAINTS = [
    _between("image_budget_mb", MOST_MB),
    _between("archive_budget_mb", MOST_MB),
    _between("growth_budget", MOST_PERCENT),
    *(known("application", f"{name}_budget_policy", BudgetPolicyChoices) for name in ("image", "archive", "growth")),
]


class BudgetsOfBuild(models.Model):
    budgets = models.JSONField(
        _("budgets"), default=dict, blank=True, help_text=_("The application's when this build was asked for.")
    )
    crossings = models.JSONField(
        _("budgets that were crossed"), default=list, blank=True, help_text=_("With what had grown.")
    )

    class Meta:
        abstract = True

    def frozen_budgets(self) -> Budgets:
        return Budgets.from_json(self.budgets)

    def crossed(self) -> tuple[Crossing, ...]:
        return tuple(Crossing.from_json(record) for record in self.crossings)


BUILD_CONSTRAINTS = [
    models.CheckConstraint(
        condition=~Q(outcome="succeeded") | ~Q(crossings__contains=[{"policy": "fail"}]),
        name="build_succeeded_means_budgets_kept",
    )
]
