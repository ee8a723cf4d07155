"""A build in gVisor, on a second engine that has it: what the kernel is, is told from inside.

gVisor's own network is left out (`--network=none`): the gVisor of Debian takes each namespace of a newer kernel for the
machine's own network and refuses it. So nothing is fetched in it, and nothing probed."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from releases.stacks import stack as stacks
from tests.e2e.portal import SERVE, RunningPortal, repository
from tests.e2e.second_engine import Engine, second_engine
from tests.e2e.test_engine_restart import STACK

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(shutil.which("runsc") is None, reason="gVisor is not here: install the package runsc"),
]
PROJECT = b"""
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
BACKEND = rb"""
import ctypes, json, os, pathlib, re, subprocess, zipfile


def look():
    log = ctypes.create_string_buffer(65536)
    ctypes.CDLL(None).klogctl(3, log, len(log))
    status = pathlib.Path("/proc/self/status").read_text()
    yield "kernel", "gVisor" if b"Starting gVisor" in log.value else os.uname().release
    yield "user", os.getuid()
    yield "capabilities", sorted(set(re.findall(r"^Cap\w+:\s*(\w+)$", status, re.MULTILINE)))
    yield "writes", [place for place in ("/usr", "/etc", "/tmp", "/app") if os.access(place, os.W_OK)]
    compiled = subprocess.run(["cc", "-xc", "-", "-o", "/tmp/compiled"], input=b"int main(void) { return 7; }")
    yield "compiles", compiled.returncode == 0 and subprocess.run("/tmp/compiled").returncode == 7


def build_wheel(folder, *_, **__):
    about = "looks-1.dist-info"
    with zipfile.ZipFile(pathlib.Path(folder, "looks-1-py3-none-any.whl"), "w") as wheel:
        wheel.writestr("looks.json", json.dumps(dict(look())))
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: looks\nVersion: 1\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", f"looks.json,,\n{about}/METADATA,,\n{about}/WHEEL,,\n{about}/RECORD,,\n")
    return "looks-1-py3-none-any.whl"
"""
FILES = {
    "app/app.py": SERVE,
    "looks/pyproject.toml": PROJECT,
    "looks/backend.py": BACKEND,
    "requirements.txt": b"./looks\n",
}


@pytest.fixture(scope="module")
def second(portal: RunningPortal) -> Iterator[Engine]:
    """With gVisor, and with a runtime that bears its name and is none."""
    portal.release("fruit-shop", "v1.0.0")  # so the stack's images are there
    stack = stacks.load(STACK)
    gvisor = {"path": shutil.which("runsc"), "runtimeArgs": ["--network=none"]}
    with second_engine(runsc=gvisor, **{"runsc-by-name": {"path": shutil.which("runc")}}) as engine:
        engine.take(stack.base, stack.builder_tag, stack.runner_tag)
        yield engine


def found(archive: Path) -> dict[str, Any]:
    """What the package saw while it was built."""
    with tarfile.open(archive) as members:
        [name] = [name for name in members.getnames() if name.endswith("site-packages/looks.json")]
        file = members.extractfile(name)
        assert file is not None
        facts: dict[str, Any] = json.load(file)
        return facts


@pytest.mark.parametrize("runtime", ["runsc", "runsc-by-name"])
def test_build_runs_in_gvisor_or_not_at_all(second: Engine, tmp_path: Path, runtime: str) -> None:
    own = RunningPortal(tmp_path / "home", DOCKER_HOST=second.host, PORTAL_DEMO="0", PORTAL_RUNTIME=runtime)
    own.start()
    try:
        assert own.register("looks", repository(own.repositories, "looks", FILES), "--probe", "off").returncode == 0
        status, answer = own.release("looks", "v1.0.0")
        if runtime == "runsc":
            assert status == 0, (answer["message"], own.log(own.build("looks", 1))[-3000:])
            assert found(Path(answer["artifact"]["path"])) == {
                "kernel": "gVisor",
                "user": 10001,
                "capabilities": ["0" * 16],
                "writes": ["/tmp", "/app"],  # noqa: S108 - inside
                "compiles": True,
            }
        else:
            assert (status, answer["outcome"]) == (1, "engine_unavailable")
            assert "the kernel that a container sees is not gVisor's" in answer["message"]
        assert not second.docker("ps", "--all", "--quiet").stdout
    finally:
        assert own.stop() == 0
