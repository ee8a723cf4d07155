"""The sweeper makes rows, queue and engine agree again: builds, preparations, and what waits without a job."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import django_rq
import pytest
from django.conf import settings
from django.utils import timezone
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq.job import JobStatus

from releases import actions
from releases.jobs import doorbell, sweeper
from releases.jobs.sweeper import LOST, Sweeper
from releases.models import (
    Application,
    Build,
    Event,
    Outcome,
    Preparation,
    PreparationState,
    Step,
    StepName,
    Workshop,
)
from releases.specs import ContainerSpec
from releases.stacks import stack as stacks
from tests import factories
from tests.fakes.engine import FakeEngine
from tests.jobs.conftest import assert_ended, assert_nothing_left, empty, results, run, rung, typed
from tests.pipeline import shop


def late(*rows: Build | Preparation) -> None:
    """They were asked for a while ago, and nobody has come."""
    for row in rows:
        type(row)._default_manager.filter(pk=row.pk).update(created_at=timezone.now() - timedelta(minutes=1))


def lose(row: Build | Preparation) -> None:
    type(row)._default_manager.filter(pk=row.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


def container(engine: FakeEngine, build: Build, name: str = "", attempt: int = 0) -> None:
    labels = {"release-portal.build": str(build.pk), "release-portal.attempt": str(attempt or build.attempt)}
    image = engine.image(stacks.load(shop.STACK).builder_tag)
    assert image is not None
    engine.create(
        ContainerSpec(name=name or f"b{build.pk}-a{attempt or build.attempt}", image=image.image_id, labels=labels)
    )


def names(engine: FakeEngine) -> set[str]:
    return {found.name for found in engine.containers({})}


# ---- what lost its worker ------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine_is_away", [False, True])
def test_sweep_closes_a_build_whose_worker_is_lost(engine_is_away: bool, build: Build, engine: FakeEngine) -> None:
    build.take_up(worker="forge")
    container(engine, build)
    Step.objects.create(build=build, name=StepName.CHECKOUT, position=1, started_at=timezone.now())
    lose(build)
    engine.away = engine_is_away
    assert Sweeper().sweep() == 1
    assert_ended(build, Outcome.WORKER_LOST, LOST)
    assert results(build) == {"checkout": "failed"}
    engine.away = False
    assert Sweeper().sweep() == engine_is_away  # what could not be removed then is removed now
    assert_nothing_left(engine)


def test_sweep_takes_a_cancel_without_its_worker_for_a_cancel(build: Build, engine: FakeEngine) -> None:
    build.take_up(worker="forge")
    build.mark_cancelling(by=None)
    lose(build)
    Sweeper().sweep()
    assert_ended(build, Outcome.CANCELLED, "its worker was gone by then")


def test_sweep_closes_a_preparation_whose_worker_is_lost(engine: FakeEngine) -> None:
    stack = stacks.load(shop.STACK)
    preparation = Preparation.objects.request(stack.name, stack.digest, by=None)
    preparation.take_up()
    assert Sweeper().sweep() == 0
    lose(preparation)
    assert Sweeper().sweep() == 1
    preparation.refresh_from_db()
    assert preparation.state == PreparationState.FAILED
    assert "The worker was lost" in preparation.message
    assert "press Prepare again" in preparation.message
    assert Event.objects.filter(verb="stack.failed").count() == 1


# ---- what waits without a job --------------------------------------------------------------------------------


def test_sweep_rings_for_a_build_whose_job_vanished(app: Application, engine: FakeEngine) -> None:
    build = actions.request_build(app, "v1.0.0", by=None)
    assert rung() == [("run_next", build.pk)]
    empty()
    assert Sweeper().sweep() == 0  # it was asked for just now: its ring may be on its way
    late(build)
    assert Sweeper().sweep() == 1
    assert rung() == [("run_next", build.pk)]


def test_sweep_does_not_ring_twice_while_the_job_waits(app: Application, engine: FakeEngine) -> None:
    build = actions.request_build(app, "v1.0.0", by=None)
    preparation = actions.prepare_stack(shop.STACK, by=None)
    late(build, preparation)
    for _ in range(3):
        assert Sweeper().sweep() == 0
    assert rung() == [("run_next", build.pk), ("prepare_stack", preparation.pk)]


def test_sweep_rings_for_a_job_that_lost_its_worker_before_it_began(build: Build, engine: FakeEngine) -> None:
    """RQ says for minutes that a job is started whose work-horse was killed before the row was taken up."""
    doorbell.ring("builds", doorbell.NEXT_BUILD, build.pk, build.job_id)
    queue = django_rq.get_queue("builds")
    job = queue.fetch_job(str(build.job_id))
    assert job is not None
    queue.remove(job)
    job.set_status(JobStatus.STARTED)
    job.started_at = timezone.now().replace(tzinfo=None)
    job.save()
    late(build)
    assert Sweeper().sweep() == 1
    assert Sweeper().sweep() == 0
    assert rung() == [("run_next", build.pk)]


def test_sweep_rings_for_a_preparation_whose_job_vanished(engine: FakeEngine) -> None:
    preparation = actions.prepare_stack(shop.STACK, by=None)
    empty()
    late(preparation)
    assert Sweeper().sweep() == 1
    assert rung() == [("prepare_stack", preparation.pk)]


@pytest.mark.parametrize("error", ["", "The repository was away an hour ago."])
def test_sweep_rings_for_refs_that_nobody_reads(error: str, app: Application, engine: FakeEngine) -> None:
    if error:
        app.note_refs_error(error)
    actions.refresh_refs(app, by=None)
    empty()
    assert Sweeper().sweep() == 0
    Application.objects.filter(pk=app.pk).update(
        refs_asked_at=timezone.now() - timedelta(minutes=3),
        refs_read_at=timezone.now() - timedelta(hours=1) if error else None,
    )
    assert Sweeper().sweep() == 1
    assert Sweeper().sweep() == 0
    assert rung("desk") == [("refresh_refs", app.pk)]


def test_sweep_does_not_ring_for_refs_that_were_read(app: Application, engine: FakeEngine) -> None:
    Application.objects.filter(pk=app.pk).update(refs_asked_at=timezone.now() - timedelta(minutes=3))
    app.note_refs_error("The repository is away.")
    assert Sweeper().sweep() == 0


def test_sweep_rings_for_nothing_that_is_at_work_or_over(app: Application, engine: FakeEngine) -> None:
    working, over = typed(app, "main"), typed(app, "v1.0.0")
    working.take_up(worker="forge")
    over.mark_cancelling(by=None)
    late(working)
    Sweeper().sweep()
    assert rung() == []


def test_sweep_without_redis_goes_on(
    build: Build, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = django_rq.get_queue("builds", connection=Redis(port=9, retry=Retry(NoBackoff(), 0)))
    late(build)
    lost = factories.running_build(factories.application())
    lose(lost)
    with monkeypatch.context() as away:
        away.setattr(django_rq, "get_queue", lambda *_: nowhere)
        assert Sweeper().sweep() == 1
    assert "Redis does not answer" in caplog.text
    assert_ended(lost, Outcome.WORKER_LOST)
    build.refresh_from_db()
    assert build.is_active


# ---- what lies about -----------------------------------------------------------------------------------------


def test_sweep_removes_containers_of_no_live_attempt(app: Application, engine: FakeEngine) -> None:
    live, over = typed(app, "main"), typed(app, "v1.0.0")
    live.take_up(worker="forge")
    over.mark_cancelling(by=None)
    container(engine, live, "live")
    container(engine, live, "old-attempt", attempt=live.attempt + 1)
    container(engine, over, "over", attempt=1)
    image = stacks.load(shop.STACK).builder_tag
    unheard_of = {"release-portal.build": "999999", "release-portal.attempt": "1"}
    engine.create(ContainerSpec(name="of-a-build-unheard-of", image=image, labels=unheard_of))
    engine.create(ContainerSpec(name="preparing", image=image, labels={}))
    assert Sweeper().sweep() == 3
    assert names(engine) == {"live", "preparing"}


def test_sweep_leaves_another_portals_containers_alone(build: Build, engine: FakeEngine) -> None:
    build.mark_cancelling(by=None)
    engine.instance = "0therone"
    container(engine, build, "theirs", attempt=1)
    engine.instance = "0urs0urs"
    assert Sweeper().sweep() == 0
    engine.instance = "0therone"
    assert names(engine) == {"theirs"}


def test_sweep_removes_images_that_nobody_recorded(app: Application, engine: FakeEngine) -> None:
    released = factories.succeeded_build(app)
    assert released.image is not None
    over, live = typed(app, "v1.0.0"), typed(app, "main")
    over.mark_cancelling(by=None)
    live.take_up(worker="forge")
    ours = f"release-portal-{settings.PORTAL_INSTANCE}/{app.name}"
    kept = engine.add_image(f"{ours}:main-{live.number}")
    environment = engine.add_image(f"{ours}:environment-0123456789ab")
    lost = engine.add_image(f"{ours}:v1.0.0-{over.number}")
    by_hand = engine.add_image("shop-with-a-shell")
    stack = engine.image(stacks.load(shop.STACK).builder_tag)
    assert Sweeper().sweep() == 1
    assert engine.image(lost.image_id) is None
    assert engine.image(kept.image_id) is not None
    assert engine.image(by_hand.image_id) is not None
    assert engine.image(environment.image_id) is not None
    assert stack is not None
    assert engine.image(stack.image_id) is not None


def test_sweep_keeps_images_of_releases(build: Build, engine: FakeEngine) -> None:
    image = run(build).image
    assert image is not None
    assert Sweeper().sweep() == 0
    assert engine.image(image.image_id) is not None


def test_sweep_removes_old_half_written_files(engine: FakeEngine, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = home / "blobs" / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "half").write_bytes(b"half of a file")
    assert Sweeper().sweep() == 0
    monkeypatch.setattr(sweeper, "TEMPORARY_SECONDS", -1.0)
    assert Sweeper().sweep() == 1
    assert list(folder.iterdir()) == []


# ---- what the pages read -------------------------------------------------------------------------------------


def test_sweep_reports_engine_and_disk(engine: FakeEngine) -> None:
    Sweeper().sweep()
    seen = Workshop.objects.seen()
    assert seen is not None
    assert (seen.engine_answers, seen.engine, seen.engine_problem) == (True, "Docker 0.0-fake, memory", "")
    assert seen.disk_total is not None
    assert 0 < (seen.disk_free or 0) <= seen.disk_total
    assert seen.is_fresh


def test_sweep_without_an_engine_says_so_and_goes_on(build: Build, engine: FakeEngine) -> None:
    late(build)
    engine.away = True
    Sweeper().tick()
    assert Sweeper().sweep() == 1  # the ring
    seen = Workshop.objects.seen()
    assert seen is not None
    assert not seen.engine_answers
    assert "The container engine does not answer" in seen.engine_problem
    engine.away = False
    Sweeper().sweep()
    seen = Workshop.objects.seen()
    assert seen is not None
    assert (seen.engine_answers, seen.engine_problem) == (True, "")


def test_sweep_counts_its_repairs(app: Application, engine: FakeEngine) -> None:
    for ref in ("main", "v1.0.0"):
        build = typed(app, ref)
        build.take_up(worker="forge")
        lose(build)
        Sweeper().sweep()
    seen = Workshop.objects.seen()
    assert seen is not None
    assert seen.repairs == 2
