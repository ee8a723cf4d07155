"""The queue's side: what is rung for is done once, by a worker that survives what its work-horse does not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import django_rq
import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, connections, transaction
from psycopg.conninfo import make_conninfo
from pytest_django.fixtures import Settings
from redis.exceptions import ConnectionError as RedisAway
from rq import Worker
from rq.job import Job
from rq.worker import worker_classes

from releases import actions
from releases.jobs import build as building
from releases.jobs import doorbell
from releases.jobs import worker as working
from releases.jobs.build import run_build, run_next
from releases.jobs.sweeper import Sweeper
from releases.jobs.worker import PortalWorker, close_killed_build
from releases.models import Application, Build, Outcome, State, next_build
from releases.storage import log_path
from tests.fakes.engine import FakeContainer, FakeEngine, Script
from tests.jobs.conftest import Start, assert_ended, assert_nothing_left, lines, results, rung, typed, wait_until
from tests.pipeline import shop

KILLED = "The process that ran this build was killed from outside"


@pytest.fixture
def same_signals() -> Iterator[None]:
    """A worker in this very process takes the signals for itself; pytest gets them back."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def work(queue: str = "builds") -> None:
    """`manage.py work` until its queue is empty; each job in a forked work-horse, as always."""
    call_command("work", queue, burst=True)
    connections.close_all()


def ring(build: Build) -> Job:
    doorbell.ring("builds", doorbell.NEXT_BUILD, build.pk, build.job_id)
    job = django_rq.get_queue("builds").fetch_job(str(build.job_id))
    assert job is not None
    return job


def test_worker_takes_up_what_was_asked_for(app: Application, engine: FakeEngine, same_signals: None) -> None:
    build = actions.request_build(app, "v1.0.0", by=None)
    work()
    assert_ended(build, Outcome.SUCCEEDED)
    assert build.worker.startswith("builds-")
    assert rung() == []


def test_worker_never_sees_a_build_that_was_rolled_back(
    app: Application, engine: FakeEngine, same_signals: None
) -> None:
    with transaction.atomic():
        actions.request_build(app, "v1.0.0", by=None)
        assert Build.objects.count() == 1
        assert rung() == []  # not before the commit
        transaction.set_rollback(True)
    assert rung() == []
    work()
    assert Build.objects.count() == 0


def test_worker_refuses_two_queues() -> None:
    queues = [django_rq.get_queue(name) for name in ("builds", "desk")]
    with pytest.raises(ValueError, match="exactly one queue"):
        PortalWorker(queues, connection=queues[0].connection)


def test_worker_makes_one_attempt_of_a_job_that_comes_ten_times(
    build: Build, engine: FakeEngine, same_signals: None
) -> None:
    for _ in range(10):
        ring(build)
    work()
    assert_ended(build, Outcome.SUCCEEDED)
    assert build.attempt == 1
    assert build.events.filter(verb="build.started").count() == 1


def test_ten_workers_at_once_make_one_attempt(build: Build, engine: FakeEngine, start: Start) -> None:
    for worker in [start(lambda: run_build(build.pk)) for _ in range(10)]:
        worker.join(30)
    assert_ended(build, Outcome.SUCCEEDED)
    assert build.attempt == 1
    assert len(engine.runs) == 2  # one builder, one probe


