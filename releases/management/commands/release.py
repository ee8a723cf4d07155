"""Build a release from the shell, and follow it if wanted: the log on stderr, the result on stdout."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from releases import actions
from releases.errors import AlreadyUnderWay
from releases.management.following import BuildCommand
from releases.models import TURNS, Application, Build


class Command(BuildCommand):
    help = "Build a release of a tag, branch or commit. Exits 0: succeeded (or queued), 1: not, 2: bad input."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("application", help="the name that it was registered with")
        parser.add_argument("ref", help="a tag, a branch or a commit")
        parser.add_argument(
            "--no-cache", action="store_true", help="resolve and install the requirements anew, whatever is kept"
        )
        parser.add_argument(
            "--priority",
            choices=list(TURNS),
            default="normal",
            help="before or behind what waits with another priority (default: normal)",
        )
        parser.add_argument("--wait", action="store_true", help="follow the build to its end; its log goes to stderr")
        parser.add_argument("--json", action="store_true", help="the result as one JSON object on stdout")

    def handle(self, *_args: Any, **options: Any) -> None:
        application = self.application(options["application"])
        build = self._ask(
            application,
            options["ref"],
            join=options["wait"],
            without_cache=options["no_cache"],
            priority=options["priority"],
        )
        self.finish(build, wait=options["wait"], as_json=options["json"])

    def _ask(self, application: Application, ref: str, *, join: bool, **asked: Any) -> Build:
        """The new build; or, for somebody who waits, the one that makes the very same release at this moment."""
        try:
            return actions.request_build(application, ref, by=None, **asked)
        except AlreadyUnderWay as error:
            if not join or error.key is None:
                raise
            self.tell(f"{error} Following it.")
            return Build.objects.get(pk=error.key)
