"""Taking one file out of the tar stream in which the engine hands out folders and files."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator

from releases.errors import BuildFailed, EngineError, LimitExceeded, grouped, say

PIECE = 256 * 1024


class _Pieces(io.RawIOBase):
    """The pieces as a file that can be read once, from the beginning to the end."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._rest = piece
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


def only_file(pieces: Iterator[bytes], path: str, limit: int) -> Iterator[bytes]:
    """The bytes of the one regular file in a tar stream; nothing is ever unpacked to a disk.

    Raises `BuildFailed` when the stream holds anything else, `LimitExceeded` when the file is larger than `limit`
    bytes, `EngineError` when the stream ends early.
    """
    try:
        with tarfile.open(mode="r|", fileobj=_Pieces(pieces)) as archive:
            member = archive.next()
            if member is None or member.type not in {tarfile.REGTYPE, tarfile.AREGTYPE}:
                raise BuildFailed(
                    say(
                        "%(path)s is %(kind)s, not a regular file: write one plain file there.",
                        path=path,
                        kind=_kind(member),
                    )
                )
            if member.size > limit:
                raise LimitExceeded(
                    say(
                        "%(path)s has %(size)s bytes and %(limit)s are allowed: "
                        "make the application smaller or raise the limit.",
                        path=path,
                        size=grouped(member.size),
                        limit=grouped(limit),
                    )
                )
            yield from _content(archive, member)
            if archive.next() is not None:
                raise BuildFailed(say("%(path)s holds more than one file: write one plain file there.", path=path))
    except tarfile.TarError as error:
        raise EngineError(
            say("The container engine stopped in the middle of %(path)s: try again.", path=path)
        ) from error


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    source = archive.extractfile(member)
    left = member.size
    while source is not None and left:
        piece = source.read(min(PIECE, left))
        if not piece:
            raise tarfile.ReadError("unexpected end of data")
        left -= len(piece)
        yield piece


def _kind(member: tarfile.TarInfo | None) -> str:
    if member is None:
        return say("nothing")
    if member.isdir():
        return say("a folder")
    if member.issym():
        return say("a symbolic link")
    return say("a special file")
