"""System accounts of the portal's own, for what must not be root."""

from __future__ import annotations

import pwd
import subprocess

from portal.setup import say


def system_account(name: str, why: str) -> pwd.struct_passwd | None:
    """The account, made when it is missing; `why` is said then. None when it cannot be made."""
    if (found := known(name)) is not None:
        return found
    say(f"Making the system account “{name}”: {why}.")
    nowhere = ("--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin")
    try:
        # A group of its own: else some distributions give it one that people are in.
        subprocess.run(["useradd", "--system", "--user-group", *nowhere, name], capture_output=True, check=False)
    except OSError:
        return None
    return known(name)


def known(name: str) -> pwd.struct_passwd | None:
    """The account of this name, if there is one."""
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None
