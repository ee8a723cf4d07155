"""Make the images of a stack from the shell: what is missing, or anew with the distribution's packages of today."""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import CommandParser

from releases import actions
from releases.management.following import FollowingCommand
from releases.management.plain import FAILED
from releases.models import Preparation, PreparationState
from releases.specs import Anew
from releases.storage import preparation_log_path


class Command(FollowingCommand):
    help = "Make the images of a stack. Exits 0: made (or queued), 1: not, 2: bad input."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("stack", help="the name of its folder")
        which = parser.add_mutually_exclusive_group()
        which.add_argument(
            "--runtime-anew",
            action="store_true",
            help="make the runtime again with the distribution's packages of today; kept environments stay",
        )
        which.add_argument(
            "--anew", action="store_true", help="make builder and runtime again; environments are made again, too"
        )
        parser.add_argument("--wait", action="store_true", help="follow it to its end; its log goes to stderr")
        parser.add_argument("--json", action="store_true", help="the result as one JSON object on stdout")

    def handle(self, *_args: Any, **options: Any) -> None:
        anew: Anew = "both" if options["anew"] else "runner" if options["runtime_anew"] else ""
        made = actions.prepare_stack(options["stack"], by=None, anew=anew)
        self.say_if_waiting(made)
        if options["wait"]:
            self.wait(made, preparation_log_path(made.pk), "")
        self.stdout.write(json.dumps(facts(made), indent=2) if options["json"] else summary(made))
        if options["wait"] and made.state != PreparationState.SUCCEEDED:
            sys.exit(FAILED)


def facts(made: Preparation) -> dict[str, Any]:
    """What a program wants to know. Sizes in bytes."""
    return {
        "stack": made.stack,
        "digest": made.digest,
        "anew": made.anew,
        "state": made.state,
        "message": made.message,
        "builder": _image(made.builder_image, made.builder_size),
        "runner": _image(made.runner_image, made.runner_size),
    }


def summary(made: Preparation) -> str:
    """The same for a person."""
    said = f": {made.message}" if made.message else ""
    return f"{made} {made.get_state_display().lower()}{said}"


def _image(image: str, size: int | None) -> dict[str, Any] | None:
    return {"id": image, "size": size} if image else None
