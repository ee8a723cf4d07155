"""Which packages a person means: `flask`, `flask==2.*`, `flask>=2,<3`, or `flask 3.1` for all that begin so."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from releases.errors import InvalidInput, say

_START = re.compile(r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s+v?(?P<start>[0-9][A-Za-z0-9.!+_-]*)")
_RUNS = re.compile(r"[-_.]+")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A package by its name in the one spelling, and which of its versions."""

    name: str
    versions: SpecifierSet
    start: str = ""
    """What the version begins with; empty when `versions` says it all."""

    @classmethod
    def read(cls, text: str) -> Wanted:
        """Raises `InvalidInput` for what names no package."""
        text = text.strip()
        if begun := _START.fullmatch(text):
            return cls(known_as(begun["name"]), SpecifierSet(), begun["start"])
        try:
            found = Requirement(text)
        except InvalidRequirement as error:
            raise InvalidInput(
                say("“%(text)s” names no package: write flask, flask==2.*, flask>=2,<3 or flask 3.1.", text=text[:80])
            ) from error
        if found.extras or found.url or found.marker:
            raise InvalidInput(
                say(
                    "Write the package and its version alone, such as %(name)s==2.*: no more is recorded.",
                    name=found.name,
                )
            )
        return cls(known_as(found.name), found.specifier)

    @property
    def is_any_version(self) -> bool:
        return not self.start and not len(self.versions)

    def among(self, versions: Iterable[str]) -> list[str]:
        """Those of these versions that are meant."""
        return [version for version in versions if self._means(version)]

    def _means(self, version: str) -> bool:
        if self.start:
            return version.startswith(self.start)
        try:
            return self.versions.contains(Version(version), prereleases=True)
        except InvalidVersion:  # of a time before versions had rules: only the very same text is meant
            return any(one.operator in ("==", "===") and one.version == version for one in self.versions)


def known_as(name: str) -> str:
    """The one spelling of a package's name, as `Package.known_as` has it."""
    return _RUNS.sub("-", name).lower()
