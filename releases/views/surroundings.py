"""What the portal works with: queues, workers, sweeper, engine, disk; and for each trouble the line that mends it.

Nothing here asks the engine: the sweeper does, and leaves what it saw in the Workshop row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import django_rq
from django.conf import settings
from django.utils.translation import gettext as _
from redis.exceptions import RedisError
from rq import Worker
from rq.worker import BaseWorker

from releases.models import Build, Preparation, Preview, Workshop
from releases.sentences import sentence_of

LOW_DISK = 2_000_000_000
"""Bytes; a build needs room for its artifact, its image and the engine's own layers."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong, and what mends it."""

    sentence: str
    remedy: str
    command: str = ""
    stops_work: bool = True
    """Whether the portal cannot take work because of it."""


@dataclass(slots=True)
class WorkerRow:
    name: str
    pid: int | None
    is_busy: bool
    heard_at: datetime | None
    since: datetime | None
    task: Build | Preparation | Preview | None = None
    """What it does; None for an idle worker and for one that reads refs."""


@dataclass(slots=True)
class QueueRow:
    name: str
    waiting: int
    workers: list[WorkerRow] = field(default_factory=list)

    @property
    def busy(self) -> int:
        return sum(worker.is_busy for worker in self.workers)


@dataclass(slots=True)
class Surroundings:
    queues: list[QueueRow] | None
    """None when Redis does not answer."""
    workshop: Workshop | None

    @property
    def knows_engine(self) -> bool:
        """Whether what the sweeper saw is fresh enough to be believed."""
        return self.workshop is not None and self.workshop.is_fresh

    def troubles(self) -> list[Trouble]:
        return [*self._of_queues(), *self._of_workshop()]

    def _of_queues(self) -> Iterator[Trouble]:
        if self.queues is None:
            yield Trouble(
                _("Redis does not answer, so no worker can be rung for."),
                _("Start it, or set REDIS_URL to one that runs; what was asked for meanwhile then starts by itself."),
                "./run",
            )
            return
        for queue in self.queues:
            if not queue.workers:
                yield Trouble(
                    _("No worker listens on the queue %(name)s, so nothing in it is begun.") % {"name": queue.name},
                    _("./run starts all workers; a single one is started by hand with:"),
                    f"./run manage work {queue.name}",
                )

    def _of_workshop(self) -> Iterator[Trouble]:
        seen = self.workshop
        if seen is None or not seen.is_fresh:
            yield Trouble(
                _("The sweeper has never been seen: the state of engine and disk is unknown.")
                if seen is None
                else _(
                    "The sweeper has not been seen since %(time)s: the state of engine and disk is unknown since then."
                )
                % {"time": f"{seen.seen_at:%Y-%m-%d %H:%M} UTC"},
                _("./run starts it with everything else; by hand it is:"),
                "./run manage sweep",
            )
            return
        if not seen.engine_answers:
            yield Trouble(
                sentence_of(seen, "engine_problem") or _("The container engine does not answer."),
                _("Start the engine, or set DOCKER_HOST to one that runs. On most machines that is:"),
                "systemctl start docker",
            )
        if seen.disk_free is not None and seen.disk_free < LOW_DISK:
            yield Trouble(
                _("Little room is left on the disk of the data folder."),
                _("Free some, or move the data folder (PORTAL_HOME). Images that no container uses are removed with:"),
                "docker image prune",
                stops_work=False,
            )


def look_around() -> Surroundings:
    """Ask Redis and the database; neither being away is an error of the page, except the database."""
    return Surroundings(queues=queues(), workshop=Workshop.objects.seen())


def queues() -> list[QueueRow] | None:
    """The queues in the order of the settings, with those who listen; None when Redis is away."""
    try:
        rows: list[QueueRow] = []
        jobs: dict[str, str | None] = {}
        for name in settings.RQ_QUEUES:
            queue = django_rq.get_queue(name)
            row = QueueRow(name, waiting=queue.count)
            for worker in sorted(Worker.all(queue=queue), key=lambda worker: str(worker.name)):
                row.workers.append(described(worker))
                running = worker.get_current_executions()
                jobs[str(worker.name)] = running[0].job_id if running else None
            rows.append(row)
    except (RedisError, OSError):
        return None
    name_tasks((worker for row in rows for worker in row.workers), jobs)
    return rows


def described(worker: BaseWorker) -> WorkerRow:
    return WorkerRow(
        name=str(worker.name),
        pid=worker.pid,
        is_busy=str(worker.get_state()) == "busy",
        heard_at=in_utc(worker.last_heartbeat),
        since=in_utc(worker.birth_date),
    )


def name_tasks(workers: Iterable[WorkerRow], jobs: dict[str, str | None]) -> None:
    """Put beside each busy worker the row that it works on."""
    ids = [job for job in jobs.values() if job]
    tasks: dict[str, Any] = {}
    if ids:
        for found in (
            Build.objects.filter(job_id__in=ids).select_related("application"),
            Preparation.objects.filter(job_id__in=ids),
            Preview.objects.filter(job_id__in=ids).select_related("build__application"),
        ):
            tasks.update({str(task.job_id): task for task in found})
    for worker in workers:
        worker.task = tasks.get(jobs.get(worker.name) or "")


def in_utc(at: datetime | None) -> datetime | None:
    """RQ writes UTC without saying so."""
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at
