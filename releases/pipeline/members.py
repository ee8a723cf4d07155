"""What an archive holds, read as a stream with bounds on bytes, members and ratio: 2 MB of gzip can hold 2 GiB
(measured). Nothing is ever unpacked to a disk."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from releases.errors import BuildFailed, LimitExceeded, grouped, say
from releases.specs import Stop

MAX_MEMBERS = 500_000
MAX_UNPACKED = 8 * 1024**3
MAX_RATIO = 100
RATIO_FROM = 64 * 1024**2
"""A ratio counts only above this many unpacked bytes: small archives of empty files are no bombs."""
MAX_HEADER = 1024**2
END = bytes(1024)
"""How a tar archive ends."""


@dataclass(frozen=True, slots=True)
class Examined:
    members: int
    unpacked: int
    """Bytes of the entries."""
    layer: str
    """sha256 of the entries with an end of archive."""
    names: frozenset[str]
    """Those of the names that were asked for and are there."""


def examine(
    read: Callable[[int], bytes], *, name: str, compressed: int, below: str, look_for: frozenset[str], stop: Stop
) -> Examined:
    """Look through one gzip member with tar entries and no end of archive; `name` is for sentences.

    Raises `BuildFailed` for entries that are not below the folder `below` (or folders that lead there), for odd ones,
    and for what is no such archive, `LimitExceeded` for bombs."""
    stream = _Bounded(unzip(read), name, compressed, stop)
    members, seen = 0, set()
    try:
        with tarfile.open(fileobj=io.BufferedReader(stream, 256 * 1024), mode="r|", tarinfo=_Header) as archive:
            for member in archive:
                members += 1
                if members > MAX_MEMBERS:
                    raise LimitExceeded(
                        say(
                            "%(name)s holds more than %(most)s members: package fewer files.",
                            name=name,
                            most=grouped(MAX_MEMBERS),
                        )
                    )
                _check_member(member, name, below)
                seen.add(member.name) if member.name in look_for else None
                archive.members = []  # type: ignore[attr-defined]  # tarfile would keep every member that it has read
            end = archive.offset
        stream.drain()
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise BuildFailed(
            say(
                "%(name)s is not a whole gzip tar archive (%(error)s): look at the builder's log.",
                name=name,
                error=error,
            )
        ) from error
    if end != stream.unpacked:  # what follows would be hidden from one tool and shown by another
        raise BuildFailed(
            say(
                "%(name)s ends before its last byte: a part must hold entries alone, without an end of archive.",
                name=name,
            )
        )
    stream.digest.update(END)
    return Examined(members, stream.unpacked, stream.digest.hexdigest(), frozenset(seen))


class _Header(tarfile.TarInfo):
    """Refuses a header that is itself a bomb: `tarfile` reads a pax header or a long name into memory as a whole."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:  # the one place that sees it before it is read
        if self.type in (*tarfile.SUPPORTED_TYPES, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE):
            special = self.type not in tarfile.REGULAR_TYPES and self.type != tarfile.GNUTYPE_SPARSE
            if special and self.size > MAX_HEADER:
                raise LimitExceeded(
                    say(
                        "The archive holds a header of %(size)s bytes: no name or attribute is that long.",
                        size=grouped(self.size),
                    )
                )
        member: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]  # typeshed leaves it out
        return member


def _check_member(member: tarfile.TarInfo, archive: str, below: str) -> None:
    shown = member.name.encode("unicode_escape", "backslashreplace").decode()[:120]
    if not _is_below(member.name, below) and not (member.isdir() and below.startswith(f"{member.name}/")):
        raise BuildFailed(
            say(
                "%(archive)s holds a member outside %(below)s/: “%(shown)s”.", archive=archive, below=below, shown=shown
            )
        )
    if any(ord(character) < 32 or ord(character) == 127 for character in member.name):
        raise BuildFailed(
            say(
                "%(archive)s holds a name with control characters: “%(shown)s”; rename that file.",
                archive=archive,
                shown=shown,
            )
        )
    if not (member.isfile() or member.isdir() or member.issym() or member.islnk()):
        raise BuildFailed(
            say(
                "%(archive)s holds “%(shown)s”, which is a device or a pipe: only files, folders and links are "
                "released.",
                archive=archive,
                shown=shown,
            )
        )
    if member.islnk() and not _is_below(member.linkname, below):
        raise BuildFailed(
            say(
                "%(archive)s holds “%(shown)s”, a hard link that leads outside %(below)s/.",
                archive=archive,
                shown=shown,
                below=below,
            )
        )


def _is_below(name: str, folder: str) -> bool:
    return (name == folder or name.startswith(f"{folder}/")) and ".." not in name.split("/")


def unzip(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Unzip in bounded pieces, so that no single read blows up memory. Several gzip members are one stream.

    Raises `EOFError` for a cut stream and `zlib.error` for a broken one."""
    unpacker = zlib.decompressobj(wbits=31)
    rest = b""
    while True:
        data = rest or read(256 * 1024)
        rest = b""
        if not data:
            break
        if unpacker.eof:
            unpacker = zlib.decompressobj(wbits=31)
        piece = unpacker.decompress(data, 1024 * 1024)
        rest = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
        if piece:
            yield piece
    if not unpacker.eof:
        raise EOFError("it is cut short")


class _Bounded(io.RawIOBase):
    """The unpacked stream as a file, counted, bounded and hashed."""

    def __init__(self, pieces: Iterator[bytes], name: str, compressed: int, stop: Stop) -> None:
        self._pieces, self._name, self._compressed, self._stop = pieces, name, max(compressed, 1), stop
        self._rest = memoryview(b"")
        self.unpacked = 0
        self.digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed's Buffer has no len()
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._stop.check()
            self._count(piece)
            self._rest = memoryview(piece)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size

    def drain(self) -> None:
        for piece in self._pieces:
            self._count(piece)

    def _count(self, piece: bytes) -> None:
        self.unpacked += len(piece)
        self.digest.update(piece)
        too_dense = self.unpacked > RATIO_FROM and self.unpacked > MAX_RATIO * self._compressed
        if self.unpacked > MAX_UNPACKED or too_dense:
            raise LimitExceeded(
                say(
                    "%(name)s unpacks to more than %(unpacked)s bytes from %(size)s: this is not "
                    "taken for an application; remove the file that swells.",
                    name=self._name,
                    unpacked=grouped(self.unpacked),
                    size=grouped(self._compressed),
                )
            )
