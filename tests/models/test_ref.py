"""The refs of an application are made equal to what its repository has; a tag that moves raises an alarm."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from releases import actions
from releases.models import Application, Event, Move, Ref
from releases.specs import RemoteRef
from tests import factories

pytestmark = pytest.mark.django_db

ONE, TWO = "1" * 40, "2" * 40


def remote(name: str, commit: str = ONE, **fields: Any) -> RemoteRef:
    kind = fields.pop("kind", "tag")
    folder = {"tag": "tags", "branch": "heads"}[kind]
    given = {
        "committed_at": datetime(2026, 3, 1, 12, tzinfo=UTC),
        "subject": f"What {name} brings",
        "annotated": False,
        **fields,
    }
    return RemoteRef(kind=kind, name=name, full_name=f"refs/{folder}/{name}", commit=commit, **given)


def test_refs_become_those_of_the_repository() -> None:
    app = factories.application()
    Ref.objects.replace_for(app, [remote("v1.0.0"), remote("v0.9.0"), remote("main", kind="branch")])
    Ref.objects.replace_for(app, [remote("v1.0.0"), remote("v1.1.0", TWO), remote("main", TWO, kind="branch")])
    assert set(app.refs.values_list("full_name", "commit")) == {
        ("refs/tags/v1.0.0", ONE),
        ("refs/tags/v1.1.0", TWO),
        ("refs/heads/main", TWO),
    }


def test_reading_refs_is_remembered_and_clears_the_error() -> None:
    app = factories.application(refs_error="The repository does not answer.")
    Ref.objects.replace_for(app, [])
    app.refresh_from_db()
    assert app.refs_error == ""
    assert app.refs_read_at is not None
    assert not app.refs_are_being_read


def test_refs_of_another_application_stay() -> None:
    mine, other = factories.application(), factories.application()
    Ref.objects.replace_for(other, [remote("v1.0.0")])
    Ref.objects.replace_for(mine, [])
    assert other.refs.count() == 1


def test_moved_tag_is_remembered_and_told() -> None:
    app = factories.application()
    Ref.objects.replace_for(app, [remote("v1.0.0", ONE)])
    Ref.objects.replace_for(app, [remote("v1.0.0", TWO)])
    ref = app.refs.get()
    assert (ref.commit, ref.moved_from) == (TWO, ONE)
    assert ref.moved_at is not None
    event = Event.objects.get(verb="ref.moved")
    assert (event.application, event.data) == (app, {"ref": "refs/tags/v1.0.0", "from": ONE, "to": TWO})


def test_moved_mark_stays_while_the_tag_stays() -> None:
    app = factories.application()
    for commit in (ONE, TWO, TWO):
        Ref.objects.replace_for(app, [remote("v1.0.0", commit)])
    assert app.refs.get().moved_from == ONE
    assert Event.objects.filter(verb="ref.moved").count() == 1


def test_branch_that_moves_is_no_alarm() -> None:
    app = factories.application()
    Ref.objects.replace_for(app, [remote("main", ONE, kind="branch")])
    Ref.objects.replace_for(app, [remote("main", TWO, kind="branch")])
    assert app.refs.get().moved_at is None
    assert not Event.objects.filter(verb="ref.moved").exists()


def test_first_sight_of_a_tag_is_kept() -> None:
    app = factories.application()
    Ref.objects.replace_for(app, [remote("v1.0.0", ONE)])
    seen = app.refs.get().first_seen_at
    Ref.objects.replace_for(app, [remote("v1.0.0", TWO)])
    assert app.refs.get().first_seen_at == seen


def test_branch_and_tag_may_share_a_name() -> None:
    app = factories.application()
    Ref.objects.replace_for(app, [remote("v1"), remote("v1", TWO, kind="branch")])
    assert app.refs.count() == 2


def test_a_build_keeps_the_commit_that_the_person_saw() -> None:
    app: Application = factories.application()
    Ref.objects.replace_for(app, [remote("v1.0.0", ONE)])
    build = factories.queued_build(app, ref=app.refs.get())
    Ref.objects.replace_for(app, [remote("v1.0.0", TWO)])
    build.refresh_from_db()
    assert build.commit == ONE


def test_tags_come_by_version_then_those_that_are_none_by_date() -> None:
    app = factories.application()
    old, new = datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
    found = [remote(name, committed_at=new) for name in ("v1.9.0", "nightly", "1.10.0rc1")]
    found += [remote(name, committed_at=old) for name in ("v1.10.0", "autumn-2025", "v1.2.0")]
    found += [remote("v9", kind="branch", committed_at=old), remote("main", kind="branch", committed_at=new)]
    Ref.objects.replace_for(app, found)
    assert [ref.name for ref in app.refs.tags()] == [
        "v1.10.0",
        "1.10.0rc1",
        "v1.9.0",
        "v1.2.0",
        "nightly",
        "autumn-2025",
    ]
    assert [ref.name for ref in app.refs.branches()] == ["main", "v9"]


def test_tag_that_vanished_is_kept_as_a_move_and_told() -> None:
    app = factories.application()
    Ref.objects.replace_for(app, [remote("v1.0.0", ONE), remote("main", kind="branch"), remote("x", kind="branch")])
    Ref.objects.replace_for(app, [remote("main", kind="branch")])
    move = Move.objects.get()
    assert (move.name, move.before, move.after, move.is_gone) == ("v1.0.0", ONE, "", True)
    assert [event.data for event in told("ref.deleted")] == [{"ref": "refs/tags/v1.0.0", "from": ONE}]


def test_tag_that_comes_back_elsewhere_has_moved_and_is_not_new() -> None:
    app = factories.application()
    main = remote("main", kind="branch")
    Ref.objects.replace_for(app, [remote("v1.0.0", ONE), main])
    Ref.objects.replace_for(app, [main])
    assert Ref.objects.replace_for(app, [remote("v1.0.0", TWO), main]) == []
    assert (app.refs.get(name="v1.0.0").moved_from, told("ref.moved")[0].data["to"]) == (ONE, TWO)
    Ref.objects.replace_for(app, [main])
    assert Ref.objects.replace_for(app, [remote("v1.0.0", TWO), main]) == []
    assert len(told("ref.moved")) == 1
    assert told("ref.created")[0].data == {"ref": "refs/tags/v1.0.0", "to": TWO}


def test_moving_back_is_a_move_too() -> None:
    app = factories.application()
    for commit in (ONE, TWO, ONE):
        Ref.objects.replace_for(app, [remote("v1.0.0", commit)])
    assert list(Move.objects.order_by("id").values_list("before", "after")) == [(ONE, TWO), (TWO, ONE)]
    assert len(told("ref.moved")) == 2


def test_new_tags_are_given_and_told_but_not_those_of_the_first_reading() -> None:
    app = factories.application()
    assert Ref.objects.replace_for(app, [remote("v1.0.0"), remote("main", kind="branch")]) == []
    assert told("refs.first_read")[0].data == {"tags": 1, "branches": 1}
    assert told("ref.created") == []
    found = Ref.objects.replace_for(app, [remote("v1.0.0"), remote("v1.1.0", TWO), remote("b", kind="branch")])
    assert [ref.name for ref in found or []] == ["v1.1.0"]
    assert told("ref.created")[0].data == {"ref": "refs/tags/v1.1.0", "to": TWO}


def test_an_older_listing_that_comes_late_changes_nothing() -> None:
    app = factories.application()
    Ref.objects.replace_for(app, [remote("v1.0.0", ONE)], listed_at=at(1))
    Ref.objects.replace_for(app, [remote("v1.0.0", TWO)], listed_at=at(3))
    assert Ref.objects.replace_for(app, [remote("v1.0.0", ONE)], listed_at=at(2)) is None
    assert app.refs.get().commit == TWO
    assert Move.objects.count() == 1


def test_refs_of_an_address_that_was_changed_meanwhile_are_not_taken_over() -> None:
    app = factories.application()
    Application.objects.update(repository="https://git.example.org/other.git", refs_asked_at=at(1))
    assert Ref.objects.replace_for(app, [remote("v1.0.0")]) is None
    app.refresh_from_db()
    assert not app.refs.exists()
    assert not app.refs_are_being_read


def test_a_reading_that_finds_nothing_new_writes_no_ref() -> None:
    app = factories.application()
    found = [remote(f"v1.{number}.0") for number in range(50)]
    Ref.objects.replace_for(app, found)
    with CaptureQueriesContext(connection) as asked:
        Ref.objects.replace_for(app, found)
    written = [query["sql"] for query in asked if query["sql"].startswith(("INSERT", "UPDATE", "DELETE"))]
    assert len(written) == 1
    assert written[0].startswith('UPDATE "releases_application"')


def test_move_may_be_acknowledged_once_and_nothing_else_of_it_changes() -> None:
    app, ana = factories.application(), factories.user(username="ana")
    for commit in (ONE, TWO):
        Ref.objects.replace_for(app, [remote("v1.0.0", commit)])
    with pytest.raises(IntegrityError, match="the record is final"), transaction.atomic():
        Move.objects.update(after="")
    with pytest.raises(IntegrityError, match="the record is final"), transaction.atomic():
        Move.objects.all().delete()
    assert actions.acknowledge_move(Move.objects.get(), by=ana) == 1
    assert actions.acknowledge_move(Move.objects.get(), by=ana) == 0
    assert [(event.actor_name, event.data) for event in told("ref.move_seen")] == [
        ("ana", {"ref": "refs/tags/v1.0.0", "from": ONE, "to": TWO})
    ]
    with pytest.raises(IntegrityError, match="the record is final"), transaction.atomic():
        Move.objects.update(acknowledged_at=None)


def test_failed_readings_are_told_once_and_so_is_the_recovery() -> None:
    app = factories.application()
    for _ in range(3):
        app.note_refs_error("The host was not found.")
    app.refresh_from_db()
    assert (app.refs_failures, len(told("refs.failed"))) == (3, 1)
    assert app.refs_failed_since is not None
    assert app.refs_read_at is not None
    assert app.refs_failed_since < app.refs_read_at
    Ref.objects.replace_for(app, [])
    recovered = Application.objects.get()
    assert (recovered.refs_failures, recovered.refs_failed_since, len(told("refs.recovered"))) == (0, None, 1)


def at(second: int) -> datetime:
    return datetime(2026, 3, 1, 12, 0, second, tzinfo=UTC)


def told(verb: str) -> list[Event]:
    return list(Event.objects.filter(verb=verb).order_by("id"))


@pytest.mark.parametrize(
    ("facts", "promise"),
    [
        ({"before": "main"}, "move_before_is_40_hex"),
        ({"after": "main"}, "move_after_is_40_hex"),
        ({"after": ONE}, "move_goes_somewhere"),
    ],
)
def test_move_that_is_none_is_refused(facts: dict[str, str], promise: str) -> None:
    given = {"name": "v1", "full_name": "refs/tags/v1", "before": ONE, "after": TWO, **facts}
    with pytest.raises(IntegrityError, match=promise), transaction.atomic():
        Move.objects.create(application=factories.application(), noticed_at=at(1), **given)
