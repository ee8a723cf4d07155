"""Debian's and Ubuntu's packages: the only part that changes the machine outside of the data folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from portal.setup import SetupFailed, say

POLICY = Path("/usr/sbin/policy-rc.d")
WANTED = {
    "dockerd": ("docker.io", "docker-cli"),
    "docker": ("docker.io", "docker-cli"),
    "iptables": ("iptables",),
    "git": ("git",),
    "mmdebstrap": ("mmdebstrap", "debian-archive-keyring"),
    "redis-server": ("redis-server",),
    "setpriv": ("util-linux",),
    "ssh": ("openssh-client",),
    "runsc": ("runsc",),  # gVisor, for the test of PORTAL_RUNTIME
    "faketime": ("faketime",),  # moves a clock, for the test of that
    "chromium": ("chromium", "libatomic1"),  # the latter for the program that drives the browser
}


def can_install() -> bool:
    """Only root on a distribution with apt."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def missing(programs: Sequence[str]) -> list[str]:
    """The packages behind those programs that are not on the PATH."""
    packages = (package for program in programs if not shutil.which(program) for package in WANTED[program])
    return list(dict.fromkeys(packages))


def install(programs: Sequence[str]) -> None:
    """Install what is missing of these programs, saying so first; raises `SetupFailed`."""
    if not (packages := missing(programs)):
        return
    say(f"Installing from the distribution's packages: {', '.join(packages)} (--no-install forbids this).")
    _apt("update")
    known = [package for package in packages if _is_known(package)]
    with _no_service_starts():
        _apt("install", "--yes", "--no-install-recommends", *known)


def need(program: str, purpose: str, *, may_install: bool) -> None:
    """Leave with the program on the PATH, installed where that is allowed; raises `SetupFailed`."""
    if shutil.which(program):
        return
    if may_install and can_install():
        install([program])
    if not shutil.which(program):
        package = WANTED[program][0]
        raise SetupFailed(
            f"{program} is not on this machine, which the portal needs {purpose}:"
            f" install it (Debian, Ubuntu: sudo apt-get install {package})."
        )


def _is_known(package: str) -> bool:
    """Some names exist in newer releases only (docker-cli): apt refuses the whole list for one unknown name."""
    answer = subprocess.run(["apt-cache", "policy", package], capture_output=True, text=True, check=False)
    return "Candidate: (none)" not in answer.stdout and bool(answer.stdout.strip())


def _apt(*arguments: str) -> None:
    # Into a file, not a pipe: what a package's script leaves running must not hold our output open.
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.run(
            ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=120", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            check=False,
        )
        output.seek(0)
        lines = [line for line in output.read().splitlines() if line.strip()]
    if done.returncode:
        command = " ".join(("apt-get", *arguments))
        raise SetupFailed(
            f"“{command}” failed: {lines[-1] if lines else 'it said nothing'} Mend that and run it again."
        )


@contextmanager
def _no_service_starts() -> Iterator[None]:
    """Installing must not open a system-wide Redis on this machine, nor start an engine with our output."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)
