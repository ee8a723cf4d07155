"""Tags that point elsewhere than when they were built."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Subquery

from releases.models import Application, Build, Ref, RefKindChoices


@dataclass(frozen=True, slots=True)
class MovedTag:
    """A tag, and the newest build that was made of what it pointed at before."""

    ref: Ref
    build: Build


def moved_tags(application: Application | None = None) -> list[MovedTag]:
    """Moved tags of which something was built; of all applications only those that nobody has built anew since."""
    builds = Build.objects.filter(application=OuterRef("application"))
    before = builds.filter(commit=OuterRef("moved_from")).order_by("-number")
    refs = Ref.objects.filter(kind=RefKindChoices.TAG, moved_at__isnull=False)
    if application is None:
        refs = refs.filter(~Exists(builds.filter(commit=OuterRef("commit"))))
    else:
        refs = refs.filter(application=application)
    found = refs.annotate(built=Subquery(before.values("pk")[:1])).filter(built__isnull=False)
    pairs = list(found.order_by("-moved_at").values_list("pk", "built")[:5])
    by_ref = Ref.objects.select_related("application").in_bulk([ref for ref, _ in pairs])
    by_build = Build.objects.select_related("application").in_bulk([build for _, build in pairs])
    return [MovedTag(by_ref[ref], by_build[build]) for ref, build in pairs]
