"""The file system that a stack starts from, made of a Debian release's packages where no registry is reached."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from releases.errors import StackError, say
from releases.specs import Stop

PROGRAM = "mmdebstrap"
# What the official slim image leaves out as well, and the copyright files that it keeps.
EXCLUDED = ("doc/*", "man/*", "groff/*", "info/*", "locale/*", "lintian/*", "linda/*")
# One date for all files: the same packages then give the same bytes.
EPOCH = "1735689600"
TICK = 0.25
PATIENCE = 10
"""Seconds that it gets for unmounting and cleaning when it is told to end."""


def can_bootstrap() -> bool:
    """Only root, where the program is installed."""
    return os.geteuid() == 0 and shutil.which(PROGRAM) is not None


def bootstrap(archive: Path, suite: str, stop: Stop) -> None:
    """Write a minimal Debian's file system as a tar; apt's lists and caches are left out by mmdebstrap itself.

    Raises `StackError` with its last line, and what `stop` raises."""
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            _command(archive, suite),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "SOURCE_DATE_EPOCH": EPOCH},
        )
        _await(process, stop)
        output.seek(0)
        lines = output.read().strip().splitlines()
    if process.returncode:
        raise StackError(lines[-1] if lines else say("%(program)s said nothing.", program=PROGRAM))


def _command(archive: Path, suite: str) -> list[str]:
    shares = [f"--dpkgopt=path-exclude=/usr/share/{pattern}" for pattern in EXCLUDED]
    return [
        PROGRAM,
        "--quiet",
        "--variant=minbase",
        "--include=ca-certificates",
        '--aptopt=Acquire::Languages "none"',
        *shares,
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        suite,
        str(archive),
    ]


def _await(process: subprocess.Popen[bytes], stop: Stop) -> None:
    try:
        while True:
            try:
                process.wait(TICK)
                return
            except subprocess.TimeoutExpired:
                stop.check()
    except BaseException:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise
