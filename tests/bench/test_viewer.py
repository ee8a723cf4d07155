"""The arithmetic of `./run bench --log`, and that its logs are what it says they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pytest_django import Settings

from releases.storage import BuildLog
from tests.bench import long_log, viewer
from tests.bench.__main__ import DOCUMENT
from tests.bench.options import parse
from tests.bench.record import BEGINS_LOG, ENDS, put
from tests.bench.viewer import Drawn, Followed


def drawn(whole: float) -> Drawn:
    return Drawn(first=0.2, whole=whole, search=0.1, jump=0.05, elements=1800)


def followed(most: float) -> Followed:
    return Followed(lines=100_000, median=0.3, most=most, longest_frame=0.05, elements=1300)


@pytest.mark.parametrize(
    ("wholes", "lags", "met"),
    [
        ([0.3, 0.5, 0.9], [0.4, 1.5], [True, True]),
        ([0.3, 0.51, 0.6], [0.4], [False, True]),
        ([0.3], [0.4, 1.51, 0.4], [True, False]),
    ],
)
def test_goals_are_the_median_of_drawing_and_the_worst_lag(
    wholes: list[float], lags: list[float], met: list[bool]
) -> None:
    reached = viewer.goals([drawn(whole) for whole in wholes], [followed(lag) for lag in lags])
    assert [goal.met for goal in reached] == met
    tables = viewer.text([drawn(whole) for whole in wholes], [followed(lag) for lag in lags], reached)
    assert max(len(line) for line in tables.splitlines()) <= 120
    assert ("NO" in tables) == (False in met)


def test_long_log_is_as_long_as_it_says(tmp_path: Path) -> None:
    path = tmp_path / "long.log"
    path.write_text("".join(long_log.as_kept()))
    lines = BuildLog(path).lines()
    assert len(lines) == 100_000
    assert [line.text for line in lines if line.begins_step] == list(long_log.STEPS)
    assert sum("\x1b[33m" in line.text for line in lines) == 5_000
    assert 8e6 < BuildLog(path).size < 12e6


def test_growing_log_has_as_many_lines_as_it_says_each_with_its_time(tmp_path: Path, settings: Settings) -> None:
    settings.LOG_LIMIT_BYTES = 20_000_000
    path = tmp_path / "growing.log"
    written = long_log.grow(path, a_second=5_000, seconds=0.3)
    lines = BuildLog(path).lines()
    assert len(lines) == written + 1
    assert all(re.search(r" at \d{13}$", line.text) for line in lines[1:])


def test_log_is_measured_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse(["--log", "--rounds=1"]).log is True
    with pytest.raises(SystemExit) as ended:
        parse(["--log", "--cases=source"])
    assert ended.value.code == 2
    assert "leave --applications and --cases away" in capsys.readouterr().err


def test_document_has_a_place_for_the_result(tmp_path: Path) -> None:
    copy = tmp_path / "benchmarks.md"
    copy.write_text(DOCUMENT.read_text())
    put(copy, BEGINS_LOG, "the result of the log")
    written = copy.read_text()
    assert written.index(BEGINS_LOG) < written.index("the result of the log") < written.rindex(ENDS)
    assert "modern, source changed: against the origin" in written  # the other result is still there
