"""A worker holds its build by a lease; without it, it stops and writes nothing more."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import DatabaseError
from django.utils import timezone
from pytest_django.fixtures import Settings

from releases.errors import BuildCancelled, BuildTimedOut, LeaseLost
from releases.jobs.build import run_build
from releases.jobs.lease import Lease
from releases.jobs.sweeper import LOST, Sweeper
from releases.models import Build, Outcome, State
from tests.fakes.engine import FakeContainer, FakeEngine, Script
from tests.jobs.conftest import Start, assert_ended, assert_nothing_left, lines, results, wait_until
from tests.pipeline import shop


def run_out(build: Build) -> None:
    """As when the worker's machine stood still for a while."""
    Build.objects.filter(pk=build.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


def refusal(lease: Lease) -> type[Exception] | None:
    try:
        lease.check()
    except (BuildCancelled, BuildTimedOut, LeaseLost) as error:
        return type(error)
    return None


@pytest.fixture
def held(build: Build) -> Build:
    build.take_up(worker="forge")
    return build


def test_lease_is_renewed_while_the_work_goes_on(held: Build) -> None:
    run_out(held)
    with Lease(held) as lease:
        wait_until(lambda: not Build.objects.lease_ran_out().filter(pk=held.pk).exists())
        lease.check()


def test_lease_notices_a_cancel(held: Build) -> None:
    with Lease(held) as lease:
        held.mark_cancelling(by=None)
        wait_until(lambda: refusal(lease) is BuildCancelled)


def test_lease_notices_that_the_build_was_closed(held: Build) -> None:
    with Lease(held) as lease:
        Build.objects.get(pk=held.pk).mark_ended(Outcome.WORKER_LOST, "Closed by another hand.")
        wait_until(lambda: refusal(lease) is LeaseLost)


def test_lease_watches_the_clock_when_it_is_started(held: Build) -> None:
    lease = Lease(held)
    lease.check()
    lease.start_clock(0)
    with pytest.raises(BuildTimedOut, match="longer than its limit of 0 s"):
        lease.check()
    lease.stop_clock()
    lease.check()


def test_lease_survives_a_short_absence_of_the_database(
    held: Build, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    renew = Build.renew_lease
    failed: list[Build] = []

    def at_times(self: Build) -> State:
        if len(failed) < 3:
            failed.append(self)
            raise DatabaseError("the server closed the connection")
        return renew(self)

    monkeypatch.setattr(Build, "renew_lease", at_times)
    run_out(held)
    with Lease(held) as lease:
        wait_until(lambda: not Build.objects.lease_ran_out().filter(pk=held.pk).exists())
        lease.check()
    assert "could not be renewed: the server closed the connection" in caplog.text


def test_lease_is_lost_when_the_database_is_away_for_as_long_as_it_lasts(
    held: Build, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    def never(self: Build) -> State:
        raise DatabaseError("no route to host")

    monkeypatch.setattr(Build, "renew_lease", never)
    settings.LEASE_SECONDS = 0.2
    with Lease(held) as lease:
        wait_until(lambda: refusal(lease) is LeaseLost)


def test_worker_that_lost_its_build_stops_and_writes_nothing_more(
    build: Build, engine: FakeEngine, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    awake, renew = threading.Event(), Build.renew_lease

    def asleep(self: Build) -> State:
        assert awake.wait(30)
        return renew(self)

    monkeypatch.setattr(Build, "renew_lease", asleep)
    engine.on_run(shop.BUILDER, Script(lines=["compiling"], forever=True, files=shop.left_behind()))
    worker = start(lambda: run_build(build.pk))
    wait_until(lambda: "compiling" in lines(build))
    run_out(build)
    assert Sweeper().sweep() == 1
    closed, written = Build.objects.values().get(pk=build.pk), lines(build)
    awake.set()
    worker.join(30)
    assert_ended(build, Outcome.WORKER_LOST, LOST)
    assert Build.objects.values().get(pk=build.pk) == closed
    assert lines(build) == written
    assert results(build) == {"checkout": "succeeded", "produce": "failed"}
    assert_nothing_left(engine)


def test_worker_that_comes_back_after_the_sweeper_publishes_nothing(build: Build, engine: FakeEngine) -> None:
    """The machine slept while the builder worked, and the sweeper closed the build meanwhile."""

    def sleep(container: FakeContainer) -> Script:
        lost = False
        while not lost:  # the lease may be renewed between the two
            run_out(build)
            lost = Build.objects.get(pk=build.pk).mark_lost(LOST)
        return shop.good_builder(container)

    engine.on_run(shop.BUILDER, sleep)
    run_build(build.pk)
    build.refresh_from_db()
    assert (build.outcome, build.message) == (Outcome.WORKER_LOST, LOST)
    assert (build.artifact, build.image, build.packages.count()) == (None, None, 0)
    assert_nothing_left(engine)


def test_sweeper_leaves_a_build_alone_whose_lease_holds(build: Build, engine: FakeEngine, start: Start) -> None:
    engine.on_run(shop.BUILDER, Script(forever=True))
    worker = start(lambda: run_build(build.pk))
    wait_until(lambda: bool(engine.runs))
    assert Sweeper().sweep() == 0
    assert [container.running for container in engine.containers({})] == [True]
    Build.objects.get(pk=build.pk).mark_cancelling(by=None)
    worker.join(30)
