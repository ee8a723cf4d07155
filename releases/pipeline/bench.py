"""What every step has at hand: the adapters, the log, and the question whether to go on."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from releases.errors import EngineError, NetworkOpen, say
from releases.git import Git
from releases.specs import ContainerSpec, Engine, Network, Output, Stop
from releases.storage import Blobs


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a build needs of the network around us; none of it is a secret."""

    ca_bundle: str = ""
    """A file of certificates on this machine; empty when the images' own are enough."""
    index_url: str = ""
    proxy: Mapping[str, str] = field(default_factory=dict)
    """`http_proxy`, `https_proxy`, `no_proxy`, those that are set."""
    log_bytes: int = 0
    """How much of what a builder prints is kept; 0 is no bound."""

    @property
    def proxy_environment(self) -> dict[str, str]:
        """In both spellings, because tools disagree about which they read."""
        return {spelling: value for name, value in self.proxy.items() for spelling in (name, name.upper())}


class Cage(Protocol):
    """Closes the networks that containers stand on."""

    @property
    def required(self) -> bool:
        """Whether nothing may run where they cannot be closed."""

    @property
    def runtime(self) -> str:
        """Which of the engine's runtimes runs it; empty is the engine's default."""

    def close(self, kind: Network) -> bool:
        """Have it closed; True when it was not. `NetworkOpen` when it stays open."""

    def hosts(self, kind: Network) -> Mapping[str, str]:
        """Names whose address a container is told, because it cannot ask."""


@dataclass(frozen=True, slots=True)
class Bench:
    engine: Engine
    git: Git
    blobs: Blobs
    output: Output
    stop: Stop
    surroundings: Surroundings
    locks: Path
    """A folder for lock files that the workers of one portal share."""
    cage: Cage


def enter_cage(bench: Bench, kind: Network) -> None:
    """Before a container that runs other people's code is made: its network is closed, or that it is not is said in the
    log, or the work is refused."""
    try:
        bench.cage.close(kind)
    except NetworkOpen as error:
        if bench.cage.required:
            refused = say(
                "%(why)s Until then nothing is built, because PORTAL_CAGE_REQUIRED is set.", why=error.message
            )
            raise NetworkOpen(refused) from error
        bench.output(f"Warning: {error.message}")


RUNTIME_SECONDS = 30.0
"""How long the first container of a runtime may take to say what it runs on."""


def prove_runtime(bench: Bench, image: str, name: str, labels: Mapping[str, str]) -> None:
    """That gVisor, where it is asked for, really runs what is built, by what a container itself sees of its kernel: an
    engine may take the name of a runtime and pass over it. Raises `EngineError`."""
    if not bench.cage.runtime.startswith("runsc"):
        return
    with thrown_away(bench.engine, name):
        asks = ContainerSpec(
            name, image, labels, user="10001:10001", network="build", runtime=bench.cage.runtime, entrypoint=("dmesg",)
        )
        bench.engine.create(asks)
        bench.engine.start(name)
        bench.engine.wait(name, seconds=RUNTIME_SECONDS)
        said = bench.engine.output(name)
    if "gVisor" not in said:
        raise EngineError(
            say(
                "The runtime %(runtime)s was asked for, but the kernel that a container sees is not gVisor's: look at "
                "the engine's configuration, or unset PORTAL_RUNTIME.",
                runtime=bench.cage.runtime,
            )
        )


@contextmanager
def alone(bench: Bench, name: str, told: str) -> Iterator[None]:
    """Hold the lock of that name; while another worker has it, say so once (`told`), wait, and keep asking whether to
    go on."""
    bench.locks.mkdir(parents=True, exist_ok=True)
    with (bench.locks / f"{name}.lock").open("w") as file:
        waiting = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                bench.stop.check()
                if not waiting:
                    bench.output(told)
                    waiting = True
                time.sleep(0.1)
        yield


@contextmanager
def thrown_away(engine: Engine, name: str) -> Iterator[str]:
    """A container that is gone afterwards, whatever happened; the sweeper gets one that cannot be removed now."""
    try:
        yield name
    except BaseException:
        with suppress(EngineError):  # what went wrong inside is what is told
            engine.remove(name)
        raise
    engine.remove(name)


def labels_of(build_id: int, attempt: int, role: str) -> dict[str, str]:
    """By these the sweeper knows whose a container is."""
    return {
        "release-portal.build": str(build_id),
        "release-portal.attempt": str(attempt),
        "release-portal.role": role,
    }
