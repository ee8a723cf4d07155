"""What breaks in the middle is said within a minute, cleaned up, and can be done again."""

from __future__ import annotations

import html
import os
import signal
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
import redis

from tests.e2e.portal import SERVE, RunningPortal, eventually, repository

pytestmark = pytest.mark.engine

SLOW_SETUP = b"""
import time
from setuptools import setup
time.sleep(5)  # pip runs this up to three times
setup(name='slow', version='1')
"""
SLOW = {"app/app.py": SERVE, "slow/setup.py": SLOW_SETUP, "requirements.txt": b"./slow\n"}


def begin(portal: RunningPortal, name: str, state: str = "producing") -> dict[str, Any]:
    """A build that has reached this state."""
    if not portal.sql("SELECT 1 FROM releases_application WHERE name = %s", name):
        url = repository(portal.repositories, name, SLOW)
        assert portal.register(name, url).returncode == 0
    done = portal.manage("release", name, "v1.0.0")
    assert done.returncode == 0, done.stderr
    number = portal.numbers(name)[0]
    eventually(lambda: portal.build(name, number)["state"] == state, seconds=60, what=f"{name} #{number} is {state}")
    return portal.build(name, number)


def processes_of(portal: RunningPortal, *words: str) -> list[psutil.Process]:
    """The portal's own processes with these words in their command."""
    found = []
    for process in psutil.process_iter():
        try:
            command = " ".join(process.cmdline())
            ours = process.environ().get("PORTAL_HOME") == str(portal.home)
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
        if ours and all(word in command for word in words):
            found.append(process)
    return found


def test_killed_worker_is_said_within_a_minute_and_can_be_rebuilt(portal: RunningPortal) -> None:
    build = begin(portal, "killed")
    eventually(lambda: portal.containers(f"release-portal.build={build['id']}"), seconds=20, what="the builder runs")
    eventually(lambda: "contract is kept" in portal.log(build), seconds=20, what="the log has lines")
    victims = processes_of(portal, "work", "builds")
    assert len(victims) >= 2, "worker and work-horse"
    for victim in victims:
        os.kill(victim.pid, signal.SIGKILL)

    eventually(lambda: portal.build("killed", 1)["state"] == "finished", seconds=60, what="the end is said")
    assert portal.build("killed", 1)["outcome"] == "worker_lost"
    assert not portal.containers(f"release-portal.build={build['id']}")
    log = portal.page().get("/applications/killed/builds/1/log.txt").text
    assert "The contract is kept" in log
    assert "press Rebuild" in log

    rebuilt = portal.page().post("/applications/killed/builds/1/rebuild/", come_from="/applications/killed/builds/1/")
    assert rebuilt.url.endswith("/applications/killed/builds/2/")
    eventually(lambda: portal.build("killed", 2)["state"] == "finished", seconds=120, what="the rebuild ends")
    again = portal.build("killed", 2)
    assert (again["outcome"], again["retry_of_id"]) == ("succeeded", build["id"])


def test_killed_work_horse_is_said_at_once(portal: RunningPortal) -> None:
    build = begin(portal, "horseless")
    horse = min(
        (process for process in processes_of(portal, "work", "builds") if process.ppid() != portal_pid(portal)),
        key=lambda process: process.pid,
    )
    os.kill(horse.pid, signal.SIGKILL)
    eventually(lambda: portal.build("horseless", 1)["outcome"] == "worker_lost", seconds=20, what="the end is said")
    eventually(
        lambda: not portal.containers(f"release-portal.build={build['id']}"), seconds=40, what="its container is gone"
    )


def portal_pid(portal: RunningPortal) -> int:
    assert portal.process is not None
    return portal.process.pid


@pytest.mark.parametrize("state", ["producing", "queued"])
def test_cancel_ends_a_build_within_ten_seconds(portal: RunningPortal, state: str) -> None:
    name = f"cancelled-{state}"
    running = begin(portal, f"before-{state}") if state == "queued" else None
    build = begin(portal, name, state)
    page = f"/applications/{name}/builds/{build['number']}/"
    assert portal.page().post(page + "cancel/", come_from=page).status_code == 200
    eventually(lambda: portal.build(name, build["number"])["state"] == "finished", seconds=10, what="it is over")
    after = portal.build(name, build["number"])
    assert after["outcome"] == "cancelled"
    assert "manager" in after["message"]
    assert after["artifact_id"] is None
    eventually(
        lambda: not portal.containers(f"release-portal.build={build['id']}"), seconds=10, what="its container is gone"
    )
    if running:
        portal.page().post(
            f"/applications/before-{state}/builds/1/cancel/", come_from=f"/applications/before-{state}/builds/1/"
        )


