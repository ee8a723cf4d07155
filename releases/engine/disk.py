"""What is free on the engine's disk, and what a container wrote to it: the part of `DockerEngine` that looks there.

Only where the engine's folder is on this machine, and into volumes only as root. What lies there was put there by
somebody else's code: no link is followed, and counting ends where it is too much.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import Any

from releases.specs import Disk, EngineInfo

BLOCK = 512
DEEPEST = 200
"""Folders in folders. Whoever goes deeper hides something, or has gone astray."""
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


class Disks:
    """What it needs of the engine is named here; `DockerEngine` has it."""

    host: str
    _root = ""

    def info(self) -> EngineInfo:
        raise NotImplementedError

    def _inspect(self, name: str) -> dict[str, Any]:
        raise NotImplementedError

    def disk(self) -> Disk | None:
        if not self.host.startswith("unix:"):
            return None
        self._root = self._root or self.info().root
        try:
            seen = os.statvfs(self._root)
        except OSError:
            return None
        return Disk(seen.f_bavail * seen.f_frsize, seen.f_favail)

    def written(self, name: str, most: Disk) -> Disk | None:
        size = files = 0
        try:
            for one in _volumes(self._inspect(name)):
                size, files = size + one, files + 1
                if size > most.size or files > most.files:
                    break
        except TooDeep:
            return Disk(size, most.files + 1)
        except OSError:
            return None
        return Disk(size, files)


class TooDeep(Exception):
    """Folders are nested so deep that nobody counts them."""


def _volumes(record: dict[str, Any]) -> Iterator[int]:
    """The bytes that each file and folder takes on the disk; a file with several names counts once."""
    seen: set[int] = set()
    for mount in record["Mounts"]:
        if mount["Type"] == "volume":
            yield from _held(os.open(mount["Source"], FOLDER), seen, 0)


def _held(folder: int, seen: set[int], depth: int) -> Iterator[int]:
    """By descriptors, because names could be exchanged for links in between."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    about = entry.stat(follow_symlinks=False)
                    below = os.open(entry.name, FOLDER, dir_fd=folder) if stat.S_ISDIR(about.st_mode) else -1
                except OSError:  # it is gone by now, or something else
                    continue
                if below < 0 and about.st_nlink > 1:
                    if about.st_ino in seen:
                        continue
                    seen.add(about.st_ino)
                yield about.st_blocks * BLOCK
                if below >= 0:
                    yield from _deeper(below, seen, depth)
    finally:
        os.close(folder)


def _deeper(folder: int, seen: set[int], depth: int) -> Iterator[int]:
    if depth == DEEPEST:
        os.close(folder)
        raise TooDeep
    yield from _held(folder, seen, depth + 1)
