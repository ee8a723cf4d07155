"""An application one of whose requirements prints very much while it is built."""

from __future__ import annotations

from tests.e2e.portal import SERVE

LINE = "a-line-of-a-flood-" + "x" * 81
BUILD_SH, ENGINE, NOWHERE = 'output_of(b"sh /build.sh")', '"/proc/1/fd/1"', '"/dev/null"'
"""Where it prints: into the output of `build.sh`, past that into the engine's own pipe, or not at all."""

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


def application(there: str, size: int, *beside: str) -> dict[str, bytes]:
    """Its files; `size` in bytes, and the requirements beside the one that prints."""
    return {
        "app/app.py": SERVE,
        "requirements.txt": "".join(f"{line}\n" for line in (*beside, "./flood")).encode(),
        "flood/setup.py": SETUP.format(there=there, line=LINE, size=size).encode(),
    }
