"""The arithmetic of `./run bench --flood`, and one small round of it on the real engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import flood
from tests.bench.__main__ import DOCUMENT
from tests.bench.flood import Build, Pair
from tests.bench.options import parse
from tests.bench.record import BEGINS_FLOOD, ENDS, put


def pair(seconds: float, *, log: int = 2_000_000, page: float = 0.1) -> Pair:
    quiet = Build(5.0, 4_000, 0, [0.1])
    return Pair(quiet, Build(seconds, log, 12_000, [page]))


@pytest.mark.parametrize(
    ("pairs", "met"),
    [
        ([pair(5.5), pair(6.0), pair(9.0)], [True, True, True]),
        ([pair(5.5), pair(6.1), pair(9.0)], [False, True, True]),
        ([pair(5.5), pair(5.5, log=20_100_000)], [True, False, True]),
        ([pair(5.5, page=0.51)], [True, True, False]),
    ],
)
def test_goals_are_the_median_of_the_pairs_the_largest_log_and_the_slow_pages(
    pairs: list[Pair], met: list[bool]
) -> None:
    reached = flood.goals(pairs)
    assert [goal.met for goal in reached] == met
    tables = flood.text(pairs, reached)
    assert ("NO" in tables) == (False in met)
    assert "Of 10,737,418 lines, 12,000 are kept." in tables


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--flood", "--log"], "--log and --flood measure different things: one at a time"),
        (["--flood", "--cases=source"], "leave --applications and --cases away"),
    ],
)
def test_flood_is_measured_alone(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert parse(["--flood", "--rounds=1"]).flood is True
    with pytest.raises(SystemExit) as ended:
        parse(arguments)
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err


def test_document_has_a_place_for_the_result(tmp_path: Path) -> None:
    copy = tmp_path / "benchmarks.md"
    copy.write_text(DOCUMENT.read_text())
    put(copy, BEGINS_FLOOD, "the result of the flood")
    written = copy.read_text()
    assert written.index(BEGINS_FLOOD) < written.index("the result of the flood") < written.rindex(ENDS)
