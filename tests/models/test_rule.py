"""Rules for new tags: which names they match, and what is refused."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError

from releases.models.rule import check_rule, matched_by, matching, written


@pytest.mark.parametrize(
    ("rule", "name", "pattern"),
    [
        ("v*", "v1.0.0", "v*"),
        ("v*", "V1.0.0", ""),
        ("v*", "rev1", ""),
        ("release-?, v[0-9]*", "v1.0.0", "v[0-9]*"),
        ("release-?, v[0-9]*", "vintage", ""),
        ("v*, !*-rc*", "v1.0.0-rc1", ""),
        ("!*-rc*, v*", "v1.0.0", "v*"),
        ("web/*", "web/v1", "web/*"),
        ("", "v1.0.0", ""),
    ],
)
def test_rule_matches(rule: str, name: str, pattern: str) -> None:
    assert matched_by(rule, name) == pattern


def test_matching_keeps_the_order() -> None:
    assert matching("v2*", ["v2.1", "v1.0", "v2.0"]) == ["v2.1", "v2.0"]


def test_rule_is_kept_in_one_way() -> None:
    assert written(" v*,, release-* ,") == "v*, release-*"
    assert written(" , ") == ""


@pytest.mark.parametrize("rule", ["", "v*", "v[0-9]*.[!a-z]", "v*, !*-rc*", "ü*", "*"])
def test_rule_is_taken(rule: str) -> None:
    check_rule(rule)


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ("refs/tags/v*", "write the tag's name alone"),
        ("v 1*", "can match no tag"),
        ("v1^*", "can match no tag"),
        ("v\0*", "can match no tag"),
        ("v[0-9*", "close the bracket"),
        ("v]*", "close the bracket"),
        ("!*-rc*", "write one before it that lets tags in"),
        ("v*, !", "names no tag"),
        (",".join(f"v{n}" for n in range(21)), "at most 20 patterns"),
    ],
)
def test_rule_is_refused(rule: str, sentence: str) -> None:
    with pytest.raises(ValidationError) as refused:
        check_rule(rule)
    assert sentence in " ".join(refused.value.messages)
