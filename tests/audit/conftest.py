"""A small trail with releases in it, and a way past the database's guards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection, transaction

from releases.models import Build, Event
from tests import factories


def hang_on() -> None:
    """What a commit does: the waiting events get their links."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def execute(statement: str, *values: str | int | None) -> int:
    """Rows that it touched."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return int(cursor.rowcount)


@contextmanager
def past_the_guards() -> Iterator[None]:
    """As the owner of the database may: triggers and foreign keys sleep. All is undone afterwards."""
    with transaction.atomic():
        execute("SET LOCAL session_replication_role = replica")
        yield
        transaction.set_rollback(True)


@pytest.fixture
def trail(db: None) -> list[Build]:
    """Three releases, a failed build, and some more events."""
    app = factories.application("shop")
    builds = [factories.succeeded_build(app, packages={"flask": "3.1.0", "jinja2": "3.1.6"}) for _ in range(3)]
    builds.append(factories.finished_build(app))
    for build in builds:
        Event.objects.record("artifact.downloaded", build=build, data={"sha256": "é" * 3, "n": 1.5})
    hang_on()
    return builds
