"""Hands that damage a kept file and put it right again, as fast as they can, while it is being given out."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path
from random import Random
from types import TracebackType


class Vandal:
    """Use as a context: until it is left, the file is damaged and restored in turn, and right again afterwards."""

    def __init__(self, path: Path, seed: int) -> None:
        self.path, self.right, self.rounds = path, path.read_bytes(), 0
        self._chance = Random(seed)  # noqa: S311 - it must be the same each time
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        path.chmod(0o644)

    def __enter__(self) -> Vandal:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._replace(self.right)

    def _work(self) -> None:
        harms = (self._flip, self._flip, self._overwrite, self._truncate, self._grow, self._swap, self._remove)
        while not self._over.is_set():
            self._chance.choice(harms)()
            self._over.wait(self._chance.choice((0, 0.0002, 0.002)))
            self._restore()
            self._over.wait(self._chance.choice((0, 0.0002, 0.002, 0.006)))
            self.rounds += 1

    def _flip(self) -> None:
        """One bit, in place: whoever holds the file open sees it."""
        place = self._chance.randrange(len(self.right))
        self._write(place, bytes([self.right[place] ^ 1 << self._chance.randrange(8)]))

    def _overwrite(self) -> None:
        place = self._chance.randrange(len(self.right))
        self._write(place, os.urandom(min(2000, len(self.right) - place)))

    def _truncate(self) -> None:
        os.truncate(self.path, self._chance.randrange(len(self.right)))

    def _grow(self) -> None:
        self._write(len(self.right), b"more")

    def _swap(self) -> None:
        """Another file of the same size under its name."""
        self._replace(os.urandom(len(self.right)))

    def _remove(self) -> None:
        self.path.unlink()

    def _restore(self) -> None:
        """In place or as a new file, by chance: open descriptors see the first and not the second."""
        if self._chance.random() < 0.5 and self.path.exists():
            self._write(0, self.right)
            os.truncate(self.path, len(self.right))
        else:
            self._replace(self.right)

    def _write(self, place: int, data: bytes) -> None:
        with suppress(FileNotFoundError), self.path.open("r+b") as file:
            file.seek(place)
            file.write(data)

    def _replace(self, data: bytes) -> None:
        beside = self.path.with_name("beside")
        beside.write_bytes(data)
        beside.replace(self.path)
