"""What is read from a mirror: refs, files, archives. Commits are named by 40 hex digits alone."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Literal, cast

from releases.errors import BuildFailed, GitError, LimitExceeded, Sentence, grouped, say
from releases.git.faults import local_fault
from releases.git.process import Failed, Surroundings, run, stream
from releases.specs import RemoteRef, Stop, TreeEntry

MOST_FILES = 200_000
MOST_BYTES = 2 * 1024 * 1024 * 1024
LONGEST_SUBJECT = 200
LONGEST_REF = 255
"""Refs of the other side with longer names (bytes) are left out of the list."""

_COMMIT = re.compile(r"[0-9a-f]{40}")
_BLOCK = 512
_REF_FIELDS = (
    "refname",
    "objecttype",
    "objectname",
    "committerdate:unix",
    "contents:subject",
    "*objecttype",
    "*objectname",
    "*committerdate:unix",
    "*contents:subject",
    "taggername",
    "taggeremail",
    "taggerdate:unix",
    "contents:signature",
)
_SIGNATURES: dict[bytes, Literal["openpgp", "ssh", "x509"]] = {
    b"-----BEGIN PGP": "openpgp",
    b"-----BEGIN SSH": "ssh",
    b"-----BEGIN SIGNED MESSAGE": "x509",
}


@dataclass(frozen=True, slots=True)
class Reader:
    """One mirror, for reading."""

    path: Path
    surroundings: Surroundings

    def run(self, *arguments: str, what: str, feed: bytes = b"", limit: int = 64 * 1024 * 1024) -> bytes:
        """The output of a command; `what` completes “git could not …” when it fails."""
        self.check()
        environment = self.surroundings.environment()
        try:
            return run(arguments, environment=environment, git_dir=self.path, feed=feed, limit=limit)
        except Failed as failure:
            raise local_fault(what, failure.said) from failure

    def commit(self, name: str) -> str:
        """The commit that a full refname or an id leads to; empty when there is none."""
        self.check()
        command = ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"]
        try:
            answer = run(command, environment=self.surroundings.environment(), git_dir=self.path)
        except Failed:
            return ""
        return answer.decode("ascii", "replace").strip()

    def check(self) -> None:
        if not (self.path / "HEAD").exists():
            raise GitError(
                say(
                    "There is no mirror of the repository at %(path)s yet: refresh the application first.",
                    path=self.path,
                )
            )


def checked(commit: str) -> str:
    """The same commit id; raises `GitError` when it is not 40 lower-case hex digits."""
    if not _COMMIT.fullmatch(commit):
        raise GitError(say("A commit must be named by 40 hexadecimal digits here."))
    return commit


def refs(reader: Reader) -> list[RemoteRef]:
    """Tags, then branches, each newest first. What leads to no commit is left out."""
    fields = "%00".join(f"%({name})" for name in _REF_FIELDS)
    answer = reader.run("for-each-ref", f"--format={fields}%00", "refs/tags", "refs/heads", what=say("list the refs"))
    found = [ref for record in answer.split(b"\0\n") if record and (ref := _ref(reader, record.split(b"\0")))]
    found.sort(key=lambda ref: (ref.kind == "branch", -ref.committed_at.timestamp(), ref.name))
    return found


def committed_at(reader: Reader, commit: str) -> datetime:
    return _moment(_commit_fields(reader, commit)[0])


def entries(reader: Reader, commit: str) -> list[TreeEntry]:
    answer = reader.run("ls-tree", "-r", "-z", "-l", "--full-tree", checked(commit), what=say("list the files"))
    records = answer.split(b"\0")[:-1]
    if len(records) > MOST_FILES:
        raise LimitExceeded(_too_many())
    return [_entry(record) for record in records]


def read_file(reader: Reader, commit: str, path: str, limit: int) -> bytes | None:
    name = path.encode("utf-8", "surrogateescape")
    parts = name.split(b"/")
    if not name or len(name) > 4000 or b"\n" in name or b"\0" in name or {b"", b".", b".."} & set(parts):
        return None
    question = checked(commit).encode() + b":" + name + b"\n"
    what = say("read a file of the commit")
    answer = reader.run("cat-file", "--batch-check", "--follow-symlinks", feed=question, what=what)
    found = re.fullmatch(rb"([0-9a-f]{40}) blob (\d+)\n", answer)
    if not found:
        return None
    if int(found[2]) > limit:
        raise LimitExceeded(
            say(
                "%(path)s holds %(size)s bytes: at most %(limit)s are read from such a file.",
                path=path,
                size=grouped(int(found[2])),
                limit=grouped(limit),
            )
        )
    return reader.run("cat-file", "blob", found[1].decode(), what=what, limit=limit)


def archive(reader: Reader, commit: str, uid: int, folder: str, bytes_limit: int, stop: Stop) -> Iterator[bytes]:
    reader.check()
    command = ["archive", "--format=tar", *([f"--prefix={folder}/"] if folder else []), checked(commit)]
    chunks = stream(command, environment=reader.surroundings.environment(), git_dir=reader.path, stop=stop)
    try:
        yield from _reowned(chunks, uid, bytes_limit)
    except Failed as failure:
        if "invalid path" in failure.said:
            raise BuildFailed(_leads_out()) from failure
        raise local_fault(say("archive the commit %(commit)s", commit=commit[:12]), failure.said) from failure
    except tarfile.TarError as error:
        raise GitError(
            say("git's archive of the commit %(commit)s cannot be read: %(error)s.", commit=commit[:12], error=error)
        ) from error
    finally:
        chunks.close()


# ---- refs and commits ------------------------------------------------------------------------------


def _ref(reader: Reader, fields: list[bytes]) -> RemoteRef | None:
    full_name, kind, commit, seconds, words, inner_kind, inner, inner_seconds, inner_words, *about = fields
    annotated = kind == b"tag"
    own = _of_the_tag(words, about) if annotated else {}
    if annotated:
        kind, commit, seconds, words = inner_kind, inner, inner_seconds, inner_words
    if kind == b"tag":  # a tag of a tag: git peels one skin only
        deepest = reader.commit(full_name.decode("utf-8", "surrogateescape"))
        if not deepest:
            return None
        kind, commit, (seconds, words) = b"commit", deepest.encode(), _commit_fields(reader, deepest)
    name = _name(full_name)
    if kind != b"commit" or not name:
        return None
    is_tag = full_name.startswith(b"refs/tags/")
    return RemoteRef(
        kind="tag" if is_tag else "branch",
        name=name.removeprefix("refs/tags/" if is_tag else "refs/heads/"),
        full_name=name,
        commit=commit.decode("ascii"),
        committed_at=_moment(seconds),
        subject=one_line(words),
        annotated=annotated,
        **own,
    )


def _of_the_tag(words: bytes, about: list[bytes]) -> dict[str, Any]:
    """What an annotated tag says itself, beside what its commit says."""
    name, address, seconds, signature = about
    return {
        "message": one_line(words),
        "tagger": one_line(name + b" " + address),
        "tagged_at": _moment(seconds) if seconds else None,
        "signature": next((kind for start, kind in _SIGNATURES.items() if signature.startswith(start)), ""),
    }


def _name(full_name: bytes) -> str:
    try:
        name = full_name.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    return name if len(full_name) <= LONGEST_REF and name.isprintable() else ""


def _commit_fields(reader: Reader, commit: str) -> tuple[bytes, bytes]:
    what = say("read the commit")
    answer = reader.run("log", "-1", "--no-mailmap", "--format=%ct%x00%s", checked(commit), "--", what=what)
    seconds, _, words = answer.rstrip(b"\n").partition(b"\0")
    return seconds, words


def _moment(seconds: bytes) -> datetime:
    """A committer may write any number; what no calendar takes becomes the epoch."""
    try:
        return datetime.fromtimestamp(int(seconds or b"0"), UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)


def one_line(words: bytes) -> str:
    """At most `LONGEST_SUBJECT` printable characters, and single blanks for all else."""
    text = words.decode("utf-8", "replace")
    text = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(text.split())[:LONGEST_SUBJECT]


# ---- files -----------------------------------------------------------------------------------------


def _entry(record: bytes) -> TreeEntry:
    facts, _, path = record.partition(b"\t")
    mode, _, _, size = facts.split()
    return TreeEntry(
        path=path.decode("utf-8", "backslashreplace"),
        size=0 if size == b"-" else int(size),  # a submodule has none
        mode=mode.decode("ascii"),
    )


def _too_many() -> Sentence:
    return say(
        "The commit holds more than %(most)s files: remove what does not belong into a release.",
        most=grouped(MOST_FILES),
    )


# ---- the archive -----------------------------------------------------------------------------------


class _Source:
    """Chunks, read as `tarfile` wants them."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int) -> bytes:
        parts, wanted = [], size
        while wanted > 0:
            if not self._rest:
                self._rest = next(self._chunks, b"")
                if not self._rest:
                    break
            parts.append(self._rest[:wanted])
            self._rest = self._rest[wanted:]
            wanted -= len(parts[-1])
        return b"".join(parts)

    def drain(self) -> None:
        """Read to the end, so that git's own failure is heard."""
        for _ in self._chunks:
            pass


