"""What a release weighs, part by part: the figures behind its budgets and behind the pictures of its layers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from releases.specs.release import BuiltFile, Member

PartKind = Literal["runtime", "environment", "package", "source"]


@dataclass(frozen=True, slots=True)
class Weight:
    """One part of a release."""

    kind: PartKind
    name: str
    """Of a package; empty for the others, of which there is one each."""
    version: str
    unpacked: int
    """Bytes in the image."""
    packed: int
    """Bytes in `app.tar.gz`; 0 for the runtime, which is not in it."""


@dataclass(frozen=True, slots=True)
class Weights:
    """`environment` is what belongs to no package that is known by itself: the bare virtualenv, or all of it when the
    installer packs it as one."""

    image: int
    archive: int
    parts: tuple[Weight, ...]
    """Empty when the archive was made before its parts were recorded."""
    layers: tuple[tuple[PartKind, int], ...] = ()
    """Bytes of the runtime, of all layers of the environment, and of the source; together they are the image."""


def weigh(artifact: BuiltFile, image: int) -> Weights:
    """`image` is the size of the whole image in bytes; what no layer of the archive accounts for is the runtime."""
    if not artifact.sheets:
        return Weights(image, artifact.size, ())
    *below, own = artifact.sheets
    environment = sum(sheet.size for sheet in below)
    runtime = max(0, image - environment - own.size)
    layers: tuple[tuple[PartKind, int], ...] = (
        ("runtime", runtime), ("environment", environment), ("source", own.size),
    )  # fmt: skip
    parts = (Weight("runtime", "", "", runtime, 0), *_parts(artifact.members))
    return Weights(image, artifact.size, parts, layers)


def _parts(members: Iterable[Member]) -> Iterable[Weight]:
    for member in members:
        name, _, version = member.name.rpartition("-")
        kind: PartKind = "package"
        if member.name in ("source", "environment") or not name:
            kind, name, version = ("source" if member.name == "source" else "environment"), "", ""
        yield Weight(kind, name, version, member.unpacked, member.size)
