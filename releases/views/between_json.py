"""A comparison of two builds for other programs: sizes in bytes, times in seconds, and no value of a variable."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.utils import translation

from releases import actions
from releases.models import Build
from releases.views.between import Between, Duration, between
from releases.views.frozen import Setting
from releases.views.weighing import Weight

WORDS = {"plus": "added", "minus": "removed", "tilde": "changed"}


def as_facts(old: Build, new: Build) -> dict[str, Any]:
    """What rows know; commits and files are null while `source` is not `read` or `same`. Always in English."""
    with translation.override("en"):
        found = between(old, new, actions.comparison_of(old, new))
        return {
            "application": old.application.name,
            "old": _build(old),
            "new": _build(new),
            "source": found.source.standing,
            "source_error": found.source.error,
            "difference": found.source.difference.as_json() if found.source.difference else None,
            "packages": _packages(found),
            "sizes": _pairs([found.sizes.image, found.sizes.archive, *found.sizes.layers]),
            "environment_by_package": _pairs(found.sizes.packages),
            "bytes_to_fetch": found.sizes.to_fetch,
            "settings": _pairs(found.settings),
            "seconds": _pairs(found.times),
            "same": {"archive": found.is_same_archive, "image": found.is_same_image, "settings": _keys(found.same)},
        }


def _build(build: Build) -> dict[str, Any]:
    return {
        "number": build.number,
        "ref": build.ref,
        "commit": build.commit,
        "outcome": build.outcome,
        "artifact_sha256": build.artifact.sha256 if build.artifact else "",
        "image_id": build.image.image_id if build.image else "",
    }


def _packages(found: Between) -> dict[str, Any] | None:
    if found.packages.without is not None:
        return None
    changed = [
        {"name": one.name, "was": one.was, "now": one.now, "change": WORDS[one.look]} for one in found.packages.changed
    ]
    return {"changed": changed, "same": found.packages.same}


def _pairs(rows: Iterable[Weight | Setting | Duration]) -> dict[str, list[Any]]:
    return {row.key: [row.was, row.now] for row in rows}


def _keys(rows: Iterable[Setting]) -> list[str]:
    return [row.key for row in rows]
