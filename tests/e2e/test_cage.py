"""The cage, seen from inside: a package that looks around while it is built, and an application that does so when it is
booted, through the whole pipeline. Nothing here believes what was asked of the engine.

What the two may find is written down once, in `BUILD` and `RUN`; each line is a test of its own.
"""

from __future__ import annotations

import ast
import json
import os
import re
import secrets
import socket
import tarfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from releases.engine.cage import DEFAULT_INDEX
from tests.e2e.portal import ROOT, RunningPortal, docker, eventually, gateway, repository

pytestmark = pytest.mark.engine

INDEX = DEFAULT_INDEX[0].partition(":")[0]
"""A name that a builder must find."""
MIB = 1024 * 1024
CANARIES = {
    name: secrets.token_hex(16)
    for name in ("signing key", "site's password", "file of the portal", "of the application")
}
KEYS = ("audit_key", "secrets_key")
"""Files of the data folder that the portal makes for itself: of each, a line is looked for."""
SERVE = b"""
import json, pathlib, inside

wanted = json.loads(pathlib.Path(__file__).with_name("wanted.json").read_text())
print("CAGED", json.dumps(inside.look(wanted)), flush=True)

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""
MOUNTS = re.compile(
    r"/|/(dev|proc|sys)(/.*)?|/etc/(resolv\.conf|hostname|hosts)|/(usr/)?sbin/docker-init|/tmp|/app|/shared"
)
DEVICES = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "console"}


NOBODY = {
    "the metadata of a cloud",
    "the metadata of a cloud, by IPv6",
    "a private network (10)",
    "a private network (192.168)",
    "a carrier's network",
}
"""Where nobody listens: tests/engine/test_firewall.py puts somebody into each range."""


@dataclass
class Surroundings:
    """What stands around the containers, and who came to it."""

    targets: dict[str, str]
    """What it is → `address port`."""
    visitors: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def caged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPortal]:
    """A portal with secrets in its environment and its folder, that listens on every address."""
    running = RunningPortal(
        tmp_path_factory.mktemp("caged") / "home",
        PORTAL_BIND="0.0.0.0",  # noqa: S104 - so that there is something to reach
        PORTAL_SECRET_KEY=CANARIES["signing key"],
        SITE_PASSWORD=CANARIES["site's password"],
        PORTAL_DEMO="0",
        PORTAL_BUILD_DISK_MB="400",
        PORTAL_BUILD_FILES="20000",
    )
    try:
        running.start()
        (running.home / "site-password.txt").write_text(CANARIES["file of the portal"])
        yield running
        assert running.stop() == 0
    finally:
        if running.process is not None and running.process.poll() is None:
            running.process.kill()


@pytest.fixture(scope="module")
def around(caged: RunningPortal) -> Iterator[Surroundings]:
    """Listeners on all addresses of this machine in place of its services, and a container beside the builder."""
    with ExitStack() as stack:
        found = Surroundings({})
        ports = {
            name: listen(port, found, stack) for name, port in (("redis", 6379), ("postgresql", 5432), ("engine", 2375))
        }
        builders = f"portal-{caged.instance}-build"
        bridge, docker0 = gateway(builders), gateway("bridge")
        beside = f"beside-{caged.instance}"
        serve = "my $s = IO::Socket::INET->new(LocalPort => 80, Listen => 5); while (my $c = $s->accept) { close $c }"
        docker("run", "-d", "--rm", "--name", beside, "--network", builders, "debian:trixie-slim",
               "perl", "-MIO::Socket::INET", "-e", serve)  # fmt: skip
        stack.callback(docker, "rm", "-f", beside)
        neighbour = docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", beside).strip()
        found.targets = {
            "the metadata of a cloud": "169.254.169.254 80",
            "the metadata of a cloud, by IPv6": "fd00:ec2::254 80",
            "the portal at its bridge": f"{bridge} {caged.port}",
            "the portal at the engine's bridge": f"{docker0} {caged.port}",
            "the portal at this machine's address": f"{public()} {caged.port}",
            "a queue of this machine": f"{bridge} {ports['redis']}",
            "a database of this machine": f"{public()} {ports['postgresql']}",
            "an engine of this machine": f"{docker0} {ports['engine']}",
            "a container beside it": f"{neighbour} 80",
            "a private network (10)": "10.0.0.1 443",
            "a private network (192.168)": "192.168.0.1 443",
            "a carrier's network": "100.64.0.1 443",
        }
        yield found


def listen(port: int, found: Surroundings, stack: ExitStack) -> int:
    """At its usual port when that is free; the port."""
    server = socket.socket()
    stack.callback(server.close)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind(("0.0.0.0", port))  # noqa: S104 - that is what is tried
    except OSError:
        server.bind(("0.0.0.0", 0))  # noqa: S104 - that is what is tried
    server.listen()

    def take() -> None:
        with suppress(OSError):
            while True:
                connection, (address, _) = server.accept()
                found.visitors.append(address)
                connection.close()

    threading.Thread(target=take, daemon=True).start()
    return int(server.getsockname()[1])


def public() -> str:
    """An address of this machine that is neither its loopback nor a bridge of the engine."""
    for name, addresses in psutil.net_if_addrs().items():
        if name != "lo" and not name.startswith(("docker", "br-", "rp", "veth")):
            for address in addresses:
                if address.family == socket.AF_INET:
                    return str(address.address)
    return pytest.skip("this machine has no address but its own: connect it to a network")


@pytest.fixture(scope="module")
def released(caged: RunningPortal, around: Surroundings) -> dict[str, Any]:
    """The release of an application whose package and whose module look around."""
    keys = {name: max((caged.home / name).read_text().splitlines(), key=len) for name in KEYS}
    assert all(len(line) > 30 for line in keys.values())
    wanted = json.dumps(
        {
            "canaries": {name: word[::-1] for name, word in (CANARIES | keys).items()},
            "targets": list(around.targets.values()),
            "names": [INDEX],
        }
    ).encode()
    source = (ROOT / "tests/e2e/inside.py").read_bytes()
    files = {
        "caged/setup.py": source,
        "caged/wanted.json": wanted,
        "app/inside.py": source,
        "app/wanted.json": wanted,
        "app/app.py": SERVE,
        "requirements.txt": b"./caged\n",
    }
    assert caged.register("caged", repository(caged.repositories, "caged", files)).returncode == 0
    environment = json.dumps({"DATABASE_PASSWORD": CANARIES["of the application"]})
    caged.sql("UPDATE releases_application SET environment = %s::jsonb WHERE name = 'caged'", environment)
    status, answer = caged.release("caged", "v1.0.0")
    assert status == 0, (answer["message"], caged.log(caged.build("caged", 1))[-3000:])
    return answer


@pytest.fixture(scope="module")
def build(released: dict[str, Any]) -> dict[str, Any]:
    """What the package found while it was built: it is in the archive."""
    with tarfile.open(released["artifact"]["path"]) as archive:
        [name] = [name for name in archive.getnames() if name.endswith("site-packages/caged.py")]
        file = archive.extractfile(name)
        assert file is not None
        found: dict[str, Any] = ast.literal_eval(file.read().decode().removeprefix("FOUND = "))
        return found


@pytest.fixture(scope="module")
def run(caged: RunningPortal, released: dict[str, Any]) -> dict[str, Any]:
    """What the application found when it was booted: it is in the log."""
    said = re.findall(r"CAGED (\{.*\})$", caged.log(caged.build("caged", released["number"])), re.MULTILINE)
    assert said, "the application printed nothing"
    found: dict[str, Any] = json.loads(said[-1])
    return found


BOTH: dict[str, Any] = {
    "ids": [10001],
    "capabilities": dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), 0),
    "no_new_privileges": "1",
    "seccomp": "2",
    "becomes_root": False,
    "root_is_read_only": True,
    "tmp_options": ["nodev", "nosuid"],
    "sockets": [],
    "makes_device": False,
    "open_files": [4096, 4096],
    "core": [0, 0],
    "memory": 1024 * MIB,
    "memory_and_swap": 1024 * MIB,
    "raises_limit": False,
    "raises_priority": False,
    "system_calls": [],
    "readable": [],
    "firmware": [],
    "switches": [],
    "sets_clock": False,
    "sets_hostname": False,
    "raw_sockets": [],
    "first_process": "docker-init",
    "strangers": [],
    "ipv6": [],
    "interfaces": ["eth0", "lo"],
    "open": [],
}
BUILD: dict[str, Any] = {
    **BOTH,
    "writable": ["/app", "/shared", "/tmp"],  # noqa: S108 - inside
    "tmp_bytes": 512 * MIB,
    "file_bytes": [1024 * MIB, 1024 * MIB],
    "largest_file": 0,
    "pids": 256,
    "cpus": 2.0,
    "canaries": {name: [] for name in (*CANARIES, *KEYS)},
    "resolved": [INDEX],
}
RUN: dict[str, Any] = {
    **BOTH,
    "writable": ["/tmp"],  # noqa: S108 - inside
    "tmp_bytes": 64 * MIB,
    "pids": 128,
    "cpus": 1.0,
    "canaries": BUILD["canaries"] | {"of the application": ["$DATABASE_PASSWORD", "/proc/*/environ"]},
    "resolved": [],
}


def plain(found: Any) -> Any:
    """Tuples became lists on the way out of the one, and not of the other."""
    return list(found) if isinstance(found, tuple) else found


@pytest.mark.parametrize("fact", BUILD)
def test_builder_finds_itself_caged(build: dict[str, Any], fact: str) -> None:
    assert plain(build[fact]) == BUILD[fact]


@pytest.mark.parametrize("fact", RUN)
def test_what_runs_finds_itself_caged(run: dict[str, Any], fact: str) -> None:
    assert plain(run[fact]) == RUN[fact]


def test_nothing_of_this_machine_is_mounted(build: dict[str, Any], run: dict[str, Any]) -> None:
    assert [name for name in (*build["mounts"], *run["mounts"]) if not MOUNTS.fullmatch(name)] == []


def test_devices_are_those_of_every_container(build: dict[str, Any], run: dict[str, Any]) -> None:
    for found in (build, run):
        assert {Path(name).name for name in found["devices"]} - DEVICES - {str(number) for number in range(10)} == set()


def test_environment_holds_what_the_portal_gives_and_no_more(build: dict[str, Any]) -> None:
    given = {"MODE", "REQUIREMENTS", "DIRECTORY", "HOME", "LOG_BYTES"}
    site = {"PIP_INDEX_URL", "UV_DEFAULT_INDEX", "SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}
    site |= {name for one in ("http_proxy", "https_proxy", "no_proxy") for name in (one, one.upper())}
    tools = {"PATH", "HOSTNAME", "PWD", "OLDPWD", "SHLVL", "_", "TMPDIR", "GIT_SSL_CAINFO", "LC_CTYPE"}
    pip = ("PIP_", "PEP517_", "PYTHON", "_PYPROJECT")
    strange = {name for name in set(build["environment"]) - given - site - tools if not name.startswith(pip)}
    assert strange == set()


def test_hostname_says_nothing(build: dict[str, Any], run: dict[str, Any]) -> None:
    for found in (build, run):
        assert re.fullmatch(r"[0-9a-f]{12}", found["hostname"])


def test_nobody_came_out(
    caged: RunningPortal, build: dict[str, Any], run: dict[str, Any], around: Surroundings
) -> None:
    """The other side of `open`: the listeners were there, and can be reached from here."""
    assert around.visitors == []
    assert len(around.targets) == 12
    for name, target in around.targets.items():
        if name not in {*NOBODY, "a container beside it"}:
            address, port = target.split()
            socket.create_connection((address, int(port)), timeout=5).close()
    eventually(lambda: len(around.visitors) == 3, seconds=10, what="each listener hears of this visit")
    # What stands on the closed network may not answer this machine either, so it is asked from inside.
    asks = "IO::Socket::INET->new('127.0.0.1:80') or die"
    docker("exec", f"beside-{caged.instance}", "perl", "-MIO::Socket::INET", "-e", asks)


# ---- the disk ------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.geteuid() != 0, reason="only root sees what a builder writes: run as root")
@pytest.mark.parametrize(
    ("name", "number", "size", "words"),
    [("heavy", 1200, 1 << 20, "more than the 400 MiB"), ("crumbs", 60_000, 1, "more than the 20000 files")],
)
def test_builder_that_fills_the_disk_is_ended_and_leaves_nothing(
    caged: RunningPortal, name: str, number: int, size: int, words: str
) -> None:
    """No file is large, and none of it would ever be taken out."""
    setup = f"""
import pathlib, time
from setuptools import setup

for number in range({number}):
    pathlib.Path(f"crumb-{{number}}").write_bytes(bytes({size}))
time.sleep(30)
setup(name="hoard", version="1.0", py_modules=[])
"""
    files = {"app/app.py": b"app = print\n", "requirements.txt": b"./hoard\n", "hoard/setup.py": setup.encode()}
    assert caged.register(name, repository(caged.repositories, name, files)).returncode == 0
    status, answer = caged.release(name, "v1.0.0")
    assert (status, answer["outcome"]) == (1, "failed")
    assert words in answer["message"]
    assert words in caged.log(caged.build(name, 1))
    assert [one for one in caged.containers() if "builder" in one] == []
