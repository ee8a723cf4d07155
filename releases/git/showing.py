"""How a secret reaches git: as a file in a folder of its own, for its owner alone, for the time of one fetch.

It stands in no argument, no variable, no address and no configuration; those name the file. Who runs git holds the
folder's lock, and git inherits it: what nobody holds was left behind by a killed process, and `sweep` removes it.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from releases.errors import StorageError, say
from releases.git.process import Failed
from releases.specs import Access

SETTLED = 60.0
"""Seconds after which a folder must have been locked by whoever made it."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What one command of git is told."""

    key: Path | None = None
    """The file of a private key."""
    config: tuple[str, ...] = ()
    held: tuple[int, ...] = ()
    """Descriptors that git keeps open."""


@contextmanager
def shown(access: Access | None, private: Path | None) -> Iterator[Shown]:
    """The secret as a file below `private`, gone afterwards. `Failed` goes on without the secret in its words."""
    if access is None:
        yield Shown()
        return
    folder, held = _folder(private)
    try:
        yield _written(access, folder, held)
    except Failed as failure:
        raise Failed(failure.code, access.hide(failure.said), shown=access.kind) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def sweep(private: Path) -> int:
    """Remove what killed processes have left; how much that was."""
    removed = 0
    for folder in private.glob("*/"):
        with suppress(OSError):  # it went by itself meanwhile, or somebody holds it
            if time.time() - folder.stat().st_mtime < SETTLED:
                continue
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
                removed += 1
            finally:
                os.close(descriptor)
    return removed


def _folder(private: Path | None) -> tuple[Path, int]:
    try:
        if private is not None:
            private.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=private))  # 0700
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(held, fcntl.LOCK_EX)
    except OSError as error:
        raise _unwritable(private, error) from error
    return folder, held


def _written(access: Access, folder: Path, held: int) -> Shown:
    if access.kind == "key":
        return Shown(key=_file(folder / "key", access.secret), held=(held,))
    # git's own helper, which answers for this protocol, host and port alone: neither a proxy nor another host gets it.
    scheme, _, host = access.place.partition("://")
    line = f"{scheme}://{quote(access.user, safe='')}:{quote(access.secret, safe='')}@{host}\n"
    helper = f"store --file={shlex.quote(str(_file(folder / 'token', line)))}"
    return Shown(config=(f"credential.{access.place}.helper={helper}",), held=(held,))


def _file(path: Path, content: str) -> Path:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(content)
    except OSError as error:
        raise _unwritable(path.parent, error) from error
    return path


def _unwritable(folder: Path | None, error: OSError) -> StorageError:
    return StorageError(
        say(
            "What the repository's host must be shown cannot be written to %(folder)s: %(why)s.",
            folder=str(folder or tempfile.gettempdir()),
            why=error.strerror or str(error),
        )
    )
