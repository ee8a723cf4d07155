"""A whole portal as `./run` starts it, with its own home, port, PostgreSQL, Redis, workers and sweeper."""

from __future__ import annotations

import gzip
import io
import ipaddress
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tarfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import requests
from psycopg.rows import dict_row

ROOT = Path(__file__).resolve().parents[2]
T = TypeVar("T")
PASSWORD = "quince-plum-pear"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def eventually(look: Callable[[], T], *, seconds: float, what: str) -> T:
    """The first true answer; a failure that names what was waited for, when there is none in time."""
    end = time.monotonic() + seconds
    while not (answer := look()):
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.2)
    return answer


def passable_python(folder: Path) -> tuple[str, dict[str, str]]:
    """A Python that any account may run, with this one's packages, and the variables that it wants: this one, or, where
    it lies in a closed folder such as root's, a copy of it in `folder`, which must not be closed."""
    mine = [Path(sys.executable).absolute(), Path(sys.executable).resolve(), Path(os.__file__)]
    if all(parent.stat().st_mode & 0o001 for place in mine for parent in place.parents):
        return sys.executable, {}
    base, version = Path(sys.base_prefix), f"python3.{sys.version_info.minor}"
    (folder / "base" / "bin").mkdir(parents=True)
    shutil.copy(base / "bin" / version, folder / "base" / "bin")
    unneeded = shutil.ignore_patterns("test", "site-packages", "idlelib", "ensurepip")
    shutil.copytree(base / "lib" / version, folder / "base" / "lib" / version, ignore=unneeded)
    for library in (base / "lib").glob("libpython3*.so*"):
        shutil.copy(library, folder / "base" / "lib")
    found = {"LD_LIBRARY_PATH": str(folder / "base" / "lib")}
    command = [str(folder / "base" / "bin" / version), "-m", "venv", "--without-pip", str(folder / "venv")]
    subprocess.run(command, env={**os.environ, **found}, check=True)
    (folder / "venv" / "lib" / version / "site-packages" / "beside.pth").write_text(sysconfig.get_path("purelib"))
    return str(folder / "venv" / "bin" / "python"), found


