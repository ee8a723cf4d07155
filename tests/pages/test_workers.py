"""The workshop's page and `/healthz`: real queues, real workers' registrations, and each trouble with what mends it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import django_rq
import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone
from rq import Queue, Worker
from rq.job import Job

from releases.models import Workshop
from tests import factories
from tests.pages.reading import body, see


@pytest.fixture
def redis() -> Iterator[Any]:
    """The real Redis, with nothing of ours in it."""
    connection = django_rq.get_connection("builds")
    forget(connection)
    yield connection
    forget(connection)


def forget(connection: Any) -> None:
    for key in connection.scan_iter("rq:*"):
        connection.delete(key)


def register(queue: str) -> Worker:
    """What a worker process does first."""
    worker = Worker([django_rq.get_queue(queue)], name=f"forge-{queue}")
    worker.register_birth()  # type: ignore[no-untyped-call] # RQ has no types here
    return worker


def seen(**facts: Any) -> None:
    given = {"engine_answers": True, "engine": "Docker 20.10.24", "engine_problem": "", "disk_free": 9 * 10**10}
    Workshop.objects.report(**{**given, "disk_total": 10**11, "repaired": 2, **facts})


def health(client: Client) -> tuple[int, dict[str, Any]]:
    response = client.get("/healthz")
    return response.status_code, json.loads(body(response))


@pytest.mark.django_db
def test_healthz_is_well_when_all_are_at_work(client: Client, redis: Any) -> None:
    register("builds")
    register("desk")
    seen()
    assert health(client) == (200, {"ok": True, "problems": []})
    assert client.get("/healthz").headers["Cache-Control"].find("no-store") >= 0


@pytest.mark.django_db
def test_healthz_names_a_queue_without_a_worker(client: Client, redis: Any) -> None:
    register("builds")
    seen()
    status, answer = health(client)
    assert (status, answer["ok"]) == (503, False)
    assert answer["problems"] == ["No worker listens on the queue desk, so nothing in it is begun."]


@pytest.mark.django_db
def test_healthz_does_not_count_a_worker_that_was_killed(client: Client, redis: Any) -> None:
    register("builds")
    register("desk")
    redis.delete("rq:worker:forge-desk")  # what Redis does when a killed worker's key runs out
    seen()
    assert health(client)[0] == 503


@pytest.mark.django_db
def test_healthz_says_engine_and_sweeper(client: Client, redis: Any) -> None:
    register("builds")
    register("desk")
    assert health(client)[1]["problems"] == [
        "The sweeper has never been seen: the state of engine and disk is unknown."
    ]
    seen(engine_answers=False, engine_problem="The engine does not answer at unix:///var/run/docker.sock.")
    assert health(client)[1]["problems"] == ["The engine does not answer at unix:///var/run/docker.sock."]
    Workshop.objects.update(seen_at=timezone.now() - timedelta(minutes=10))
    assert "The sweeper has not been seen since" in health(client)[1]["problems"][0]


@pytest.mark.django_db
def test_healthz_without_redis(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    away(monkeypatch)
    seen()
    status, answer = health(client)
    assert status == 503
    assert answer["problems"] == ["Redis does not answer, so no worker can be rung for."]


def test_healthz_without_a_database(client: Client, redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may touch the database here, and a real one that is away raises the same family of errors."""
    from django.db import OperationalError

    def refuse(*_arguments: object) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(Workshop.objects, "seen", refuse)
    status, answer = health(client)
    assert status == 503
    assert answer["problems"] == ["The database does not answer: start it, or correct DATABASE_URL."]


@pytest.mark.django_db
def test_healthz_low_disk_is_no_reason_to_send_work_elsewhere(client: Client, redis: Any) -> None:
    register("builds")
    register("desk")
    seen(disk_free=1_000_000)
    assert health(client)[0] == 200


def test_workers_all_well(viewer: Client, redis: Any) -> None:
    register("builds")
    register("desk")
    seen()
    page = see(viewer, "/workers/")
    assert "Everything that a build needs is at work." in page
    assert "Queue builds 0 waiting, 1 alive, 0 busy" in page
    assert "forge-builds waits for work" in page
    assert "Docker 20.10.24" in page
    assert "90.0 GB free of 100 GB" in page
    assert "Repairs 2" in page


def test_workers_says_what_a_busy_one_does(manager: Client, redis: Any) -> None:
    build = factories.running_build(factories.application("shop"))
    worker = register("builds")
    job = Job.create("releases.jobs.build.run_build", args=(build.pk,), id=str(build.job_id), connection=redis)
    job.save()
    worker.set_state("busy")
    worker.prepare_execution(job)
    Queue("desk", connection=redis).enqueue_call("releases.jobs.desk.refresh_refs", args=(1,))
    page = see(manager, "/workers/")
    assert "Queue builds 0 waiting, 1 alive, 1 busy" in page
    assert "forge-builds shop #1" in page
    assert "Queue desk 1 waiting, 0 alive, 0 busy" in page
    assert 'href="/applications/shop/builds/1/"' in body(manager.get("/workers/"))


def test_workers_lists_builds_that_wait_in_order(manager: Client, redis: Any) -> None:
    shop = factories.application("shop")
    factories.queued_build(shop)
    factories.queued_build(shop)
    page = see(manager, "/workers/")
    assert "Builds that wait 2" in page
    assert page.index("shop #1") < page.index("shop #2")


def test_workers_each_trouble_comes_with_what_mends_it(manager: Client, redis: Any) -> None:
    seen(engine_answers=False, engine_problem="The engine does not answer.", disk_free=1_000_000)
    page = see(manager, "/workers/")
    assert "./run manage work builds" in page
    assert "The engine does not answer. Start the engine, or set DOCKER_HOST" in page
    assert "Little room is left on the disk" in page
    assert "docker image prune" in page


def test_workers_without_redis_is_a_page_with_a_sentence(manager: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    away(monkeypatch)
    page = see(manager, "/workers/")
    assert "Redis does not answer, so no worker can be rung for." in page
    assert "Unknown: Redis does not answer." in page


def test_workers_unknown_is_said_to_be_unknown(manager: Client, redis: Any) -> None:
    seen()
    Workshop.objects.update(seen_at=timezone.now() - timedelta(minutes=10))
    page = see(manager, "/workers/")
    assert "unknown since 10 min ago" in page
    assert "./run manage sweep" in page


def away(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = {"URL": "redis://127.0.0.1:1/0"}
    monkeypatch.setattr(settings, "RQ_QUEUES", {"builds": nowhere, "desk": nowhere})
