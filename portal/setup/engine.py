"""The container engine: the one that answers, or one that is started here. The only `docker` import in portal/."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import docker
import requests
from docker.errors import DockerException

from portal.setup import SetupFailed, packages, say

SOCKET = "unix:///var/run/docker.sock"
PID_FILE = Path("/var/run/docker.pid")
LOG = Path("/var/log/dockerd.log")
START_SECONDS = 60
DENIED = "permission denied"


def ensure(host: str, *, may_install: bool) -> None:
    """Leave with an engine that answers at `host` (empty: the engine's default); raises `SetupFailed`.

    Nothing is installed or started when `host` names another address: that engine is somebody else's."""
    if (trouble := unreachable(host)) is None:
        return
    where = host or SOCKET
    if host and host != SOCKET:
        raise SetupFailed(f"No container engine answers at {where} ({trouble}): start it, or correct DOCKER_HOST.")
    if os.geteuid() != 0:
        raise SetupFailed(f"No container engine answers at {where} ({trouble}): {_mend_without_root(trouble)}")
    if may_install and packages.can_install():
        packages.install(["dockerd", "docker", "iptables"])
    if not shutil.which("dockerd"):
        raise SetupFailed(
            f"No container engine answers at {where}: install Docker (Debian, Ubuntu: apt-get install docker.io)."
        )
    _start()


def unreachable(host: str) -> str | None:
    """Why no engine answers at `host`; None when one does."""
    try:
        client = docker.DockerClient(base_url=host or None, timeout=5)
        try:
            client.ping()
        finally:
            client.close()
    except PermissionError:
        return DENIED
    except (DockerException, requests.RequestException, OSError, ValueError) as error:
        return DENIED if "Permission denied" in str(error) else "nothing listens there"
    return None


def _mend_without_root(trouble: str) -> str:
    if trouble == DENIED:
        return "join its group (sudo usermod -aG docker $USER) and sign in again, or run ./run as root."
    if shutil.which("dockerd"):
        return "start it (sudo systemctl start docker)."
    return "install Docker (Debian, Ubuntu: sudo apt-get install docker.io), or run ./run as root once."


def _start() -> None:
    """Start the installed engine: by the init system where one runs, else detached, so that it outlives us."""
    if Path("/run/systemd/system").is_dir():
        say("Starting the container engine (systemctl start docker).")
        subprocess.run(["systemctl", "start", "docker"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
        _wait(None)
        return
    say(f"Starting the container engine (dockerd, detached; its output is in {LOG}).")
    forget_stale_pid(PID_FILE)
    with LOG.open("ab") as log:
        process = subprocess.Popen(
            ["dockerd"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/"
        )
    _wait(process)


def forget_stale_pid(file: Path) -> None:
    """A killed dockerd leaves its number behind; a new one refuses to start while that number is alive, be it
    somebody else. The file goes when the number is no living dockerd."""
    try:
        status = Path(f"/proc/{int(file.read_text())}/status").read_text()
    except (OSError, ValueError):
        status = ""
    if "Name:\tdockerd\n" not in status or "State:\tZ" in status:
        file.unlink(missing_ok=True)


def _wait(process: subprocess.Popen[bytes] | None) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if unreachable("") is None:
            return
        if process is not None and process.poll() is not None:
            break
        time.sleep(0.3)
    raise SetupFailed(f"The container engine did not come up: {_last_words()}")


def _last_words() -> str:
    try:
        lines = LOG.read_text(errors="replace").splitlines()
    except OSError:
        return "look at “journalctl -u docker”."
    failed = [line for line in lines if "failed to start daemon" in line or "level=fatal" in line] or lines[-1:]
    return f"{failed[-1][:300] if failed else 'it said nothing'} (the whole story is in {LOG})."
