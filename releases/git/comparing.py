"""What lies between two commits of a mirror: the commits, the files, and the requirements that changed.

Everything here may be hostile: names with line breaks, subjects as long as a book, a history of a million commits.
So git separates with NUL, lists are bounded while counts are not, and no character goes on that is not printable.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from releases.errors import LimitExceeded
from releases.git.faults import local_fault
from releases.git.process import Failed, run
from releases.git.reading import Reader, checked, one_line, read_file
from releases.specs import Changed, CommitFacts, Difference, FileChange, LinesChanged

MOST_COMMITS = 500
"""Of each side."""
MOST_FILES = 2_000
LONGEST_AUTHOR = 100
LONGEST_PATH = 300
MOST_REQUIREMENT_FILES = 5
MOST_LINES = 50
"""Of requirements that one file lost, or got."""
LONGEST_LINE = 200
LARGEST_REQUIREMENTS = 128 * 1024
"""Bytes of a requirements file that is looked into."""
GITLINK = b"160000"
"""The mode of a submodule: it has no bytes here."""

_FIELDS = "%H%x00%an%x00%at%x00%s"
_REQUIREMENTS = re.compile(
    r"(?:^|/)[^/]*(?:requirements|constraints)[^/]*\.(?:txt|in)$|(?:^|/)requirements/[^/]*\.txt$"
)


def difference(reader: Reader, old: str, new: str, requirements: Iterable[str] = ()) -> Difference:
    """From one commit to the other; both must be in the mirror. `requirements` are paths to look into beside those
    whose names say what they are. Raises `GitError`."""
    checked(old), checked(new)
    base = _base(reader, old, new)
    gone_count, come_count = _counts(reader, old, new)
    changes = list(_changes(reader, old, new))
    kept = changes[:MOST_FILES]
    sizes = _sizes(reader, kept)
    counts = {what: sum(change.what == what for change in changes) for what in ("added", "removed", "changed")}
    return Difference(
        base=base,
        come=_commits(reader, old, new) if base else (),
        come_count=come_count,
        gone=_commits(reader, new, old) if base else (),
        gone_count=gone_count,
        files=tuple(change.sized(sizes) for change in kept),
        requirements=tuple(_requirements(reader, old, new, changes, set(requirements))),
        **counts,
    )


# ---- commits ---------------------------------------------------------------------------------------


def _base(reader: Reader, old: str, new: str) -> str:
    reader.check()
    try:
        answer = run(["merge-base", old, new], environment=reader.surroundings.environment(), git_dir=reader.path)
    except Failed as failure:
        if failure.code == 1 and not failure.said:  # git's way of saying that there is none
            return ""
        raise local_fault("find what two commits have in common", failure.said) from failure
    return answer.decode("ascii", "replace").strip()


def _counts(reader: Reader, old: str, new: str) -> tuple[int, int]:
    answer = reader.run("rev-list", "--count", "--left-right", f"{old}...{new}", "--", what="count the commits")
    gone, come = answer.split()
    return int(gone), int(come)


def _commits(reader: Reader, excluded: str, wanted: str) -> tuple[CommitFacts, ...]:
    """The newest that `wanted` has and `excluded` has not."""
    command = ["log", "-z", "--no-mailmap", f"--format={_FIELDS}", f"--max-count={MOST_COMMITS}"]
    answer = reader.run(*command, f"{excluded}..{wanted}", "--", what="list the commits")
    fields = answer.split(b"\0")
    records = zip(*(fields[place::4] for place in range(4)), strict=False)  # the last NUL leaves one field over
    return tuple(
        CommitFacts(commit.decode("ascii"), one_line(author)[:LONGEST_AUTHOR], _seconds(at), one_line(subject))
        for commit, author, at, subject in records
    )


def _seconds(at: bytes) -> int:
    """An author may write any number; what no calendar takes becomes 0."""
    seconds = int(at) if re.fullmatch(rb"\d{1,11}", at) else 0
    return seconds if seconds < 253_402_300_800 else 0  # the year 10,000


# ---- files -----------------------------------------------------------------------------------------


class _Change:
    """One entry of git's list, before its sizes are known."""

    __slots__ = ("blobs", "modes", "name", "what")

    def __init__(self, about: bytes, name: bytes) -> None:
        was_mode, now_mode, was_blob, now_blob, status = about.removeprefix(b":").split(b" ")
        self.modes, self.blobs, self.name = (was_mode, now_mode), (was_blob, now_blob), name
        words: dict[bytes, Changed] = {b"A": "added", b"D": "removed"}
        self.what: Changed = words.get(status[:1], "changed")

    @property
    def path(self) -> str:
        return shown(self.name)

    def sized(self, sizes: dict[bytes, int]) -> FileChange:
        was, now = (sizes.get(blob, 0) for blob in self.blobs)
        return FileChange(self.path, self.what, was, now, same_bytes=self.blobs[0] == self.blobs[1])


def shown(name: bytes) -> str:
    """A path as one line of printable characters: what is none of them is written as an escape."""
    text = name.decode("utf-8", "backslashreplace")
    text = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )
    return text if len(text) <= LONGEST_PATH else f"{text[: LONGEST_PATH - 1]}…"


def _changes(reader: Reader, old: str, new: str) -> Iterator[_Change]:
    command = ["diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", "--no-ext-diff", old, new]
    fields = reader.run(*command, "--", what="list the files that changed").split(b"\0")
    for about, name in zip(fields[::2], fields[1::2], strict=False):
        yield _Change(about, name)


def _sizes(reader: Reader, changes: Iterable[_Change]) -> dict[bytes, int]:
    """Bytes of every blob that is named; what is none (a submodule's commit) is left out."""
    blobs = {
        blob
        for change in changes
        for mode, blob in zip(change.modes, change.blobs, strict=True)
        if blob.strip(b"0") and mode != GITLINK
    }
    if not blobs:
        return {}
    question = b"".join(blob + b"\n" for blob in sorted(blobs))
    answer = reader.run(
        "cat-file", "--batch-check=%(objectname) %(objectsize)", feed=question, what="measure the files that changed"
    )
    pairs = (line.split(b" ") for line in answer.splitlines())
    return {blob: int(size) for blob, size in pairs if size.isdigit()}


# ---- requirements ----------------------------------------------------------------------------------


def _requirements(
    reader: Reader, old: str, new: str, changes: Iterable[_Change], wanted: set[str]
) -> Iterator[LinesChanged]:
    named = (change for change in changes if change.path in wanted or _REQUIREMENTS.search(change.path))
    for change, _ in zip(named, range(MOST_REQUIREMENT_FILES), strict=False):
        before, after = (_lines(reader, commit, change.path) for commit in (old, new))
        gone = tuple(line for line in before if line not in set(after))[:MOST_LINES]
        come = tuple(line for line in after if line not in set(before))[:MOST_LINES]
        if gone or come:
            yield LinesChanged(change.path, gone, come)


def _lines(reader: Reader, commit: str, path: str) -> list[str]:
    try:
        content = read_file(reader, commit, path, LARGEST_REQUIREMENTS) or b""
    except LimitExceeded:  # no list that a person has written
        return []
    found = (one_line(line.split(b" #")[0])[:LONGEST_LINE].removesuffix("\\").strip() for line in content.splitlines())
    return [line for line in found if line and not line.startswith(("#", "--hash="))]
