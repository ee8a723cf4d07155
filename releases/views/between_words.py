"""A comparison in the words of its page: heads, counts, and what is odd about two commits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from releases.specs import Difference, FileChange
from releases.templatetags.comparing import signed
from releases.views.between import Between, Packages

LOOKS = {"added": "plus", "removed": "minus", "changed": "tilde"}


@dataclass(frozen=True, slots=True)
class FileRow:
    """One file as a row of the page; a size is a dash where the file is not."""

    path: str
    look: str
    word: str
    was: str
    now: str
    difference: str


def file_rows(files: Iterable[FileChange]) -> list[FileRow]:
    named = {"added": _("added"), "removed": _("removed"), "changed": _("changed")}
    rights = _("other rights")
    return [
        FileRow(
            path=file.path,
            look=LOOKS[file.what],
            word=rights if file.same_bytes else named[file.what],
            was="–" if file.what == "added" else _grouped(file.was),
            now="–" if file.what == "removed" else _grouped(file.now),
            difference=signed(file.now - file.was),
        )
        for file in files
    ]


def in_kinds(looks: Iterable[str]) -> str:
    counts = Counter(looks)
    return in_numbers(counts["tilde"], counts["plus"], counts["minus"])


def in_numbers(changed: int, added: int, removed: int) -> str:
    """`9 changed, 4 added, 1 removed`, without what there is none of."""
    parts = [
        (changed, _("%(n)d changed") % {"n": changed}),
        (added, _("%(n)d added") % {"n": added}),
        (removed, _("%(n)d removed") % {"n": removed}),
    ]
    return ", ".join(words for count, words in parts if count) or _("the same")


def of_packages(packages: Packages) -> str:
    differ, all_of_them = len(packages.changed), len(packages.changed) + packages.same
    return _("%(n)d of %(all)d differ") % {"n": differ, "all": all_of_them}


def of_settings(found: Between) -> str:
    differ, same = len(found.settings), len(found.same)
    return _("%(n)d of %(all)d differ") % {"n": differ, "all": differ + same}


def of_commits(found: Between) -> str:
    read = found.source.difference
    if read is None or not read.base or found.source.standing == "same":
        return ""
    if read.come_count and read.gone_count:
        return _("%(n)d come, %(m)d go") % {"n": read.come_count, "m": read.gone_count}
    count = read.come_count or read.gone_count
    return ngettext("%(n)d between the two", "%(n)d between the two", count) % {"n": count}


def about_commits(found: Between) -> str:
    """What a person must know before reading the lists; empty when the second simply follows the first."""
    read = found.source.difference
    if read is None:
        return ""
    facts = {"old": found.old.number, "new": found.new.number, "base": read.base[:7]}
    if found.source.standing == "same":
        return _("Both are of the same commit %(base)s, so no commit and no file of the source differs.") % facts
    if not read.base:
        return _(
            "The two commits have no history in common: the repository was made anew, or its history was rewritten "
            "from its beginning. Their files are compared all the same."
        )
    if read.gone_count and read.come_count:
        return (
            _(
                "Neither follows the other: they parted at %(base)s. They are of two branches, or the history was "
                "rewritten between them."
            )
            % facts
        )
    if read.gone_count:
        return _("#%(old)d is the newer one: these commits are not in #%(new)d.") % facts
    return ""


def people(read: Difference) -> str:
    """How many people wrote the commits that are listed, and within how many days."""
    commits = [*read.come, *read.gone]
    moments = [commit.at for commit in commits if commit.at]
    if not commits:
        return ""
    days = round((max(moments) - min(moments)) / 86400) if moments else 0
    count = len({commit.author for commit in commits})
    by = ngettext("by %(n)d person", "by %(n)d people", count) % {"n": count}
    within = ngettext("%(n)d day", "%(n)d days", days) % {"n": days}
    return f"{by}, {within}" if days else by


def _grouped(number: int) -> str:
    return str(number_format(number, 0, force_grouping=True))