class RunningPortal:
    def __init__(self, home: Path, *, python: str = sys.executable, **environment: str) -> None:
        self.home, self.port, self.python = home, free_port(), python
        self.address = f"http://127.0.0.1:{self.port}"
        self.repositories = home / "demo"
        dropped = ("DATABASE_URL", "REDIS_URL", "PORTAL_INSTANCE", "PYTEST_CURRENT_TEST", "DJANGO_SETTINGS_MODULE")
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in dropped},
            "PORTAL_HOME": str(home),
            "PORT": str(self.port),
            "PORTAL_ADMIN_PASSWORD": PASSWORD,
            "PORTAL_MANAGER_PASSWORD": PASSWORD,
            "PORTAL_DRAIN_SECONDS": "1",
            **environment,
        }
        self.process: subprocess.Popen[bytes] | None = None

    # ---- its life ----------------------------------------------------------------------------------------

    def start(self, *, seconds: float = 300, accept: tuple[int, ...] = (200,)) -> None:
        """Start it and wait until it says that it takes work, or (with `accept`) answers at all."""
        self.home.mkdir(parents=True, exist_ok=True)
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [self.python, "-m", "portal", "--no-install"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        eventually(lambda: self._status() in accept, seconds=seconds, what=f"/healthz of {self.address} answers")

    def _status(self) -> int:
        assert self.process is not None
        assert self.process.poll() is None, f"the portal ended:\n{self.output.read_text()[-3000:]}"
        try:
            return requests.get(f"{self.address}/healthz", timeout=5).status_code
        except (requests.ConnectionError, requests.Timeout):
            return 0

    def stop(self) -> int:
        """As Ctrl-C does it; the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=90)

    @property
    def output(self) -> Path:
        return self.home / "terminal.txt"

    @property
    def instance(self) -> str:
        return (self.home / "instance").read_text().strip()

    # ---- asking it ------------------------------------------------------------------------------------------

    def manage(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.python, "manage.py", *arguments],
            cwd=ROOT,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def register(self, name: str, repository: str, *options: str) -> subprocess.CompletedProcess[str]:
        return self.manage("register", name, repository, *options)

    def release(self, application: str, ref: str, *options: str) -> tuple[int, dict[str, Any]]:
        """`manage.py release … --wait --json`: its exit status and what it printed."""
        done = self.manage("release", application, ref, "--wait", "--json", *options)
        assert done.stdout, f"exit {done.returncode}: {done.stderr}"
        answer: dict[str, Any] = json.loads(done.stdout)
        return done.returncode, answer

    def sql(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """Read the truth itself."""
        with psycopg.connect(self.database(), row_factory=dict_row, autocommit=True) as connection:
            cursor = connection.execute(query.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def build(self, application: str, number: int) -> dict[str, Any]:
        [row] = self.sql(
            "SELECT b.* FROM releases_build b JOIN releases_application a ON a.id = b.application_id "
            "WHERE a.name = %s AND b.number = %s",
            application,
            number,
        )
        return row

    def numbers(self, application: str) -> list[int]:
        """Of all its builds, the newest first."""
        found = self.sql(
            "SELECT number FROM releases_build b JOIN releases_application a ON a.id = b.application_id "
            "WHERE a.name = %s ORDER BY number DESC",
            application,
        )
        return [row["number"] for row in found]

    def database(self) -> str:
        """The address of its PostgreSQL."""
        shown = self.manage("shell", "-v", "0", "-c", "from django.conf import settings; print(settings.DATABASE_URL)")
        self.database = lambda: shown.stdout.strip()  # type: ignore[method-assign]  # asked once, it does not change
        return shown.stdout.strip()

    def log(self, build: Mapping[str, Any]) -> str:
        path = self.home / "logs" / "builds" / f"{build['id'] // 1000:03d}" / f"{build['id']:06d}.log"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def containers(self, *labels: str) -> list[str]:
        filters = [f"--filter=label={label}" for label in (f"release-portal.instance={self.instance}", *labels)]
        return docker("ps", "-a", "--format={{.Names}}", *filters).split()

    def page(self, user: str = "manager") -> Visitor:
        return Visitor(self, user)


class Visitor:
    """A person with a browser that has no script: what the pages promise without JavaScript."""

    def __init__(self, portal: RunningPortal, user: str) -> None:
        self.portal, self.session = portal, requests.Session()
        self.session.trust_env = False
        answer = self.post("/accounts/login/", username=user, password=PASSWORD)
        assert answer.url.rstrip("/") == portal.address, "signing in did not lead to the first page"

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.session.get(self.portal.address + path, timeout=60, **options)

    def post(self, path: str, *, come_from: str = "/accounts/login/", **fields: str) -> requests.Response:
        page = self.session.get(self.portal.address + come_from, timeout=60).text
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        if token:
            fields["csrfmiddlewaretoken"] = token[1]
        elif cookie := self.session.cookies.get("csrftoken"):
            fields["csrfmiddlewaretoken"] = cookie
        headers = {"Referer": self.portal.address + come_from}
        return self.session.post(self.portal.address + path, data=fields, headers=headers, timeout=60)


def docker(*arguments: str) -> str:
    """The engine, as a person at the terminal asks it."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def gateway(network: str) -> str:
    """This machine's address on a network of the engine; not every engine writes it down, and it is the first."""
    [subnet] = docker("network", "inspect", "-f", "{{range .IPAM.Config}}{{.Subnet}} {{end}}", network).split()
    return str(ipaddress.ip_network(subnet)[1])


SERVE = b"""
import os

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [os.environ.get("GREETING", "hello").encode()]
"""


def repository(folder: Path, name: str, files: Mapping[str, bytes], *, tag: str = "v1.0.0") -> str:
    """A bare repository below `folder` with these files in one tagged commit; its address."""
    work, bare = folder / f"{name}-work", folder / f"{name}.git"
    if not bare.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _git(folder, "init", "-q", "--bare", str(bare))
        _git(folder, "clone", "-q", str(bare), str(work))
    for path, content in files.items():
        (work / path).parent.mkdir(parents=True, exist_ok=True)
        (work / path).write_bytes(content)
    _git(work, "add", "-A")
    _git(work, "commit", "-q", "--allow-empty", "-m", f"What {tag} brings")
    _git(work, "tag", "-f", "-a", "-m", tag, tag)
    _git(work, "push", "-q", "--force", "origin", "HEAD:main", f"refs/tags/{tag}")
    return f"file://{bare}"


def sdist(name: str, setup: bytes) -> bytes:
    """`<name>-1.0.tar.gz`, a package of one empty module whose setup.py is this one."""
    buffer = io.BytesIO()
    about = f"Metadata-Version: 1.0\nName: {name}\nVersion: 1.0\n".encode()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, content in (("setup.py", setup), (f"{name}.py", b""), ("PKG-INFO", about)):
            member = tarfile.TarInfo(f"{name}-1.0/{path}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), mtime=0)


def _git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "protocol.file.allow=always"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)
