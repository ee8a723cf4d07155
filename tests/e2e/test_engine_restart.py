"""The container engine is killed and started again in the middle of a build: a second one, of this test alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from releases.stacks import stack as stacks
from tests.e2e.portal import SERVE, RunningPortal, eventually, repository
from tests.e2e.second_engine import Engine, second_engine

pytestmark = pytest.mark.engine

STACK = "python3.13-uwsgi"
SLEEPS = b"""
import time
from setuptools import setup
time.sleep(30)
setup(name='sleeps', version='1')
"""


@pytest.fixture
def second(portal: RunningPortal) -> Iterator[Engine]:
    with second_engine() as engine:
        yield engine


def test_engine_killed_during_a_build_is_said_and_the_next_build_succeeds(
    portal: RunningPortal, second: Engine, tmp_path: Path
) -> None:
    portal.release("fruit-shop", "v1.0.0")  # so the stack's images are there
    stack = stacks.load(STACK)
    second.take(stack.base, stack.builder_tag, stack.runner_tag)
    own = RunningPortal(tmp_path / "home", DOCKER_HOST=second.host, PORTAL_DEMO="0")
    own.start()
    try:
        files = {"app/app.py": SERVE, "sleeps/setup.py": SLEEPS, "requirements.txt": b"./sleeps\n"}
        assert own.register("shaken", repository(own.repositories, "shaken", files), "--probe", "off").returncode == 0
        assert own.manage("release", "shaken", "v1.0.0").returncode == 0
        eventually(lambda: "contract is kept" in own.log(own.build("shaken", 1)), seconds=60, what="the builder runs")
        second.kill()
        eventually(lambda: own.build("shaken", 1)["state"] == "finished", seconds=60, what="the end is said")
        build = own.build("shaken", 1)
        assert build["outcome"] == "engine_unavailable", build["message"]
        assert own.log(build).rstrip("\n").endswith(build["message"])
        eventually(lambda: second.host in own.page().get("/workers/").text, seconds=40, what="the page says it")

        second.start()
        left = ("ps", "--all", "--quiet", f"--filter=label=release-portal.build={build['id']}")
        eventually(lambda: not second.docker(*left).stdout, seconds=60, what="its container is removed")
        quick = repository(own.repositories, "shaken", {"requirements.txt": b""}, tag="v1.0.1")
        assert quick
        status, answer = own.release("shaken", "v1.0.1")
        assert status == 0, answer
    finally:
        assert own.stop() == 0
