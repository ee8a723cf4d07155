"""Budgets of size on the pages: a mark for lists, sentences in the reader's language, and what was set."""

from __future__ import annotations

from collections.abc import Iterator

from django import template
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from releases.models import Build
from releases.sentences import told
from releases.specs import Budget, Budgets
from releases.templatetags.portal import icon, megabytes

register = template.Library()


@register.simple_tag
def budget_mark(build: Build | str | None) -> SafeString:
    """Shape and words beside a release that is over a budget; nothing for any other."""
    if not isinstance(build, Build) or not build.crossings:
        return format_html("{}", "")
    why = "; ".join(told(one.short(megabytes)) for one in build.crossed())
    words = _("over budget")
    return format_html(
        '<span class="st st-limit over" title="{}">{}<span class="words">{}</span></span>', why, icon("over"), words
    )


@register.filter
def crossings(build: Build) -> list[str]:
    """Each budget that was crossed as a sentence: by how much, since when, and what grew."""
    return [told(one.sentence(megabytes)) for one in build.crossed()]


@register.filter
def spare(build: Build) -> list[str]:
    """Each budget of size that holds, and what is left of it."""
    sizes = {"image": build.image and build.image.size, "archive": build.artifact and build.artifact.size}
    over = {one.budget for one in build.crossed()}
    return [
        _("%(budget)s: %(left)s to spare.") % {"budget": words, "left": megabytes(budget.most - size)}
        for name, words, budget in _each(build.frozen_budgets())
        if (size := sizes.get(name)) and name not in over
    ]


@register.filter
def budget_words(budgets: Budgets) -> list[str]:
    """What was set, as `image 45 MB (warns)`."""
    names = {"image": _("image %(most)s"), "archive": _("app.tar.gz %(most)s"), "growth": _("growth %(most)s")}
    policies = {"warn": _("warns"), "fail": _("fails")}
    return [
        f"{names[name] % {'most': amount(name, budget.most)}} ({policies[budget.policy]})"
        for name, _words, budget in _each(budgets)
    ]


def _each(budgets: Budgets) -> Iterator[tuple[str, str, Budget]]:
    patterns = {
        "image": _("Image budget %(most)s"),
        "archive": _("app.tar.gz budget %(most)s"),
        "growth": _("Growth budget %(most)s"),
    }
    for name, pattern in patterns.items():
        budget: Budget | None = getattr(budgets, name)
        if budget is not None:
            yield name, pattern % {"most": amount(name, budget.most)}, budget


def amount(name: str, most: int) -> str:
    """45 MB, or 10 %."""
    number, unit = (most, "%") if name == "growth" else (most // 1_000_000, "MB")
    return f"{number_format(number, 0, force_grouping=True)}\N{NO-BREAK SPACE}{unit}"
