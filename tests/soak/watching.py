"""Looks on once a second: which builds say that they are worked on when nobody works on them, and since when."""

from __future__ import annotations

import subprocess
import threading
import time
from typing import Any

import psycopg

from tests.e2e.portal import RunningPortal
from tests.soak.processes import work_horses

LOOK_SECONDS = 1.0
HONEST_SECONDS = 60.0
"""The longest that a build may say what is not so."""
ROWS = (
    "SELECT b.id, a.name || ' #' || b.number AS name, b.state, b.worker FROM releases_build b "
    "JOIN releases_application a ON a.id = b.application_id WHERE b.state <> 'finished'"
)


class Watch:
    """A thread. `lies` has each build that said something untrue, with the seconds that it did."""

    def __init__(self, portal: RunningPortal) -> None:
        self.portal = portal
        self.lies: dict[str, float] = {}
        self.volumes: set[str] = set()
        """Every volume that a container of ours was seen with."""
        self.unseen = 0.0
        """The longest that the rows could not be read."""
        self._since: dict[str, float] = {}
        self._worker_of: dict[int, int] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join(timeout=30)

    @property
    def stuck(self) -> dict[str, float]:
        return {name: seconds for name, seconds in self.lies.items() if seconds > HONEST_SECONDS}

    def _go_on(self) -> None:
        seen = time.monotonic()
        while not self._over.wait(LOOK_SECONDS):
            horses = {horse.pid: horse.parent for horse in work_horses(self.portal)}
            for pid, parent in horses.items():
                self._worker_of.setdefault(pid, parent)  # as it was born: its worker may be killed later
            at_work = {self._worker_of[pid] for pid in horses}
            self.volumes |= volumes_of(self.portal)
            try:
                rows = self.portal.sql(ROWS)
            except psycopg.Error:
                self.unseen = max(self.unseen, time.monotonic() - seen)
                continue
            seen = time.monotonic()
            self._judge(rows, at_work, seen)

    def _judge(self, rows: list[dict[str, Any]], at_work: set[int], now: float) -> None:
        """A build that is worked on has a work-horse; one that waits has another that is worked on before it."""
        busy = any(row["state"] != "queued" for row in rows)
        untrue = {row["name"] for row in rows if not (busy if row["state"] == "queued" else _has_horse(row, at_work))}
        for name in untrue:
            since = self._since.setdefault(name, now)
            self.lies[name] = max(self.lies.get(name, 0.0), now - since)
        for name in self._since.keys() - untrue:
            del self._since[name]


def _has_horse(row: dict[str, Any], at_work: set[int]) -> bool:
    """A worker's name is `builds-<host>-<pid>-<digits>`. One whose parent nobody saw alive counts for every build."""
    parts = row["worker"].rsplit("-", 2)
    return len(parts) == 3 and (int(parts[1]) in at_work or 1 in at_work)


def volumes_of(portal: RunningPortal) -> set[str]:
    """The volumes of its containers, of all that there are now."""
    names = portal.containers()
    if not names:
        return set()
    shown = subprocess.run(
        ["docker", "inspect", "--format", "{{range .Mounts}}{{.Name}} {{end}}", *names],
        capture_output=True,
        text=True,
        check=False,
    )
    return set(shown.stdout.split())
