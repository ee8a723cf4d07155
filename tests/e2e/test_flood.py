"""A gigabyte of output: its beginning and its end are kept, and a line says what was cut."""

from __future__ import annotations

import re

import pytest

from tests.e2e.portal import SERVE, RunningPortal, repository

pytestmark = pytest.mark.engine

# pip keeps what a setup.py prints to itself: this one writes into the output of another process of the builder.
SETUP = """
import os, subprocess
from setuptools import setup

def output_of(command):
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{{number}}/cmdline", "rb") as file:
                if file.read().replace(b"\\0", b" ").strip() == command:
                    return f"/proc/{{number}}/fd/1"
        except OSError:
            pass
    raise SystemExit("there is no " + command.decode())

if not os.path.exists("flooded"):
    open("flooded", "w").close()
    there = {there}
    subprocess.run(["sh", "-c", f"yes {line} | head -c {size} > {{there}}; echo THE-END >> {{there}}"], check=True)
setup(name="flood", version="1.0", py_modules=[])
"""
LINE = "a-line-of-a-flood-" + "x" * 81
BUILD_SH, ENGINE = 'output_of(b"sh /build.sh")', '"/proc/1/fd/1"'


@pytest.mark.parametrize(
    ("name", "there", "size"),
    [("flood", BUILD_SH, 1024**3), ("flood-past-the-limit", ENGINE, 128 * 1024**2)],
    ids=["through build.sh", "past it, into the engine's own pipe"],
)
def test_flood_is_cut_and_said(portal: RunningPortal, name: str, there: str, size: int) -> None:
    files = {
        "app/app.py": SERVE,
        "requirements.txt": b"./flood\n",
        "flood/setup.py": SETUP.format(there=there, line=LINE, size=size).encode(),
    }
    assert portal.register(name, repository(portal.repositories, name, files)).returncode == 0
    status, answer = portal.release(name, "v1.0.0")
    assert status == 0, answer["message"]
    log = portal.log(portal.build(name, 1))
    assert len(log.encode()) <= 20 * 1024**2
    assert log.count(LINE) > 50_000, "the beginning is kept"
    assert re.search(r"[\d,]{9,} bytes of output were cut here|\([\d,]{9,} bytes\) of the log were cut here", log)
    assert "THE-END" in log
    assert log.rstrip().endswith(answer["message"])
    step = "pip install" if there == BUILD_SH else "contract"
    assert step in log
