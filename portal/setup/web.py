"""The web server as nobody: an account of its own, what it may read, and the proof that this is enough.

Whoever can speak to the engine is root, and whoever reads the keys can forge the record. The processes that strangers
reach therefore run as an account that can do neither, wherever ./run is root and the account can pass."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import django
from django.conf import settings

from portal.logs import PROCESS
from portal.setup import SetupFailed, accounts, engine, say

OFF = "off"
SHUT = ("mirrors", "tmp", "demo", "redis")
"""Folders in the data folder that are not the web's. Keys are their owner's alone from the beginning, save for the one
that the web seals secrets with."""
SHUT_FILES = ("postgres.log", "redis.log")
FROM_HERE = ("PORTAL_ADMIN_PASSWORD", "PORTAL_MANAGER_PASSWORD", "PORTAL_DATABASE_OWNER_URL")
"""Settings that are for this process alone."""


@dataclass(frozen=True, slots=True)
class Account:
    """Whom the web server runs as."""

    name: str
    uid: int
    gid: int
    home: str


def account() -> Account | None:
    """The account of the settings, made when it is ours and missing; None, with the reason said, where there is none.

    Raises `SetupFailed` for one that was named and is not there, or is root."""
    wanted = settings.WEB_ACCOUNT
    own = wanted == settings.OWN_WEB_ACCOUNT
    if wanted == OFF:
        return None
    if os.geteuid() != 0:
        if not own:
            say(f"Only root can run the web server as “{wanted}”: it runs as the account that gave this command.")
        return None
    if not shutil.which("setpriv"):
        _say_root("There is no “setpriv” here, which util-linux has")
        return None
    found = accounts.system_account(wanted, "the web server runs as it") if own else accounts.known(wanted)
    if found is None and own:
        _say_root(f"“useradd {wanted}” failed")
        return None
    if found is None or found.pw_uid == 0 or found.pw_gid == 0:
        what = "there is none of this name" if found is None else "it is root, or of root's group"
        raise SetupFailed(f"PORTAL_WEB_ACCOUNT names the account “{wanted}”, but {what}: name another, or unset it.")
    return Account(wanted, found.pw_uid, found.pw_gid, found.pw_dir)


def let_in(guest: Account) -> Account | None:
    """Open to the account what it has to read, and try whether it can serve; None, with the reason said, if not."""
    try:
        _open(guest)
        trouble = _trouble(guest)
    except OSError as error:
        trouble = f"{error.filename} cannot be opened to it ({error.strerror})"
    if not trouble:
        return guest
    shut()
    _say_root(f"The account “{guest.name}” cannot serve: {trouble}")
    return None


def shut() -> None:
    """Close again what `let_in` opened: the way to all that lies in the data folder, and to the sockets."""
    for folder in (settings.PORTAL_HOME, settings.RUN_DIR):
        if folder.exists() and stat.S_IMODE(folder.stat().st_mode) & 0o077 == 0o010:
            folder.chmod(0o700)


def command(guest: Account, gunicorn: Sequence[str]) -> tuple[str, ...]:
    """gunicorn as the account. The port is taken before, by root: the account could not have one below 1024."""
    return (*(sys.executable, "-m", "portal.bound", settings.BIND, str(settings.PORT)), *_dropped(guest), *gunicorn)


def environment(guest: Account) -> Mapping[str, str]:
    """What the account may not read, and needs; and without what it does not need."""
    return {
        **dict.fromkeys(FROM_HERE, ""),
        "PORTAL_INSTANCE": settings.PORTAL_INSTANCE,
        "PORTAL_SECRET_KEY": settings.SECRET_KEY,
        "HOME": guest.home,
    }


def _say_root(why: str) -> None:
    say(
        f"The web server runs as root, so whoever took it over would have the container engine. {why}."
        " Mend that, or set PORTAL_WEB_ACCOUNT=off if it is meant so: docs/operations.md."
    )


def _dropped(guest: Account) -> tuple[str, ...]:
    """Groups, capabilities and the way back to either are left behind; the end of ./run is told by the kernel."""
    identity = (f"--reuid={guest.uid}", f"--regid={guest.gid}", "--clear-groups")
    return ("setpriv", "--pdeathsig=TERM", *identity, "--inh-caps=-all", "--no-new-privs")


# ---- what it may read --------------------------------------------------------------------------------


def _open(guest: Account) -> None:
    """Blobs, logs and static files to read, the sockets to speak to, and of the data folder only the way there."""
    home, run_dir = settings.PORTAL_HOME, settings.RUN_DIR
    for name in SHUT:
        (home / name).mkdir(mode=0o700, exist_ok=True)
    for name in (*SHUT, *SHUT_FILES):
        with suppress(FileNotFoundError):
            _take(home / name, 0o077)
    for folder in (settings.BLOBS_DIR, settings.LOGS_DIR, settings.STATIC_ROOT):
        _share(folder, guest.gid)
    with suppress(FileNotFoundError):  # it seals with this one: decision 24
        _give(settings.SECRETS_KEY, guest.gid, 0o640)
    if not home.stat().st_mode & stat.S_IXOTH:
        _give(home, guest.gid, 0o710)
    _give(run_dir, guest.gid, 0o2710)  # 2: a Redis that is started again makes its socket for the same group
    for socket, mode in ((run_dir / "redis.sock", 0o770), (run_dir / "postgres", 0o710)):
        with suppress(FileNotFoundError):
            _give(socket, guest.gid, mode)


def _share(folder: Path, gid: int) -> None:
    """Readable by the group, with all that is in it and will be; what was made before the account was is put right,
    the top last, so that a start that was cut off does it again."""
    folder.mkdir(mode=0o750, exist_ok=True)
    found = folder.stat()
    if found.st_gid == gid and stat.S_IMODE(found.st_mode) == 0o2750:
        return
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            if not path.is_symlink():
                mode = stat.S_IMODE(path.stat().st_mode)
                _give(path, gid, mode | (0o2050 if path.is_dir() else 0o040))
    _give(folder, gid, 0o2750)


def _give(path: Path, gid: int, mode: int) -> None:
    os.chown(path, -1, gid)
    path.chmod(mode)


def _take(path: Path, bits: int) -> None:
    path.chmod(stat.S_IMODE(path.stat().st_mode) & ~bits)


# ---- whether that is enough --------------------------------------------------------------------------


def _trouble(guest: Account) -> str:
    """What keeps the account from serving, found out as that account; empty when it can."""
    needed = (
        *(Path(sys.executable).resolve(), Path(os.__file__).parent, Path(django.__file__).parent),
        *(settings.BASE_DIR, settings.BLOBS_DIR, settings.LOGS_DIR, settings.STATIC_ROOT),
        *(folder for folder in settings.STACK_DIRS if folder.exists()),
    )
    look = 'for path; do { [ -r "$path" ] && [ -x "$path" ]; } || { echo "it may not read $path"; exit 1; }; done'
    socket = (settings.DOCKER_HOST or engine.SOCKET).partition("unix://")[2]
    for trial in (("sh", "-c", look, "sh", *map(str, needed)), (sys.executable, "-m", "portal.trial", socket)):
        done = subprocess.run(
            (*_dropped(guest), *trial),
            cwd=settings.BASE_DIR,
            env={**os.environ, **environment(guest), PROCESS: "web"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = (done.stdout.strip() or done.stderr.strip()).splitlines()
            return said[-1] if said else f"exit status {done.returncode}"
    return ""
