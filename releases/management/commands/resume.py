"""Let builds begin again after `pause`."""

from __future__ import annotations

from typing import Any

from releases import actions
from releases.management.plain import PlainCommand
from releases.models import Build


class Command(PlainCommand):
    help = "End the pause: builds are taken again. Exits 0, or 2 when there is none."

    def handle(self, *_args: Any, **_options: Any) -> None:
        actions.resume_builds(by=None)
        self.stdout.write(f"Builds are taken again; {Build.objects.queued().count()} waited.")
        if not actions.queue_answers():
            self.tell("Redis does not answer, so they begin when it is back.")
