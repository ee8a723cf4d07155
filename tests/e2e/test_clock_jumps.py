"""The clock of a whole portal jumps in the middle of a build: web, worker, work-horse and sweeper under libfaketime.

The database and the queue are the tests' own and keep their clock, as they would on another machine."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.e2e.portal import RunningPortal, eventually
from tests.e2e.test_faults import begin

# libfaketime moves the end of a time.sleep() even while it leaves the monotonic clock alone: the answer is EINVAL.
SLEEP = """
import select, time
time.sleep = lambda seconds: select.select([], [], [], seconds) and None
"""
LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
HOUR, DAY = 3600, 86400

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(LIBRARY is None, reason="no clock can be moved here: install the package faketime"),
]


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPortal]:
    """A portal whose clock is moved by the file `clock` in its folder."""
    given, home = os.environ["DATABASE_URL"], tmp_path_factory.mktemp("moved")
    base, clock = conninfo_to_dict(given), home / "clock"
    clock.write_text("+0\n")
    (home / "sitecustomize.py").write_text(SLEEP)
    with psycopg.connect(given, dbname="postgres", autocommit=True) as server:
        server.execute("DROP DATABASE IF EXISTS portal_moved WITH (FORCE)")
        server.execute("CREATE DATABASE portal_moved")
    portal = RunningPortal(
        home / "home",
        DATABASE_URL=f"postgresql://{base.get('user', '')}@/portal_moved?host={base['host']}",
        REDIS_URL=f"{os.environ['REDIS_URL']}?db=9",
        PORTAL_DEMO="0",
        PORTAL_LOG_FORMAT="json",
        PYTHONPATH=str(home),
        LD_PRELOAD=str(LIBRARY),
        FAKETIME_TIMESTAMP_FILE=str(clock),
        FAKETIME_NO_CACHE="1",
        FAKETIME_DONT_FAKE_MONOTONIC="1",  # nothing that sets a clock moves that one
    )
    try:
        portal.start()
        yield portal
        assert portal.stop() == 0
    finally:
        if portal.process is not None and portal.process.poll() is None:
            portal.process.kill()


def worker_is_ahead(portal: RunningPortal, build: str) -> float:
    """By how many seconds, when it said last that the build had ended."""
    lines = [json.loads(line) for line in portal.output.read_text().splitlines() if line.startswith("{")]
    [ended] = [line for line in lines if line["message"].startswith(f"Build {build} ended")]
    assert ended["process"] == "builds"
    return (datetime.fromisoformat(ended["time"]) - datetime.now(UTC)).total_seconds()


@pytest.mark.parametrize("jump", [DAY, -HOUR])
def test_clock_of_a_portal_that_jumps_ends_no_build(moved: RunningPortal, jump: int) -> None:
    clock = moved.home.parent / "clock"
    name = f"moved-{'ahead' if jump > 0 else 'back'}-{abs(jump) // HOUR}"
    before = clock.read_text()
    began = time.monotonic()
    build = begin(moved, name)
    clock.write_text(f"{jump:+d}\n")
    try:
        eventually(lambda: moved.build(name, 1)["state"] == "finished", seconds=120, what="the build ends")
        took = time.monotonic() - began
        after = moved.build(name, 1)
        assert after["outcome"] == "succeeded", after["message"]
        assert (after["attempt"], after["worker"]) == (1, build["worker"])
        assert abs(worker_is_ahead(moved, f"{name} #1") - jump) < HOUR / 2, "the clock jumped indeed"
        steps = moved.sql("SELECT name, seconds FROM releases_step WHERE build_id = %s", build["id"])
        assert {"checkout", "produce", "package", "probe"} <= {step["name"] for step in steps}
        assert all(0 <= (step["seconds"] or 0) <= took for step in steps), steps
        assert moved.page().get(f"/applications/{name}/builds/1/").status_code == 200
    finally:
        clock.write_text(before)