def _reowned(chunks: Iterator[bytes], uid: int, bytes_limit: int) -> Iterator[bytes]:
    """The same members, owned by `uid`, with nothing in them that depends on this machine."""
    source = _Source(chunks)
    files = size = 0
    with tarfile.open(
        fileobj=cast("IO[bytes]", source), mode="r|", encoding="utf-8", errors="surrogateescape"
    ) as reader:
        while member := reader.next():
            files, size = files + 1, size + member.size
            if files > MOST_FILES:
                raise LimitExceeded(_too_many())
            if size > bytes_limit:
                most = bytes_limit // 1024 // 1024
                raise LimitExceeded(
                    say("The files of the commit are larger than %(most)s MB together, the most allowed.", most=most)
                )
            yield _header(member, uid)
            yield from _content(reader, member)
            reader.members = []  # type: ignore[attr-defined] # tarfile would keep every member that it has read
    source.drain()
    yield bytes(2 * _BLOCK)


def _header(member: tarfile.TarInfo, uid: int) -> bytes:
    if member.name.startswith("/") or ".." in member.name.split("/"):
        raise BuildFailed(_leads_out())
    plain = tarfile.TarInfo(member.name)
    plain.type = _kind(member)
    plain.size, plain.mode, plain.mtime = member.size, member.mode, int(member.mtime)
    plain.linkname = member.linkname
    plain.uid = plain.gid = uid
    return plain.tobuf(format=tarfile.GNU_FORMAT, encoding="utf-8", errors="surrogateescape")


def _leads_out() -> Sentence:
    return say("The repository holds a file whose name leads out of its folder, or is one of git's own: remove it.")


def _kind(member: tarfile.TarInfo) -> bytes:
    if member.isreg():
        return tarfile.REGTYPE
    if member.isdir():
        return tarfile.DIRTYPE
    if member.issym():
        return tarfile.SYMTYPE
    raise BuildFailed(say("The repository holds something that is no file, folder or link: remove it."))


def _content(reader: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    file = reader.extractfile(member) if member.isreg() else None
    if file is None:
        return
    while chunk := file.read(128 * 1024):
        yield chunk
    yield bytes(-member.size % _BLOCK)
