"""The order of versions, as a database sees it: byte by byte."""

from __future__ import annotations

from itertools import pairwise

import pytest
from packaging.version import Version

from releases.models.version import LONGEST_KEY, version_key

IN_ORDER = (
    "0.9",
    "v1.0.dev1",
    "1.0a1.dev2",
    "1.0a1",
    "1.0.0-alpha.2",
    "1.0b1",
    "1.0.0-rc.1",
    "1.0rc1.post1",
    "v1.0.0",
    "1.0+deb.9",
    "1.0+deb.10",
    "1.0.post1",
    "v1.2.9",
    "v1.9.0",
    "v1.10.0-rc2",
    "v1.10.0-rc10",
    "v1.10.0",
    "2024.1",
    "20240501",
    "1!0.1",
)


def test_keys_sort_as_versions_do() -> None:
    assert sorted(set(IN_ORDER), key=version_key) == list(IN_ORDER)
    for lower, higher in pairwise(IN_ORDER):
        assert Version(lower) < Version(higher)  # and that is how Python sees it
        assert version_key(lower).encode() < version_key(higher).encode()


def test_spellings_of_one_version_have_one_key() -> None:
    assert len({version_key(name) for name in ("1.0", "v1.0.0", "V1", "1.0.0.0")}) == 1


def test_semver_pre_release_with_another_word_stands_before_its_release() -> None:
    names = ["v1.9.9", "v2.0.0-rc1", "v2.0.0-SNAPSHOT", "v2.0.0-snapshot.2", "v2.0.0-snapshot.10", "v2.0.0"]
    assert sorted(set(names), key=version_key) == names


@pytest.mark.parametrize("name", ["nightly", "release-1.2.0", "2024-05-01", "v", "1.2.x", "", "v1.0.0-", "ü1.0"])
def test_other_names_have_no_key(name: str) -> None:
    assert version_key(name) == ""


@pytest.mark.parametrize("name", [".".join("1" * 128), "1" * 255, "1+" + ".".join("a" * 126)])
def test_longest_names_fit(name: str) -> None:
    assert 0 < len(version_key(name)) <= LONGEST_KEY
