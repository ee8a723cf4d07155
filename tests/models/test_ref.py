"""The refs of an application are made equal to what its repository has; a tag that moves raises an alarm."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from releases.models import Application, Event, Ref
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


def test_newest_tag_comes_first() -> None:
    app = factories.application()
    old, new = datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
    found = [remote("v2", committed_at=old), remote("v1", committed_at=new), remote("next", kind="branch")]
    Ref.objects.replace_for(app, found)
    assert [ref.name for ref in app.refs.tags()] == ["v1", "v2"]
    assert [ref.name for ref in app.refs.branches()] == ["next"]
