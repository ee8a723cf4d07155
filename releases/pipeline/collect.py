"""Step 3: `app.tar.gz` comes out of the stopped builder, is hashed on the way, inspected, and then published.

The archive is never extracted: its members are read as a stream, with bounds on bytes, members and ratio, because
2 MB of gzip can hold 2 GiB (measured).
"""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

from releases.errors import BuildFailed, LimitExceeded
from releases.pipeline.bench import Bench
from releases.specs import BuiltFile, Stop

NAME = "app.tar.gz"
MAX_MEMBERS = 500_000
MAX_UNPACKED = 8 * 1024**3
MAX_RATIO = 100
RATIO_FROM = 64 * 1024**2
"""A ratio counts only above this many unpacked bytes: small archives of empty files are no bombs."""


def collect(container: str, *, limit: int, bench: Bench) -> BuiltFile:
    """Keep the builder's result. Raises `BuildFailed` for what is not one good archive, `StorageError` for our disk."""

    def judge(file: BinaryIO, size: int) -> None:
        members, unpacked = inspect(file.read, compressed=size, stop=bench.stop)
        bench.output(f"{NAME}: {size:,} bytes, {members:,} members, {unpacked:,} bytes unpacked")

    pieces = bench.engine.take_file(container, f"/shared/{NAME}", limit=limit)
    kept = bench.blobs.put(pieces, limit=limit, stop=bench.stop, judge=judge)
    bench.output(f"sha256 {kept.sha256}")
    return BuiltFile(name=NAME, sha256=kept.sha256, size=kept.size)


def inspect(read: Callable[[int], bytes], *, compressed: int, stop: Stop) -> tuple[int, int]:
    """Count members and unpacked bytes of a gzip tar.

    Raises `BuildFailed` for odd members and for what is no archive, `LimitExceeded` for bombs."""
    stream = _Bounded(_unzip(read), compressed, stop)
    members, seen = 0, set()
    try:
        with tarfile.open(fileobj=io.BufferedReader(stream, 256 * 1024), mode="r|", tarinfo=_Header) as archive:
            for member in archive:
                members += 1
                if members > MAX_MEMBERS:
                    raise LimitExceeded(f"{NAME} holds more than {MAX_MEMBERS:,} members: package fewer files.")
                _check_member(member)
                seen.add(member.name) if member.name in WANTED else None
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise BuildFailed(
            f"{NAME} is not a whole gzip tar archive ({error}): look at the builder's last lines."
        ) from error
    if missing := WANTED - seen:
        raise BuildFailed(
            f"{NAME} lacks {', '.join(sorted(missing))}: the builder must pack the folder /app with its environment."
        )
    return members, stream.unpacked


MAX_HEADER = 1024**2


class _Header(tarfile.TarInfo):
    """Refuses a header that is itself a bomb: `tarfile` reads a pax header or a long name into memory as a whole."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:  # the one place that sees it before it is read
        if self.type in (*tarfile.SUPPORTED_TYPES, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE):
            special = self.type not in tarfile.REGULAR_TYPES and self.type != tarfile.GNUTYPE_SPARSE
            if special and self.size > MAX_HEADER:
                raise LimitExceeded(f"{NAME} holds a header of {self.size:,} bytes: no name or attribute is that long.")
        member: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]  # typeshed leaves it out
        return member


WANTED = frozenset({"app/env/bin/python"})


def _check_member(member: tarfile.TarInfo) -> None:
    name = member.name
    shown = name.encode("unicode_escape", "backslashreplace").decode()[:120]
    if name.startswith("/") or ".." in name.split("/") or name.split("/")[0] != "app":
        raise BuildFailed(f"{NAME} holds a member outside app/: “{shown}”; only what lies below app/ is released.")
    if any(ord(character) < 32 or ord(character) == 127 for character in name):
        raise BuildFailed(f"{NAME} holds a name with control characters: “{shown}”; rename that file.")
    if not (member.isfile() or member.isdir() or member.issym() or member.islnk()):
        raise BuildFailed(
            f"{NAME} holds “{shown}”, which is a device or a pipe: only files, folders and links are released."
        )
    if member.islnk() and (
        member.linkname.startswith("/") or member.linkname.split("/")[0] != "app" or ".." in member.linkname.split("/")
    ):
        raise BuildFailed(
            f"{NAME} holds “{shown}”, a hard link that leads outside app/; only what lies below app/ is released."
        )


def _unzip(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Unzip in bounded pieces, so that no single read blows up memory. Several gzip members are one stream."""
    unzip = zlib.decompressobj(wbits=31)
    rest = b""
    while True:
        data = rest or read(256 * 1024)
        rest = b""
        if not data:
            break
        if unzip.eof:
            unzip = zlib.decompressobj(wbits=31)
        piece = unzip.decompress(data, 1024 * 1024)
        rest = unzip.unused_data if unzip.eof else unzip.unconsumed_tail
        if piece:
            yield piece
    if not unzip.eof:
        raise EOFError("it is cut short")


class _Bounded(io.RawIOBase):
    """The unpacked stream as a file, counted and bounded."""

    def __init__(self, pieces: Iterator[bytes], compressed: int, stop: Stop) -> None:
        self._pieces, self._compressed, self._stop = pieces, max(compressed, 1), stop
        self._rest = memoryview(b"")
        self.unpacked = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed's Buffer has no len()
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._stop.check()
            self._count(len(piece))
            self._rest = memoryview(piece)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size

    def _count(self, size: int) -> None:
        self.unpacked += size
        too_dense = self.unpacked > RATIO_FROM and self.unpacked > MAX_RATIO * self._compressed
        if self.unpacked > MAX_UNPACKED or too_dense:
            raise LimitExceeded(
                f"{NAME} unpacks to more than {self.unpacked:,} bytes from {self._compressed:,}: this is not taken "
                f"for an application; remove the file that swells."
            )
