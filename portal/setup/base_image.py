"""The image that builders and runners start from: present, else pulled, else made from Debian's packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from portal.setup import SetupFailed, engine, packages, say

BASE_IMAGE = "debian:trixie-slim"
SUITE = "trixie"
LABELS = {"release-portal.base": "mmdebstrap"}
PULL_QUIET_SECONDS = 25
# What the official slim image leaves out as well, and the copyright files that it keeps.
EXCLUDED = ("doc/*", "man/*", "groff/*", "info/*", "locale/*", "lintian/*", "linda/*")
# One date for all files: the same packages then give the same bytes.
EPOCH = "1735689600"


def ensure(host: str, *, may_install: bool) -> None:
    """Leave with the base image in the engine at `host`; raises `SetupFailed`."""
    if engine.has_image(host, BASE_IMAGE):
        return
    say(f"Pulling the base image {BASE_IMAGE}.")
    try:
        for line in engine.pull(host, BASE_IMAGE, quiet_seconds=PULL_QUIET_SECONDS):
            say(f"  {line}")
        return
    except SetupFailed as error:
        say(f"  It cannot be pulled ({error}).")
    _make(host, may_install=may_install)


def _make(host: str, *, may_install: bool) -> None:
    if may_install and packages.may_install():
        packages.install(["mmdebstrap"])
    if os.geteuid() != 0 or not shutil.which("mmdebstrap"):
        raise SetupFailed(
            f"The base image {BASE_IMAGE} is missing: run “docker pull {BASE_IMAGE}” where a registry answers,"
            " or ./run as root on Debian or Ubuntu, which makes it from packages."
        )
    say(f"Making the base image {BASE_IMAGE} from Debian's packages instead (about half a minute).")
    with tempfile.TemporaryDirectory(prefix="release-portal-base-") as folder:
        archive = Path(folder) / "base.tar"
        _bootstrap(archive)
        engine.import_image(host, archive, BASE_IMAGE, LABELS)
    say(f"Made the base image {BASE_IMAGE}.")


def _bootstrap(archive: Path) -> None:
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
        SUITE,
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
            f"The base image could not be made: {lines[-1] if lines else 'mmdebstrap said nothing'}"
            f" Run “docker pull {BASE_IMAGE}” where a registry can be reached."
        )
