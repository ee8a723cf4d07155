"""The bench of the pages: small, on a portal of its own that is gone afterwards; and how it tells."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.looking import Looked, Seen, text
from tests.bench.options import parse

ROOT = Path(__file__).resolve().parents[2]


def test_table_says_which_page_is_too_slow() -> None:
    seen = [Seen("home", "/", 20.4, 100.0, 140.2, 41_000), Seen("history, csv", "/history/", 9.0, 101.0, 101.0, 0)]
    told = text(Looked(seen, 100_000, 40, 0.84))
    assert "100,000 builds; 40 requests for each page" in told
    assert "home              20     100   140  41  yes" in told
    assert "history, csv       9     101   101       NO" in told
    assert "Met by 1 of 2 pages; the slowest is “history, csv”." in told


def test_options_of_the_pages(capsys: pytest.CaptureFixture[str]) -> None:
    given = parse(["--pages", "--builds", "2000", "--requests=5", "--home", "kept"])
    assert (given.pages, given.builds, given.requests, given.home) == (True, 2000, 5, "kept")
    with pytest.raises(SystemExit):
        parse(["--pages", "--builds", "3"])
    assert "write a number from 100 to 5000000, not “3”" in capsys.readouterr().err


def test_small_run_measures_every_page_and_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--no-install", "--pages", "--builds=1500", "--requests=1", "--json=-"],
        cwd=ROOT,
        env={**os.environ, "PORTAL_HOME": str(tmp_path / "home")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    looked = json.loads(done.stdout)
    assert looked["builds"] == 1500
    assert len(looked["seen"]) > 60
    assert all(seen["p95"] > 0 for seen in looked["seen"])
    assert done.returncode == (0 if all(seen["p95"] <= looked["goal_p95_ms"] for seen in looked["seen"]) else 1)
    assert "history, search: wheel" in done.stderr
    assert list((tmp_path / "home").glob("bench-*")) == []
