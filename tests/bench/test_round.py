"""One small round of the bench on the real engine: that both sides make a release, and that nothing of it stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.portal import docker

pytestmark = pytest.mark.engine
ROOT = Path(__file__).resolve().parents[2]


def left_behind() -> set[str]:
    """The bench's own containers and images."""
    containers = docker("ps", "-a", "--format={{.Names}}", "--filter=name=portal-bench-").split()
    kinds = [f"--filter=reference={name}" for name in ("portal-bench-*/*", "release-portal-*/flood-*")]
    images = docker("images", "--format={{.Repository}}:{{.Tag}}", *kinds).split()
    return {*containers, *images}


def one_round(home: Path, *options: str) -> tuple[int, dict[str, Any], str]:
    """The exit status, the figures, and what was said."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--no-install", "--rounds=1", "--json=-", *options],
        cwd=ROOT,
        env={**os.environ, "PORTAL_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


def test_one_round_measures_both_sides_and_leaves_nothing(tmp_path: Path) -> None:
    before = left_behind()
    home = tmp_path / "home"

    status, measured, said = one_round(home, "--applications=tiny", "--cases=source")

    [turn] = measured["turns"]
    assert (turn["application"], turn["case"]) == ("tiny", "source")
    assert {"queue", "checkout", "collect", "package", "between steps", "seen"} <= set(turn["portal"]["parts"])
    assert {"clone", "venv", "pip", "tar", "ADD"} <= set(turn["origin"]["parts"])
    assert set(turn["floor"]["parts"]) == {"git fetch", "git archive", "app.tar.gz", "docker load"}
    assert status == (0 if all(goal["met"] for goal in measured["goals"]) else 1)
    assert "tiny         source changed" in said
    assert list(home.glob("bench-*")) == []
    assert left_behind() <= before


def test_one_round_of_a_flood_keeps_little_of_it_and_leaves_nothing(tmp_path: Path) -> None:
    before = left_behind()
    home = tmp_path / "home"

    status, measured, said = one_round(home, "--flood")

    [pair] = measured["pairs"]
    assert (pair["quiet"]["lines"], pair["flood"]["lines"] > 10_000) == (0, True)
    assert pair["quiet"]["log"] < pair["flood"]["log"] <= 20_000_000
    assert pair["flood"]["pages"]
    assert status == (0 if all(goal["met"] for goal in measured["goals"]) else 1)
    assert "1 GB of output: the build's time" in said
    assert list(home.glob("bench-*")) == []
    assert left_behind() <= before
