"""Tags that were taken away from a commit of which something was built: alarms, and the marks of those builds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Exists, OuterRef, Q
from django.utils.functional import cached_property

from releases.models import Application, Build, Move, Ref

ALARMS = 5
"""Alarms on one page; the rest is counted."""
BUILDS = 3
"""Builds that one alarm names."""
MOST = 500
"""Open moves that are looked at for one page."""


@dataclass(slots=True)
class Alarm:
    """A tag that moved or vanished, which nobody has acknowledged yet."""

    move: Move
    """The newest of its open moves."""
    commits: list[str]
    """What it pointed at before, in all of them."""
    ref: Ref | None = None
    """The tag as it is now; None when it is gone."""
    builds: list[Build] = field(default_factory=list)
    """The newest of what was built of those commits."""

    now_built: Build | None = None
    """The newest release of the commit that the tag points at now."""

    @property
    def is_back(self) -> bool:
        """It was elsewhere for a while, and says now what was built."""
        return self.ref is not None and {self.ref.commit} == {build.commit for build in self.builds}


@dataclass(slots=True)
class Alarms:
    shown: list[Alarm]
    more: int
    """Tags with an alarm beyond those."""

    def gone(self) -> list[Alarm]:
        return [alarm for alarm in self.shown if alarm.ref is None]


def alarms(application: Application | None = None) -> Alarms:
    """Open moves of commits of which something was built, one alarm for each tag; of all applications without one."""
    built = Build.objects.filter(application=OuterRef("application"), commit=OuterRef("before"))
    moves = Move.objects.open().filter(Exists(built)).order_by("-id").select_related("application")
    if application is not None:
        moves = moves.filter(application=application)
    by_tag: dict[tuple[int, str], Alarm] = {}
    for move in moves[:MOST]:
        by_tag.setdefault((move.application_id, move.full_name), Alarm(move, [])).commits.append(move.before)
    shown = list(by_tag.values())[:ALARMS]
    if shown:
        _add_refs(shown)
        _add_builds(shown)
    return Alarms(shown, len(by_tag) - len(shown))


def _add_refs(shown: Iterable[Alarm]) -> None:
    meant = Q()
    for alarm in shown:
        meant |= Q(application=alarm.move.application_id, full_name=alarm.move.full_name)
    refs = {(ref.application_id, ref.full_name): ref for ref in Ref.objects.filter(meant)}
    for alarm in shown:
        alarm.ref = refs.get((alarm.move.application_id, alarm.move.full_name))


def _add_builds(shown: Iterable[Alarm]) -> None:
    meant = Q()
    for alarm in shown:
        commits = [*alarm.commits, *([alarm.ref.commit] if alarm.ref else [])]
        meant |= Q(application=alarm.move.application_id, commit__in=commits)
    for build in Build.objects.filter(meant).select_related("application").order_by("-number")[:MOST]:
        for alarm in shown:
            if build.application_id != alarm.move.application_id:
                continue
            if build.commit in alarm.commits and len(alarm.builds) < BUILDS:
                alarm.builds.append(build)
            if alarm.ref and build.commit == alarm.ref.commit and build.succeeded and alarm.now_built is None:
                alarm.now_built = build


def marks(builds: Iterable[Build]) -> dict[int, Move]:
    """For each of these builds of whose commit a tag was taken away since: the newest such move. One query."""
    rows = [build for build in builds if build.commit]
    if not rows:
        return {}
    moves = Move.objects.filter(
        application__in={build.application_id for build in rows}, before__in={build.commit for build in rows}
    )
    by_commit = {(move.application_id, move.before): move for move in moves.order_by("id")}
    found = {build.pk: by_commit.get((build.application_id, build.commit)) for build in rows}
    return {key: move for key, move in found.items() if move is not None}


# ---- on the build's own page -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fact:
    """What one tag did since it was at the build's commit. It stays on the build's page, acknowledged or not."""

    build: Build
    move: Move
    """The newest that took the tag away from this commit."""
    ref: Ref | None
    now_built: Build | None
    """The newest release of the commit that the tag points at now."""

    @cached_property
    def is_back(self) -> bool:
        return self.ref is not None and self.ref.commit == self.build.commit

    @cached_property
    def is_own(self) -> bool:
        """The build is of this very tag, not only of its commit."""
        return self.move.full_name == self.build.ref_full

    @cached_property
    def came_between(self) -> bool:
        """The portal saw it after the build was asked for and before its worker took it up."""
        taken_up: datetime | None = self.build.started_at
        return self.build.created_at < self.move.noticed_at and (taken_up is None or self.move.noticed_at < taken_up)


def facts(build: Build) -> list[Fact]:
    """What the tags that were at this build's commit have done since: its own tag first."""
    if not build.commit:
        return []
    moves = Move.objects.filter(application=build.application_id, before=build.commit).select_related("acknowledged_by")
    last = {move.full_name: move for move in moves.order_by("id")}
    if not last:
        return []
    refs = {ref.full_name: ref for ref in Ref.objects.filter(application=build.application_id, full_name__in=last)}
    commits = {ref.commit for ref in refs.values()} - {build.commit}
    releases = Build.objects.succeeded().filter(application=build.application_id, commit__in=commits)
    released = {release.commit: release for release in releases.order_by("number")} if commits else {}
    found = []
    for name, move in last.items():
        ref = refs.get(name)
        found.append(Fact(build, move, ref, released.get(ref.commit) if ref else None))
    return sorted(found, key=lambda fact: (not fact.is_own, -fact.move.pk))
