"""What somebody who may write Redis, as the web server may, can have a worker do: its own jobs, and nothing else."""

from __future__ import annotations

import json
import os
import pickle
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import django_rq
import pytest
from rq.utils import import_attribute

from releases import actions
from releases.jobs import doorbell, known
from releases.models import Application, Outcome
from tests.fakes.engine import FakeEngine
from tests.jobs.conftest import assert_ended
from tests.jobs.test_worker import same_signals as same_signals
from tests.jobs.test_worker import work

ROOT = Path(__file__).resolve().parents[2]
Fields = dict[Any, Any]
"""Of a job, as RQ keeps them in Redis."""


class Touch:
    """What runs while it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str, int]]:
        return os.open, (str(self.path), os.O_CREAT)


def touch(path: str, *_rest: Any) -> None:
    """A function that the portal's workers can import, and that is no job of theirs."""
    Path(os.environ.get("TOUCHED", path)).touch()


def smuggle(data: bytes, fields: Fields) -> None:
    """Put a job into the queue of builds without asking RQ's client."""
    queue = django_rq.get_queue("builds")
    key = str(uuid4())
    whole: Fields = {
        "data": zlib.compress(data),
        "status": "queued",
        "origin": "builds",
        "created_at": "2026-01-01T00:00:00.0Z",
    }
    queue.connection.hset(f"rq:job:{key}", mapping=whole | fields)
    queue.connection.sadd(queue.redis_queues_keys, queue.key)
    queue.connection.lpush(queue.key, key)


def named(function: str, *arguments: Any) -> bytes:
    return json.dumps([function, None, arguments, {}]).encode()


JOB = "releases.jobs.desk.prepare_stack"  # of a key that is not there: it fails
ATTACKS: dict[str, Callable[[Path], tuple[bytes, Fields]]] = {
    "pickled": lambda path: (pickle.dumps((JOB, Touch(path), (0,), {})), {}),
    "pickled beside": lambda path: (named(JOB, 0), {"meta": pickle.dumps(Touch(path))}),
    "pickled result": lambda path: (named(JOB, 0), {"result": pickle.dumps(Touch(path))}),
    "another function": lambda path: (named("tests.jobs.test_known.touch", str(path)), {}),
    "of the system": lambda path: (named("os.system", f"touch {path}"), {}),
    "when it fails": lambda _path: (named(JOB, 0), {"failure_callback_name": "tests.jobs.test_known.touch"}),
    "when it is well": lambda _path: (
        named(doorbell.NEXT_BUILD, 0),
        {"success_callback_name": "tests.jobs.test_known.touch"},
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_worker_does_no_work_but_its_own(
    attack: str,
    app: Application,
    engine: FakeEngine,
    same_signals: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "touched"
    monkeypatch.setenv("TOUCHED", str(path))
    data, fields = ATTACKS[attack](path)
    smuggle(data, fields)
    build = actions.request_build(app, "v1.0.0", by=None)
    assert len(doorbell.bells_for_builds()) >= 1
    work()
    assert not path.exists()
    assert_ended(build, Outcome.SUCCEEDED)


def test_all_that_is_rung_for_is_known() -> None:
    """And is there."""
    paths = [path for path in (ROOT / "releases").rglob("*.py") if path.name != "known.py"]
    sources = "".join(path.read_text() for path in paths)
    written = set(re.findall(r'"(releases\.jobs\.\w+\.\w+)"', sources))
    desk = set(re.findall(r'_ring_desk, "(\w+)"', sources))
    assert written | {f"releases.jobs.desk.{name}" for name in desk} == set(known.FUNCTIONS)
    assert all(callable(import_attribute(name)) for name in known.FUNCTIONS)


def test_what_is_not_known_is_not_rung_for() -> None:
    with pytest.raises(ValueError, match=r"os\.system"):
        doorbell.ring("builds", "os.system", 1, uuid4())
