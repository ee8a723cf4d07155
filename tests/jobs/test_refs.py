"""Reading refs by itself, and building new tags by a rule: on a real repository, as the job does it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from django.utils import timezone
from pytest_django.fixtures import Settings

from releases import actions
from releases.git import Git
from releases.jobs import desk, refs
from releases.jobs.sweeper import Sweeper
from releases.models import Application, Build, Event, Move
from releases.models.application import pause
from tests import factories
from tests.fakes.engine import FakeEngine
from tests.git.conftest import Origin
from tests.jobs.conftest import rung
from tests.pipeline import shop


def read(app: Application) -> Application:
    desk.refresh_refs(app.pk)
    return Application.objects.get(pk=app.pk)


def tag(origin: Origin, *names: str, commit: bool = True) -> None:
    for name in names:
        if commit:
            origin.commit(f"What {name} brings", {"app/app.py": f"app = '{name}'\n".encode()})
        origin.git("tag", name)
    origin.push()


def built() -> list[tuple[str, str]]:
    return list(Build.objects.order_by("id").values_list("ref", "rule"))


# ---- the schedule --------------------------------------------------------------------------------------------


@pytest.fixture
def every(settings: Settings) -> None:
    settings.REFS_EVERY = 300


def last_read(app: Application, seconds: float, **facts: Any) -> None:
    read_at = Now() - timedelta(seconds=seconds)
    Application.objects.filter(pk=app.pk).update(refs_read_at=read_at, refs_asked_at=None, **facts)


def test_refs_are_read_by_themselves_when_their_time_has_come(
    app: Application, origin: Origin, engine: FakeEngine, every: None
) -> None:
    read(app)
    Sweeper().tick()
    assert rung("desk") == []
    last_read(app, 301)
    Sweeper().tick()
    assert rung("desk") == [("refresh_refs", app.pk)]
    app.refresh_from_db()
    assert app.refs_are_being_read
    assert not Event.objects.filter(verb="refs.asked").exists()
    Sweeper().tick()
    assert len(rung("desk")) == 1
    tag(origin, "v1.1.0")
    read(app)
    assert app.refs.filter(name="v1.1.0").exists()
    Sweeper().tick()
    assert len(rung("desk")) == 1


def test_refs_are_never_read_by_themselves_where_so_set(app: Application, settings: Settings) -> None:
    settings.REFS_EVERY = 0
    last_read(app, 10**6)
    assert refs.ask_for_due() == 0
    app.refresh_from_db()
    assert app.refs_next_at(0) is None


def test_readings_do_not_pile_up(every: None) -> None:
    apps = [factories.application() for _ in range(10)]
    for age, app in enumerate(apps):
        last_read(app, 1000 + age)
    assert refs.ask_for_due() == refs.AT_ONCE
    oldest_first = [app.pk for app in reversed(apps)]
    assert [key for _, key in rung("desk")] == oldest_first[:4]
    assert refs.ask_for_due() == 0
    Application.objects.filter(pk=oldest_first[0]).update(refs_read_at=Now(), refs_asked_at=Now())
    assert refs.ask_for_due() == 1
    assert [key for _, key in rung("desk")] == oldest_first[:5]


def test_a_repository_that_fails_is_read_less_and_less_often(app: Application, origin: Origin, every: None) -> None:
    shop.remove(origin)
    for failures in (1, 2):
        app = read(app)
        assert app.refs_failures == failures
    wait = timedelta(seconds=4 * 300)
    assert app.refs_read_at is not None
    assert app.refs_next_at(300) == app.refs_read_at + wait
    last_read(app, 1100)
    assert refs.ask_for_due() == 0
    last_read(app, 1201)
    assert refs.ask_for_due() == 1
    last_read(app, 5 * 3600, refs_failures=30_000)
    assert refs.ask_for_due() == 0
    last_read(app, 6 * 3600 + 1)
    assert refs.ask_for_due() == 1


def test_pause_between_readings() -> None:
    assert [pause(300, failures) for failures in (0, 1, 2, 7, 99)] == [300, 600, 1200, 21600, 21600]
    assert pause(86400, 5) == 86400


# ---- a push while it is read ---------------------------------------------------------------------------------


def test_a_push_while_the_refs_are_read_is_met_by_the_next_reading(
    app: Application, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two readings at once, of which the one that saw less is written down last."""
    read(app)
    real = Git.refresh

    def slow(self: Git, *given: Any, **named: Any) -> Any:
        found = real(self, *given, **named)
        monkeypatch.setattr(Git, "refresh", real)
        listed = timezone.now()
        shop.move_tag(origin)
        read(app)  # another worker is quicker
        monkeypatch.setattr(timezone, "now", lambda: listed)
        return found

    monkeypatch.setattr(Git, "refresh", slow)
    desk.refresh_refs(app.pk)
    monkeypatch.undo()
    assert app.refs.get(name="v1.0.0").commit == origin.git("rev-parse", "v1.0.0")
    assert Move.objects.count() == 1
    app.refresh_from_db()
    assert not app.refs_are_being_read


# ---- the rule ------------------------------------------------------------------------------------------------


def with_rule(app: Application, rule: str) -> Application:
    app.refresh_from_db()
    app.rule = rule
    return actions.change_application(app, by=None)


