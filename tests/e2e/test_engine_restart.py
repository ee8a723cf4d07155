"""The container engine is killed and started again in the middle of a build: a second one, of this test alone."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from releases.stacks import stack as stacks
from tests.e2e.portal import SERVE, RunningPortal, eventually, repository

pytestmark = pytest.mark.engine

STACK = "python3.13-uwsgi"
SLEEPS = b"""
import time
from setuptools import setup
time.sleep(30)
setup(name='sleeps', version='1')
"""


class Engine:
    """A dockerd with its own socket and folders, in namespaces of its own for network and mounts: it would remove the
    bridge of the machine's own engine otherwise, and leave mounts behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = f"unix://{folder}/d.sock"
        self.process: subprocess.Popen[bytes] | None = None
        self._namespaces = subprocess.Popen(["unshare", "--net", "--mount", "sleep", "infinity"])
        eventually(self._has_own, seconds=10, what="the namespaces are there")

    def _has_own(self) -> bool:
        """Both: in the machine's own, this engine would be a menace."""
        entered = Path(f"/proc/{self._namespaces.pid}/ns")
        return all((entered / one).readlink() != (Path("/proc/self/ns") / one).readlink() for one in ("net", "mnt"))

    def start(self) -> None:
        assert self._has_own()
        (self.folder / "pid").unlink(missing_ok=True)
        places = [f"--data-root={self.folder}/data", f"--exec-root={self.folder}/exec", f"--pidfile={self.folder}/pid"]
        inside = ["nsenter", f"--target={self._namespaces.pid}", "--net", "--mount"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*inside, "dockerd", f"--host={self.host}", *places, "--bridge=none", "--iptables=false"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        eventually(lambda: self.docker("info", check=False).returncode == 0, seconds=60, what="the second engine is up")

    def docker(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["docker", f"--host={self.host}", *arguments], capture_output=True, check=check)

    def take(self, *images: str) -> None:
        """From the engine that all share."""
        with subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE) as saved:
            subprocess.run(["docker", f"--host={self.host}", "load", "--quiet"], stdin=saved.stdout, check=True)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        try:
            if self.process is not None and self.process.poll() is None:
                self.process.terminate()
                self.process.wait(30)
        finally:
            self._namespaces.kill()
            self._namespaces.wait()


@pytest.fixture
def second(portal: RunningPortal) -> Iterator[Engine]:
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        pytest.skip("A second engine can only be started by root where dockerd is installed: run the tests there.")
    folder = Path("/tmp") / f"engine-{os.getpid()}"  # noqa: S108 (a socket's path must be short)
    folder.mkdir()
    engine = Engine(folder)
    try:
        engine.start()
        yield engine
    finally:
        with suppress(subprocess.TimeoutExpired):
            engine.end()
        shutil.rmtree(folder, ignore_errors=True)


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
