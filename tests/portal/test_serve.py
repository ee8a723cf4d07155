"""The whole of `./run`, as a person meets it: one real portal in a folder of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from portal.supervisor import MARK, marked

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 90.0


class Portal:
    """A portal started as its own process, with nothing but a home and a port."""

    def __init__(self, home: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.home = home
        private = dict.fromkeys(("DATABASE_URL", "REDIS_URL", "PORTAL_INSTANCE"), "")
        self.environment = {
            **os.environ,
            **private,
            "PORTAL_HOME": str(home),
            "PORT": str(self.port),
            "PORTAL_DEMO": "0",
        }
        self.output = home.with_suffix(".txt")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> subprocess.Popen[bytes]:
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                self.command(), cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        self.wait_for("The portal is ready")
        return self.process

    def command(self) -> list[str]:
        return [sys.executable, "-m", "portal", "--no-install"]

    def wait_for(self, words: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while words not in self.said():
            assert self.process is not None
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.1)

    def said(self) -> str:
        return self.output.read_text()

    def get(self, path: str) -> tuple[int, bytes]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return answer.status, answer.read()

    def database(self) -> str:
        """The address of its private database, which lies elsewhere when the home's name is long."""
        code = "from portal import settings; print(settings.DATABASE_URL)"
        command = [sys.executable, "-c", code]
        return subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=True
        ).stdout.strip()

    def refusal(self, **environment: str) -> str:
        done = subprocess.run(
            self.command(),
            cwd=ROOT,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        return done.stderr.strip().splitlines()[-1]


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[Portal]:
    portal = Portal(tmp_path / "home")
    yield portal
    if portal.process is not None and portal.process.poll() is None:
        portal.process.send_signal(signal.SIGINT)
        portal.process.wait(PATIENCE)


@pytest.mark.engine
def test_serve_from_nothing_to_a_clean_end(portal: Portal, tmp_path: Path) -> None:
    process = portal.start()
    status, body = portal.get("/healthz")
    answer = json.loads(body)
    assert (status, answer["ok"], answer["problems"]) == (200, True, [])
    assert f"The portal is ready: http://127.0.0.1:{portal.port} " in portal.said()
    assert portal.said().count("(shown only now)") == 2
    assert b"<form" in portal.get("/accounts/login/")[1]

    assert portal.refusal().startswith(
        f"A portal already runs with the data folder {portal.home} (process {process.pid}):"
    )
    elsewhere = portal.refusal(PORTAL_HOME=str(tmp_path / "second"))
    assert elsewhere.startswith(f"The portal cannot listen on 127.0.0.1:{portal.port} (Address already in use):")

    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    assert portal.said().splitlines()[-1].startswith("Stopped, with its database and its queue.")
    assert marked(str(portal.home)) == []


@pytest.mark.engine
def test_serve_again_after_a_kill_keeps_the_records_and_the_people(portal: Portal) -> None:
    process = portal.start()
    # As a work-horse, which nothing tells of its worker's end.
    left = subprocess.Popen(["sleep", "120"], env={**os.environ, MARK: str(portal.home)}, start_new_session=True)
    process.kill()
    process.wait()
    portal.start()
    assert left.wait(PATIENCE) == -signal.SIGKILL
    assert re.search(r"Ended [1-9]\d* processes that a killed portal had left behind\.", portal.said())
    assert "(shown only now)" not in portal.said()
    with psycopg.connect(portal.database()) as connection:
        assert connection.execute("SELECT count(*) FROM auth_user").fetchone() == (2,)


def test_serve_without_an_engine_can_be_looked_at_and_says_what_mends_it(portal: Portal) -> None:
    portal.environment["DOCKER_HOST"] = "tcp://127.0.0.1:1"
    with portal.output.open("wb") as output:
        portal.process = subprocess.Popen(
            portal.command(), cwd=ROOT, env=portal.environment, stdout=output, stderr=output
        )
    portal.wait_for("The portal ")
    assert "No container engine answers at tcp://127.0.0.1:1 (nothing listens there): start it, or" in portal.said()
    assert portal.get("/accounts/login/")[0] == 200


def test_run_says_what_it_does_not_know() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "portal", "fly"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (2, "“fly” is no command of ./run: see ./run --help.\n")


def test_run_help_names_every_command() -> None:
    done = subprocess.run([ROOT / "run", "--help"], capture_output=True, text=True, check=True)
    for command in ("./run ", "./run manage", "./run check", "./run test", "./run soak", "./run --no-install"):
        assert f"\n{command}" in f"\n{done.stdout}"
