"""Which builds a filter of the history means, and why a row is among them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time
from typing import Any

from django.db.models import Exists, OuterRef, Q

from releases.models import Build, Outcome, Package, State
from releases.models.build import BuildQuerySet

_HEX = re.compile(r"(?:sha256:)?([0-9a-f]{4,64})", re.IGNORECASE)
_NUMBER = re.compile(r"(?:(?P<application>[a-z0-9-]+) ?)?#(?P<number>[0-9]{1,9})")
_VERSION = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?:\s*==\s*(?P<exact>\S+)|\s+(?P<start>[0-9]\S*))")


def matching(filters: Mapping[str, Any]) -> BuildQuerySet:
    """The builds that all these filters let through, newest first."""
    builds = Build.objects.for_pages().order_by("-id")
    if filters.get("application"):
        builds = builds.filter(application__name=filters["application"])
    if filters.get("ref"):
        builds = builds.filter(by_ref(filters["ref"].strip()))
    if filters.get("outcome"):
        builds = builds.filter(by_outcome(filters["outcome"]))
    if filters.get("by"):
        builds = builds.filter(requested_by__username=filters["by"])
    if filters.get("from"):
        builds = builds.filter(created_at__gte=datetime.combine(filters["from"], time.min, UTC))
    if filters.get("to"):
        builds = builds.filter(created_at__lte=datetime.combine(filters["to"], time.max, UTC))
    if filters.get("q"):
        builds = builds.filter(by_words(filters["q"].strip()))
    return builds


def by_ref(ref: str) -> Q:
    """A ref's name, short or in full; `*` stands for anything."""
    if "*" not in ref:
        return Q(ref__iexact=ref) | Q(ref_full__iexact=ref)
    pattern = "^" + ".*".join(re.escape(part) for part in ref.split("*")) + "$"
    return Q(ref__iregex=pattern)


def by_outcome(name: str) -> Q:
    if name == "active":
        return ~Q(state=State.FINISHED)
    if name == "unsuccessful":
        return Q(state=State.FINISHED) & ~Q(outcome=Outcome.SUCCEEDED)
    return Q(outcome=name) if name in Outcome else Q(state=name)


def by_words(words: str) -> Q:
    """What a person has in hand: the beginning of a commit, of a sha256 or of an image's id, a ref, a package."""
    found: Q = Q(ref__istartswith=words) | Q(ref_full__iexact=words) | Q(application__name__iexact=words)
    found |= Q(Exists(Package.objects.filter(by_package(words), build=OuterRef("pk"))))
    if digest := _HEX.fullmatch(words):
        start = digest[1].lower()
        found |= Q(commit__startswith=start) | Q(artifact__sha256__startswith=start)
        found |= Q(image__image_id__startswith=f"sha256:{start}")
    if number := _NUMBER.fullmatch(words):
        this = Q(number=int(number["number"]))
        found |= this & Q(application__name=number["application"]) if number["application"] else this
    return found


def by_package(words: str) -> Q:
    """`name`, `name==version` or `name version` (its beginning); or the sha256 of a package's file."""
    digest = _HEX.fullmatch(words)
    by_digest = Q(sha256__startswith=digest[1].lower()) if digest and len(digest[1]) >= 12 else Q(pk__in=[])
    version = _VERSION.fullmatch(words)
    if version is None:
        return by_name(words) | by_digest
    if version["exact"]:
        return by_name(version["name"]) & Q(version=version["exact"])
    return by_name(version["name"]) & Q(version__startswith=version["start"])


def by_name(name: str) -> Q:
    """Packages are the same in any spelling: `Flask_Login` is `flask-login`."""
    pattern = "[-_.]+".join(re.escape(part) for part in re.split(r"[-_.]+", name))
    return Q(name__iregex=f"^{pattern}$")


def reasons(builds: Sequence[Build], words: str) -> dict[int, str]:
    """For each build, in a few words, where the words were found; nothing where the row shows it anyway."""
    if not words:
        return {}
    found: dict[int, str] = {}
    packages = Package.objects.filter(by_package(words), build__in=[build.pk for build in builds])
    for package in packages.order_by("-name"):
        found[package.build_id] = f"{package.name} {package.version}"
    digest = _HEX.fullmatch(words)
    for build in builds:
        if digest and build.image and build.image.image_id.startswith(f"sha256:{digest[1].lower()}"):
            found[build.pk] = build.image.image_id[:19]
    return found
