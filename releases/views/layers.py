"""What a release weighs, as bars: its layers one behind the other, and its largest packages, beside another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from django.utils.translation import gettext as _

from releases.models import Build
from releases.specs import Weight, Weights, weigh
from releases.specs.weight import PartKind

LARGEST = 6
LOOKS: Mapping[PartKind, str] = {"runtime": "base", "environment": "bar", "source": "keep"}
"""As in a comparison: what is every release's is quiet, what is this one's own stands out."""
Key = tuple[PartKind, str]


@dataclass(frozen=True, slots=True)
class Piece:
    """A bar, and its row in the table. Sizes in bytes."""

    words: str
    version: str
    size: int
    packed: int
    change: int | None
    """Bytes more than in the other release; None when there is none to compare with, or it is not known."""
    x: str = "0%"
    width: str = "0%"
    look: str = "bar"


@dataclass(frozen=True, slots=True)
class Layers:
    image: int
    layers: tuple[Piece, ...]
    largest: tuple[Piece, ...]
    """Packages; empty when the installer packs the environment as one, so that their sizes are not known."""
    parts: tuple[Piece, ...]
    """All of them, largest first."""
    against: Build | None


def layers(build: Build, against: Build | None) -> Layers | None:
    """None while there is no archive whose parts are known. A refused image is shown as it would have been."""
    now = _weights(build)
    if now is None or not now.parts:
        return None
    before = _weights(against) if against else None
    then = {(part.kind, part.name): part.unpacked for part in before.parts} if before else {}
    compared = against if then else None
    packages = sorted((part for part in now.parts if part.kind == "package"), key=lambda part: -part.unpacked)
    most = max((part.unpacked for part in packages), default=1) or 1
    return Layers(
        image=now.image,
        layers=tuple(_layers(now, before if then else None)),
        largest=tuple(_piece(part, then, compared, most) for part in packages[:LARGEST]),
        parts=tuple(_piece(p, then, compared, most) for p in sorted(now.parts, key=lambda part: -part.unpacked)),
        against=compared,
    )


def _weights(build: Build) -> Weights | None:
    if build.artifact is None:
        return None
    refused = next((one.size for one in build.crossed() if one.budget != "archive"), 0)
    size = build.image.size if build.image else refused
    return weigh(build.artifact.kept(), size) if size else None


def _layers(now: Weights, before: Weights | None) -> Iterator[Piece]:
    then = dict(before.layers) if before else {}
    at = 0
    for kind, size in now.layers:
        change = size - then[kind] if kind in then else None
        yield Piece(
            _word(kind), "", size, 0, change, _percent(at, now.image), _percent(size, now.image), LOOKS.get(kind, "bar")
        )
        at += size


def _piece(part: Weight, then: Mapping[Key, int], against: Build | None, most: int) -> Piece:
    change = part.unpacked - then.get((part.kind, part.name), 0) if against else None
    words = part.name or (_("environment without packages") if part.kind == "environment" else _word(part.kind))
    return Piece(words, part.version, part.unpacked, part.packed, change, width=_percent(part.unpacked, most))


def _word(kind: PartKind) -> str:
    return {"runtime": _("runtime"), "environment": _("environment"), "source": _("source")}.get(kind, kind)


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f}%" if whole else "0%"
