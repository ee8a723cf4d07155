"""The file system of an image as one layer that is the same for the same files, whenever and wherever it was made."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator

MOMENT = 315532800
"""1980-01-01: the time of every file. An interpreter's .pyc files must not be checked by time (docs/stacks.md)."""
LEFT_OUT = (".dockerenv", "dev", "proc", "sys", "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab")
"""What the engine itself puts into every container."""
FOLDERS = ("dev", "proc", "sys")
BLOCK = 512


def flattened(export: Iterable[bytes]) -> Iterator[bytes]:
    """An exported file system without times, names of users, and what the engine puts there, as an uncompressed tar."""
    with tarfile.open(fileobj=io.BufferedReader(_Pieces(iter(export)), 256 * 1024), mode="r|") as archive:
        for member in archive:
            if _is_wanted(member):
                yield from _entry(archive, member)
            archive.members = []  # type: ignore[attr-defined]  # tarfile would keep every member that it has read
    for folder in FOLDERS:
        head = tarfile.TarInfo(folder)
        head.type, head.mode, head.mtime = tarfile.DIRTYPE, 0o755, MOMENT
        yield head.tobuf(tarfile.PAX_FORMAT)
    yield bytes(2 * BLOCK)


def _is_wanted(member: tarfile.TarInfo) -> bool:
    name = member.name.removeprefix("./").rstrip("/")
    if name in ("", "."):
        return False
    if name.split("/")[0] in FOLDERS or name == ".dockerenv":
        return False
    # An image may bring its own; the engine's are empty files.
    return not (name in LEFT_OUT and member.size == 0)


def _entry(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    kept = {key: value for key, value in member.pax_headers.items() if key.startswith("SCHILY.xattr.")}
    plain = tarfile.TarInfo(member.name)
    plain.type, plain.mode, plain.mtime = member.type, member.mode, MOMENT
    plain.uid, plain.gid, plain.linkname = member.uid, member.gid, member.linkname
    plain.devmajor, plain.devminor = member.devmajor, member.devminor
    plain.size, plain.pax_headers = member.size if member.isreg() else 0, kept
    yield plain.tobuf(tarfile.PAX_FORMAT)
    file = archive.extractfile(member) if member.isreg() else None
    if file is not None:
        while chunk := file.read(256 * 1024):
            yield chunk
        yield bytes(-member.size % BLOCK)


class _Pieces(io.RawIOBase):
    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest = pieces, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed's Buffer has no len()
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size
