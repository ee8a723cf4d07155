"""`manage.py invent`: applications and builds that never were, to see how the portal does with very many."""

from __future__ import annotations

import time
from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import CommandParser

from releases.management.invented import HOST, analyse, invent, real_builds
from releases.management.plain import PlainCommand
from releases.models import Application

MOST_APPLICATIONS, MOST_BUILDS = 100_000, 5_000_000


class Command(PlainCommand):
    help = (
        "Fill the database with invented applications, builds and all that belongs to them, to measure the pages. "
        "They are called invented-…, and can not be removed again. Exits 0: done, 2: refused."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--applications", type=_count(MOST_APPLICATIONS, least=1), default=1000, metavar="N")
        parser.add_argument("--builds", type=_count(MOST_BUILDS), default=100_000, metavar="N")
        parser.add_argument(
            "--active", type=_count(1000), default=0, metavar="N", help="of the builds, are at work (default 0)"
        )
        parser.add_argument(
            "--beside-real-builds", action="store_true", help="also when the database holds builds that were made"
        )

    def handle(self, *, applications: int, builds: int, active: int, beside_real_builds: bool, **_: Any) -> None:
        if Application.objects.filter(repository__startswith=HOST).exists():
            self.refuse("The database holds invented applications already: use another PORTAL_HOME for more.")
        if not beside_real_builds and (real := real_builds()):
            self.refuse(
                f"The database holds {real} builds that were really made, and invented ones could never be removed"
                " again: use another PORTAL_HOME, or say --beside-real-builds."
            )
        if active > min(applications, builds):
            self.refuse("--active: each needs an application of its own, and is one of the builds.")
        began = time.monotonic()
        invent(applications, builds, active)
        analyse()
        seconds = time.monotonic() - began
        self.stdout.write(f"Invented {applications} applications with {builds} builds in {seconds:.0f} s.")


def _count(most: int, *, least: int = 0) -> Any:
    def number(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise ArgumentTypeError(f"write a number from {least} to {most}, not “{text[:40]}”")
        return int(text)

    return number
