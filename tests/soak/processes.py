"""The processes of a running portal, found by the mark that its supervisor gives them."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

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


def processes(portal: RunningPortal) -> list[Process]:
    """All but the supervisor itself, and programs that it does not mark (git)."""
    found = []
    for pid in marked(str(portal.home)):
        with suppress(OSError, ValueError, IndexError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            if after_name[0] != "Z":
                found.append(Process(pid, int(after_name[1]), command))
    return found


def services(portal: RunningPortal, *words: str) -> list[Process]:
    """What the supervisor started itself, with these words in its command."""
    assert portal.process is not None
    return [
        one
        for one in processes(portal)
        if one.parent == portal.process.pid and all(word in one.command for word in words)
    ]


def work_horses(portal: RunningPortal, queue: str = "builds") -> list[Process]:
    """The forks that carry out jobs, also those whose worker is gone."""
    assert portal.process is not None
    return [
        one
        for one in processes(portal)
        if one.parent != portal.process.pid and f"manage.py work {queue}" in one.command
    ]
