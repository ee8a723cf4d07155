"""One small round of the bench on the real engine: that both sides make a release, and that nothing of it stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.portal import docker

pytestmark = pytest.mark.engine
ROOT = Path(__file__).resolve().parents[2]


def left_behind() -> set[str]:
    """The bench's own containers and images."""
    containers = docker("ps", "-a", "--format={{.Names}}", "--filter=name=portal-bench-").split()
    images = docker("images", "--format={{.Repository}}:{{.Tag}}", "--filter=reference=portal-bench-*/*").split()
    return {*containers, *images}


def test_one_round_measures_both_sides_and_leaves_nothing(tmp_path: Path) -> None:
    before = left_behind()
    command = [sys.executable, "-m", "tests.bench", "--no-install", "--rounds=1", "--applications=tiny"]
    home = tmp_path / "home"

    done = subprocess.run(
        [*command, "--cases=source", "--json=-"],
        cwd=ROOT,
        env={**os.environ, "PORTAL_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout, done.stderr
    measured = json.loads(done.stdout)
    [turn] = measured["turns"]
    assert (turn["application"], turn["case"]) == ("tiny", "source")
    assert {"queue", "checkout", "collect", "package", "between steps", "seen"} <= set(turn["portal"]["parts"])
    assert {"clone", "venv", "pip", "tar", "ADD"} <= set(turn["origin"]["parts"])
    assert set(turn["floor"]["parts"]) == {"git fetch", "git archive", "app.tar.gz", "docker load"}
    assert done.returncode == (0 if all(goal["met"] for goal in measured["goals"]) else 1)
    assert "tiny         source changed" in done.stderr
    assert list(home.glob("bench-*")) == []
    assert left_behind() <= before
