"""What the words of the search box may stand for: a commit, a digest, a ref, an application, a package, a build.

First every meaning is asked, in one query, whether it has a build at all; only those that have are searched. So a
search costs what its own meaning costs, and a row can say why it is there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet, Value

from releases.errors import InvalidInput
from releases.models import Application, Artifact, Build, Image, Package, Wanted

_SUM = re.compile(r"(?P<hex>[0-9a-fA-F]{64})\s+\*?\S.*")
_HEX = re.compile(r"(?P<said>sha256:)?(?P<hex>[0-9a-f]{4,64})", re.IGNORECASE)
_NUMBER = re.compile(r"(?:(?P<application>[a-z0-9-]+) ?)?#(?P<number>[0-9]{1,9})")
COMMIT, SHA256 = 40, 64
LEAST_OF_A_FILE = 12
"""Digits without which a package's file is not looked for: there are very many."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What the words stand for where something was found; without any, nothing matches."""

    digest: str
    """The hexadecimal digits, when the words are some."""
    found: Mapping[str, Q]
    """`commit`, `archive`, `image`, `file`, `ref`, `application`, `number`, `package`: each with its builds."""
    packages: Q

    @property
    def is_whole_sha256(self) -> bool:
        return len(self.digest) == SHA256

    def condition(self) -> Q:
        """The builds of all meanings. One alone is left as it is: then its own index gives the order, too."""
        if not self.found:
            return Q(pk__in=[])
        if len(self.found) == 1:
            return next(iter(self.found.values()))
        first, *others = (Build.objects.order_by().filter(one).values("pk") for one in self.found.values())
        return Q(pk__in=first.union(*others))

    def reasons(self, builds: Sequence[Build]) -> dict[int, str]:
        """For each build, in a few words, where the words were found; nothing where the row shows it anyway."""
        told: dict[int, str] = {}
        if "package" in self.found or "file" in self.found:
            told = packages_in(builds, self.packages)
        for build in builds if self.digest else ():
            if build.artifact and build.artifact.sha256.startswith(self.digest):
                told[build.pk] = build.artifact.name
            elif build.image and build.image.image_id.startswith(f"sha256:{self.digest}"):
                told[build.pk] = build.image.image_id[:19]
        return told


def packages_in(builds: Sequence[Build], condition: Q) -> dict[int, str]:
    """Of each build the first package that is meant, such as `flask 3.1.3`; one query."""
    found = Package.objects.filter(condition, build__in=[build.pk for build in builds]).order_by("-name")
    return {package.build_id: f"{package.name} {package.version}" for package in found}


def meaning_of(words: str) -> Meaning | None:
    """As many queries for many rows as for few; None when there are no words."""
    words = _of_sha256sum(words.strip())
    if not words:
        return None
    digest = _HEX.fullmatch(words)
    hexadecimal = digest["hex"].lower() if digest else ""
    named = _named(words)
    filed = Q(sha256__startswith=hexadecimal) if len(hexadecimal) >= LEAST_OF_A_FILE else None
    packages = [condition for condition in (named, filed) if condition is not None]
    possible = {
        **_of_a_digest(hexadecimal, commit=digest is not None and not digest["said"]),
        **_of_a_number(words),
        **({"file": _holding(filed)} if filed else {}),
        **({"package": _holding(named)} if named else {}),
        "ref": ref_named(words) | Q(ref__istartswith=words),
        "application": Q(application__in=Application.objects.filter(name__iexact=words).values("pk")),
    }
    either = packages[0] | packages[-1] if packages else Q(pk__in=[])
    return Meaning(hexadecimal, _those_with_builds(possible), either)


def _of_sha256sum(words: str) -> str:
    """The digest alone of a line that `sha256sum` has printed."""
    line = _SUM.fullmatch(words)
    return line["hex"] if line else words


def ref_named(ref: str) -> Q:
    """A ref's name, short or in full."""
    short = re.sub(r"^refs/(?:tags|heads)/", "", ref)
    return Q(ref__iexact=ref) | (Q(ref__iexact=short, ref_full__iexact=ref) if short != ref else Q())


def _those_with_builds(possible: Mapping[str, Q]) -> Mapping[str, Q]:
    """In one query."""
    first, *others = (
        Build.objects.order_by().filter(condition).annotate(meaning=Value(name)).values_list("meaning", flat=True)[:1]
        for name, condition in possible.items()
    )
    found: QuerySet[Build, Any] = first.union(*others, all=True)
    names = set(found)
    return {name: condition for name, condition in possible.items() if name in names}


def _of_a_digest(start: str, *, commit: bool) -> Mapping[str, Q]:
    if not start:
        return {}
    images = Q(image_id__startswith=f"sha256:{start}") | Q(config_digest__startswith=f"sha256:{start}")
    images |= Q(manifest_digest__startswith=f"sha256:{start}")
    found = {
        "archive": Q(artifact__in=Artifact.objects.filter(sha256__startswith=start).values("pk")),
        "image": Q(image__in=Image.objects.filter(images).values("pk")),
    }
    if commit and len(start) <= COMMIT:
        found["commit"] = Q(commit__startswith=start)
    return found


def _of_a_number(words: str) -> Mapping[str, Q]:
    number = _NUMBER.fullmatch(words)
    if not number:
        return {}
    this = Q(number=int(number["number"]))
    if number["application"]:
        this &= Q(application__in=Application.objects.filter(name=number["application"]).values("pk"))
    return {"number": this}


def _named(words: str) -> Q | None:
    """The packages that the words name, when they can name any."""
    try:
        return Package.objects.meant(Wanted.read(words))
    except InvalidInput:
        return None


def _holding(packages: Q) -> Q:
    return Q(Exists(Package.objects.filter(packages, build=OuterRef("pk"))))
