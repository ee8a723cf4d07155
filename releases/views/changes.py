"""The packages of a build beside those of the build before: what came, what went, what is another version."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.utils.translation import gettext as _

from releases.models import Build, Package


@dataclass(frozen=True, slots=True)
class Change:
    name: str
    was: str
    """The version before; empty when there was none."""
    now: str
    """The version now; empty when there is none."""
    look: str
    """`plus`, `minus` or `tilde`: the picture and the class."""
    word: str


@dataclass(frozen=True, slots=True)
class Changes:
    against: Build | None
    packages: list[Package]
    """All packages of the build, by name."""
    changed: list[Change] = field(default_factory=list)
    same: list[Package] = field(default_factory=list)


def changes(build: Build, against: Build | None) -> Changes:
    """Without a build to compare with, or while nothing is installed yet, there are no changes."""
    packages = list(build.packages.order_by("name"))
    if against is None or not packages:
        return Changes(against, packages)
    now = {package.name: package for package in packages}
    was = {package.name: package for package in against.packages.all()}
    changed = [
        change for name in sorted({*now, *was}) if (change := change_of(name, was.get(name), now.get(name))) is not None
    ]
    different = {change.name for change in changed}
    return Changes(against, packages, changed, [package for package in packages if package.name not in different])


def change_of(name: str, was: Package | None, now: Package | None) -> Change | None:
    """None when it is the same file of the same version in both."""
    before, after = was.version if was else "", now.version if now else ""
    if was is None:
        return Change(name, before, after, "plus", _("added"))
    if now is None:
        return Change(name, before, after, "minus", _("removed"))
    if before != after:
        return Change(name, before, after, "tilde", _("changed"))
    if was.sha256 and now.sha256 and was.sha256 != now.sha256:
        return Change(name, before, after, "tilde", _("same version, another file"))
    return None
