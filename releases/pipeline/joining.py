"""Joining the entries of several parts into one layer: engines take no path twice in a layer, and each part names the
folders that lead to its files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from releases.pipeline.members import END

BLOCK = 512
LONG_NAME = b"L"
EXTENSIONS = (b"L", b"K", b"x", b"g")
"""Entries that say something of the entry behind them."""


def joined(parts: Iterable[Iterable[bytes]]) -> Iterator[bytes]:
    """The entries of uncompressed parts, each path once (the first that has it), with an end of archive."""
    seen: set[bytes] = set()
    for part in parts:
        yield from _unseen(_Blocks(part), seen)
    yield END


def _unseen(blocks: _Blocks, seen: set[bytes]) -> Iterator[bytes]:
    extensions, name = b"", b""
    while head := blocks.take(BLOCK):
        kind, size = head[156:157], int(head[124:135].strip(b"\0 ") or b"0", 8)
        padded = -(-size // BLOCK) * BLOCK
        if kind in EXTENSIONS:
            said = blocks.take(padded)
            extensions += head + said
            name = said[:size].rstrip(b"\0") if kind == LONG_NAME else name
            continue
        name = name or head[:100].rstrip(b"\0")
        is_new = name not in seen
        seen.add(name)
        if is_new:
            yield extensions + head
        for piece in blocks.pieces(padded):
            if is_new:
                yield piece
        extensions, name = b"", b""


class _Blocks:
    """Pieces of any size, taken in the sizes that are asked for."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces, self._rest = iter(pieces), b""

    def take(self, size: int) -> bytes:
        return b"".join(self.pieces(size))

    def pieces(self, size: int) -> Iterator[bytes]:
        while size > 0:
            if not self._rest:
                self._rest = next(self._pieces, b"")
                if not self._rest:
                    return
            piece, self._rest = self._rest[:size], self._rest[size:]
            size -= len(piece)
            yield piece
