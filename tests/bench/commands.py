"""Commands of the machine that the bench starts: their lines with times, and one sentence when one fails."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from django.conf import settings


class BenchFailed(Exception):
    """A step of the bench itself failed: what, and the last that it said."""


def environment() -> dict[str, str]:
    """What every command gets. The origin knew one way to build an image; it is the classic builder's."""
    host = {"DOCKER_HOST": settings.DOCKER_HOST} if settings.DOCKER_HOST else {}
    return {**os.environ, **host, "DOCKER_BUILDKIT": "0"}


def run(*command: str, folder: Path | None = None) -> str:
    """Its output. Raises `BenchFailed`."""
    return "".join(line for _, line in lines(*command, folder=folder))


def lines(*command: str, folder: Path | None = None) -> Iterator[tuple[float, str]]:
    """Each line of both outputs with the seconds since the start at which it came. Raises `BenchFailed`.

    In a session of its own, so that Ctrl-C reaches only us, and what was begun is ended in order."""
    began = time.perf_counter()
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise BenchFailed(
            f"{command[0]} is not installed, and the bench needs it: install it, and try again."
        ) from error
    said: list[str] = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            said = [*said[-5:], line.strip()]
            yield time.perf_counter() - began, line
        code = process.wait()
    finally:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if code:
        told = " | ".join(part for part in said if part) or "nothing"
        raise BenchFailed(f"{' '.join(command[:3])} … ended with {code}; the last that it said: {told}")


def size_of(image: str) -> int:
    """Bytes of an image as the engine counts them: one ruler for both sides."""
    return int(run("docker", "image", "inspect", "--format", "{{.Size}}", image))


def layers_of(image: str) -> list[str]:
    """Its diff ids, lowest first, as 64 digits."""
    shown = run("docker", "image", "inspect", "--format", "{{range .RootFS.Layers}}{{println .}}{{end}}", image)
    return [layer.removeprefix("sha256:") for layer in shown.split()]


def quietly(*command: str) -> None:
    """For what may be gone already."""
    with suppress(BenchFailed):
        run(*command)
