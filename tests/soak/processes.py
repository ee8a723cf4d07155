"""The processes of a running portal: the supervisor's children, and by its mark what these started."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from portal.supervisor import marked
from tests.e2e.portal import RunningPortal


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    parent: int
    command: str

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


def services(portal: RunningPortal, *words: str) -> list[Process]:
    """What the supervisor started itself, with these words in its command. By parent: Redis overwrites its mark."""
    assert portal.process is not None
    children = (_process(child.pid) for child in psutil.Process(portal.process.pid).children())
    return [one for one in children if one is not None and all(word in one.command for word in words)]


def work_horses(portal: RunningPortal, queue: str = "builds") -> list[Process]:
    """The forks that carry out jobs, also those whose worker is gone."""
    assert portal.process is not None
    found = (_process(pid) for pid in marked(str(portal.home)))
    forks = (one for one in found if one is not None and one.parent != portal.process.pid)
    return [one for one in forks if f"manage.py work {queue}" in one.command]


def _process(pid: int) -> Process | None:
    """None for one that is gone, or only waits to be buried."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if after_name[0] == "Z" else Process(pid, int(after_name[1]), command)
