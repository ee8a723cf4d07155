"""The workers: who lives, by Redis; and what each does and did last, by the rows. Nothing here asks the engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import django_rq
from django.conf import settings
from django.db.models import Max
from django.utils import timezone
from redis.exceptions import RedisError
from rq import Worker
from rq.worker import BaseWorker

from releases.models import Build, Preparation, Preview

SILENT = timedelta(seconds=40)
"""A worker is heard every 15 s; after this it is not counted on."""


@dataclass(slots=True)
class WorkerRow:
    name: str
    pid: int | None
    is_busy: bool
    heard_at: datetime | None
    since: datetime | None
    """When its process began."""
    done: int = 0
    """How many tasks it has done since then."""
    job: str = ""
    task: Build | Preparation | Preview | None = None
    """What it does; None for an idle worker and for one that reads refs."""
    task_since: datetime | None = None
    did: Build | None = None
    """The build that it ended last."""
    is_listening: bool = True
    """Whether Redis knows it; not so for one that was killed in the middle of a build."""

    @property
    def is_heard(self) -> bool:
        return self.is_listening and self.heard_at is not None and timezone.now() - self.heard_at < SILENT

    @property
    def step(self) -> str:
        """Where its build is."""
        return self.task.get_state_display() if isinstance(self.task, Build) else ""


@dataclass(slots=True)
class QueueRow:
    name: str
    waiting: int
    workers: list[WorkerRow] = field(default_factory=list)

    @property
    def alive(self) -> int:
        return sum(worker.is_listening for worker in self.workers)

    @property
    def busy(self) -> int:
        return sum(worker.is_busy for worker in self.workers if worker.is_listening)


def queues() -> list[QueueRow] | None:
    """The queues in the order of the settings, with those who listen; None when Redis is away."""
    try:
        rows = [_queue(name) for name in settings.RQ_QUEUES]
    except (RedisError, OSError):
        return None
    return rows


def with_tasks(rows: list[QueueRow]) -> list[QueueRow]:
    """Put beside each worker what it does and did last, and add those whose builds nobody holds any more."""
    workers = [worker for row in rows for worker in row.workers]
    builds = {build.worker: build for build in Build.objects.leased().select_related("application")}
    others = _others(worker.job for worker in workers if worker.job)
    for worker in workers:
        worker.task = builds.pop(worker.name, None) or others.get(worker.job)
        began = getattr(worker.task, "started_at", None)
        worker.task_since = began or worker.task_since
    for row in rows:
        if row.name == "builds":
            row.workers.extend(_gone(builds.values()))
    _name_last_builds(workers)
    return rows


def _queue(name: str) -> QueueRow:
    queue = django_rq.get_queue(name)
    listening = sorted(Worker.all(queue=queue), key=lambda worker: str(worker.name))
    return QueueRow(name, queue.count, [_described(worker) for worker in listening])


def _described(worker: BaseWorker) -> WorkerRow:
    running = worker.get_current_executions()
    return WorkerRow(
        name=str(worker.name),
        pid=worker.pid,
        is_busy=str(worker.get_state()) == "busy",
        heard_at=_in_utc(worker.last_heartbeat),
        since=_in_utc(worker.birth_date),
        done=(worker.successful_job_count or 0) + (worker.failed_job_count or 0),
        job=running[0].job_id if running else "",
        task_since=_in_utc(running[0].created_at) if running else None,
    )


def _others(jobs: Iterable[str]) -> dict[str, Any]:
    """The preparations and previews that these jobs are for."""
    ids = list(jobs)
    if not ids:
        return {}
    found = [
        *Preparation.objects.filter(job_id__in=ids),
        *Preview.objects.filter(job_id__in=ids).select_related("build__application"),
    ]
    return {str(task.job_id): task for task in found}


def _gone(builds: Iterable[Build]) -> Iterator[WorkerRow]:
    """Builds that are at work for the rows, whose workers Redis does not know."""
    for build in builds:
        yield WorkerRow(
            name=build.worker,
            pid=None,
            is_busy=True,
            heard_at=None,
            since=None,
            task=build,
            task_since=build.started_at,
            is_listening=False,
        )


def _name_last_builds(workers: Iterable[WorkerRow]) -> None:
    names = [worker.name for worker in workers]
    ended = Build.objects.finished().filter(worker__in=names).order_by()
    last = dict(ended.values_list("worker").annotate(last=Max("pk")))
    found = Build.objects.select_related("application").in_bulk(last.values())
    for worker in workers:
        worker.did = found.get(last.get(worker.name, 0))


def _in_utc(at: datetime | None) -> datetime | None:
    """RQ writes UTC without saying so."""
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at
