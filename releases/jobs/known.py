"""What a worker believes of a job: which one of these functions, for the row of which key. Nothing else.

The web server writes Redis, and workers have the engine. RQ by itself would run for it whatever it likes: pickled jobs
run while they are read, and any function is imported and called, as the job or as what follows it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import rq.serializers
from rq.exceptions import DeserializationError
from rq.job import Job

FUNCTIONS = frozenset(
    {
        "releases.jobs.build.run_build",
        "releases.jobs.build.run_next",
        "releases.jobs.comparing.read_comparison",
        "releases.jobs.desk.prepare_stack",
        "releases.jobs.desk.refresh_refs",
        "releases.jobs.desk.start_preview",
    }
)

# RQ's own default in this whole process: some of its places take no serializer.
rq.serializers.PickleSerializer = rq.serializers.JSONSerializer  # type: ignore[assignment]


class KnownJob(Job):
    """RQ's job class in the settings, for who rings and who works."""

    @property
    def func(self) -> Callable[..., Any]:
        if self.instance is not None or self.func_name not in FUNCTIONS:
            raise ValueError(f"A job asks for {self.func_name!r}, which is no job of the portal.")
        module, _, name = str(self.func_name).rpartition(".")
        function: Callable[..., Any] = getattr(importlib.import_module(module), name)
        return function

    @property
    def success_callback(self) -> None:
        return None

    @property
    def failure_callback(self) -> None:
        return None

    @property
    def stopped_callback(self) -> None:
        return None


def function_of(job: Job) -> str:
    """What it asks for; nothing where that cannot be read, as with jobs of a portal before this one."""
    try:
        return job.func_name or ""
    except DeserializationError:
        return ""
