"""The images that the stacks' builders and runners start from: present, else pulled, else made from a distribution's
packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from portal.setup import SetupFailed, engine, packages, say
from releases.errors import StackError
from releases.stacks import stack as stacks

LABELS = {"release-portal.base": "mmdebstrap"}
PULL_QUIET_SECONDS = 25
# What the official slim image leaves out as well, and the copyright files that it keeps.
EXCLUDED = ("doc/*", "man/*", "groff/*", "info/*", "locale/*", "lintian/*", "linda/*")
# One date for all files: the same packages then give the same bytes.
EPOCH = "1735689600"


def ensure(host: str, *, may_install: bool) -> None:
    """Leave with the bases of all stacks in the engine at `host`; raises `SetupFailed`, after the last of them, with a
    sentence for each that cannot be had."""
    suites, missing = _wanted()
    for base, suite in suites.items():
        try:
            _ensure(host, base, suite, may_install=may_install)
        except SetupFailed as error:
            missing.append(str(error))
    if missing:
        raise SetupFailed(" ".join(missing))


def _wanted() -> tuple[dict[str, str], list[str]]:
    """Each base with the suite that it can be made of (or nothing), and what is wrong with stacks that are broken."""
    suites: dict[str, str] = {}
    broken = []
    try:
        names = stacks.names()
    except StackError as error:
        return {}, [str(error)]
    for name in names:
        try:
            stack = stacks.load(name)
        except StackError as error:
            broken.append(str(error))
        else:
            suites[stack.base] = suites.get(stack.base) or stack.suite
    return suites, broken


def _ensure(host: str, base: str, suite: str, *, may_install: bool) -> None:
    if engine.has_image(host, base):
        return
    say(f"Pulling the base image {base}.")
    try:
        for line in engine.pull(host, base, quiet_seconds=PULL_QUIET_SECONDS):
            say(f"  {line}")
        return
    except SetupFailed as error:
        say(f"  It cannot be pulled ({error}).")
    if not suite:
        raise SetupFailed(
            f"The base image {base} is missing: run “docker pull {base}” where a registry answers,"
            " or name the suite that it can be made of in the stack's stack.toml."
        )
    _make(host, base, suite, may_install=may_install)


def _make(host: str, base: str, suite: str, *, may_install: bool) -> None:
    if may_install and packages.can_install():
        packages.install(["mmdebstrap"])
    if os.geteuid() != 0 or not shutil.which("mmdebstrap"):
        raise SetupFailed(
            f"The base image {base} is missing: run “docker pull {base}” where a registry answers,"
            " or ./run as root on Debian or Ubuntu, which makes it from packages."
        )
    say(f"Making the base image {base} from the packages of {suite} instead (about half a minute).")
    with tempfile.TemporaryDirectory(prefix="release-portal-base-") as folder:
        archive = Path(folder) / "base.tar"
        _bootstrap(archive, base, suite)
        engine.import_image(host, archive, base, LABELS)
    say(f"Made the base image {base}.")


def _bootstrap(archive: Path, base: str, suite: str) -> None:
    """Write a minimal Debian's file system as a tar; apt's lists and caches are left out by mmdebstrap itself."""
    shares = [f"--dpkgopt=path-exclude=/usr/share/{pattern}" for pattern in EXCLUDED]
    command = [
        "mmdebstrap",
        "--quiet",
        "--variant=minbase",
        "--include=ca-certificates",
        '--aptopt=Acquire::Languages "none"',
        *shares,
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        suite,
        str(archive),
    ]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH}
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment, check=False
        )
        output.seek(0)
        lines = output.read().strip().splitlines()
    if done.returncode:
        raise SetupFailed(
            f"The base image {base} could not be made: {lines[-1] if lines else 'mmdebstrap said nothing'}"
            f" Run “docker pull {base}” where a registry can be reached."
        )
