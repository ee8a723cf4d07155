"""The shell half of `./run`: when it makes .venv, when it only brings it up to date, and when it leaves it alone."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
MAKING, INSTALLING = "Making the Python environment", "Installing the pinned Python packages."


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose portal only repeats what it is asked, and which needs no packages."""
    shutil.copy(ROOT / "run", tmp_path)
    (tmp_path / "requirements.txt").write_text("# none\n")
    (tmp_path / "requirements-dev.txt").write_text("# none\n")
    (tmp_path / "portal").mkdir()
    (tmp_path / "portal" / "__main__.py").write_text("import sys; print('asked', sys.argv[1:])\n")
    (tmp_path / "manage.py").write_text("import sys; print('managed', sys.argv[1:])\n")
    return tmp_path


def run(checkout: Path, *arguments: str) -> str:
    done = subprocess.run([checkout / "run", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_run_makes_its_environment_once_and_again_when_its_list_changed(checkout: Path) -> None:
    first = run(checkout)
    assert MAKING in first
    assert first.endswith("asked []\n")
    assert run(checkout, "--no-install") == "asked ['--no-install']\n"
    assert run(checkout, "manage", "release", "a b") == "managed ['release', 'a b']\n"

    assert run(checkout, "test", "-k", "x y") == f"{INSTALLING}\nasked ['test', '-k', 'x y']\n"
    assert run(checkout, "test") == "asked ['test']\n"
    assert run(checkout) == "asked []\n"

    (checkout / "requirements.txt").write_text("# another\n")
    assert run(checkout) == f"{INSTALLING}\nasked []\n"


def test_run_makes_a_half_made_environment_again(checkout: Path) -> None:
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "bin" / "python").write_text("#!/bin/sh\nexit 1\n")
    (checkout / ".venv" / "bin" / "python").chmod(0o755)
    assert MAKING in run(checkout)
    assert run(checkout) == "asked []\n"


def test_run_whose_installation_failed_tries_again(checkout: Path) -> None:
    (checkout / "requirements.txt").write_text("./not-there\n")
    done = subprocess.run([checkout / "run"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.endswith(
        "The Python packages could not be installed (see above): mend that and run ./run again.\n"
    )
    (checkout / "requirements.txt").write_text("# none\n")
    assert run(checkout).endswith("asked []\n")
