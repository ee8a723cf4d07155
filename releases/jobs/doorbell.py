"""Ringing for a worker. The row is the truth and stands before this is called; Redis only wakes somebody up.

A ring that fails is no error of the request: the sweeper rings again for every row that waits without a job.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

import django_rq
from redis.exceptions import RedisError
from rq import Worker

from releases.jobs.known import FUNCTIONS, function_of

logger = logging.getLogger(__name__)

QueueName = Literal["builds", "desk"]
NEXT_BUILD = "releases.jobs.build.run_next"
BACKSTOP_SECONDS = 7 * 3600
"""RQ's own time-out, longer than any limit that can be set: the limits of a build are kept by our own clock."""


def ring(queue: QueueName, function: str, key: int, job_id: UUID, *, somebody_waits: bool = False) -> bool:
    """Enqueue `function(key)` under our own job id; False when Redis is away. Call it after the commit.

    What somebody waits for goes before what the portal does by itself."""
    if function not in FUNCTIONS:
        raise ValueError(f"{function} is no job: name it in jobs/known.py.")
    try:
        # "auto" is at once: else django-rq would wait for a commit by itself, and raise where nobody catches it.
        django_rq.get_queue(queue, commit_mode="auto").enqueue_call(
            function, args=(key,), job_id=str(job_id), timeout=BACKSTOP_SECONDS, result_ttl=600, failure_ttl=86400,
            at_front=somebody_waits,
        )  # fmt: skip
    except (RedisError, OSError) as error:
        logger.warning("Redis does not answer, so %s(%s) waits for the sweeper: %s", function, key, error)
        return False
    return True


def is_waiting(queue: QueueName, job_id: UUID) -> bool:
    """Whether a worker will come to it: the job stands in its queue, or was started just now.

    A job that says "started" for longer while its row still waits has lost its worker. Raises `RedisError`."""
    job = django_rq.get_queue(queue).fetch_job(str(job_id))
    if job is None:
        return False
    if job.is_queued:
        return job.get_position() is not None
    just_now = datetime.now(UTC) - timedelta(seconds=20)
    return bool(job.is_started and job.started_at and job.started_at.replace(tzinfo=UTC) > just_now)


def bells_for_builds() -> set[str]:
    """The ids of the jobs that will each make a worker look for the next build. Raises `RedisError`."""
    return {job.id for job in django_rq.get_queue("builds").jobs if function_of(job) == NEXT_BUILD}


def answers() -> bool:
    """Whether Redis is there."""
    try:
        return bool(django_rq.get_connection("builds").ping())
    except (RedisError, OSError):
        return False


def workers(queue: QueueName) -> int:
    """How many workers listen; those that were killed stop counting within half a minute. Raises `RedisError`."""
    return len(Worker.all(queue=django_rq.get_queue(queue)))
