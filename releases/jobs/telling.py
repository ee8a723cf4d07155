"""What the lines of the log are about while a job works on a record."""

from __future__ import annotations

from contextlib import AbstractContextManager

from rq import get_current_job

from releases.context import about
from releases.models import Build


def telling_of(build: Build) -> AbstractContextManager[None]:
    """Build, application, number, attempt, and the job where there is one."""
    return about(
        build=build.pk, application=build.application.name, number=build.number, attempt=build.attempt, job=job_id()
    )


def job_id() -> str:
    job = get_current_job()
    return job.id if job is not None else ""
