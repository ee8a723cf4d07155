"""Reading from something that may be silent for minutes, while asking twice a second whether to go on."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from releases.specs import Stop

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

TICK = 0.25
"""Seconds between two questions."""

WAITING = 256
"""Pieces that may wait; a piece is at most some 32 KiB. A reader that is ahead waits, and so does the engine."""


class Stream(Protocol[T_co]):
    """An iterator whose `close` may be called from another thread and wakes a blocked reader."""

    def __iter__(self) -> Iterator[T_co]: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _End:
    error: BaseException | None


class Pump(Generic[T]):
    """A thread that opens a stream and reads it into a bounded queue; iterate it, and close it when done."""

    def __init__(
        self, opened: Callable[[], Stream[T]], stop: Stop, guard: Callable[[], AbstractContextManager[None]]
    ) -> None:
        """`guard` surrounds the reading, and translates its errors; what `stop` raises is none of its business."""
        self._open = opened
        self._stop = stop
        self._guard = guard
        self._queue: queue.Queue[T | _End] = queue.Queue(WAITING)
        self._closed = threading.Event()
        self._stream: Stream[T] | None = None
        self._lock = threading.Lock()
        # A daemon: an engine that never answers must not keep a worker from ending.
        self._thread = threading.Thread(target=self._read, name="engine-stream", daemon=True)

    @property
    def closed(self) -> bool:
        """True once nobody waits for more: what feeds the stream should end."""
        return self._closed.is_set()

    def __iter__(self) -> Iterator[T]:
        self._thread.start()
        asked = -TICK
        while True:
            if time.monotonic() - asked >= TICK:
                self._stop.check()
                asked = time.monotonic()
            try:
                item = self._queue.get(timeout=TICK)
            except queue.Empty:
                continue
            if not isinstance(item, _End):
                yield item
            elif item.error is None:
                return
            else:
                raise item.error

    def close(self, patience: float = 5.0) -> None:
        """End the stream and wait for its reader, at most `patience` seconds."""
        with self._lock:
            self._closed.set()
            stream = self._stream
        if stream is not None:
            stream.close()
        if self._thread.is_alive():
            self._thread.join(patience)

    def _read(self) -> None:
        end: BaseException | None = None
        try:
            stream = self._open()
            with self._lock:
                self._stream = stream
                closed = self.closed
            if closed:
                stream.close()
                return
            with self._guard():
                for item in stream:
                    if not self._put(item):
                        return
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits, which raises it
            end = error
        self._put(_End(end))

    def _put(self, item: T | _End) -> bool:
        """False when nobody waits any more."""
        while not self.closed:
            try:
                self._queue.put(item, timeout=TICK)
            except queue.Full:
                continue
            return True
        return False
