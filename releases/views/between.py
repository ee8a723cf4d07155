"""What lies between two builds, put together from rows alone: source, packages, sizes, settings and times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from django.utils.translation import gettext as _

from releases.models import Build, Comparison, Package, Step, StepName, StepResult
from releases.sentences import sentence_of
from releases.specs import Difference
from releases.views.changes import Change, change_of
from releases.views.frozen import Setting, frozen_of
from releases.views.hosts import Host, host_of
from releases.views.weighing import Sizes, sizes_of

Standing = Literal["same", "unknown", "waiting", "failed", "read"]


@dataclass(frozen=True, slots=True)
class Source:
    """Commits and files: what was read of them, if it was."""

    standing: Standing
    difference: Difference | None = None
    error: str = ""
    without: Build | None = None
    """The one whose commit is not known."""
    host: Host | None = None
    """Where both commits can be seen; None when no page of theirs is known."""


@dataclass(frozen=True, slots=True)
class Packages:
    changed: list[Change] = field(default_factory=list)
    same: int = 0
    without: Build | None = None
    """The one that ended before its packages were known."""


@dataclass(frozen=True, slots=True)
class Duration:
    """Seconds of one thing in both; None where it did not happen."""

    key: str
    """Its name for other programs."""
    label: str
    was: float | None
    now: float | None
    note: str = ""

    @property
    def difference(self) -> float | None:
        return None if self.was is None or self.now is None else self.now - self.was


@dataclass(frozen=True, slots=True)
class Between:
    old: Build
    new: Build
    source: Source
    packages: Packages
    sizes: Sizes
    times: list[Duration]
    settings: list[Setting]
    """Those that differ."""
    same: list[Setting]

    @property
    def is_same_archive(self) -> bool:
        return self.old.artifact_id is not None and self.old.artifact_id == self.new.artifact_id

    @property
    def is_same_image(self) -> bool:
        images = self.old.image, self.new.image
        return images[0] is not None and images[1] is not None and images[0].image_id == images[1].image_id


def between(old: Build, new: Build, comparison: Comparison | None) -> Between:
    """Both are of one application; `comparison` is of their commits."""
    settings = frozen_of(old, new)
    return Between(
        old=old,
        new=new,
        source=source_of(old, new, comparison),
        packages=packages_of(old, new),
        sizes=sizes_of(old, new),
        times=list(_times(old, new)),
        settings=[row for row in settings if row.differs],
        same=[row for row in settings if not row.differs],
    )


# ---- source and packages -----------------------------------------------------------------------------


def source_of(old: Build, new: Build, comparison: Comparison | None) -> Source:
    host = host_of(new.repository) if old.repository == new.repository else None
    without = next((build for build in (old, new) if not build.commit), None)
    if without is not None:
        return Source("unknown", without=without, host=host)
    if old.commit == new.commit:
        return Source("same", Difference(base=old.commit), host=host)
    if comparison is None or comparison.is_waiting:
        return Source("waiting", host=host)
    if comparison.error:
        return Source("failed", error=sentence_of(comparison, "error"), host=host)
    return Source("read", comparison.difference(old.commit), host=host)


def packages_of(old: Build, new: Build) -> Packages:
    """A build that ended before they were known is named, instead of a list in which all of them have gone."""
    was, now = _packages(old), _packages(new)
    for build, found in ((old, was), (new, now)):
        if not found and build.kept_environment is None and not build.succeeded:
            return Packages(without=build)
    names = sorted({*was, *now})
    changed = [change for name in names if (change := change_of(name, was.get(name), now.get(name))) is not None]
    return Packages([replace(change, word=_word(change)) for change in changed], len(names) - len(changed))


def _packages(build: Build) -> dict[str, Package]:
    return {package.name: package for package in build.packages.all()}


def _word(change: Change) -> str:
    """Of a changed version: which part of it, if it has parts that count."""
    if change.look != "tilde" or change.was == change.now:
        return change.word
    was, now = _numbers(change.was), _numbers(change.now)
    if now < was:
        return _("older")
    words = _("major"), _("minor"), _("patch")
    place = next((place for place, (one, other) in enumerate(zip(was, now, strict=False)) if one != other), 3)
    return words[place] if place < len(words) else change.word


def _numbers(version: str) -> list[int]:
    found = []
    for part in version.split("."):
        if not part.isascii() or not part.isdigit():
            break
        found.append(int(part))
    return found


# ---- times ---------------------------------------------------------------------------------------------


def _times(old: Build, new: Build) -> Iterator[Duration]:
    was, now = ({step.name: step for step in build.steps.all()} for build in (old, new))
    for name in StepName:
        one, other = was.get(name), now.get(name)
        if one is None and other is None:
            continue
        pairs = ((old, one), (new, other))
        notes = [f"#{build.number}: {step.detail}" for build, step in pairs if step and step.detail]
        yield Duration(name.value, str(name.label), _seconds(one), _seconds(other), "; ".join(notes))
    yield Duration("total", _("Total"), old.seconds, new.seconds)
    yield Duration("first_answer", _("First answer"), old.probe_seconds, new.probe_seconds)


def _seconds(step: Step | None) -> float | None:
    return None if step is None or step.result == StepResult.SKIPPED else step.seconds
