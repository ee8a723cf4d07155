"""`manage.py sweep`: the sweeper, until it is told to stop; `--once` makes one round and says what it repaired.

SIGTERM is the end of the whole portal: what still runs in the engine is removed. Ctrl-C ends the sweeper alone."""

from __future__ import annotations

import logging
import signal
import threading
import time
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError, connections

from releases.jobs.sweeper import Sweeper

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Make the database, the queue and the engine agree, every second and every fifteen."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="one round, then stop")

    def handle(self, *, once: bool, **_options: Any) -> None:
        sweeper = Sweeper()
        if once:
            sweeper.tick()
            self.stdout.write(f"repaired: {sweeper.sweep()}")
            return
        over = threading.Event()
        told: list[int] = []

        def end(number: int, _frame: FrameType | None) -> None:
            told.append(number)
            over.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        self._go_on(sweeper, over)
        if signal.SIGTERM in told:
            sweeper.shut_down()

    def _go_on(self, sweeper: Sweeper, over: threading.Event) -> None:
        swept = float("-inf")
        while not over.is_set():
            try:
                sweeper.tick()
                if time.monotonic() - swept > settings.SWEEP_SECONDS:
                    swept = time.monotonic()
                    sweeper.sweep()
            except DatabaseError as error:
                logger.warning("The database does not answer, the sweeper tries again: %s", error)
                connections.close_all()
            over.wait(1.0)
