"""What two builds weigh: their archives and images, by layer and by package."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from django.utils.translation import gettext as _

from releases.models import Artifact, Build, Image

_PART = re.compile(r"(?P<name>.+?)-\d[^-]*")
"""A part of the environment is called by its wheel: `flask-3.1.3`."""
BARE, SOURCE = "environment", "source"


@dataclass(frozen=True, slots=True)
class Weight:
    """Bytes of one thing in both; None where it is not there, or not known."""

    key: str
    """Its name for other programs."""
    label: str
    was: int | None
    now: int | None
    look: str = ""
    """The class of its colour in the bars."""


@dataclass(frozen=True, slots=True)
class Bar:
    look: str
    x: str
    width: str


@dataclass(frozen=True, slots=True)
class Sizes:
    image: Weight
    archive: Weight
    layers: list[Weight]
    """What the image is made of, lowest first; none when a build was made before that was kept."""
    bars: list[tuple[int, list[Bar], int]]
    """A build's number, its bars on one scale, and its bytes."""
    packages: list[Weight] = field(default_factory=list)
    """What the archive holds beside the source, unpacked, by package: those that differ."""
    packages_same: int = 0
    to_fetch: int | None = None
    """Bytes of the layers that an engine with the old image lacks; None when they are not known."""


def sizes_of(old: Build, new: Build) -> Sizes:
    layers = _layers(old.image, new.image)
    packages = list(_by_package(old.artifact, new.artifact))
    differing = [row for row in packages if row.was != row.now]
    return Sizes(
        image=Weight("image", _("Image"), old.image.size if old.image else None, new.image.size if new.image else None),
        archive=Weight(
            "archive",
            "app.tar.gz",
            old.artifact.size if old.artifact else None,
            new.artifact.size if new.artifact else None,
        ),
        layers=layers,
        bars=_bars(old, new, layers),
        packages=differing,
        packages_same=len(packages) - len(differing),
        to_fetch=_to_fetch(old.image, new.image),
    )


# ---- the image -----------------------------------------------------------------------------------------


def _layers(old: Image | None, new: Image | None) -> list[Weight]:
    was, now = _by_layer(old), _by_layer(new)
    if was is None or now is None:
        return []
    about = (("base", _("Base"), "base"), ("environment", _("Environment"), "bar"), ("source", _("Source"), "keep"))
    return [
        Weight(key, label, before, after, look)
        for (key, label, look), before, after in zip(about, was, now, strict=True)
    ]


def _by_layer(image: Image | None) -> tuple[int, int, int] | None:
    """Bytes of base, environment and source."""
    sheets = image.artifact.kept().sheets if image is not None else ()
    if image is None or not sheets:
        return None
    environment, source = sum(sheet.size for sheet in sheets[:-1]), sheets[-1].size
    return max(0, image.size - environment - source), environment, source


def _bars(old: Build, new: Build, layers: list[Weight]) -> list[tuple[int, list[Bar], int]]:
    """One row for each image, on the scale of the larger."""
    images = [(build.number, build.image.size) for build in (old, new) if build.image is not None]
    longest = max((size for _number, size in images), default=0)
    if len(images) < 2 or not longest:
        return []
    parts = ([row.was or 0 for row in layers], [row.now or 0 for row in layers])
    return [
        (number, list(_row([row.look for row in layers], sizes or [size], longest)), size)
        for (number, size), sizes in zip(images, parts, strict=True)
    ]


def _row(looks: list[str], sizes: list[int], longest: int) -> Iterator[Bar]:
    start = 0
    for look, size in zip(looks or ["keep"], sizes, strict=True):
        yield Bar(look, f"{100 * start / longest:.2f}%", f"{100 * size / longest:.2f}%")
        start += size


def _to_fetch(old: Image | None, new: Image | None) -> int | None:
    if old is None or new is None or not old.runner_layer or not new.runner_layer:
        return None
    sheets = new.artifact.kept().sheets
    has = {old.runner_layer, *(sheet.diff_id for sheet in old.artifact.kept().sheets)}
    if not sheets:
        return None
    base = 0 if new.runner_layer in has else max(0, new.size - sum(sheet.size for sheet in sheets))
    return base + sum(sheet.size for sheet in sheets if sheet.diff_id not in has)


# ---- the archive ---------------------------------------------------------------------------------------


def _by_package(old: Artifact | None, new: Artifact | None) -> Iterator[Weight]:
    """The source is left out: its files are listed one by one."""
    was, now = _unpacked(old), _unpacked(new)
    if not was or not now:
        return
    for name in sorted({*was, *now}, key=lambda name: (name != BARE, name)):
        label = _("the bare environment") if name == BARE else name
        yield Weight(name, label, was.get(name), now.get(name))


def _unpacked(artifact: Artifact | None) -> dict[str, int]:
    found: dict[str, int] = {}
    for member in artifact.kept().members if artifact is not None else ():
        if member.name != SOURCE:
            name = _package(member.name)
            found[name] = found.get(name, 0) + member.unpacked
    return found


def _package(part: str) -> str:
    """As the list of packages calls it."""
    found = _PART.fullmatch(part)
    return re.sub(r"[-_.]+", "-", found["name"]).lower() if found else part
