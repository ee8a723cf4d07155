"""What a container uses while it runs, seen once a second from outside: its memory, and what it writes to the disk."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

from releases.errors import EngineError, LimitExceeded, say
from releases.specs import Disk, Engine, Limits, Stop


class Watch:
    """A context: looks in a thread of its own, until it is left or there is nothing more to see."""

    def __init__(self, engine: Engine, container: str, *, every: float = 1.0) -> None:
        self._engine, self._container, self._every = engine, container, every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"watch over {container}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        # Not longer: while a container ends, the engine may keep a last look waiting for a second and more.
        self._thread.join(timeout=0.1)

    def _watch(self) -> None:
        try:
            while not self._over.is_set() and self._look():
                self._over.wait(self._every)
        except EngineError:
            return  # it is over, or the engine is away: the step that follows the output says which

    def _look(self) -> bool:
        """Whether there may be more to see."""
        raise NotImplementedError


class MemoryWatch(Watch):
    """`peak` is the most bytes seen."""

    peak = 0

    def _look(self) -> bool:
        usage = self._engine.usage(self._container)
        self.peak = max(self.peak, usage.memory, usage.memory_peak)
        return True


class DiskWatch(Watch):
    """Is also a `Stop`, which says that a container wrote more than it may.

    The disk is asked how much is free, which costs nothing; only when that fell by more than the container may write
    is counted what it really wrote, because others write there too."""

    PAUSE = 20
    """Counting takes time: afterwards it rests this many times as long."""

    def __init__(self, engine: Engine, container: str, limits: Limits, stop: Stop, *, every: float = 1.0) -> None:
        super().__init__(engine, container, every=every)
        self._most, self._stop = Disk(limits.disk_bytes, limits.files), stop
        self._before: Disk | None = None
        self._rest_until = 0.0
        self._exceeded = ""

    def check(self) -> None:
        self._stop.check()
        if self._exceeded:
            raise LimitExceeded(self._exceeded)

    def _look(self) -> bool:
        free = self._engine.disk()
        if free is None:
            return False
        before = self._before = self._before or free
        fell = before.size - free.size > self._most.size or before.files - free.files > self._most.files
        return not fell or time.monotonic() < self._rest_until or self._count()

    def _count(self) -> bool:
        began = time.monotonic()
        written = self._engine.written(self._container, self._most)
        self._rest_until = time.monotonic() + self.PAUSE * (time.monotonic() - began)
        if written is not None and written.size > self._most.size:
            self._exceeded = say(
                "The builder wrote more than the %(most)s MiB that it may write to the disk, and was ended: let it "
                "write less, or raise PORTAL_BUILD_DISK_MB.",
                most=self._most.size // 1024**2,
            )
        elif written is not None and written.files > self._most.files:
            self._exceeded = say(
                "The builder left more than the %(most)s files that it may have on the disk, and was ended: let it "
                "leave fewer, or raise PORTAL_BUILD_FILES.",
                most=self._most.files,
            )
        return written is not None and not self._exceeded