def test_emptied_redis_loses_no_build(portal: RunningPortal) -> None:
    first = begin(portal, "before-flush")
    begin(portal, "flushed", "queued")
    redis.Redis.from_url(_redis_url(portal)).flushall()
    eventually(lambda: portal.build("flushed", 1)["state"] == "finished", seconds=150, what="the queued build ran")
    assert portal.build("flushed", 1)["outcome"] == "succeeded"
    assert portal.build("before-flush", first["number"])["outcome"] == "succeeded"


def _redis_url(portal: RunningPortal) -> str:
    shown = portal.manage("shell", "-v", "0", "-c", "from django.conf import settings; print(settings.REDIS_URL)")
    return shown.stdout.strip()


def test_without_an_engine_the_portal_starts_and_says_what_mends_it(tmp_path: Path) -> None:
    lame = RunningPortal(tmp_path / "home", DOCKER_HOST=f"unix://{tmp_path}/no-engine.sock")
    lame.start(accept=(200, 503))
    try:
        visitor = lame.page()
        eventually(
            lambda: "no-engine.sock" in visitor.get("/workers/").text, seconds=40, what="the workers page says it"
        )
        assert "no-engine.sock" in lame.output.read_text()
        health = visitor.get("/healthz")
        assert health.status_code == 503
        assert "no-engine.sock" in health.text
        eventually(lambda: lame.build("fruit-shop", 1)["state"] == "finished", seconds=60, what="the build ends")
        build = lame.build("fruit-shop", 1)
        assert build["outcome"] == "engine_unavailable"
        assert "no-engine.sock" in build["message"]
        assert build["message"] in html.unescape(visitor.get("/applications/fruit-shop/builds/1/").text)
    finally:
        assert lame.stop() == 0


def test_without_redis_what_is_asked_stands_and_is_said(portal: RunningPortal) -> None:
    url = repository(portal.repositories, "unrung", {"app/app.py": SERVE, "requirements.txt": b""})
    away = {"REDIS_URL": "unix:///nonexistent/redis.sock"}
    assert portal.manage("register", "unrung", url, **away).returncode == 0
    done = portal.manage("release", "unrung", "v1.0.0", **away)
    assert done.returncode == 0, done.stderr
    assert "Redis" in done.stderr
    assert "Traceback" not in done.stderr
    eventually(lambda: portal.build("unrung", 1)["outcome"] == "succeeded", seconds=90, what="the sweeper rang")


def test_without_a_database_the_command_says_so(portal: RunningPortal) -> None:
    done = portal.manage("release", "fruit-shop", "v1.1.0", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "database" in done.stderr.lower()


def test_without_a_database_the_pages_say_so(portal: RunningPortal, tmp_path: Path) -> None:
    given = os.environ.get("DATABASE_URL", "")
    assert given, "run the tests with ./run test, which gives them a PostgreSQL"
    base = psycopg.conninfo.conninfo_to_dict(given)
    with psycopg.connect(given, dbname="postgres", autocommit=True) as server:
        server.execute("DROP DATABASE IF EXISTS portal_away WITH (FORCE)")
        server.execute("CREATE DATABASE portal_away")
        away = RunningPortal(
            tmp_path / "home",
            DATABASE_URL=f"postgresql://{base.get('user', '')}@/portal_away?host={base['host']}",
            PORTAL_DEMO="0",
        )
        away.start()
        try:
            visitor = away.page()
            server.execute("ALTER DATABASE portal_away ALLOW_CONNECTIONS false")
            server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'portal_away'")
            page = visitor.get("/")
            assert page.status_code == 503
            assert "database" in page.text
            assert "Traceback" not in page.text
            server.execute("ALTER DATABASE portal_away ALLOW_CONNECTIONS true")
            eventually(lambda: visitor.get("/").status_code == 200, seconds=30, what="the pages are back")
        finally:
            assert away.stop() == 0
