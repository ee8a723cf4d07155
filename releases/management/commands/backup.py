"""`manage.py backup FOLDER`: everything that is needed to have this portal again, while it runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from portal import backup
from portal.setup import SetupFailed
from releases.management.plain import FAILED, PlainCommand


class Command(PlainCommand):
    help = "Back up to a new folder, which ./run restore takes. Exits 0: whole, 1: not, 2: bad input."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, help="a folder that does not exist yet")

    def handle(self, *_args: Any, folder: Path, **_options: Any) -> None:
        try:
            made = backup.make(folder.absolute())
        except SetupFailed as error:
            self.refuse(error.message, FAILED)
        megabytes = sum(file["size"] for file in made["files"].values()) / 1e6
        self.stdout.write(f"Backed up {len(made['files'])} files, {megabytes:.1f} MB, to {folder}.")
        for digest in made["damaged"]:
            self.tell(f"The kept file {digest} is damaged and was left out: press Rebuild on a release of it.")
        if made["damaged"]:
            sys.exit(FAILED)
