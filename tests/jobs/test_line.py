"""The line: who is taken up next is PostgreSQL's say, whatever stands in Redis, and a pause holds everything."""

from __future__ import annotations

import django_rq
import pytest
from django.contrib.auth.models import User

from releases import actions
from releases.errors import InvalidInput
from releases.jobs.build import run_next
from releases.jobs.desk import prepare_stack
from releases.jobs.sweeper import Sweeper
from releases.models import Application, Build, Event, Pause, PreparationState, State
from tests import factories
from tests.fakes.engine import FakeContainer, FakeEngine, Script
from tests.jobs.conftest import empty, rung
from tests.jobs.test_sweeper_builds import late
from tests.pipeline import shop


@pytest.fixture
def three(app: Application) -> list[Build]:
    """Asked for one after the other, each with its ring."""
    return [actions.request_build(app, ref, by=None) for ref in ("v1.0.0", "main", "0123456")]


@pytest.fixture
def marta() -> User:
    return factories.user(username="marta")


def taken_up() -> list[str]:
    """The refs in the order in which their builds were begun."""
    return list(Build.objects.filter(started_at__isnull=False).order_by("started_at").values_list("ref", flat=True))


def answer(times: int) -> None:
    """As many workers as there were rings, one after the other."""
    for _ in range(times):
        run_next(0)


def test_line_is_by_age(three: list[Build], engine: FakeEngine) -> None:
    answer(3)
    assert taken_up() == ["v1.0.0", "main", "0123456"]


def test_line_with_a_build_moved_to_the_front(three: list[Build], engine: FakeEngine, marta: User) -> None:
    actions.build_next(three[2], by=marta)
    answer(3)
    assert taken_up() == ["0123456", "v1.0.0", "main"]
    told = Event.objects.get(verb="build.moved_first")
    assert (told.actor, told.build, told.data) == (marta, three[2], {"place": 3})


def test_line_the_last_that_was_moved_is_the_first(three: list[Build], engine: FakeEngine) -> None:
    actions.build_next(three[1], by=None)
    actions.build_next(three[2], by=None)
    answer(3)
    assert taken_up() == ["0123456", "main", "v1.0.0"]


def test_line_of_priorities(app: Application, engine: FakeEngine) -> None:
    for ref, priority in (("0123456", "low"), ("main", "normal"), ("v1.0.0", "high")):
        actions.request_build(app, ref, by=None, priority=priority)
    answer(3)
    assert taken_up() == ["v1.0.0", "main", "0123456"]


def test_line_moved_to_the_front_is_before_high_priority(app: Application, engine: FakeEngine) -> None:
    low = actions.request_build(app, "main", by=None, priority="low")
    actions.request_build(app, "v1.0.0", by=None, priority="high")
    actions.build_next(low, by=None)
    answer(2)
    assert taken_up() == ["main", "v1.0.0"]


def test_line_knows_three_priorities(app: Application) -> None:
    with pytest.raises(InvalidInput, match="“urgent” is no priority: choose high, normal or low") as refused:
        actions.request_build(app, "main", by=None, priority="urgent")
    assert refused.value.field == "priority"
    assert not Build.objects.exists()


def test_line_moving_the_first_changes_nothing(three: list[Build]) -> None:
    actions.build_next(three[0], by=None)
    assert not Event.objects.filter(verb="build.moved_first").exists()


def test_line_moving_a_build_that_waits_no_more_is_refused(three: list[Build]) -> None:
    assert three[0].take_up(worker="forge")
    three[1].mark_cancelling(by=None)
    for build in three[:2]:
        with pytest.raises(InvalidInput, match="waits no more"):
            actions.build_next(build, by=None)


def test_line_holds_when_redis_was_emptied(three: list[Build], engine: FakeEngine) -> None:
    actions.build_next(three[2], by=None)
    empty()
    late(*three)
    assert Sweeper().sweep() == 3
    assert Sweeper().sweep() == 0
    assert len(rung()) == 3
    answer(3)
    assert taken_up() == ["0123456", "v1.0.0", "main"]


def test_sweep_counts_bells_and_does_not_ask_whose_they_are(three: list[Build], engine: FakeEngine) -> None:
    """The first bell was answered with the last build: two bells hang for the two that wait, and none is missing."""
    late(*three)
    actions.build_next(three[2], by=None)
    first = rung()[0]
    answer(1)
    queue = django_rq.get_queue("builds")
    queue.remove(queue.jobs[0])
    assert first == ("run_next", three[0].pk)
    assert Sweeper().sweep() == 0
    answer(2)
    assert taken_up() == ["0123456", "v1.0.0", "main"]


# ---- the pause -----------------------------------------------------------------------------------------------


def test_pause_holds_builds_until_it_ends(three: list[Build], engine: FakeEngine, marta: User) -> None:
    pause = actions.pause_builds("  The engine is  brought up to date ", by=marta)
    assert (pause.why, pause.begun_by_name) == ("The engine is brought up to date", "marta")
    answer(3)  # each ring is answered, and nothing is begun
    empty()
    late(*three)
    assert Sweeper().sweep() == 0
    assert [build.state for build in Build.objects.all()] == [State.QUEUED] * 3
    actions.resume_builds(by=marta)
    assert len(rung()) == 3
    answer(3)
    assert taken_up() == ["v1.0.0", "main", "0123456"]
    assert [(event.verb, event.actor) for event in Event.objects.filter(verb__startswith="workshop.")] == [
        ("workshop.resumed", marta),
        ("workshop.paused", marta),
    ]


def test_pause_lets_a_build_end_that_was_begun(three: list[Build], engine: FakeEngine) -> None:
    def pause(container: FakeContainer) -> Script:
        actions.pause_builds("Lunch", by=None)
        return shop.good_builder(container)

    engine.on_run(shop.BUILDER, pause)
    answer(2)
    three[0].refresh_from_db()
    assert three[0].succeeded
    assert taken_up() == ["v1.0.0"]


def test_pause_holds_preparations_too(engine: FakeEngine) -> None:
    preparation = actions.prepare_stack(shop.STACK, by=None)
    actions.pause_builds("Lunch", by=None)
    prepare_stack(preparation.pk)
    preparation.refresh_from_db()
    assert preparation.state == PreparationState.QUEUED
    empty()
    late(preparation)
    assert Sweeper().sweep() == 0
    actions.resume_builds(by=None)
    assert rung() == [("prepare_stack", preparation.pk)]


@pytest.mark.parametrize("why", ["", "   ", "x" * 201, "half \ud800 a character", "nul \0"])
def test_pause_wants_a_reason(why: str) -> None:
    with pytest.raises(InvalidInput, match="Say in 1 to 200 characters why") as refused:
        actions.pause_builds(why, by=None)
    assert refused.value.field == "why"
    assert not Pause.objects.exists()


def test_pause_is_one_at_once() -> None:
    actions.pause_builds("Lunch", by=None)
    with pytest.raises(InvalidInput, match="paused already"):
        actions.pause_builds("Dinner", by=None)
    assert Pause.objects.count() == 1


def test_pause_that_is_over_cannot_be_ended() -> None:
    actions.pause_builds("Lunch", by=None)
    actions.resume_builds(by=None)
    with pytest.raises(InvalidInput, match="There is no pause to end"):
        actions.resume_builds(by=None)
