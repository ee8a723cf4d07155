"""Asking for builds: what is frozen, who is refused, what rings, and what happens when Redis is away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import django_rq
import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from releases import actions
from releases.errors import AlreadyUnderWay, InvalidInput, StackError
from releases.jobs import doorbell
from releases.models import Application, Build, Event, Outcome, Preparation, Preview, PreviewState, State
from releases.specs import Limits
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def marta() -> User:
    return factories.user(username="marta")


@pytest.fixture
def redis_away(settings: Settings) -> Iterator[None]:
    before = settings.RQ_QUEUES
    away = {"URL": "unix:///nowhere/redis.sock"}
    settings.RQ_QUEUES = {"builds": away, "desk": away}
    yield
    settings.RQ_QUEUES = before


def test_request_freezes_what_the_person_saw_and_the_settings_of_that_moment(marta: User, settings: Settings) -> None:
    settings.BUILD_LIMITS = Limits(cpus=1.5)
    app = factories.application(
        directory="web",
        module="main",
        callable="application",
        environment={"A": "1"},
        memory_mb=256,
        probe_policy="required",
    )
    ref = factories.ref(app, "v1.0.0")
    build = actions.request_build(app, ref, by=marta)
    Application.objects.filter(pk=app.pk).update(directory="other", environment={}, memory_mb=None, probe_policy="off")
    ref.delete()
    build.refresh_from_db()
    assert (build.ref, build.ref_kind, build.ref_full) == ("v1.0.0", "tag", "refs/tags/v1.0.0")
    assert (build.commit, build.subject) == (factories.commit(f"{app.name} v1.0.0"), "What v1.0.0 brings")
    assert (build.directory, build.entry_point, build.environment) == ("web", "main:application", {"A": "1"})
    assert (build.probe_policy, build.stack, build.repository) == ("required", app.stack, app.repository)
    assert Limits(**build.limits) == Limits(cpus=1.5, memory=256 * 1024 * 1024)
    assert (build.state, build.requested_by) == (State.QUEUED, marta)


def test_request_is_told_and_rings_only_after_the_commit(
    marta: User, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    app = factories.application()
    ref = factories.ref(app, "v1.0.0")
    with django_capture_on_commit_callbacks(execute=True):
        build = actions.request_build(app, ref, by=marta)
        assert not doorbell.is_waiting("builds", build.job_id)
    assert doorbell.is_waiting("builds", build.job_id)
    (job,) = django_rq.get_queue("builds").jobs
    assert (job.func_name, list(job.args)) == ("releases.jobs.build.run_next", [build.pk])
    told = Event.objects.get(verb="build.requested")
    assert (told.actor, told.build, told.data) == (marta, build, {"ref": "v1.0.0", "commit": ref.commit})


def test_double_click_leads_to_the_build_that_is_under_way(marta: User) -> None:
    app = factories.application()
    ref = factories.ref(app, "v1.0.0")
    build = actions.request_build(app, ref, by=marta)
    with pytest.raises(AlreadyUnderWay, match=rf"v1\.0\.0 of {app.name} is being built already, as #1\.") as refused:
        actions.request_build(app, ref, by=marta)
    assert refused.value.address == build.get_absolute_url()
    assert Build.objects.count() == 1
    assert Event.objects.filter(verb="build.requested").count() == 1


def test_same_commit_under_another_name_is_under_way_too(marta: User) -> None:
    app = factories.application()
    tag = factories.ref(app, "v1.0.0")
    branch = factories.ref(app, "main", kind="branch", commit=tag.commit)
    actions.request_build(app, tag, by=marta)
    with pytest.raises(AlreadyUnderWay, match="as #1"):
        actions.request_build(app, branch, by=marta)


def test_after_the_end_the_same_commit_may_be_built_again(marta: User) -> None:
    app = factories.application()
    ref = factories.ref(app, "v1.0.0")
    actions.cancel_build(actions.request_build(app, ref, by=marta), by=marta)
    assert actions.request_build(app, ref, by=marta).number == 2


@pytest.mark.parametrize("typed", ["main", "refs/heads/main", "  main "])
def test_typed_ref_is_what_it_will_be_at_checkout_not_what_was_last_read(typed: str) -> None:
    app = factories.application()
    factories.ref(app, "main", kind="branch")
    build = actions.request_build(app, typed, by=None)
    assert (build.ref, build.ref_full, build.commit) == (typed.strip(), "", "")


def test_ref_is_built_once_at_a_time_whether_it_was_seen_or_typed() -> None:
    app = factories.application()
    ref = factories.ref(app, "v1.0.0")
    first = actions.request_build(app, "v1.0.0", by=None)
    with pytest.raises(AlreadyUnderWay, match="as #1") as refused:
        actions.request_build(app, ref, by=None)
    assert refused.value.key == first.pk


def test_typed_ref_that_is_not_known_yet_is_resolved_at_checkout() -> None:
    app = factories.application()
    build = actions.request_build(app, "feature/plums", by=None)
    assert (build.ref, build.ref_full, build.commit) == ("feature/plums", "", "")
    with pytest.raises(AlreadyUnderWay, match="as #1") as refused:
        actions.request_build(app, "feature/plums", by=None)
    assert refused.value.address == build.get_absolute_url()


@pytest.mark.parametrize(
    "ref", ["", "-x", "--upload-pack=x", "a b", "v1..v2", "HEAD~1", "v1\n2", "x" * 300, "a\0b", "v1:x"]
)
def test_ref_that_cannot_be_one_is_refused_beside_its_field(ref: str) -> None:
    app = factories.application()
    with pytest.raises(InvalidInput) as refused:
        actions.request_build(app, ref, by=None)
    assert refused.value.field == "ref"
    assert not Build.objects.exists()


def test_rebuild_is_a_new_build_of_the_same_commit_with_the_settings_of_today(marta: User) -> None:
    app = factories.application()
    old = factories.finished_build(app)
    app.directory = "web"
    app.save()
    new = actions.rebuild(Build.objects.get(pk=old.pk), by=marta)
    assert (new.retry_of, new.number, new.commit, new.ref) == (old, 2, old.commit, old.ref)
    assert (old.directory, new.directory) == ("app", "web")
    assert new.requested_by == marta
    assert Build.objects.get(pk=old.pk).outcome == Outcome.FAILED


def test_rebuild_of_a_build_that_still_runs_is_refused() -> None:
    build = factories.running_build()
    with pytest.raises(AlreadyUnderWay):
        actions.rebuild(build, by=None)


def test_cancel_ends_a_queued_build_at_once_and_says_who(marta: User) -> None:
    build = actions.cancel_build(factories.queued_build(), by=marta)
    assert (build.state, build.outcome) == (State.FINISHED, Outcome.CANCELLED)
    assert "marta" in build.message


def test_cancel_of_a_working_build_waits_for_its_worker(marta: User) -> None:
    build = actions.cancel_build(factories.running_build(), by=marta)
    assert (build.state, build.outcome) == (State.CANCELLING, "")


@pytest.mark.parametrize("again", ["finished", "cancelling"])
def test_cancel_where_there_is_nothing_to_cancel_is_a_sentence(again: str) -> None:
    build = factories.finished_build() if again == "finished" else factories.running_build()
    if again == "cancelling":
        actions.cancel_build(build, by=None)
    with pytest.raises(InvalidInput, match="there is nothing to cancel"):
        actions.cancel_build(build, by=None)


# ---- previews and stacks -----------------------------------------------------------------------------------


def test_preview_is_asked_for_and_rings(
    marta: User, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    build = factories.succeeded_build()
    with django_capture_on_commit_callbacks(execute=True):
        preview = actions.request_preview(build, environment={"GREETING": "hola"}, by=marta)
    assert (preview.state, preview.environment, preview.requested_by) == (
        PreviewState.ASKED,
        {"GREETING": "hola"},
        marta,
    )
    assert doorbell.is_waiting("desk", preview.job_id)
    told = Event.objects.get(verb="preview.asked")
    assert told.data == {"preview": preview.pk, "names": ["GREETING"]}


def test_preview_of_a_build_without_an_image_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no runtime image"):
        actions.request_preview(factories.finished_build(), environment={}, by=None)
    assert not Preview.objects.exists()


def test_preview_with_an_odd_environment_is_refused() -> None:
    with pytest.raises(InvalidInput) as refused:
        actions.request_preview(factories.succeeded_build(), environment={"A B": "x"}, by=None)
    assert refused.value.field == "environment"


def test_preview_is_stopped_once(marta: User) -> None:
    preview = actions.request_preview(factories.succeeded_build(), environment={}, by=marta)
    assert actions.stop_preview(preview, by=marta).state == PreviewState.STOPPING
    with pytest.raises(InvalidInput, match="stopping"):
        actions.stop_preview(preview, by=marta)


def test_stack_is_prepared_once_at_a_time(
    marta: User, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        preparation = actions.prepare_stack("python3.13-uwsgi", by=marta)
    assert doorbell.is_waiting("builds", preparation.job_id)
    with pytest.raises(AlreadyUnderWay, match="being prepared already") as refused:
        actions.prepare_stack("python3.13-uwsgi", by=marta)
    assert refused.value.address == preparation.get_absolute_url()
    assert Preparation.objects.count() == 1


def test_stack_that_is_none_is_refused() -> None:
    with pytest.raises(StackError):
        actions.prepare_stack("no-such-stack", by=None)


# ---- when Redis is away, and when many press at once ----------------------------------------------------------


def test_what_is_asked_stands_when_redis_is_away(
    redis_away: None, marta: User, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        app = actions.register_application(by=marta, name="shop", repository="https://git.example.org/shop.git")
        build = actions.request_build(app, "v1.0.0", by=marta)
        preview = actions.request_preview(factories.succeeded_build(), environment={}, by=marta)
        actions.prepare_stack("python3.13-uwsgi", by=marta)
    assert not actions.queue_answers()
    assert Build.objects.get(pk=build.pk).state == State.QUEUED
    assert Preview.objects.get(pk=preview.pk).state == PreviewState.ASKED
    assert Preparation.objects.live().count() == 1


def test_redis_that_is_there_answers() -> None:
    assert actions.queue_answers()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("ref", ["v1.0.0", "typed-by-hand"])
def test_twenty_clicks_at_once_make_one_build(ref: str) -> None:
    app = factories.application()
    factories.ref(app, "v1.0.0")

    def click(_: int) -> str:
        try:
            return str(actions.request_build(Application.objects.get(pk=app.pk), ref, by=None))
        except AlreadyUnderWay as refused:
            return refused.address
        finally:
            connection.close()

    with ThreadPoolExecutor(20) as people:
        answers = list(people.map(click, range(20)))
    build = Build.objects.get()
    assert sorted(answers) == sorted([str(build)] + [build.get_absolute_url()] * 19)
    assert len(django_rq.get_queue("builds").jobs) == 1


@pytest.mark.django_db(transaction=True)
def test_clicks_on_different_refs_at_once_get_numbers_of_their_own() -> None:
    app = factories.application()

    def click(number: int) -> int:
        try:
            return actions.request_build(Application.objects.get(pk=app.pk), f"branch-{number}", by=None).number
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as people:
        numbers = list(people.map(click, range(8)))
    assert sorted(numbers) == list(range(1, 9))


@pytest.mark.django_db(transaction=True)
def test_click_while_a_worker_takes_the_build_up_ends_without_a_deadlock() -> None:
    app = factories.application()
    build = actions.request_build(app, "main", by=None)

    def click() -> str:
        try:
            return str(actions.request_build(Application.objects.get(pk=app.pk), "main", by=None))
        except AlreadyUnderWay as refused:
            return refused.address
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as person:
        with transaction.atomic():
            Build.objects.filter(pk=build.pk).update(message="being taken up")
            answer = person.submit(click)
            wait_until_somebody_waits_for_a_lock()
            Event.objects.record("build.started", build=build)  # the other half of taking up
        assert answer.result(timeout=30) == build.get_absolute_url()


def wait_until_somebody_waits_for_a_lock() -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(waiting)
            if cursor.fetchone()[0]:
                return
        time.sleep(0.02)
    raise AssertionError("Nobody came to wait: this test does not show what it should.")
