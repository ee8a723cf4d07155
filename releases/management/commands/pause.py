"""Hold all builds from the shell, before maintenance; `resume` lets them begin again."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from releases import actions
from releases.management.plain import PlainCommand
from releases.models import Build


class Command(PlainCommand):
    help = "Take no new builds: what is asked for waits, what runs is finished. Exits 0, or 2: bad input."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("why", help="what everybody reads meanwhile, at most 200 characters")

    def handle(self, *_args: Any, **options: Any) -> None:
        actions.pause_builds(options["why"], by=None)
        running = Build.objects.leased().count()
        left = f"{running} still {'runs' if running == 1 else 'run'}" if running else "none runs"
        self.stdout.write(f"No new builds are taken; {left}. `manage.py resume` ends this.")
