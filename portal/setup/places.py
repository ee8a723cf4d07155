"""The data folder, the folder of sockets, the port: that they are ours alone."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from portal.setup import SetupFailed


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """Hold the data folder for one portal; the kernel lets go of it when we die, however we die."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (home / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.seek(0)
            raise SetupFailed(
                f"A portal already runs with the data folder {home} (process {lock.read().strip() or 'unknown'}):"
                " stop it, or set PORTAL_HOME and PORT for a second one."
            ) from error
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def make_run_dir(folder: Path) -> None:
    """Make the folder of sockets, closed to everybody else; raises `SetupFailed` when it is not ours."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if folder.is_symlink() or status.st_uid != os.geteuid():
        raise SetupFailed(f"The folder {folder} belongs to somebody else: remove it, or choose a shorter PORTAL_HOME.")
    folder.chmod(0o700)


def check_port(address: str, port: int, *, patience: float = 5.0) -> None:
    """That nobody listens there; a portal that was killed a moment ago gets `patience` seconds to let go."""
    listening(address, port, patience=patience).close()


def listening(address: str, port: int, *, patience: float = 5.0) -> socket.socket:
    """A socket bound there, within `patience` seconds; raises `SetupFailed`."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    deadline = time.monotonic() + patience
    while True:
        trial = socket.socket(family)
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((address, port))
            return trial
        except OSError as error:
            trial.close()
            if time.monotonic() >= deadline:
                raise SetupFailed(
                    f"The portal cannot listen on {address}:{port} ({error.strerror}):"
                    " set PORT to another number, or PORTAL_BIND to another address."
                ) from error
        time.sleep(0.2)
