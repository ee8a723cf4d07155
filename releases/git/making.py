"""Write a small bare repository from files that are given: the same input gives the same commit ids everywhere."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from releases.errors import GitError, say
from releases.git.faults import local_fault
from releases.git.process import Failed, Surroundings, run

AUTHOR = "Fruit Shop <fruit-shop@example.org>"
BRANCH = "refs/heads/main"


@dataclass(frozen=True, slots=True)
class Version:
    """One commit on the branch `main` and the annotated tag on it."""

    tag: str
    message: str
    released_at: datetime
    """Aware; author's, committer's and tagger's date alike."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """The whole tree, by path. Each is an ordinary file."""


def make_repository(target: Path, versions: Sequence[Version]) -> Path:
    """Make the bare repository `target` with these versions in a row, or leave it when it is that already.

    It appears at once or not at all; one with other content is replaced. Raises `GitError` or `StorageFull`."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as work:
            _make(target, versions, Path(work))
    except OSError as error:
        if not _refs(target):  # else another maker was quicker
            raise GitError(
                say("The repository %(path)s cannot be written: %(why)s.", path=target, why=error.strerror)
            ) from error
    return target


def _make(target: Path, versions: Sequence[Version], work: Path) -> None:
    fresh = work / "fresh"
    _run("init", "--quiet", "--bare", "--template=", "--initial-branch=main", "--", str(fresh))
    _run("fast-import", "--quiet", "--date-format=raw", feed=_stream(versions), git_dir=fresh)
    if _refs(target) == _refs(fresh):
        return
    if target.exists():
        target.rename(work / "old")
    fresh.rename(target)


def _refs(repository: Path) -> bytes:
    """All refs with their ids; empty when there is no sound repository."""
    if not (repository / "HEAD").exists():
        return b""
    try:
        return _run("for-each-ref", git_dir=repository)
    except GitError:
        return b""


def _run(*arguments: str, feed: bytes = b"", git_dir: Path | None = None) -> bytes:
    try:
        return run(arguments, environment=Surroundings().environment(), feed=feed, git_dir=git_dir)
    except Failed as failure:
        raise local_fault(say("write the repository"), failure.said) from failure


def _stream(versions: Sequence[Version]) -> bytes:
    """The versions as `git fast-import` reads them."""
    parts = [b"feature done\n"]
    for number, version in enumerate(versions, start=1):
        when = f"{int(version.released_at.timestamp())} +0000"
        who = f"{AUTHOR} {when}"
        parts.append(f"commit {BRANCH}\nmark :{number}\nauthor {who}\ncommitter {who}\n".encode())
        parts.append(_data(version.message.encode()))
        parts.append(f"from :{number - 1}\n".encode() if number > 1 else b"")
        parts.append(b"deleteall\n")
        for path, content in sorted(version.files.items()):
            parts.append(f"M 100644 inline {path}\n".encode() + _data(content))
        parts.append(f"tag {version.tag}\nfrom :{number}\ntagger {who}\n".encode())
        parts.append(_data(version.message.encode()))
    parts.append(b"done\n")
    return b"".join(parts)


def _data(content: bytes) -> bytes:
    return b"data %d\n" % len(content) + content + b"\n"
