"""`manage.py secrets`: the key that deploy keys and access tokens are sealed with."""

from __future__ import annotations

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django.db import transaction

from releases import access
from releases.errors import StorageError
from releases.management.plain import FAILED, PlainCommand
from releases.models import Credential
from releases.vault import keys
from releases.vault.opening import opened, resealed


class Command(PlainCommand):
    help = "Check what is sealed, or change the key. Exits 0: all is well, 1: something cannot be opened and is named."

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_subparsers(dest="what", required=True)
        what.add_parser("check", help="open every deploy key and access token, and name those that cannot be")
        what.add_parser("rotate", help="make a new key, seal everything with it, and give up the old one")

    def handle(self, *_args: Any, what: str, **_options: Any) -> None:
        try:
            {"check": self.try_all, "rotate": self.rotate}[what]()
        except StorageError as error:
            self.refuse(error.message, FAILED)

    def try_all(self) -> None:
        closed = []
        rows = Credential.objects.select_related("application")
        for row in rows:
            try:
                opened(settings.SECRETS_KEY, row.sealed, row.about)
            except StorageError as error:
                closed.append(f"The {row} cannot be opened, and must be set anew: {error.message}")
        self.stdout.write("\n".join(closed) or f"All can be opened: {len(rows)}.")
        if closed:
            sys.exit(FAILED)

    def rotate(self) -> None:
        """The old key is given up when the rows are committed: killed anywhere, what is sealed can be opened."""
        path = settings.SECRETS_KEY
        keys.make(path)
        with transaction.atomic():
            access.take_turns()
            newest, rows = keys.new(), list(Credential.objects.select_for_update())
            both = [newest, *keys.read(path)]
            for row in rows:
                row.sealed = resealed(keys.box_of(both), row.sealed)
            keys.write(path, both)
            Credential.objects.bulk_update(rows, ["sealed"])
        keys.write(path, [newest])
        self.stdout.write(f"Sealed anew: {len(rows)}. The key in {path} is a new one; backups hold the old one.")
