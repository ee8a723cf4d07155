"""What the portal's own role may do in the database: all that its work needs, and no change of the audit trail."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.core.management.base import CommandError
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

ONLY_ADDED_TO = ("releases_event", "releases_link")
"""The events and their chain."""
ONLY_READ = ("django_migrations",)
RIGHTS = (
    "GRANT USAGE ON SCHEMA {schema} TO {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}",
    "GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA {schema} TO {role}",
    *(f"REVOKE UPDATE, DELETE ON {table} FROM {{role}}" for table in ONLY_ADDED_TO),
    *(f"REVOKE INSERT, UPDATE, DELETE ON {table} FROM {{role}}" for table in ONLY_READ),
)
OVER_ALL = """
SELECT r.rolsuper OR pg_has_role(r.oid, c.relowner, 'USAGE') FROM pg_roles r, pg_class c
WHERE r.rolname = %s AND c.oid = 'releases_event'::regclass
"""


def grant(connection: BaseDatabaseWrapper, role: str) -> None:
    """By the owner of the tables. Raises `CommandError` when the role is none, or can do what the owner can."""
    with connection.cursor() as cursor:
        cursor.execute(OVER_ALL, [role])
        found = cursor.fetchone()
        if found is None:
            raise CommandError(f"The database has no role {role}, which DATABASE_URL names: make it there.")
        if found[0]:
            raise CommandError(
                f"The role {role} of DATABASE_URL can do whatever the owner of the tables can, so it could change the "
                f"audit trail: name another there, or give the tables to the owner (REASSIGN OWNED BY {role} TO …)."
            )
        cursor.execute("SELECT current_schema()")
        names = {"schema": sql.Identifier(cursor.fetchone()[0]), "role": sql.Identifier(role)}
        for statement in RIGHTS:
            cursor.execute(sql.SQL(statement).format(**names).as_string(connection.connection))


@contextmanager
def as_owner(connection: BaseDatabaseWrapper) -> Iterator[tuple[BaseDatabaseWrapper, str]]:
    """The connection as the owner's, and the name of the role that it has at other times."""
    usual = dict(connection.settings_dict)
    if settings.DATABASE_OWNER_URL == settings.DATABASE_URL:
        yield connection, usual["USER"]
        return
    connection.close()
    connection.settings_dict.update(settings.DATABASE_OWNER)
    try:
        yield connection, usual["USER"]
    finally:
        connection.close()
        connection.settings_dict.update(usual)
