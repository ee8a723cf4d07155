"""Put a release on the newest runtime of its stack from the shell: a new image with the same archive."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from releases import actions
from releases.management.following import BuildCommand
from releases.models import Application, Build


class Command(BuildCommand):
    help = (
        "Rebase a release: a new image of the same app.tar.gz on the newest runtime of its stack. "
        "Exits 0: succeeded (or queued), 1: not, 2: bad input, or nothing to rebase."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("application", help="the name that it was registered with")
        parser.add_argument("number", nargs="?", type=int, help="which build (default: the last that succeeded)")
        parser.add_argument("--wait", action="store_true", help="follow the build to its end; its log goes to stderr")
        parser.add_argument("--json", action="store_true", help="the result as one JSON object on stdout")

    def handle(self, *_args: Any, **options: Any) -> None:
        release = self._release(self.application(options["application"]), options["number"])
        build = actions.request_rebase(release, by=None)
        self.finish(build, wait=options["wait"], as_json=options["json"])

    def _release(self, application: Application, number: int | None) -> Build:
        builds = Build.objects.filter(application=application).order_by("-number")
        if number is None:
            found = builds.succeeded().first()
            if found is None:
                self.refuse(f"{application} has no release yet, so there is nothing to rebase.")
            return found
        found = builds.filter(number=number).first() if 0 < number < 2**31 else None
        if found is None:
            last = builds.first()
            self.refuse(f"{application} has no build #{number}; its last is {f'#{last.number}' if last else 'none'}.")
        return found
