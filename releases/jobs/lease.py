"""Holding a build: a thread renews the lease, notices that a person cancelled, and watches the clock.

The work itself asks `check()` between pieces. When the database cannot be reached for as long as a lease lasts,
the build is no longer ours: somebody else may have closed it, so the work must stop too.
"""

from __future__ import annotations

import logging
import threading
import time
from types import TracebackType

from django.conf import settings
from django.db import Error, connection

from releases.context import carried
from releases.errors import BuildCancelled, BuildTimedOut, LeaseLost, say
from releases.models import Build, State

logger = logging.getLogger(__name__)
LOOK_SECONDS = 1.0
"""How often the row is looked at: a cancel is noticed within this time."""


GRACE_SECONDS = 120.0
"""How long after its deadline a build may still be busy with ending itself."""


class Lease:
    """A context around the work on one build; a `Stop` for the pipeline."""

    def __init__(self, build: Build) -> None:
        self._build = Build.objects.get(pk=build.pk)  # the thread's own copy
        self._over = threading.Event()
        self._cancelled = threading.Event()
        self._lost = threading.Event()
        self._seconds = 0
        self._deadline: float | None = None
        self._thread = threading.Thread(target=carried(self._hold), name=f"lease of {build}", daemon=True)

    def start_clock(self, seconds: int) -> None:
        """From now on the build has this much time."""
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds

    def stop_clock(self) -> None:
        """What comes now is not counted."""
        self._deadline = None

    def check(self) -> None:
        if self._lost.is_set():
            raise LeaseLost(
                say(
                    "Build %(build)s was finished by another hand, or the database was away too long.",
                    build=self._build,
                )
            )
        if self._cancelled.is_set():
            raise BuildCancelled(say("Cancelled."))
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise BuildTimedOut(
                say(
                    "The build took longer than its limit of %(seconds)s s and was ended: look where the log stops, "
                    "or raise “time limit of a build” of the application.",
                    seconds=self._seconds,
                )
            )

    def __enter__(self) -> Lease:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(timeout=10)

    def _is_overdue(self) -> bool:
        """The work has not noticed its deadline for so long that it must hang; the sweeper may have the build."""
        deadline = self._deadline
        return deadline is not None and time.monotonic() > deadline + GRACE_SECONDS

    def _hold(self) -> None:
        held_at = time.monotonic()
        try:
            while not self._over.wait(LOOK_SECONDS):
                if self._is_overdue():
                    logger.error("%s is past its time and its work asks no more: its lease is let go", self._build)
                    return
                try:
                    if self._build.renew_lease() == State.CANCELLING:
                        self._cancelled.set()
                    held_at = time.monotonic()
                except LeaseLost:
                    self._lost.set()
                    return
                except Error as error:
                    logger.warning("The lease of %s could not be renewed: %s", self._build, error)
                    connection.close()
                    if time.monotonic() - held_at > settings.LEASE_SECONDS:
                        self._lost.set()
                        return
        finally:
            connection.close()
