"""Names of tags as versions: a key by which a database sorts them, so that v1.10.0 stands above v1.9.0."""

from __future__ import annotations

import re
from collections.abc import Iterable

from packaging.version import InvalidVersion, Version

LONGEST_KEY = 1000
"""More than the key of any name of 255 characters."""
_SEMVER = re.compile(
    r"v?(?P<release>\d+\.\d+\.\d+)-(?P<before>[0-9a-z-]+(?:\.[0-9a-z-]+)*)(?:\+[0-9a-z.-]+)?", re.IGNORECASE
)
_NEVER, _LAST = "0", "9"
"""Lower and higher than every marked value, which begins with 1."""


def version_key(name: str) -> str:
    """Keys compare, byte by byte, as the versions do (PEP 440, and pre-releases as semver writes them); empty for a
    name that is no version."""
    try:
        found = Version(name)
    except InvalidVersion:
        return _semver_key(name)
    return "".join(
        (
            _number(found.epoch),
            _release(found.release),
            _before(found),
            _NEVER if found.post is None else f"1{_number(found.post)}",
            _LAST if found.dev is None else f"1{_number(found.dev)}",
            _local(found.local),
        )
    )


def _semver_key(name: str) -> str:
    """A pre-release with a word that Python does not know, such as `2.0.0-SNAPSHOT`: before its release."""
    found = _SEMVER.fullmatch(name)
    if found is None:
        return ""
    release = [int(part) for part in found["release"].split(".")]
    words = (_number(int(word)) if word.isdigit() else f"{word}!" for word in found["before"].lower().split("."))
    return f"{_number(0)}{_release(release)}1{''.join(words)}"


def _number(value: int) -> str:
    """Longer numbers are larger: their length stands before them."""
    digits = str(value)
    return f"{len(digits):03d}{digits}"


def _release(parts: Iterable[int]) -> str:
    """`1.0` is `1.0.0`: zeros at the end do not count."""
    numbers = list(parts)
    while numbers and not numbers[-1]:
        numbers.pop()
    return "".join(f"1{_number(part)}" for part in numbers) + _NEVER


def _before(version: Version) -> str:
    """A development release of no pre-release comes before all of them, a final one after."""
    if version.pre is not None:
        word, number = version.pre
        return f"1{word}!{_number(number)}"
    return _NEVER if version.post is None and version.dev is not None else _LAST


def _local(local: str | None) -> str:
    if local is None:
        return _NEVER
    parts = (f"2{_number(int(part))}" if part.isdigit() else f"1{part}!" for part in local.split("."))
    return f"1{''.join(parts)}0"
