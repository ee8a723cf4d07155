"""The rule by which new tags are built without a person: patterns with commas, such as `v*, !*-rc*`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

MOST_PATTERNS = 20
LONGEST_RULE = 200
NOT = "!"
"""Before a pattern: what it matches is left out."""

_NEVER_IN_A_TAG = re.compile(r"[\s~^:\\\x00-\x1f\x7f]")
_CLASS = re.compile(r"\[!?[^\[\]]+\]")


def patterns(rule: str) -> list[str]:
    """The patterns of a rule as they were written."""
    return [pattern for part in rule.split(",") if (pattern := part.strip())]


def written(rule: str) -> str:
    """The same rule in the one way in which it is kept."""
    return ", ".join(patterns(rule))


def matched_by(rule: str, name: str) -> str:
    """The first pattern of the rule that lets a tag of this name be built; empty when none does."""
    found = patterns(rule)
    if any(fnmatchcase(name, pattern.removeprefix(NOT)) for pattern in found if pattern.startswith(NOT)):
        return ""
    return next((pattern for pattern in found if not pattern.startswith(NOT) and fnmatchcase(name, pattern)), "")


def matching(rule: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if matched_by(rule, name)]


def check_rule(rule: str) -> None:
    """Refuses what could match no tag. Used by the model, so that every way in says the same."""
    found = patterns(rule)
    if len(found) > MOST_PATTERNS:
        raise ValidationError(_("Write at most %(n)d patterns.") % {"n": MOST_PATTERNS})
    problems = [problem for pattern in found if (problem := _problem(pattern.removeprefix(NOT), pattern))]
    if not problems and found and all(pattern.startswith(NOT) for pattern in found):
        problems = [_("A pattern with ! leaves tags out: write one before it that lets tags in, such as v*.")]
    if problems:
        raise ValidationError(problems)


def _problem(pattern: str, shown: str) -> str:
    facts = {"pattern": shown[:60]}
    if pattern.startswith("refs/"):
        return _("“%(pattern)s”: write the tag's name alone, without refs/tags/.") % facts
    if not pattern:
        return _("“%(pattern)s” names no tag: write a pattern after it, such as !*-rc*.") % facts
    rest = _CLASS.sub("", pattern)
    if "[" in rest or "]" in rest:
        return _("“%(pattern)s”: close the bracket, as in v[0-9]*.") % facts
    if _NEVER_IN_A_TAG.search(pattern):
        return _("“%(pattern)s” can match no tag: names of tags hold no blanks and none of ~ ^ : \\.") % facts
    return ""
