"""The web server of a portal that root has started: it can do what pages need, and nothing else.

Asked of the kernel, and tried with the very identity that serves requests."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
import pytest
import requests

from tests.e2e.portal import ROOT, SERVE, RunningPortal, docker, eventually, free_port, passable_python, repository

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can run the web server as another account: run as root"),
]
TOKEN = "plum-pear-quince-medlar"
ENGINE = "/var/run/docker.sock"


@dataclass(frozen=True)
class Identity:
    """Whom a process runs as."""

    uid: int
    gid: int

    def tries(self, portal: RunningPortal, code: str, *arguments: str) -> str:
        """What a small program says that runs as this."""
        done = subprocess.run(
            [portal.python, "-c", code, *arguments],
            env=portal.environment,
            user=self.uid,
            group=self.gid,
            extra_groups=[],
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def low_port() -> int:
    """One that only root may listen on."""
    for port in range(700, 1000):
        if all(found.laddr.port != port for found in psutil.net_connections("tcp") if found.laddr):
            return port
    return free_port()


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that is not closed; the checkout must not be in one that is. A machine that is there for the tests alone
    is opened for them."""
    closed = [folder for folder in (ROOT, *ROOT.parents) if not folder.stat().st_mode & 0o001]
    if closed and os.environ.get("CI"):
        for one in closed:
            one.chmod(one.stat().st_mode | 0o001)
    elif closed:
        pytest.skip(f"{ROOT} lies in a folder that is closed to others: move the checkout, or chmod o+x that folder")
    with tempfile.TemporaryDirectory(prefix="portal-door-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.fixture(scope="module")
def python(place: Path) -> tuple[str, dict[str, str]]:
    return passable_python(place / "python")


@pytest.fixture(scope="module")
def guarded(place: Path, python: tuple[str, dict[str, str]]) -> Iterator[RunningPortal]:
    """A portal that made a release as it was before the account was, started anew with it, on a port below 1024."""
    home = place / "home"
    home.mkdir(mode=0o700)
    portal = RunningPortal(home, python=python[0], PORTAL_DEMO="0", PORTAL_METRICS_TOKEN=TOKEN, **python[1])
    try:
        portal.environment["PORTAL_WEB_ACCOUNT"] = "off"
        portal.start()
        url = repository(portal.repositories, "shop", {"app/app.py": SERVE, "requirements.txt": b""})
        assert portal.register("shop", url).returncode == 0
        assert portal.release("shop", "v1.0.0")[0] == 0
        assert {identity.uid for identity in serving(portal)} == {0}
        assert portal.stop() == 0
        del portal.environment["PORTAL_WEB_ACCOUNT"]
        portal.port = low_port()
        portal.environment["PORT"] = str(portal.port)
        portal.address = f"http://127.0.0.1:{portal.port}"
        with a_group_of_the_engine():
            portal.start()
        yield portal
        assert portal.stop() == 0
    finally:
        if portal.process is not None and portal.process.poll() is None:
            portal.process.kill()


@contextmanager
def a_group_of_the_engine() -> Iterator[None]:
    """Whoever is root may well be in it, too, and hands it on."""
    before = os.getgroups()
    os.setgroups([*before, Path(ENGINE).stat().st_gid])
    try:
        yield
    finally:
        os.setgroups(before)


def serving(portal: RunningPortal) -> list[Identity]:
    """Of each process that listens on the portal's port, and of all below it."""
    assert portal.process is not None
    found = []
    for process in psutil.Process(portal.process.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if any(connection.laddr.port == portal.port for connection in process.net_connections("tcp")):
                found += [process, *process.children(recursive=True)]
    assert len(found) > 2, "gunicorn and its two workers"
    return [Identity(process.uids().real, process.gids().real) for process in found]


@pytest.fixture
def web(guarded: RunningPortal) -> Identity:
    return serving(guarded)[0]


def status(portal: RunningPortal) -> list[dict[str, str]]:
    """What the kernel says of each process that has the port, or its parent had."""
    assert portal.process is not None
    found = []
    for process in psutil.Process(portal.process.pid).children(recursive=True):
        # Workers' children come and go while this looks.
        with suppress(psutil.NoSuchProcess):
            if process.environ().get("RELEASE_PORTAL_PROCESS") == "web":
                lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
                found.append(
                    {name: " ".join(value.split()) for name, _, value in (line.partition(":") for line in lines)}
                )
    return found


def test_all_of_the_web_server_is_nobody(guarded: RunningPortal) -> None:
    # The first worker may answer before the second is there.
    eventually(lambda: len(status(guarded)) == 3, seconds=30, what="gunicorn has its two workers")
    assert len(set(serving(guarded))) == 1
    for facts in status(guarded):
        assert "0" not in facts["Uid"].split() + facts["Gid"].split()
        assert facts["Groups"] == ""
        assert {facts[f"Cap{kind}"] for kind in ("Inh", "Prm", "Eff", "Amb")} == {"0" * 16}
        assert facts["NoNewPrivs"] == "1"


def test_engine_does_not_know_it(guarded: RunningPortal, web: Identity) -> None:
    knock = "import socket, sys\ntry: socket.socket(socket.AF_UNIX).connect(sys.argv[1])\nexcept OSError as e: print(e)"
    assert Path(ENGINE).is_socket()
    assert docker("version", "--format", "{{.Server.Version}}")
    assert web.tries(guarded, knock, ENGINE) == "[Errno 13] Permission denied"


LOOK = """
import os, sys
for path in sys.argv[1:]:
    try:
        os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(1)
        print("read", path)
    except OSError as error:
        print(error.strerror, path)
"""


def test_keys_and_workshop_are_closed_to_it(guarded: RunningPortal, web: Identity) -> None:
    """And to others the whole data folder."""
    keys = ("secret_key", "audit_key", "instance")
    closed = [guarded.home / name for name in (*keys, "mirrors", "tmp", "demo", "redis", "postgres", "postgres.log")]
    closed += [guarded.home, next((guarded.home / "demo").glob("*.git"))]
    assert all(path.exists() for path in closed)
    said = web.tries(guarded, LOOK, *map(str, closed)).splitlines()
    assert said == [f"Permission denied {path}" for path in closed]
    blobs = str(guarded.home / "blobs")
    assert web.tries(guarded, LOOK, blobs) == f"read {blobs}"
    assert Identity(65534, 65534).tries(guarded, LOOK, blobs) == f"Permission denied {blobs}"


WRITE = """
import os, sys
for path in sys.argv[1:]:
    try:
        if os.path.isdir(path):
            os.rmdir(os.mkdir(made := os.path.join(path, "mine")) or made)
        else:
            open(path, "ab").close()
        print("written", path)
    except OSError as error:
        print(error.strerror, path)
"""


def test_it_writes_nowhere(guarded: RunningPortal, web: Identity) -> None:
    folders = [guarded.home, *(path for path in guarded.home.rglob("*") if path.is_dir() or path.suffix == ".log")]
    folders += [ROOT, ROOT / "portal"]
    said = web.tries(guarded, WRITE, *map(str, folders)).splitlines()
    assert said == [f"Permission denied {path}" for path in folders]


def test_database_lets_it_in_as_the_portals_role_alone(guarded: RunningPortal, web: Identity) -> None:
    owner = psycopg.conninfo.make_conninfo(guarded.database(), user="postgres")
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute("CREATE ROLE somebody LOGIN")
    come = "import psycopg, sys\ntry: psycopg.connect(sys.argv[1]); print('in')\nexcept psycopg.Error as e: print(e)"
    database = guarded.database()
    assert web.tries(guarded, come, database) == "in"
    for role in ("postgres", "somebody"):
        other = psycopg.conninfo.make_conninfo(database, user=role)
        assert f'Peer authentication failed for user "{role}"' in web.tries(guarded, come, other)


def test_redis_runs_nothing_for_it(guarded: RunningPortal, web: Identity) -> None:
    """Redis is root's: where it writes its files, and what it loads, is nobody's to say."""
    ask = """
import redis, sys
with redis.Redis(unix_socket_path=sys.argv[1]) as client:
    print(client.ping())
    for command in ("CONFIG SET dir /root", "MODULE LOAD /tmp/x.so", "REPLICAOF 127.0.0.1 1", "EVAL return(1) 0"):
        try:
            print(client.execute_command(*command.split()))
        except redis.ResponseError as error:
            print(str(error).split(",")[0])
"""
    said = web.tries(guarded, ask, str(guarded.home / "run" / "redis.sock")).splitlines()
    assert said == ["True", *(f"unknown command `{name}`" for name in ("CONFIG", "MODULE", "REPLICAOF", "EVAL"))]


def test_what_was_made_before_can_be_had(guarded: RunningPortal) -> None:
    page = guarded.page()
    assert "shop" in page.get("/").text
    archive = page.get("/applications/shop/builds/1/app.tar.gz")
    [artifact] = guarded.sql("SELECT sha256 FROM releases_artifact")
    assert (archive.status_code, hashlib.sha256(archive.content).hexdigest()) == (200, artifact["sha256"])
    assert "== checkout ==" in page.get("/applications/shop/builds/1/log.txt").text
    [sheet, *_] = re.findall(r'href="(/static/[^"]+\.css)"', page.get("/").text)
    assert page.get(sheet).status_code == 200


def test_health_has_nothing_to_say_of_it(guarded: RunningPortal) -> None:
    checks = requests.get(f"{guarded.address}/readyz", timeout=10).json()["checks"]
    assert checks["web"] == {"ok": True}
    header = {"Authorization": f"Bearer {TOKEN}"}
    assert requests.get(f"{guarded.address}/metrics", headers=header, timeout=10).status_code == 200
    assert "runs as root" not in guarded.output.read_text()


def test_build_that_a_page_asks_for_is_made_and_its_log_is_followed(guarded: RunningPortal) -> None:
    repository(guarded.repositories, "shop", {"app/app.py": SERVE + b"# more\n"}, tag="v1.1.0")
    page = guarded.page()
    page.post("/applications/shop/builds/new/", come_from="/applications/shop/", ref="v1.1.0")
    log = "/applications/shop/builds/2/log"
    eventually(lambda: page.get(log).headers.get("X-Log-Done") == "1", seconds=150, what="the log is over")
    assert guarded.build("shop", 2)["outcome"] == "succeeded"
    assert page.get("/applications/shop/builds/2/app.tar.gz").status_code == 200
    assert "checkout" in page.get(log).text


def test_it_takes_tokens_in_also_after_their_key_was_changed(guarded: RunningPortal) -> None:
    """It may read that key, and nobody else may."""
    assert guarded.register("hidden", "https://git.invalid/team/hidden.git").returncode == 0
    page, access = guarded.page(), "/applications/hidden/access/"
    for token in ("plum-one", "plum-two"):
        answer = page.post(f"{access}token/", come_from=access, account="git", token=token)
        assert "The access token is kept" in answer.text
        assert guarded.manage("secrets", "rotate").returncode == 0
    assert guarded.manage("secrets", "check").returncode == 0
    key = str(guarded.home / "secrets_key")
    assert Identity(65534, 65534).tries(guarded, LOOK, key) == f"Permission denied {key}"


def test_redis_that_is_started_again_still_lets_it_in(guarded: RunningPortal) -> None:
    assert guarded.process is not None
    [redis] = [one for one in psutil.Process(guarded.process.pid).children() if one.name() == "redis-server"]
    redis.kill()

    def again() -> bool:
        return bool(requests.get(f"{guarded.address}/readyz", timeout=10).json()["checks"]["redis"]["ok"])

    eventually(lambda: not again(), seconds=30, what="Redis is missed")
    eventually(again, seconds=60, what="Redis is back")


def test_where_it_cannot_pass_the_portal_starts_and_says_so(python: tuple[str, dict[str, str]], tmp_path: Path) -> None:
    """Below pytest's own folder, which is its owner's alone."""
    assert shutil.which("setpriv")
    portal = RunningPortal(tmp_path / "home", python=python[0], PORTAL_DEMO="0", **python[1])
    try:
        portal.start()
        assert {identity.uid for identity in serving(portal)} == {0}
        said = f"The account “release-portal-web” cannot serve: it may not read {portal.home}/blobs."
        assert said in portal.output.read_text()
        answer = requests.get(f"{portal.address}/healthz", timeout=10).json()
        assert any("The web server runs as root" in warning for warning in answer["warnings"])
        assert portal.stop() == 0
    finally:
        if portal.process is not None and portal.process.poll() is None:
            portal.process.kill()
