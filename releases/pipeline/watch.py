"""How much memory a container uses while it runs: looked at once a second from outside."""

from __future__ import annotations

import threading
from types import TracebackType

from releases.errors import EngineError
from releases.specs import Engine


class MemoryWatch:
    """A context: `peak` is the most bytes seen."""

    def __init__(self, engine: Engine, container: str, *, every: float = 1.0) -> None:
        self.peak = 0
        self._engine, self._container, self._every = engine, container, every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name=f"memory of {container}", daemon=True)

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        # Not longer: while a container ends, the engine may keep a last look waiting for a second and more.
        self._thread.join(timeout=0.1)

    def _look(self) -> None:
        while not self._over.is_set():
            try:
                usage = self._engine.usage(self._container)
            except EngineError:
                return  # it is over, or the engine is away: the step that follows the output says which
            self.peak = max(self.peak, usage.memory, usage.memory_peak)
            self._over.wait(self._every)
