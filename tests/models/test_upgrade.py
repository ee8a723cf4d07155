"""What a database that was used before holds after its migrations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from releases.models import Application, Move, Ref
from tests import factories
from tests.conftest import let_records_be_emptied

pytestmark = pytest.mark.django_db(transaction=True)
BEFORE = ("releases", "0006_promises_of_rebases")


@pytest.fixture
def earlier() -> Iterator[Any]:
    """The models as they were; whatever happens, the database ends where it was found."""
    newest = MigrationExecutor(connection).loader.graph.leaf_nodes("releases")
    executor = MigrationExecutor(connection)
    executor.migrate([BEFORE])
    try:
        yield MigrationExecutor(connection).loader.project_state([BEFORE]).apps
    finally:
        MigrationExecutor(connection).migrate(newest)
        let_records_be_emptied()


def upgrade() -> None:
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes("releases"))


def test_tags_that_had_moved_are_moves_and_versions_are_known(earlier: Any) -> None:
    app = earlier.get_model("releases", "Application").objects.create(
        name="shop",
        repository="https://git.example.org/shop.git",
        stack="python3.13-uwsgi",
        refs_read_at=timezone.now(),
    )
    refs, now, old, new = earlier.get_model("releases", "Ref").objects, timezone.now(), "1" * 40, "2" * 40
    facts = {"application": app, "kind": "tag", "committed_at": now, "first_seen_at": now}
    for name, moved in (("v1.9.0", {}), ("v1.10.0", {"moved_at": now, "moved_from": old})):
        refs.create(name=name, full_name=f"refs/tags/{name}", commit=new, **facts, **moved)
    upgrade()
    move = Move.objects.get()
    assert (move.name, move.before, move.after, move.noticed_at) == ("v1.10.0", old, new, now)
    assert [ref.name for ref in Ref.objects.tags()] == ["v1.10.0", "v1.9.0"]
    shop = Application.objects.get()
    assert shop.refs_good_at == shop.refs_read_at
    assert factories.user(role="viewers").has_perm("releases.view_event")
