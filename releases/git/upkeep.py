"""How a mirror's folder is kept sound: made, locked, cleared of left-overs, bounded, its packs joined.

Below the folder of mirrors lie `<mirror>/`, the bare repository, `<mirror>.lock`, which two processes that refresh it
at the same time wait for, and `<mirror>.damaged/`, the last one that had to be made anew.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from releases.errors import GitError, SourceUnavailable, StorageError, StorageFull, say
from releases.git.faults import local_fault
from releases.git.process import STEP, Failed, Surroundings, run
from releases.specs import Stop

SCANT = 1024 * 1024
"""Bytes: a disk with less room than this is full for git, which does not always say so."""
LOCK_SECONDS = 1200
"""The longest wait for another process that refreshes the same mirror."""
PACKS_KEPT = 40
"""Each fetch adds a pack; above this number they are joined. Joining drops nothing."""

# Written anew before each fetch, so that nothing which got into the file by another way is ever believed.
_CONFIG = """[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = true
\tlogAllRefUpdates = false
[gc]
\tauto = 0
"""
_UNWRITTEN = re.compile(r"(?:could not|couldn't|cannot|unable to) (?:write|create|update|lock|set)")
_PARTS = ("HEAD", "config", "objects", "refs")
_LEFT_OVERS = ("*.lock", "refs/**/*.lock", "objects/pack/tmp_*", "objects/pack/.tmp*", "objects/*/tmp_obj_*")


@contextmanager
def locked(path: Path, stop: Stop) -> Iterator[int]:
    """Hold the mirror's lock, and give its descriptor.

    git inherits it, so that a fetch which outlives a killed worker still keeps the next one waiting."""
    file = path.with_name(f"{path.name}.lock")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise _disk_fault(file, error) from error
    try:
        _wait_for(descriptor, path.name, stop)
        yield descriptor
    finally:
        os.close(descriptor)


def was_fetched_since(moment: float, url: str, lock: int) -> bool:
    """Whether a fetch of that address began after the moment (by the monotonic clock) and came to a good end: whoever
    has waited for it need not fetch again. The lock must be held."""
    said, _, address = os.pread(lock, 8192, 0).decode("utf-8", "replace").partition(" ")
    try:
        begun = float(said)
    except ValueError:
        return False
    return address == url and moment <= begun <= time.monotonic()  # a machine that was restarted counts anew


def note_fetch(begun: float, url: str, lock: int) -> None:
    """Leave word in the lock's file for those who wait. The lock must be held."""
    try:
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{begun} {url}".encode(), 0)
    except OSError as error:  # a full disk: they fetch for themselves
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise


def prepare(path: Path, surroundings: Surroundings, stop: Stop) -> None:
    """Make the mirror, or mend what a killed process has left behind. The lock must be held."""
    try:
        for pattern in _LEFT_OVERS:
            for left_over in path.glob(pattern):
                left_over.unlink(missing_ok=True)
        if not all((path / part).exists() for part in _PARTS):
            _make(path, surroundings, stop)
        (path / "config").write_text(_CONFIG)
        shutil.rmtree(path / "hooks", ignore_errors=True)
    except OSError as error:
        raise _disk_fault(path, error) from error


def set_aside(path: Path) -> None:
    """Make room for a fresh mirror; the damaged one is kept once, for it may hold commits that tags have left."""
    damaged = path.with_name(f"{path.name}.damaged")
    shutil.rmtree(damaged, ignore_errors=True)
    with suppress(OSError):
        path.rename(damaged)


def with_the_reason(path: Path, said: str) -> str:
    """What git said; and that there is no space, when it could not write a small file and does not tell why."""
    try:
        is_full = shutil.disk_usage(path.parent).free < SCANT
    except OSError:
        return said
    return f"{said}\nfatal: No space left on device" if is_full and _UNWRITTEN.search(said) else said


def join_packs(path: Path, surroundings: Surroundings, stop: Stop) -> None:
    """Join the packs of many fetches into few. Objects that no ref reaches stay."""
    if len(list(path.glob("objects/pack/*.pack"))) <= PACKS_KEPT:
        return
    with suppress(Failed):  # the mirror is whole without it; the next fetch tries again
        run(["repack", "-d", "-q", "--geometric=2"], environment=surroundings.environment(), git_dir=path, stop=stop)


@dataclass(slots=True)
class Growth:
    """A `Stop` that also ends a fetch which brings too much."""

    path: Path
    stop: Stop
    most: int
    """Bytes."""

    def check(self) -> None:
        self.stop.check()
        size = 0
        for part in self.path.glob("objects/pack/tmp_pack_*"):
            with suppress(FileNotFoundError):
                size += part.stat().st_size
        if size > self.most:
            raise SourceUnavailable(
                say(
                    "The repository is larger than %(most)s MB, which is the most that is fetched: "
                    "remove large files from its history.",
                    most=self.most // 1024 // 1024,
                )
            )


def _make(path: Path, surroundings: Surroundings, stop: Stop) -> None:
    path.mkdir(parents=True, exist_ok=True)
    (path / "config").unlink(missing_ok=True)
    if not (path / "HEAD").is_file():
        (path / "HEAD").unlink(missing_ok=True)
    command = ["init", "--quiet", "--bare", "--template=", "--initial-branch=main", "--", str(path)]
    try:
        run(command, environment=surroundings.environment(), stop=stop)
    except Failed as failure:
        said = with_the_reason(path, failure.said)
        raise local_fault(say("make the mirror %(path)s", path=path), said) from failure


def _wait_for(descriptor: int, mirror: str, stop: Stop) -> None:
    until = time.monotonic() + LOCK_SECONDS
    while True:
        stop.check()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise GitError(
                    say("Another process has been refreshing %(mirror)s for too long: try again later.", mirror=mirror)
                ) from None
            time.sleep(STEP)
        else:
            return


def _disk_fault(path: Path, error: OSError) -> StorageError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull(
            say("No space is left for repositories in %(folder)s: free some and try again.", folder=path.parent)
        )
    return StorageError(
        say(
            "The mirror %(path)s cannot be written: %(strerror)s; check the folder's owner and rights.",
            path=path,
            strerror=error.strerror,
        )
    )
