"""A build's life: which verb is allowed where, who may write, and what the lease decides."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from releases.errors import IllegalTransition, LeaseLost
from releases.models import LEASED, WORKING, Build, Event, Outcome, State, Step
from releases.specs import Limits
from tests import factories
from tests.models.rows import image

pytestmark = pytest.mark.django_db

VERBS: dict[str, Callable[[Build], object]] = {
    "mark_producing": lambda build: build.mark_producing(),
    "mark_packaging": lambda build: build.mark_packaging(),
    "mark_probing": lambda build: build.mark_probing(),
    "mark_succeeded": lambda build: build.mark_succeeded("Released."),
    "mark_ended": lambda build: build.mark_ended(Outcome.FAILED, "pip found no such package."),
    "mark_cancelling": lambda build: build.mark_cancelling(by=None),
}
ALLOWED: dict[tuple[str, State], State] = {
    ("mark_producing", State.CHECKING_OUT): State.PRODUCING,
    ("mark_packaging", State.PRODUCING): State.PACKAGING,
    ("mark_probing", State.PACKAGING): State.PROBING,
    ("mark_succeeded", State.PROBING): State.FINISHED,
    **{("mark_ended", state): State.FINISHED for state in LEASED},
    ("mark_cancelling", State.QUEUED): State.FINISHED,
    **{("mark_cancelling", state): State.CANCELLING for state in WORKING},
}


def build_in(state: State) -> Build:
    """A build that the verbs have led to this state; it has an artifact and an image where it could have."""
    build = factories.queued_build()
    if state == State.QUEUED:
        return build
    build.take_up(worker="forge-1")
    if state == State.CANCELLING:
        build.mark_cancelling(by=None)
        return build
    if state == State.FINISHED:
        build.mark_ended(Outcome.FAILED, "There is no requirements.txt.")
        return build
    donor = factories.succeeded_build().artifact
    assert donor is not None
    build.note(artifact=donor, image=image(donor))
    for verb in ("mark_producing", "mark_packaging", "mark_probing")[: WORKING.index(state)]:
        VERBS[verb](build)
    return build


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("verb", VERBS)
def test_verb_moves_only_from_the_states_it_names(verb: str, state: State) -> None:
    build = build_in(state)
    before = Build.objects.values().get(pk=build.pk)
    assert before["state"] == state
    if (verb, state) in ALLOWED:
        VERBS[verb](build)
        assert Build.objects.get(pk=build.pk).state == build.state == ALLOWED[verb, state]
        return
    with pytest.raises((IllegalTransition, LeaseLost)):
        VERBS[verb](build)
    assert Build.objects.values().get(pk=build.pk) == before


def test_take_up_gives_a_lease_an_attempt_and_an_event() -> None:
    build = factories.queued_build()
    assert build.take_up(worker="forge-1")
    assert (build.state, build.attempt, build.worker) == (State.CHECKING_OUT, 1, "forge-1")
    assert build.started_at is not None
    assert build.lease_until is not None
    assert build.lease_until > timezone.now()
    assert build.events.filter(verb="build.started", data={"worker": "forge-1", "attempt": 1}).count() == 1


def test_take_up_is_won_by_one_worker_only() -> None:
    build = factories.queued_build()
    rival = Build.objects.get(pk=build.pk)
    assert build.take_up(worker="forge-1")
    assert not rival.take_up(worker="forge-2")
    build.refresh_from_db()
    assert (build.worker, build.attempt) == ("forge-1", 1)
    assert build.events.filter(verb="build.started").count() == 1


def test_take_up_leaves_a_finished_build_alone() -> None:
    build = factories.finished_build()
    assert not build.take_up(worker="forge-2")


def test_every_move_renews_the_lease() -> None:
    build = build_in(State.CHECKING_OUT)
    let_the_lease_run_out(build)
    build.mark_producing()
    assert not Build.objects.lease_ran_out().filter(pk=build.pk).exists()


def test_renew_lease_tells_a_worker_that_its_build_is_being_cancelled() -> None:
    build = build_in(State.PRODUCING)
    assert build.renew_lease() == State.PRODUCING
    Build.objects.get(pk=build.pk).mark_cancelling(by=None)
    assert build.renew_lease() == State.CANCELLING


OLD_HAND: dict[str, Callable[[Build], object]] = {
    **{name: verb for name, verb in VERBS.items() if name != "mark_cancelling"},
    "note": lambda build: build.note(source_files=99),
    "renew_lease": lambda build: build.renew_lease(),
    "fenced": lambda build: build.fenced().__enter__(),
}


@pytest.mark.parametrize("verb", OLD_HAND)
def test_worker_that_lost_its_build_writes_nothing(verb: str) -> None:
    build = build_in(State.PROBING)
    let_the_lease_run_out(build)
    assert Build.objects.get(pk=build.pk).mark_lost("Its worker was lost: rebuild it.")
    before = Build.objects.values().get(pk=build.pk)
    with pytest.raises(LeaseLost), transaction.atomic():
        OLD_HAND[verb](build)
    assert Build.objects.values().get(pk=build.pk) == before
    assert before["outcome"] == Outcome.WORKER_LOST


@pytest.mark.parametrize("verb", OLD_HAND)
def test_an_old_attempt_writes_nothing_over_a_newer_one(verb: str) -> None:
    build = build_in(State.PROBING)
    Build.objects.filter(pk=build.pk).update(attempt=2, worker="forge-2")
    before = Build.objects.values().get(pk=build.pk)
    with pytest.raises(LeaseLost), transaction.atomic():
        OLD_HAND[verb](build)
    assert Build.objects.values().get(pk=build.pk) == before


def test_fenced_lets_the_owner_write() -> None:
    build = build_in(State.PRODUCING)
    with build.fenced():
        Build.objects.filter(pk=build.pk).update(source_files=3)
    build.refresh_from_db()
    assert build.source_files == 3


def test_note_writes_facts_on_the_row_and_on_the_object() -> None:
    build = build_in(State.CHECKING_OUT)
    build.note(source_files=12, source_size=3456)
    assert (build.source_files, Build.objects.get(pk=build.pk).source_size) == (12, 3456)


def test_lost_only_when_the_lease_ran_out() -> None:
    build = build_in(State.PRODUCING)
    assert not build.mark_lost("Its worker was lost.")
    let_the_lease_run_out(build)
    assert list(Build.objects.lease_ran_out()) == [build]
    assert build.mark_lost("Its worker was lost.")
    build.refresh_from_db()
    assert (build.outcome, build.message, build.lease_until) == (Outcome.WORKER_LOST, "Its worker was lost.", None)


def test_lost_while_being_cancelled_is_cancelled() -> None:
    build = build_in(State.CANCELLING)
    let_the_lease_run_out(build)
    assert build.mark_lost("Its worker was lost.")
    build.refresh_from_db()
    assert build.outcome == Outcome.CANCELLED


def test_queued_build_is_never_lost() -> None:
    build = factories.queued_build()
    assert not build.mark_lost("Its worker was lost.")
    assert Build.objects.get(pk=build.pk).state == State.QUEUED


def test_cancelling_a_queued_build_ends_it_in_the_name_of_the_person() -> None:
    marta = factories.user(username="marta")
    build = factories.queued_build()
    build.mark_cancelling(by=marta)
    assert (build.outcome, build.message) == (Outcome.CANCELLED, "Cancelled by marta before a worker took it up.")
    assert Event.objects.get(build=build, verb="build.finished").actor == marta


def test_cancelling_a_working_build_waits_for_its_worker() -> None:
    build = build_in(State.PRODUCING)
    build.mark_cancelling(by=factories.user(username="marta"))
    assert build.state == State.CANCELLING
    assert build.cancel_asked_at is not None
    assert Event.objects.get(build=build, verb="build.cancel_asked").actor_name == "marta"


def test_a_cancelled_build_cannot_succeed_any_more() -> None:
    build = build_in(State.PROBING)
    Build.objects.get(pk=build.pk).mark_cancelling(by=None)
    with pytest.raises(IllegalTransition):
        build.mark_succeeded("Released.")


def test_success_needs_an_artifact_and_an_image() -> None:
    build = build_in(State.PROBING)
    build.note(image=None)
    with pytest.raises(IntegrityError, match="build_succeeded_means_artifact_and_image"), transaction.atomic():
        build.mark_succeeded("Released.")
    assert Build.objects.get(pk=build.pk).state == State.PROBING


def test_success_has_one_verb_only() -> None:
    with pytest.raises(IllegalTransition):
        build_in(State.PROBING).mark_ended(Outcome.SUCCEEDED, "Released.")


def test_end_is_told_by_an_event_and_leaves_no_lease() -> None:
    build = build_in(State.PRODUCING)
    build.mark_ended(Outcome.TIMED_OUT, "It took longer than 900 s.")
    assert build.lease_until is None
    assert build.finished_at is not None
    event = build.events.get(verb="build.finished")
    assert event.data == {"outcome": "timed_out", "message": "It took longer than 900 s."}


def test_message_longer_than_its_column_is_cut() -> None:
    build = build_in(State.PRODUCING)
    build.mark_ended(Outcome.FAILED, "x" * 5000)
    assert len(build.message) == 2000


def test_numbers_run_per_application() -> None:
    first, second = factories.application(), factories.application()
    numbers = [factories.queued_build(app, ref=f"v{n}").number for n, app in enumerate((first, first, second, first))]
    assert numbers == [1, 2, 1, 3]


def test_request_freezes_what_the_application_says() -> None:
    app = factories.application(directory="web", module="main", callable="application", requirements="deps/prod.txt")
    build = factories.queued_build(app)
    app.directory = app.requirements = "elsewhere"
    app.save()
    build.refresh_from_db()
    spec = build.spec()
    assert (spec.layout.directory, spec.layout.requirements) == ("web", "deps/prod.txt")
    assert build.entry_point == "main:application"
    assert spec.limits == Limits()
    assert spec.container == f"b{build.pk}-a0"


def test_active_and_finished_part_all_builds() -> None:
    waiting, working, done = factories.queued_build(), factories.running_build(), factories.finished_build()
    assert set(Build.objects.active()) == {waiting, working}
    assert set(Build.objects.queued()) == {waiting}
    assert set(Build.objects.leased()) == {working}
    assert set(Build.objects.finished()) == {done}
    assert not Build.objects.succeeded().exists()


def test_comparable_of_a_rebase_is_its_release_and_no_rebase_is_one_of_another() -> None:
    app = factories.application()
    first, second = factories.succeeded_build(app), factories.succeeded_build(app)
    rebased = factories.queued_build(app, rebase_of=first, commit=first.commit)
    assert rebased.comparable() == first
    assert factories.queued_build(app).comparable() == second


def test_comparable_is_the_newest_earlier_success_on_the_same_stack() -> None:
    app = factories.application()
    first, _failed = factories.succeeded_build(app), factories.finished_build(app)
    factories.succeeded_build()
    build = factories.queued_build(app)
    assert build.comparable() == first
    assert first.comparable() is None
    assert app.last_release() == first


def test_standing_is_the_state_until_there_is_an_outcome() -> None:
    build = build_in(State.PRODUCING)
    assert (build.standing, build.get_standing_display()) == ("producing", "Producing")
    build.mark_ended(Outcome.OUT_OF_MEMORY, "It wanted more than 1,024 MB.")
    assert (build.standing, build.get_standing_display()) == ("out_of_memory", "Out of memory")


def test_seconds_run_from_the_take_up_to_the_end() -> None:
    build = factories.queued_build()
    assert build.seconds is None
    build.started_at = timezone.now() - timedelta(seconds=90)
    build.finished_at = build.started_at + timedelta(seconds=30)
    assert build.seconds == 30


def let_the_lease_run_out(build: Build) -> None:
    Build.objects.filter(pk=build.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


@pytest.mark.parametrize(("outcome", "result"), [(Outcome.WORKER_LOST, "failed"), (Outcome.CANCELLED, "stopped")])
def test_end_ends_the_step_that_its_worker_could_not_end(outcome: Outcome, result: str) -> None:
    build = factories.running_build()
    Step.objects.create(build=build, position=1, name="produce", started_at=timezone.now())
    build.mark_ended(outcome, "Its worker was killed.")
    step = build.steps.get()
    assert (step.result, step.finished_at is not None) == (result, True)
