"""Our RQ worker: one queue a process, quick maintenance, and a build that is closed when its work-horse is killed.

RQ's own defaults let a job whose worker was killed say "started" for 13 minutes (measured); the truth is our lease,
these numbers only bring RQ's view near to it.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from django.db import Error, connection, transaction
from redis.client import Pipeline
from redis.exceptions import RedisError
from rq import Worker, worker_registration
from rq.job import Job

from releases.errors import IllegalTransition, LeaseLost, say
from releases.jobs import steps
from releases.jobs.telling import telling_of
from releases.models import Build, Outcome, State

logger = logging.getLogger(__name__)

MONITORING_SECONDS = 5
"""How often a worker looks after its work-horse."""
GRACE_SECONDS = 60
"""How long after its time-out a work-horse may still be busy with ending itself."""


class PortalWorker(Worker):
    """Refuses more than one queue: RQ then uses BLPOP, which loses jobs when a worker is killed (measured)."""

    def __init__(self, queues: Any, **options: Any) -> None:
        options.update(
            worker_ttl=30,
            job_monitoring_interval=MONITORING_SECONDS,
            maintenance_interval=10,
            work_horse_killed_handler=lambda _job, *_facts: close_killed_build(str(self.name)),
        )
        super().__init__(queues, **options)
        self._overdue_at = float("inf")
        if len(self.queues) != 1:
            raise ValueError("A worker process listens on exactly one queue; start one for each.")

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """A Redis that was emptied has forgotten who listens: each time the worker says again who it is."""
        super().heartbeat(timeout, pipeline)
        if self.birth_date is not None:
            target = self.connection if pipeline is None else pipeline
            target.hset(self.key, mapping=self.serialize())
            worker_registration.register(self, pipeline)

    def monitor_work_horse(self, job: Job, queue: Any, execution: Any) -> None:
        """RQ reckons how long a work-horse has worked by a clock that can jump, and kills it by that: a day ahead was a
        day of work (seen under libfaketime). So this side, and not the work-horse itself, is told of no time-out."""
        seconds = job.timeout
        self._overdue_at = time.monotonic() + seconds + GRACE_SECONDS if seconds and seconds > 0 else float("inf")
        job.timeout = -1
        super().monitor_work_horse(job, queue, execution)

    def maintain_heartbeats(self, job: Job, execution: Any) -> None:
        """Redis away in the middle of a job must not end the worker: the build goes on, the row is the truth."""
        if time.monotonic() > self._overdue_at:
            logger.error("The work-horse of %s has not ended in time and hangs: it is killed", job.id)
            self.kill_horse()
        try:
            super().maintain_heartbeats(job, execution)
        except (RedisError, OSError) as error:
            logger.warning("Redis does not take the heartbeat of this worker: %s", error)


def close_killed_build(worker: str) -> None:
    """The work-horse was killed from outside (the kernel's memory killer, a person): no `finally` of it ran.

    A worker has one build at a time, and its name is like no other's."""
    try:
        build = Build.objects.leased().filter(worker=worker).first()
        if build is None:
            return
        with telling_of(build):
            _close(build)
    except Error as error:
        logger.warning("A killed build is left to the sweeper, for the database does not answer: %s", error)
    finally:
        connection.close()


def _close(build: Build) -> None:
    lost = say(
        "The process that ran this build was killed from outside, by a person or for want of memory on the "
        "worker's machine. What it had begun is removed; press Rebuild."
    )
    try:
        with transaction.atomic():  # whoever sees the row finished finds the line
            if build.state == State.CANCELLING:
                build.mark_ended(Outcome.CANCELLED, say("Cancelled; its work-horse had been killed by then."))
            else:
                build.mark_ended(Outcome.WORKER_LOST, lost)
            steps.tell_the_end(build)
    except (LeaseLost, IllegalTransition) as error:
        logger.info("A killed build was closed by another hand: %s", error)
