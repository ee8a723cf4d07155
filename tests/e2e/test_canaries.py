"""Twelve secrets of the portal and its surroundings, and a whole release beside them: none of them gets anywhere.

What is looked through: the database, the queue, every log, the archive, the image with all its layers and its history,
the containers as the engine describes them, and the command lines of all processes while it is made."""

from __future__ import annotations

import base64
import gzip
import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis

from portal.setup import postgres
from tests.e2e.canaries import CANARIES
from tests.e2e.portal import PASSWORD, SERVE, RunningPortal, docker, repository

pytestmark = pytest.mark.engine

LOOK = b"""
import os
from setuptools import setup
seen = [sorted(os.environ.items()), [open(f"/proc/{n}/cmdline").read() for n in os.listdir("/proc") if n.isdigit()]]
open("curious.py", "w").write(f"SEEN = {seen!r}")
setup(name="curious", version="1", py_modules=["curious"])
"""
"""What the package finds while it is built comes out in the archive."""


@dataclass
class Watch:
    """Command lines of this machine, and descriptions of the portal's containers, seen again and again."""

    portal: RunningPortal
    lines: set[bytes] = field(default_factory=set)
    containers: dict[str, str] = field(default_factory=dict)
    over: threading.Event = field(default_factory=threading.Event)

    def processes(self) -> None:
        while not self.over.wait(0.01):
            for process in Path("/proc").glob("[0-9]*"):
                with suppress(OSError):
                    self.lines.add((process / "cmdline").read_bytes())

    def descriptions(self) -> None:
        while not self.over.wait(0.1):
            for name in self.portal.containers():
                if name not in self.containers:
                    with suppress(AssertionError):  # it is gone already
                        self.containers[name] = docker("inspect", name)


@dataclass
class Made:
    """A release, and all that was left by it or seen meanwhile: where → bytes."""

    secrets: dict[str, str]
    left: dict[str, bytes]


@pytest.fixture(scope="module")
def made(portal: RunningPortal) -> Made:
    key = (portal.home / "audit_key").read_text().split("-----")[2].strip()
    (portal.home / "site-password.txt").write_text(canary := "of-the-data-folder-5f1c9a")
    secrets = {**CANARIES, "the audit key": key, "a file of the data folder": canary, "a person's password": PASSWORD}
    files = {"curious/setup.py": LOOK, "requirements.txt": b"./curious\n", "app/app.py": SERVE}
    url = repository(portal.repositories, "curious", files)
    variable = "of-the-application-77b0e2"
    assert portal.register("curious", url, "--env", f"DATABASE_PASSWORD={variable}").returncode == 0
    secrets["a variable of the application"] = variable
    watch = Watch(portal)
    threads = [threading.Thread(target=target) for target in (watch.processes, watch.descriptions)]
    for thread in threads:
        thread.start()
    portal.page().get("/applications/curious/")
    status, answer = portal.release("curious", "v1.0.0")
    watch.over.set()
    for thread in threads:
        thread.join()
    assert status == 0, answer
    assert len(watch.containers) >= 2, "neither builder nor probe was seen"
    assert any(b"git" in line for line in watch.lines)
    return Made(secrets, left(portal, answer["artifact"]["path"], answer["image"]["tag"], watch))


def left(portal: RunningPortal, artifact: str, tag: str, watch: Watch) -> dict[str, bytes]:
    builders = {name: text for name, text in watch.containers.items() if 'role": "builder' in text}
    assert builders
    dump = subprocess.run(
        [str(postgres.client("pg_dump")), "--inserts", portal.database()], capture_output=True, check=True
    ).stdout
    queue = redis.Redis(unix_socket_path=str(socket_of(portal)))
    found = {
        "the database": dump,
        "the queue": b"".join(bytes(queue.dump(key) or b"") for key in queue.scan_iter()),
        "the archive": gzip.decompress(Path(artifact).read_bytes()),
        "the image": subprocess.run(["docker", "save", tag], capture_output=True, check=True).stdout,
        "the image's history": (docker("history", "--no-trunc", tag) + docker("inspect", tag)).encode(),
        "the builder's description": "".join(builders.values()).encode(),
        "other descriptions": "".join(text for name, text in watch.containers.items() if name not in builders).encode(),
        "the command lines": b"\n".join(watch.lines),
        "the terminal": portal.output.read_bytes(),
    }
    logs = [path for path in portal.home.rglob("*.log") if path.is_file()]
    return found | {"the logs": b"".join(path.read_bytes() for path in logs)}


def socket_of(portal: RunningPortal) -> Path:
    shown = portal.manage("shell", "-v", "0", "-c", "from django.conf import settings; print(settings.RUN_DIR)")
    return Path(shown.stdout.strip()) / "redis.sock"


ON_PURPOSE = {
    ("a variable of the application", "the database"),  # an operator sets it, a release manager may read it
    ("a variable of the application", "other descriptions"),  # the probe is booted with it
}
SECRETS = [
    *CANARIES,
    "the audit key",
    "a file of the data folder",
    "a person's password",
    "a variable of the application",
]
PLACES = (
    "the database", "the queue", "the archive", "the image", "the image's history", "the builder's description",
    "other descriptions", "the command lines", "the terminal", "the logs",
)  # fmt: skip


def forms(secret: str) -> Iterator[bytes]:
    """As it is, turned, and as others write it."""
    yield from (secret.encode(), secret[::-1].encode(), secret.encode().hex().encode())
    yield from (base64.b64encode(secret.encode()).rstrip(b"="), json.dumps(secret).encode()[1:-1])


@pytest.mark.parametrize("place", PLACES)
def test_no_secret_is_in(made: Made, place: str) -> None:
    assert len(made.left[place]) > 100, "nothing was looked through"
    assert set(made.secrets) == set(SECRETS)
    assert len(SECRETS) == 12
    for name, secret in made.secrets.items():
        if (name, place) not in ON_PURPOSE:
            assert not any(form in made.left[place] for form in forms(secret)), name


def test_search_finds_what_is_there(made: Made) -> None:
    """The variable stands where it must: what is looked through is the right thing."""
    for place in ("the database", "other descriptions"):
        assert made.secrets["a variable of the application"].encode() in made.left[place]
    assert b"curious" in made.left["the logs"]
    assert b"SEEN = [[('" in made.left["the archive"]
