"""Output as lines: whatever way the engine cut it into pieces."""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections.abc import Iterator

LONGEST_LINE = 8 * 1024
"""Bytes of one line that are kept."""

CUT = " … (the line was cut here)"


class LineSplitter:
    """Makes lines of pieces of bytes; holds at most one line of `LONGEST_LINE` bytes.

    A progress bar that redraws itself with carriage returns becomes its last state. Colour codes are kept.
    Bytes that are no UTF-8 become replacement characters. A longer line keeps its beginning.
    """

    def __init__(self) -> None:
        self._line = bytearray()
        self._cut = False
        self._returned = False

    def feed(self, piece: bytes) -> Iterator[str]:
        """The lines that this piece completes."""
        *complete, rest = piece.split(b"\n")
        for part in complete:
            self._add(part)
            yield self._take()
        self._add(rest)

    def flush(self) -> Iterator[str]:
        """The last line, if it had no line end."""
        if self._line:
            yield self._take()
        self._reset()

    def _add(self, part: bytes) -> None:
        """A carriage return starts the line anew only when something follows it: it may be half of a CRLF."""
        for number, state in enumerate(part.split(b"\r")):
            self._returned = self._returned or number > 0
            if state:
                if self._returned:
                    self._reset()
                self._keep(state)

    def _keep(self, state: bytes) -> None:
        room = LONGEST_LINE - len(self._line)
        self._cut = self._cut or len(state) > room
        self._line += state[:room]

    def _take(self) -> str:
        # A cut may have gone through the middle of a character: an unfinished decoder leaves its half out.
        text = getincrementaldecoder("utf-8")("replace").decode(bytes(self._line), final=not self._cut)
        text += CUT if self._cut else ""
        self._reset()
        return text

    def _reset(self) -> None:
        self._line = bytearray()
        self._cut = False
        self._returned = False
