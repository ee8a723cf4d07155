"""Workers and a sweeper as Redis and the database know them, without their processes."""

from __future__ import annotations

from typing import Any

import django_rq
import pytest
from django.conf import settings
from rq import Worker
from rq.job import Job

from releases.models import Workshop


def forget(connection: Any) -> None:
    for key in connection.scan_iter("rq:*"):
        connection.delete(key)


def register(queue: str) -> Worker:
    """What a worker process does first."""
    worker = Worker([django_rq.get_queue(queue)], name=f"forge-{queue}")
    worker.register_birth()  # type: ignore[no-untyped-call] # RQ has no types here
    return worker


def busy(worker: Worker, redis: Any) -> None:
    """It was rung for, and has a job in its hands."""
    job = Job.create("releases.jobs.build.run_next", args=(0,), connection=redis)
    job.save()
    worker.set_state("busy")
    worker.prepare_execution(job)


def seen(**facts: Any) -> None:
    given = {"engine_answers": True, "engine": "Docker 20.10.24", "engine_problem": "", "disk_free": 9 * 10**10}
    Workshop.objects.report(**{**given, "disk_total": 10**11, "repaired": 2, **facts})


def away(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = {"URL": "redis://127.0.0.1:1/0"}
    monkeypatch.setattr(settings, "RQ_QUEUES", {"builds": nowhere, "desk": nowhere})
