"""Which builds the filters of the history mean.

Every filter is one condition that an index answers; none joins a table, so that the database may count and leaf through
the narrow index of the builds and touch only the fifty rows that are shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, time
from typing import Any

from django.db.models import Exists, OuterRef, Q

from releases.models import Application, Build, Outcome, Package, RefKindChoices, State
from releases.models.builds import BuildQuerySet
from releases.views.words import Meaning, ref_named

PORTAL = "(portal)"
"""Who asked, when nobody did: no account can be called so."""


def matching(filters: Mapping[str, Any], meaning: Meaning | None = None, packages: Q | None = None) -> BuildQuerySet:
    """The builds that all these filters let through; `meaning` is what the words of the search box stand for, and
    `packages` are those that a build must hold one of."""
    builds = Build.objects.all()
    if name := filters.get("application"):
        builds = builds.filter(application__in=Application.objects.filter(name=name).values("pk"))
    for condition in (
        by_ref((filters.get("ref") or "").strip()),
        by_kind(filters.get("kind") or ""),
        by_outcome(filters.get("outcome") or ""),
        by_person(filters.get("by") or ""),
        meaning.condition() if meaning else Q(),
    ):
        builds = builds.filter(condition)
    if packages is not None:
        builds = builds.filter(Exists(Package.objects.filter(packages, build=OuterRef("pk"))))
    if filters.get("stack"):
        builds = builds.filter(stack=filters["stack"])
    if filters.get("from"):
        builds = builds.filter(created_at__gte=datetime.combine(filters["from"], time.min, UTC))
    if filters.get("to"):
        builds = builds.filter(created_at__lte=datetime.combine(filters["to"], time.max, UTC))
    return builds


def by_ref(ref: str) -> Q:
    """A ref's name, short or in full; `*` stands for anything."""
    if not ref:
        return Q()
    if "*" not in ref:
        return ref_named(ref)
    parts = ref.split("*")
    found = Q(ref__istartswith=parts[0]) if parts[0] else Q()
    if parts[-1]:
        found &= Q(ref__iendswith=parts[-1])
    for part in filter(None, parts[1:-1]):
        found &= Q(ref__icontains=part)
    if len(list(filter(None, parts))) > 1:  # they must stand in their order, and overlap nowhere
        found &= Q(ref__iregex="^" + ".*".join(re.escape(part) for part in parts) + "$")
    return found


def by_kind(kind: str) -> Q:
    """What was built, or what it was built again of."""
    if kind in RefKindChoices:
        return Q(ref_kind=kind)
    again = {"rebuild": Q(retry_of__isnull=False), "rebase": Q(rebase_of__isnull=False)}
    again["first"] = Q(retry_of__isnull=True, rebase_of__isnull=True)
    return again.get(kind, Q())


def by_outcome(name: str) -> Q:
    if not name:
        return Q()
    if name == "active":
        return ~Q(state=State.FINISHED)
    if name == "unsuccessful":
        return Q(state=State.FINISHED) & ~Q(outcome=Outcome.SUCCEEDED)
    return Q(outcome=name) if name in Outcome else Q(state=name)


def by_person(username: str) -> Q:
    if username == PORTAL:
        return Q(requested_by__isnull=True)
    return Q(requested_by__username=username) if username else Q()
