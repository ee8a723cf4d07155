"""What the portal's own role may do in the database: its work, and no change of the audit trail."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest
from django.conf import settings
from django.core.management.base import CommandError
from django.db import ProgrammingError, connection, transaction
from psycopg import sql
from psycopg.conninfo import make_conninfo

from releases import actions
from releases.management import rights
from releases.models import Event
from tests import factories

ROLE = "portal_of_a_test"
REFUSED = (
    "UPDATE releases_event SET verb = 'nothing'",
    "DELETE FROM releases_event",
    "TRUNCATE releases_event CASCADE",
    "UPDATE releases_link SET hash = repeat('0', 64)",
    "DELETE FROM releases_link",
    "TRUNCATE releases_link",
    "ALTER TABLE releases_event DISABLE TRIGGER event_final",
    "ALTER TABLE releases_event DISABLE TRIGGER ALL",
    "DROP TRIGGER event_chained ON releases_event",
    "ALTER TABLE releases_build DISABLE TRIGGER ALL",
    "SET session_replication_role = replica",
    "CREATE OR REPLACE FUNCTION releases_chain() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "CREATE FUNCTION releases_told_otherwise() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE TRIGGER other BEFORE INSERT ON releases_event FOR EACH ROW EXECUTE FUNCTION releases_refuse()",
    "CREATE RULE other AS ON INSERT TO releases_event DO INSTEAD NOTHING",
    "CREATE TABLE releases_other (id int)",
    "DROP TABLE releases_link",
    "GRANT UPDATE ON releases_event TO CURRENT_USER; UPDATE releases_event SET verb = 'nothing'",
    "DELETE FROM django_migrations",
    "RESET ROLE; ALTER ROLE CURRENT_USER SUPERUSER",
)


@pytest.fixture
def as_portal(db: None) -> Iterator[None]:
    """The role with its rights, in a transaction of the test: nothing of it stays."""
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {ROLE}")
        rights.grant(connection, ROLE)
        cursor.execute(f"SET LOCAL SESSION AUTHORIZATION {ROLE}")
        yield
        cursor.execute("RESET SESSION AUTHORIZATION")


@pytest.mark.parametrize("statement", REFUSED)
def test_role_of_the_portal_is_refused(as_portal: None, statement: str) -> None:
    with (
        pytest.raises(ProgrammingError, match=r"permission denied|must be owner|must be superuser|Only roles with"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


def test_role_of_the_portal_does_all_its_work(as_portal: None) -> None:
    app = factories.application()
    build = factories.succeeded_build(app)
    actions.refresh_refs(app, by=factories.user())
    Event.objects.record("application.changed", application=app)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # the chain is tied, as the role
        cursor.execute("SELECT count(*) FROM releases_link l JOIN releases_event e ON e.id = l.event_id")
        assert cursor.fetchone()[0] == Event.objects.count()
        cursor.execute("SELECT current_user")
        assert cursor.fetchone() == (ROLE,)
    assert build.events.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("how", ["superuser", "owner", "member"])
def test_role_that_can_do_all_is_told_and_given_nothing(how: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {ROLE} {'SUPERUSER' if how == 'superuser' else ''}")
        if how == "owner":
            cursor.execute(f"GRANT ALL ON SCHEMA public TO {ROLE}")
            cursor.execute(f"ALTER TABLE releases_event OWNER TO {ROLE}")
        if how == "member":
            cursor.execute("CREATE ROLE owner_of_a_test")
            cursor.execute("ALTER TABLE releases_event OWNER TO owner_of_a_test")
            cursor.execute(f"GRANT owner_of_a_test TO {ROLE}")
    with pytest.raises(CommandError, match="could change the audit trail"):
        rights.grant(connection, ROLE)


@pytest.mark.django_db
def test_role_that_is_not_there_is_told() -> None:
    with pytest.raises(CommandError, match="has no role nobody_at_all"):
        rights.grant(connection, "nobody_at_all")


# ---- the command, with a database of its own ----------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[psycopg.Connection]:
    """As its administrator. A database for two roles: one owns, one works."""
    with psycopg.connect(settings.DATABASE_OWNER_URL, dbname="postgres", autocommit=True) as server:
        for name in ("owner_of_two", "works_of_two"):
            server.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
        server.execute("CREATE DATABASE of_two OWNER owner_of_two")
        yield server
        server.execute("DROP DATABASE of_two WITH (FORCE)")
        server.execute("DROP ROLE works_of_two, owner_of_two")


def migrate(**users: str) -> subprocess.CompletedProcess[str]:
    addresses = {
        name: make_conninfo(settings.DATABASE_OWNER_URL, dbname="of_two", user=user) for name, user in users.items()
    }
    return subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity=0"],
        cwd=settings.BASE_DIR, env={**os.environ, **addresses}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_migrate_works_as_the_owner_and_gives_the_portal_its_rights(server: psycopg.Connection) -> None:
    refused = migrate(DATABASE_URL="works_of_two")
    assert refused.returncode != 0
    assert "name their owner in PORTAL_DATABASE_OWNER_URL" in refused.stderr
    assert "Traceback" not in refused.stderr
    done = migrate(DATABASE_URL="works_of_two", PORTAL_DATABASE_OWNER_URL="owner_of_two")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    address = make_conninfo(settings.DATABASE_OWNER_URL, dbname="of_two", user="works_of_two")
    with psycopg.connect(address, autocommit=True) as portal:
        assert portal.execute("SELECT count(*) FROM releases_event").fetchone() == (0,)
        portal.execute("INSERT INTO releases_event (verb, actor_name, data) VALUES ('session.began', 'marta', '{}')")
        assert portal.execute("SELECT count(*) FROM releases_link").fetchone() == (1,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            portal.execute("DELETE FROM releases_event")
    again = migrate(DATABASE_URL="works_of_two")
    assert again.returncode == 0, "without anything to change, the role of the portal is enough"
