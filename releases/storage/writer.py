"""Writing a log: every line is cleaned, masked, cut, bounded and on its way to the disk before the next one comes.

The log never costs a build its life: when the disk refuses, that is remembered, and each further line tries again.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from django.conf import settings

from releases.errors import StorageError
from releases.storage.cleaning import LONGEST_LINE, LONGEST_LOOK, Mask, clean, cut
from releases.storage.log import STEP_MARK, BuildLog

TAIL_BYTES = 256 * 1024
"""What is kept of the end of a step that prints more than the log may hold."""
MOST_TAILS = 8


class LogWriter:
    """Appends to a log file. Safe to use from several threads; one process at a time.

    A file that is there already is gone on with: its seconds continue. `limit` bounds the file in bytes (default:
    the setting `LOG_LIMIT_BYTES`): its head is kept, and the last `TAIL_BYTES` of each step after that.
    `secrets` are values that are hidden wherever they stand in a line."""

    def __init__(self, path: Path, *, secrets: Iterable[str] = (), limit: int | None = None) -> None:
        self.path = path
        self.trouble = ""
        """Why a line could not be written, in one sentence; empty while all is well."""
        self._lock = threading.Lock()
        self._mask = Mask(secrets)
        most = settings.LOG_LIMIT_BYTES if limit is None else limit
        self._tail_bytes = min(TAIL_BYTES, most // (2 * MOST_TAILS))
        self._head_bytes = most - MOST_TAILS * self._tail_bytes
        self._tail: deque[bytes] = deque()
        self._tail_size = self._dropped_lines = self._dropped_bytes = 0
        self._tails_left = MOST_TAILS
        self._is_over = False
        self._lost = 0
        self._step = ""
        self._descriptor = -1
        self._started, self._size, self._torn = time.monotonic(), 0, False
        with suppress(StorageError):  # a log that cannot be read may still be written, or tell why not
            self._go_on_with(BuildLog(path))

    def line(self, text: str, step: str | None = None) -> None:
        """Write one line (line breaks make several), under `step` when that is another than the last one named."""
        if step is not None and step != self._step:
            self.step(step)
        for part in text.split("\n"):
            with self._lock:
                self._keep(self._fit(part))

    def step(self, name: str) -> None:
        """Begin a step: readers find the mark."""
        with self._lock:
            self._step = name
            if self._tail and self._tails_left > 1:
                self._write_tail()
            self._write(f"{STEP_MARK}{cut(clean(name), 200)}")

    def close(self) -> None:
        """Write what was held back and flush all to the disk. A closed log may be written to again."""
        with self._lock:
            self._write_tail()
            if self._descriptor >= 0:
                with suppress(OSError):
                    os.fsync(self._descriptor)
                os.close(self._descriptor)
                self._descriptor = -1

    def __enter__(self) -> LogWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _go_on_with(self, log: BuildLog) -> None:
        before = log.lines(last=1)
        self._started -= before[0].seconds if before else 0.0
        self._size = log.size
        self._torn = log.is_torn
        if self._size > self._head_bytes:  # it is full and says so; the sweeper goes on with a preview's every second
            self._is_over = self._size > self._head_bytes + (MOST_TAILS + 1) * self._tail_bytes
            self._head_bytes = 0

    # ---- with the lock held ------------------------------------------------------------------------

    def _fit(self, text: str) -> str:
        unfinished = len(text) >= LONGEST_LINE
        cleaned = clean(text[:LONGEST_LOOK])
        return cut(self._mask(cleaned, unfinished=unfinished))

    def _keep(self, text: str) -> None:
        record = self._record(text)
        if self._size + len(record) <= self._head_bytes:
            self._append(record)
            return
        if self._head_bytes:
            self._write("The log is full here: of what follows, only the end of each step is kept.")
            self._head_bytes = 0
        self._tail.append(record)
        self._tail_size += len(record)
        while self._tail_size > self._tail_bytes and len(self._tail) > 1:
            gone = len(self._tail.popleft())
            self._tail_size -= gone
            self._dropped_bytes += gone
            self._dropped_lines += 1

    def _write_tail(self) -> None:
        if self._is_over:
            self._tail.clear()
        elif self._dropped_lines:
            seconds = self._tail[0].split(b"\t", 1)[0].decode()
            told = f"… {self._dropped_lines:,} lines ({self._dropped_bytes:,} bytes) of the log were cut here …"
            self._append(f"{seconds}\t{told}\n".encode())
        if self._tail:
            self._append(b"".join(self._tail))
            self._tails_left -= 1
        self._tail.clear()
        self._tail_size = self._dropped_lines = self._dropped_bytes = 0

    def _write(self, text: str) -> None:
        self._append(self._record(text))

    def _record(self, text: str) -> bytes:
        return f"{time.monotonic() - self._started:.2f}\t{text}\n".encode("utf-8", "replace")

    def _append(self, record: bytes) -> None:
        """To the file at once. A refusal is remembered, and told in the log as soon as there is room again."""
        try:
            if self._descriptor < 0:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
            if self._torn:
                self._write_all(b"\n")
            if self._lost:
                self._write_all(self._record(f"… {self._lost:,} lines could not be written: {self.trouble}"))
                self._lost = 0
            self._write_all(record)
        except OSError as error:
            self._lost += record.count(b"\n")
            self.trouble = f"the log {self.path} could not be written: {error.strerror}"

    def _write_all(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = os.write(self._descriptor, view)
            view = view[written:]
            self._size += written
            self._torn = bool(view)
