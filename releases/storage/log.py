"""Reading a log, at any time, also while it is written.

On the disk a line is `<seconds since the start, two decimals>\t<text>\n` in UTF-8. A text that begins with the record
separator `\x1e` begins a step, whose name follows it; no text that a build prints can begin so, for it is cleaned.
A missing file is an empty log; one that cannot be read raises `StorageError`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from releases.errors import StorageError
from releases.storage.cleaning import LONGEST_LINE, without_colours

STEP_MARK = "\x1e"
PIECE = 256 * 1024
"""Bytes that are held in memory at once of a log that is sent."""
_LONGEST_ON_DISK = LONGEST_LINE + 512


@dataclass(frozen=True, slots=True)
class LogLine:
    seconds: float
    """Since the start of the log."""
    text: str
    """Cleaned, with colour codes; the step's name when a step begins here."""
    begins_step: bool


@dataclass(frozen=True, slots=True)
class BuildLog:
    """One log file, for reading."""

    path: Path

    @property
    def size(self) -> int:
        """Bytes on the disk; 0 when there is no file."""
        with self._open() as file:
            return file.seek(0, 2)

    @property
    def is_torn(self) -> bool:
        """Whether the last line has no end: its writer was killed, or is about to write on."""
        with self._open() as file:
            end = file.seek(0, 2)
            file.seek(max(end - 1, 0))
            return end > 0 and file.read(1) != b"\n"

    def read(self, offset: int, limit: int = 64 * 1024) -> tuple[bytes, int]:
        """Whole lines from `offset` on, as they lie on the disk, and the offset to go on from.

        At most `limit` bytes (but at least one line). An offset inside a line begins with the next one; an offset
        beyond the end gives nothing."""
        limit = max(limit, _LONGEST_ON_DISK)
        with self._open() as file:
            start = file.seek(min(max(offset, 0), self.size))
            if start:
                file.seek(start - 1)
                start += len(file.readline(_LONGEST_ON_DISK)) - 1
                file.seek(start)
            data = file.read(limit)
        whole = data[: data.rfind(b"\n") + 1] or (data if len(data) == limit else b"")
        return whole, start + len(whole)

    def span(self, offset: int, *, torn: bool = False) -> tuple[int, int]:
        """From where to where the whole lines from `offset` on lie at this moment, in bytes; with `torn` a last line
        without an end is one, too, for nobody will write on. An offset inside a line begins with the next one; one
        beyond the end gives an empty span there."""
        with self._open() as file:
            end = file.seek(0, 2)
            if not torn:
                file.seek(max(end - _LONGEST_ON_DISK, 0))
                rest = file.read()
                end -= len(rest) - (rest.rfind(b"\n") + 1)
            start = min(max(offset, 0), end)
            if start:
                file.seek(start - 1)
                start += len(file.readline(_LONGEST_ON_DISK)) - 1
            return min(start, end), end

    def between(self, start: int, end: int) -> Iterator[bytes]:
        """What lies there on the disk, in pieces of at most `PIECE` bytes."""
        with self._open() as file:
            file.seek(start)
            while start < end and (piece := file.read(min(PIECE, end - start))):
                start += len(piece)
                yield piece

    def lines(self, last: int | None = None) -> list[LogLine]:
        """All whole lines, or the last so many of them."""
        with self._open() as file:
            if last is not None:
                behind = file.seek(0, 2) - last * _LONGEST_ON_DISK
                file.seek(max(behind, 0))
                if behind > 0:
                    file.readline()
            found = [_parsed(line) for line in file if line.endswith(b"\n")]
        return found if last is None else found[-last:] if last > 0 else []

    def plain(self) -> Iterator[bytes]:
        """The log for a person's disk: no colours, no seconds, `== step ==` where a step begins."""
        with self._open() as file:
            for line in file:
                parsed = _parsed(line)
                text = f"== {parsed.text} ==" if parsed.begins_step else without_colours(parsed.text)
                yield text.encode() + b"\n"

    def _open(self) -> BinaryIO:
        try:
            return self.path.open("rb")
        except (FileNotFoundError, NotADirectoryError):
            return BytesIO()
        except OSError as error:
            raise StorageError(f"The log {self.path} cannot be read: {error.strerror}.") from error


def _parsed(line: bytes) -> LogLine:
    seconds, separator, text = line.decode("utf-8", "replace").rstrip("\n").partition("\t")
    try:
        moment = float(seconds)
    except ValueError:  # a line that a full disk has torn: shown as it is
        return LogLine(0.0, f"{seconds}{separator}{text}", begins_step=False)
    return LogLine(moment, text.removeprefix(STEP_MARK), begins_step=text.startswith(STEP_MARK))
