"""What a builder says of the environment that it made. It could write anything, so all of it is checked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from releases.errors import BuildFailed, say
from releases.specs import Locked

BARE = "environment"
"""The part that is always there and always first: the bare environment, or all of it."""
MAX_PACKAGES = 10_000
"""More than any environment has."""
SOURCES = ("wheel", "sdist", "vcs", "local")


@dataclass(frozen=True, slots=True)
class PartSaid:
    file: str
    name: str
    wheel: str


@dataclass(frozen=True, slots=True)
class ResultSaid:
    python: str
    packages: tuple[Locked, ...]
    parts: tuple[PartSaid, ...]


def read_result(record: Any) -> ResultSaid:
    """The builder's `environment.json`. Raises `BuildFailed` when it is not what docs/stacks.md says."""
    if not isinstance(record, dict):
        raise BuildFailed(say("The builder left no readable environment.json: look at its last lines."))
    entries, parts = record.get("packages"), record.get("parts")
    if not isinstance(entries, list) or not isinstance(parts, list):
        raise BuildFailed(say("The builder's environment.json names no packages and parts: look at its last lines."))
    found = {package.name: package for entry in entries[:MAX_PACKAGES] if (package := _package(entry))}
    said = tuple(part for entry in parts[:MAX_PACKAGES] if (part := _part(entry)))
    if not said or said[0].name != BARE or len({part.file for part in said}) != len(said):
        raise BuildFailed(
            say("The builder's environment.json does not begin with the part %(part)s: look at its log.", part=BARE)
        )
    python = re.sub(r"[^0-9a-z.]", "", str(record.get("python", "")))[:20]
    return ResultSaid(python, tuple(found[name] for name in sorted(found)), said)


def _package(entry: Any) -> Locked | None:
    """One package, reduced to what a database takes; None for nonsense."""
    if not isinstance(entry, dict):
        return None
    name = re.sub(r"[-_.]+", "-", re.sub(r"[^\w.-]", "", str(entry.get("name", "")))).lower()[:200]
    version = re.sub(r"[^\w.!+-]", "", str(entry.get("version", "")))[:100]
    filename = re.sub(r"[^\w.!+-]", "", str(entry.get("filename", "")))[:300]
    source = str(entry.get("source", ""))
    if not name or not version:
        return None
    return Locked(name, version, _sha256(entry.get("sha256")), filename, source if source in SOURCES else "local")


def _part(entry: Any) -> PartSaid | None:
    if not isinstance(entry, dict):
        return None
    file, name = str(entry.get("file", "")), str(entry.get("name", ""))
    if not re.fullmatch(r"[A-Za-z0-9][\w.!+-]{0,250}\.tar\.gz", file) or not re.fullmatch(r"[\w.-]{1,200}", name):
        return None
    return PartSaid(file, name, _sha256(entry.get("wheel")))


def _sha256(value: Any) -> str:
    return value if isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value) else ""