def test_rule_builds_new_tags_that_match_and_none_that_were_there(app: Application, origin: Origin) -> None:
    read(app)
    tag(origin, "v1.1.0")  # pushed before the rule was set, and not read yet
    with_rule(app, "v*, !*-rc*")
    read(app)
    assert built() == []
    tag(origin, "v1.2.0", "v1.3.0-rc1", "nightly")
    read(app)
    assert built() == [("v1.2.0", "v*")]
    build = Build.objects.get()
    assert (build.requested_by, build.commit) == (None, origin.git("rev-parse", "v1.2.0"))
    asked = build.events.get(verb="build.requested")
    assert (asked.actor_name, asked.data["rule"]) == ("", "v*")
    assert ("run_build", build.pk) in rung()
    read(app)
    assert len(built()) == 1


def test_rule_given_at_the_registration_builds_nothing_of_the_first_reading(origin: Origin) -> None:
    app = actions.register_application(by=None, name="shop", repository=origin.url, rule="v*")
    read(app)
    assert built() == []
    tag(origin, "v1.1.0")
    read(app)
    assert built() == [("v1.1.0", "v*")]


def test_rule_set_while_the_refs_are_read_comes_into_force_with_the_next_reading(
    app: Application, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    read(app)
    real = Git.refresh

    def slow(self: Git, *given: Any, **named: Any) -> Any:
        found = real(self, *given, **named)
        tag(origin, "v1.1.0")
        with_rule(app, "v*")
        return found

    monkeypatch.setattr(Git, "refresh", slow)
    read(app)
    monkeypatch.setattr(Git, "refresh", real)
    read(app)
    assert built() == []
    tag(origin, "v1.2.0")
    read(app)
    assert built() == [("v1.2.0", "v*")]


def test_rule_builds_nothing_when_the_address_changes(app: Application, origin: Origin) -> None:
    with_rule(app, "v*")
    read(app)
    other = shop.repository(origin.bare.parent, "other", {**shop.FILES, "more": b""})
    tag(other, "v5.0.0")
    app.refresh_from_db()
    app.repository = other.url
    actions.change_application(app, by=None)
    read(app)
    assert built() == []
    tag(other, "v6.0.0")
    read(app)
    assert built() == [("v6.0.0", "v*")]


def test_rule_does_not_build_a_tag_that_moved_or_came_back(app: Application, origin: Origin) -> None:
    with_rule(app, "v*")
    read(app)
    shop.move_tag(origin)
    read(app)
    origin.git("tag", "--delete", "v1.0.0")
    origin.push()
    read(app)
    origin.git("tag", "v1.0.0", "HEAD~1")
    origin.push()
    read(app)
    assert built() == []
    assert Move.objects.filter(after="").count() == 1
    assert Move.objects.exclude(after="").count() == 2


def test_rule_is_bounded_and_says_what_it_left(app: Application, origin: Origin, settings: Settings) -> None:
    settings.RULE_BUILDS = 2
    with_rule(app, "v*")
    read(app)
    tag(origin, "v1.9.0", "v1.10.0", "v1.8.0", "v1.7.0", "v1.11.0")
    app = read(app)
    assert built() == [("v1.11.0", "v*"), ("v1.10.0", "v*")]
    assert app.rule_note.startswith("5 new tags matched the rule at once, which builds 2 at a time, the newest;")
    assert "v1.9.0, v1.8.0, v1.7.0" in app.rule_note
    left = Event.objects.get(verb="rule.left")
    assert left.data == {"rule": "v*", "count": 3, "refs": ["v1.9.0", "v1.8.0", "v1.7.0"]}
    tag(origin, "v1.12.0")
    assert read(app).rule_note == ""
    assert Build.objects.count() == 3


def test_rule_asks_for_no_second_build_of_a_commit_that_is_being_built(app: Application, origin: Origin) -> None:
    with_rule(app, "v*")
    read(app)
    head = origin.commit("Sell figs", {"app/app.py": b"app = 3\n"})
    factories.running_build(app, ref="main", ref_kind="branch", ref_full="refs/heads/main", commit=head)
    tag(origin, "v1.1.0", commit=False)
    read(app)
    assert Build.objects.count() == 1
    assert app.refs.filter(name="v1.1.0").exists()


def test_rule_that_is_taken_away_builds_nothing(app: Application, origin: Origin) -> None:
    with_rule(app, "v*")
    read(app)
    with_rule(app, "")
    tag(origin, "v1.1.0")
    read(app)
    assert built() == []


def test_rule_and_its_build_are_written_together(
    app: Application, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that fails in the middle leaves the tag unknown, so that the next reading builds it."""
    with_rule(app, "v*")
    read(app)
    tag(origin, "v1.1.0")

    def defect(*_given: object) -> None:
        raise RuntimeError("in the middle")

    monkeypatch.setattr(refs, "_note_the_rest", defect)
    assert "The portal itself failed" in read(app).refs_error
    assert built() == []
    monkeypatch.undo()
    read(app)
    assert built() == [("v1.1.0", "v*")]


def test_what_a_person_asks_for_goes_before_what_the_portal_does_by_itself(app: Application, every: None) -> None:
    for other in [factories.application() for _ in range(3)]:
        last_read(other, 1000)
    last_read(app, 0)
    refs.ask_for_due()
    actions.refresh_refs(app, by=None)
    assert rung("desk")[0] == ("refresh_refs", app.pk)
    assert len(rung("desk")) == 4
