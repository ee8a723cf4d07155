"""What changed since the last good build, for the page of one that did not succeed, with the likely cause marked.

A suspect is no verdict: it is what the error names, or else the one thing that changed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from releases import actions
from releases.models import Build, Comparison, Outcome, StepResult
from releases.specs import CommitFacts, FileChange
from releases.views.between import Between, between
from releases.views.between_words import LOOKS
from releases.views.frozen import Setting

FEW = 5
"""Of one kind that are named; the comparison has all."""
MOST_FILES = 200
"""Files that the error is held against."""


@dataclass(slots=True)
class Point:
    """One thing that changed."""

    text: str
    look: str = "tilde"
    is_code: bool = False
    is_suspect: bool = False


@dataclass(slots=True)
class Group:
    """All of one kind that changed."""

    label: str
    points: list[Point] = field(default_factory=list)
    unknown: str = ""
    """Why it is not known; empty when it is."""
    more: int = 0

    def few(self) -> Group:
        """Suspects first, and no more than a few."""
        points = sorted(self.points, key=lambda point: not point.is_suspect)
        return Group(self.label, points[:FEW], self.unknown, max(0, len(points) - FEW))


@dataclass(frozen=True, slots=True)
class Since:
    good: Build | None
    is_first: bool
    """Whether nothing of this application was built before."""
    comparison: Comparison | None = None
    groups: list[Group] = field(default_factory=list)
    sentence: str = ""
    error: str = ""
    people: str = ""

    @property
    def is_waiting(self) -> bool:
        return self.comparison is not None and self.comparison.is_waiting


def since(build: Build, good: Build | None) -> Since | None:
    """None for a build that needs no explanation: it goes on, succeeded, or was cancelled by a person."""
    if build.is_active or build.succeeded or build.outcome == Outcome.CANCELLED:
        return None
    if good is None:
        return Since(None, is_first=build.number == 1)
    comparison = actions.comparison_of(good, build)
    found = between(good, build, comparison)
    groups = [_packages(found), _commits(found), _files(found), *_inputs(found)]
    _mark(groups, build)
    return Since(
        good=good,
        is_first=False,
        comparison=comparison,
        groups=[group.few() for group in groups],
        sentence=_sentence(found, groups),
        error=found.source.error,
        people=_people(found),
    )


# ---- what changed --------------------------------------------------------------------------------------


def _packages(found: Between) -> Group:
    """Of a build that never came to install them, what its requirement files say."""
    group = Group(_("Packages"))
    if found.packages.without is None:
        for change in found.packages.changed:
            versions = " → ".join(version for version in (change.was, change.now) if version)
            group.points.append(Point(f"{change.name} {versions}", change.look))
        return group
    read = found.source.difference
    for file in read.requirements if read else ():
        group.points += [Point(line, "minus") for line in file.gone]
        group.points += [Point(line, "plus") for line in file.come]
    if not group.points and found.source.standing != "same":
        unread = _("not known before it ended")
        group.unknown = unread if read is None or _requirements_changed(found) else ""
    return group


def _requirements_changed(found: Between) -> bool:
    read = found.source.difference
    return read is not None and any(file.path == found.new.requirements for file in read.files)


def _commits(found: Between) -> Group:
    group, read = Group(_("Commits")), found.source.difference
    group.unknown = _unread(found)
    for look, commits in (("plus", read.come if read else ()), ("minus", read.gone if read else ())):
        group.points += [Point(_commit(commit), look) for commit in commits]
    return group


def _commit(commit: CommitFacts) -> str:
    return f"{commit.commit[:7]} {commit.subject}"


def _files(found: Between) -> Group:
    group, read = Group(_("Files"), unknown=_unread(found)), found.source.difference
    files: tuple[FileChange, ...] = read.files[:MOST_FILES] if read else ()
    group.points = [Point(file.path, LOOKS[file.what], is_code=True) for file in files]
    return group


def _unread(found: Between) -> str:
    words = {"waiting": _("being read"), "failed": _("not readable"), "unknown": _("its commit is not known")}
    return words.get(found.source.standing, "")


def _inputs(found: Between) -> Iterator[Group]:
    """Builder, base and settings. What a build that ended early never looked at is said to be unknown."""
    rows = [*found.settings, *found.same]
    kinds = (
        (_("Builder"), ("builder",), "builder_image"),
        (_("Base"), ("base",), "base_image"),
        (_("Runtime"), ("runtime",), "runner_image"),
        (_("Settings"), ("setting", "variable"), "repository"),
    )
    for label, names, key in kinds:
        points = [Point(_setting(row)) for row in found.settings if row.group in names]
        known = any(row.key == key for row in rows)
        yield Group(label, points, "" if known or points else _("not known before it ended"))


def _setting(row: Setting) -> str:
    return f"{row.label}: {row.was or '–'} → {row.now or '–'}"


# ---- which of it is the likely cause -------------------------------------------------------------------


def _mark(groups: list[Group], build: Build) -> None:
    packages, commits, files, *inputs = groups
    told = f"{build.error_text} {build.message}"
    named = [*_named_packages(packages.points, told), *_named_files(files.points, told)]
    suspects = named or _by_step(packages, build) or _the_only(groups, commits, files, inputs)
    for point in suspects:
        point.is_suspect = True


def _named_packages(points: Iterable[Point], told: str) -> list[Point]:
    text = _plain(told)
    names = ((point, re.match(r"[A-Za-z0-9][\w.-]*", point.text)) for point in points)
    return [
        point
        for point, name in names
        if name and re.search(rf"(?<![a-z0-9-]){re.escape(_plain(name[0]))}(?![a-z0-9]|-[a-z])", text)
    ]


def _plain(text: str) -> str:
    """Names as the package index compares them."""
    return re.sub(r"[-_.]+", "-", text).lower().rstrip("-")


def _named_files(points: Iterable[Point], told: str) -> list[Point]:
    return [point for point in points if _names(told, point.text)]


def _names(told: str, path: str) -> bool:
    """Whether a text speaks of this file, or of the module in it."""
    name = path.rpartition("/")[2]
    module = name.removesuffix(".py") if name.endswith(".py") else ""
    words = [path, name if "." in name else "", f"'{module}'" if module else ""]
    return any(len(word) > 4 and re.search(rf"(?<![\w./]){re.escape(word)}(?!\w)", told) for word in words)


def _by_step(packages: Group, build: Build) -> list[Point]:
    """Where the environment could not be made, what is newly required."""
    failed = next((step for step in build.steps.all() if step.result == StepResult.FAILED), None)
    if failed is None or failed.name != "produce":
        return []
    return [point for point in packages.points if point.look != "minus"]


def _the_only(groups: list[Group], commits: Group, files: Group, inputs: list[Group]) -> list[Point]:
    """What changed alone: one group of inputs while the source is the same, or one commit while the inputs are."""
    changed = [group for group in groups if group.points]
    if len(changed) == 1 and changed[0] in inputs:
        return changed[0].points
    if len(commits.points) == 1 and not any(group.points for group in inputs):
        return files.points if len(files.points) == 1 else commits.points
    return []


def _sentence(found: Between, groups: list[Group]) -> str:
    facts = {"n": found.old.number}
    if found.source.standing != "same":
        return ""
    if any(group.points for group in groups):
        return _("It is the same commit as #%(n)d: not the source, but what surrounds it is the suspect.") % facts
    return (
        _(
            "Nothing that the portal knows of changed since #%(n)d: it is the same commit with the same settings. Look "
            "at what it cannot know, such as the package index, the network or the machine; then press Rebuild."
        )
        % facts
    )


def _people(found: Between) -> str:
    read = found.source.difference
    names: dict[str, Any] = dict.fromkeys(commit.author for commit in (*read.come, *read.gone)) if read else {}
    shown = [name for name in names if name][:3]
    return ", ".join(shown) + (" …" if len(names) > len(shown) else "")
