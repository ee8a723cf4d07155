"""A container engine beside the machine's own, for tests that kill it or want another runtime in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.e2e.portal import eventually


class Engine:
    """A dockerd with its own socket and folders, in namespaces of its own for network and mounts: it would remove the
    bridge of the machine's own engine otherwise, and leave mounts behind."""

    def __init__(self, folder: Path, runtimes: Mapping[str, object]) -> None:
        self.folder = folder
        (folder / "daemon.json").write_text(json.dumps({"runtimes": dict(runtimes)}))
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
                [
                    *inside,
                    "dockerd",
                    f"--host={self.host}",
                    *places,
                    "--bridge=none",
                    "--iptables=false",
                    f"--config-file={self.folder}/daemon.json",
                ],
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


@contextmanager
def second_engine(**runtimes: object) -> Iterator[Engine]:
    """It runs, knows these runtimes (as daemon.json has them) beside the usual one, and is gone afterwards."""
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        pytest.skip("A second engine can only be started by root where dockerd is installed: run the tests there.")
    folder = Path("/tmp") / f"engine-{os.getpid()}"  # noqa: S108 (a socket's path must be short)
    folder.mkdir()
    engine = Engine(folder, runtimes)
    try:
        engine.start()
        yield engine
    finally:
        with suppress(subprocess.TimeoutExpired):
            engine.end()
        shutil.rmtree(folder, ignore_errors=True)
