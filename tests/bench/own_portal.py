"""A portal that a bench starts for itself, and nothing of it left behind whatever happens."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import requests

from tests.bench import commands
from tests.bench.commands import BenchFailed
from tests.e2e.portal import RunningPortal

Say = Callable[[str], None]


@contextmanager
def own_portal(home: Path, say: Say) -> Iterator[tuple[RunningPortal, Path]]:
    """It has been started, in a folder of its own below `home` in which the bench may put things, too; all of it is
    gone afterwards. Raises `BenchFailed` when the portal goes away meanwhile."""
    home.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=home))
    portal = RunningPortal(folder / "home", PORTAL_DEMO="0", PORTAL_LOG_LEVEL="WARNING")
    try:
        with interruptible():
            portal.repositories.mkdir(parents=True)
            say("Starting a portal of its own.")
            portal.start()
            yield portal, folder
    except (psycopg.Error, requests.RequestException) as error:
        raise BenchFailed(f"The portal that is measured went away ({error}); it said last: {_said(portal)}") from error
    finally:
        with undisturbed():
            say("Clearing up.")
            end(portal)
            shutil.rmtree(folder, ignore_errors=True)


def _said(portal: RunningPortal) -> str:
    lines = portal.output.read_text(errors="replace").splitlines() if portal.output.exists() else []
    return " | ".join(line.strip() for line in lines[-5:] if line.strip()) or "nothing"


def end(portal: RunningPortal) -> None:
    """End the portal whatever state it is in, and take its images and containers out of the engine."""
    if portal.process is None:
        return
    with suppress(Exception):
        portal.stop()
    if portal.process.poll() is None:
        portal.process.kill()
        portal.process.wait()
    with suppress(OSError):
        for container in portal.containers():
            commands.quietly("docker", "rm", "--force", "--volumes", container)
        remove_images(f"release-portal-{portal.instance}/*")


def remove_images(repository: str) -> None:
    """Of the engine; the name may have stars."""
    listed = commands.run(
        "docker", "images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference={repository}"
    )
    if tags := listed.split():
        commands.quietly("docker", "rmi", "--force", *tags)


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM and a closed terminal end it as Ctrl-C does."""

    def interrupted(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupted) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def undisturbed() -> Iterator[None]:
    """A second Ctrl-C does not keep us from clearing up."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
