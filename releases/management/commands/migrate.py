"""`manage.py migrate`: Django's own, as the owner of the tables; then the portal's own role is given its rights."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import ProgrammingError, connections, transaction
from django.db.migrations.exceptions import MigrationSchemaMissing
from psycopg.errors import InsufficientPrivilege

from releases.management import rights


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        """Without an owner of its own (`PORTAL_DATABASE_OWNER_URL`), the database is as DATABASE_URL has it."""
        try:
            if settings.DATABASE_OWNER_URL == settings.DATABASE_URL:
                super().handle(*args, **options)
                return
            with rights.as_owner(connections[options["database"]]) as (connection, role):
                super().handle(*args, **options)
                with transaction.atomic():
                    rights.grant(connection, role)
        except (ProgrammingError, MigrationSchemaMissing) as error:
            if isinstance(_first(error), InsufficientPrivilege):
                raise CommandError(
                    "The role of DATABASE_URL may not change the tables: name their owner in PORTAL_DATABASE_OWNER_URL."
                ) from error
            raise


def _first(error: BaseException) -> BaseException:
    """What it all began with."""
    before = error.__cause__ or error.__context__
    return error if before is None else _first(before)
