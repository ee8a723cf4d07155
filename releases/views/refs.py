"""The table of an application's refs: by version, filtered and leafed by the server, each with its last build."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime

from django.core.paginator import Page, Paginator
from django.db.models import Q

from releases.models import Application, Build, Ref
from releases.models.ref import RefQuerySet
from releases.models.rule import LONGEST_RULE, matching

NEWEST_TAGS = 7
REFS_A_PAGE = 50
LONGEST_WORDS = 255
NAMES_SHOWN = 8
"""Known tags that are named beside a rule which matches them."""

_COMMIT = re.compile(r"[0-9a-f]{4,40}", re.IGNORECASE)


@dataclass(slots=True)
class RefRow:
    """One ref in the table, and the newest build of its commit."""

    ref: Ref
    build: Build | None
    is_next: bool = False
    """The likely next act: the newest tag that nobody has built yet."""


@dataclass(slots=True)
class RefTable:
    """The rows of one kind, and where in all of them they stand."""

    words: str = ""
    rows: list[RefRow] = field(default_factory=list)
    page: Page[Ref] | None = None
    """None for the newest alone."""
    numbers: list[str | int] = field(default_factory=list)
    """Of pages; an ellipsis where some are left out."""


def ref_table(application: Application, kind: str, number: str, words: str) -> RefTable:
    """The newest refs of a kind; with a page's number or words to look for, that page of all that match."""
    table = RefTable(words=words.strip()[:LONGEST_WORDS])
    refs = application.refs.filter(kind=kind).newest()
    if table.words:
        refs = refs.filter(by_words(table.words))
    if number or table.words:
        table.page = Paginator(refs, REFS_A_PAGE).get_page(number or 1)
        table.numbers = list(table.page.paginator.get_elided_page_range(table.page.number, on_each_side=2, on_ends=1))
        shown = list(table.page)
    else:
        shown = list(refs[: NEWEST_TAGS if kind == "tag" else REFS_A_PAGE])
    table.rows = with_builds(application, shown)
    if kind == "tag" and not table.words and (table.page is None or table.page.number == 1):
        mark_next(table.rows)
    return table


def by_words(words: str) -> Q:
    """A part of the name, with `*` for anything the whole of it; or the beginning of a commit."""
    if "\0" in words:
        return Q(pk__in=[])
    if "*" in words:
        return Q(name__iregex="^" + ".*".join(re.escape(part) for part in words.split("*")) + "$")
    found = Q(name__icontains=words) | Q(full_name__iexact=words)
    return found | Q(commit__startswith=words.lower()) if _COMMIT.fullmatch(words) else found


def with_builds(application: Application, refs: list[Ref]) -> list[RefRow]:
    """Each ref with the newest build of its commit."""
    newest: dict[str, Build] = {}
    builds = Build.objects.filter(application=application, commit__in=[ref.commit for ref in refs])
    for build in builds.order_by("commit", "-number").distinct("commit"):
        newest[build.commit] = build
    return [RefRow(ref, newest.get(ref.commit)) for ref in refs]


def mark_next(rows: list[RefRow]) -> None:
    """The newest unbuilt tag, unless a higher version has been released that is not older."""
    released: datetime | None = None
    for row in rows:
        if row.build is None and (released is None or row.ref.committed_at > released):
            row.is_next = True
            return
        if row.build is not None and row.build.succeeded:
            released = max(released or row.ref.committed_at, row.ref.committed_at)


# ---- the rule for new tags -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Matches:
    """Which of the known tags a rule would match: so that a person sees what it means, though none of them is built."""

    known: int
    names: list[str]
    count: int

    @property
    def more(self) -> int:
        return self.count - len(self.names)


def rule_matches(refs: RefQuerySet, rule: str) -> Matches:
    """`refs` are an application's; the names come newest version first."""
    names = list(refs.tags().values_list("name", flat=True))
    found = matching(rule[:LONGEST_RULE], names)
    return Matches(len(names), found[:NAMES_SHOWN], len(found))
