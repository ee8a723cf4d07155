"""How the parts of an environment become layers of an image.

Each large part is a layer of its own, the largest lowest, so that a change of a small package sends nothing of the
large ones again; all small ones together are one layer, because an image has at most 127.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from releases.pipeline.joining import joined
from releases.pipeline.members import END, unzip
from releases.specs import Part, Sheet
from releases.storage import Blobs

LARGE = 4 * 1024 * 1024
"""Bytes of entries from which a part is a layer of its own."""
MOST_LARGE = 40


def sheets_of(parts: Sequence[Part], blobs: Blobs) -> tuple[Sheet, ...]:
    """The layers of these parts, lowest first. Reads the small parts from the store."""
    by_size = sorted(range(len(parts)), key=lambda at: (-parts[at].unpacked, parts[at].name))
    large = [at for at in by_size if parts[at].unpacked >= LARGE][:MOST_LARGE]
    small = tuple(at for at in range(len(parts)) if at not in large)
    sheets = [Sheet(parts[at].layer, parts[at].unpacked + len(END), (at,)) for at in large]
    if small:
        sheets.append(_sheet_of(small, parts, blobs))
    return tuple(sheets)


def _sheet_of(small: tuple[int, ...], parts: Sequence[Part], blobs: Blobs) -> Sheet:
    digest, size = hashlib.sha256(), 0
    for piece in joined(_entries(parts[at], blobs) for at in small):
        digest.update(piece)
        size += len(piece)
    return Sheet(digest.hexdigest(), size, small)


def _entries(part: Part, blobs: Blobs) -> Iterator[bytes]:
    with blobs.open(part.sha256) as file:
        yield from unzip(file.read)
