"""The key that secrets are sealed with: a file with one key a line, the newest first. The older ones only open."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from cryptography.fernet import Fernet, MultiFernet

from releases.errors import StorageError, say


def box(path: Path) -> MultiFernet:
    """Seals with the newest key and opens with each. Raises `StorageError`; the file is read each time, because another
    process may have changed it."""
    return box_of(read(path))


def box_of(keys: Iterable[str]) -> MultiFernet:
    """The newest first."""
    return MultiFernet([Fernet(key) for key in keys])


def read(path: Path) -> list[str]:
    """All keys, the newest first. Raises `StorageError` when there is none, or what is there is none."""
    try:
        keys = path.read_text().split()
        for key in keys:
            Fernet(key)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else say("it is no key of the portal")
        raise StorageError(
            say("The key of the portal's secrets in %(path)s cannot be used: %(why)s.", path=str(path), why=why)
        ) from error
    if not keys:
        raise StorageError(say("The key of the portal's secrets in %(path)s is empty.", path=str(path)))
    return keys


def make(path: Path) -> None:
    """A first key, unless there is one. Two processes that come at once agree on it. Raises `StorageError`."""
    if path.exists():
        return
    draft = _draft(path, [new()])
    try:
        with suppress(FileExistsError):
            os.link(draft, path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        draft.unlink()


def new() -> str:
    return Fernet.generate_key().decode()


def write(path: Path, keys: Iterable[str]) -> None:
    """Put these in the place of what is there, all at once, for the same readers. Raises `StorageError`."""
    draft = _draft(path, keys)
    try:
        with suppress(FileNotFoundError):
            before = path.stat()
            os.chown(draft, -1, before.st_gid)
            draft.chmod(stat.S_IMODE(before.st_mode))
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise _unwritable(path, error) from error


def _draft(path: Path, keys: Iterable[str]) -> Path:
    """On the disk, beside its place, and for its owner alone."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # 0600
        with os.fdopen(handle, "w") as file:
            file.write("".join(f"{key}\n" for key in keys))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise _unwritable(path, error) from error
    return Path(name)


def _unwritable(path: Path, error: OSError) -> StorageError:
    return StorageError(
        say(
            "The key of the portal's secrets cannot be kept in %(path)s: %(why)s.",
            path=str(path),
            why=error.strerror or str(error),
        )
    )