def test_worker_that_comes_too_late_for_a_build_leaves_it_alone_and_takes_the_next(
    app: Application, build: Build, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers that were rung for may see the same build as the next; the row tells who was first."""
    seen = [Build.objects.select_related("application").get(pk=build.pk)]
    assert build.take_up(worker="forge")
    waiting = typed(app, "main")
    monkeypatch.setattr(building, "next_build", lambda: seen.pop() if seen else next_build())
    run_next(waiting.pk)
    assert_ended(waiting, Outcome.SUCCEEDED)
    build.refresh_from_db()
    assert (build.state, build.worker, build.attempt) == (State.CHECKING_OUT, "forge", 1)
    assert not log_path(build.pk).exists()


def test_worker_closes_the_build_of_its_killed_work_horse_and_goes_on(
    app: Application, engine: FakeEngine, same_signals: None
) -> None:
    """As the kernel does when the machine's memory is used up."""

    def kill(container: FakeContainer) -> Script:
        if container.spec.labels["release-portal.build"] == str(killed.pk):
            os.kill(os.getpid(), signal.SIGKILL)  # the work-horse: this runs in it alone
        return shop.good_builder(container)

    engine.on_run(shop.BUILDER, kill)
    killed, after = typed(app), typed(app, "main")
    ring(killed)
    work()
    assert_ended(killed, Outcome.WORKER_LOST, KILLED, "press Rebuild")
    assert results(killed) == {"checkout": "succeeded", "produce": "failed"}
    ring(after)
    work()
    assert_ended(after, Outcome.SUCCEEDED)
    assert_ended(run_again(killed), Outcome.SUCCEEDED)


def test_clock_that_jumps_a_day_ahead_kills_no_work_horse(
    build: Build, engine: FakeEngine, same_signals: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RQ's own clock: by that the work-horse has worked for a day, and may for seven hours."""
    jump = timedelta()

    def slow(container: FakeContainer) -> Script:
        time.sleep(2.5)  # the worker looks after it meanwhile
        return shop.good_builder(container)

    def jumping() -> datetime:
        nonlocal jump
        found, jump = datetime.now(UTC) + jump, timedelta(days=1)
        return found

    monkeypatch.setattr(working, "MONITORING_SECONDS", 1)
    monkeypatch.setattr(worker_classes, "now", jumping)
    engine.on_run(shop.BUILDER, slow)
    ring(build)
    work()
    assert jump
    assert_ended(build, Outcome.SUCCEEDED)


def test_work_horse_that_hangs_is_killed_in_the_end(
    build: Build, engine: FakeEngine, same_signals: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(_container: FakeContainer) -> Script:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})  # as code that never comes back to Python
        time.sleep(300)
        raise AssertionError

    monkeypatch.setattr(working, "MONITORING_SECONDS", 1)
    monkeypatch.setattr(working, "GRACE_SECONDS", 0)
    monkeypatch.setattr(doorbell, "BACKSTOP_SECONDS", 3)
    engine.on_run(shop.BUILDER, hang)
    ring(build)
    work()
    assert_ended(build, Outcome.WORKER_LOST, KILLED)


def run_again(build: Build) -> Build:
    again = actions.rebuild(build, by=None)
    work()
    assert again.retry_of == build
    return again


def test_killed_work_horse_of_a_cancelled_build_is_a_cancel(build: Build) -> None:
    build.take_up(worker="forge")
    build.mark_cancelling(by=None)
    close_killed_build("forge")
    assert_ended(build, Outcome.CANCELLED, "Cancelled; its work-horse had been killed by then.")


def test_killed_work_horse_says_nothing_of_a_build_that_is_over(build: Build, engine: FakeEngine) -> None:
    run_build(build.pk)
    written = lines(build)
    close_killed_build(build.worker)
    assert_ended(build, Outcome.SUCCEEDED)
    assert lines(build) == written


def test_killed_work_horse_of_another_worker_harms_no_build(build: Build) -> None:
    build.take_up(worker="forge")
    close_killed_build("desk-of-another-name")
    build.refresh_from_db()
    assert build.state == State.CHECKING_OUT


def test_killed_work_horse_without_a_database_is_left_to_the_sweeper(
    build: Build, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*_given: object, **_named: object) -> None:
        raise DatabaseError("the server closed the connection")

    build.take_up(worker="forge")
    with monkeypatch.context() as moment:
        moment.setattr(Build, "mark_ended", away)
        close_killed_build("forge")
    assert "is left to the sweeper" in caplog.text


def test_worker_survives_the_absence_of_redis_in_the_middle_of_a_job(
    build: Build, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*_given: object) -> None:
        raise RedisAway("Connection refused")

    queue = django_rq.get_queue("builds")
    worker = PortalWorker([queue], connection=queue.connection)
    monkeypatch.setattr(Worker, "maintain_heartbeats", away)
    worker.maintain_heartbeats(ring(build), None)
    assert "Redis does not take the heartbeat" in caplog.text


def test_worker_says_again_who_it_is_when_redis_was_emptied() -> None:
    queue = django_rq.get_queue("builds")
    worker = PortalWorker([queue], name="forge-again", connection=queue.connection)
    worker.register_birth()  # type: ignore[no-untyped-call] # RQ has no types here
    for key in queue.connection.scan_iter("rq:worker*"):
        queue.connection.delete(key)
    assert Worker.all(queue=queue) == []
    worker.heartbeat()
    (found,) = Worker.all(queue=queue)
    assert (found.name, found.pid, found.queue_names()) == ("forge-again", os.getpid(), ["builds"])
    worker.register_death()  # type: ignore[no-untyped-call]


# ---- a process of its own --------------------------------------------------------------------------------------


@pytest.fixture
def process(home: Path, settings: Settings, git_that_waits: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`manage.py work builds` on the database, queue and folder of this test."""
    known = connection.settings_dict
    environment = {
        **os.environ,
        "DATABASE_URL": make_conninfo(
            dbname=known["NAME"], user=known["USER"], password=known["PASSWORD"], host=known["HOST"], port=known["PORT"]
        ),
        "REDIS_URL": settings.REDIS_URL,
        "PORTAL_HOME": str(home),
        "PORTAL_INSTANCE": settings.PORTAL_INSTANCE,
        "PORTAL_LOCAL_REPOSITORIES": str(home / "local"),
    }
    command = [sys.executable, "manage.py", "work", "builds"]
    with subprocess.Popen(command, cwd=settings.BASE_DIR, env=environment) as process:
        yield process
        process.kill()
    if git_that_waits.exists():  # it outlives a killed work-horse and holds the mirror meanwhile
        os.kill(int(git_that_waits.read_text()), signal.SIGKILL)


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.engine
def test_process_whose_work_horse_is_killed_closes_the_build_at_once(
    build: Build, process: subprocess.Popen[bytes], git_that_waits: Path
) -> None:
    ring(build)
    wait_until(lambda: git_that_waits.exists() and bool(git_that_waits.read_text()))
    horse = parent(int(git_that_waits.read_text()))
    assert parent(horse) == process.pid
    os.kill(horse, signal.SIGKILL)
    wait_until(lambda: Build.objects.get(pk=build.pk).is_finished)
    wait_until(lambda: lines(build)[-1].startswith("Worker lost"))
    assert_ended(build, Outcome.WORKER_LOST, KILLED)
    assert process.poll() is None
    process.terminate()
    assert process.wait(30) == 0


@pytest.mark.engine
def test_process_that_is_killed_with_its_work_horse_leaves_the_build_to_the_sweeper(
    build: Build, process: subprocess.Popen[bytes], git_that_waits: Path, engine: FakeEngine
) -> None:
    ring(build)
    wait_until(lambda: git_that_waits.exists() and bool(git_that_waits.read_text()))
    horse = parent(int(git_that_waits.read_text()))
    process.kill()
    os.kill(horse, signal.SIGKILL)
    process.wait(30)
    build.refresh_from_db()
    assert build.state == State.CHECKING_OUT
    assert Sweeper().sweep() == 0  # its lease holds for half a minute
    Build.objects.filter(pk=build.pk).update(lease_until="2026-01-01T00:00:00Z")
    Sweeper().sweep()
    assert_ended(build, Outcome.WORKER_LOST, "The worker was lost in the middle of this build", "press Rebuild")
    assert any(line.startswith("Fetching ") for line in lines(build))  # the log up to there
    assert_nothing_left(engine)
