"""The soak itself: what was planted is found, and nothing is found where all is well."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import Any, cast

import pytest

from tests.e2e.portal import RunningPortal
from tests.soak.asking import Answers
from tests.soak.options import parse
from tests.soak.reckoning import Reckoning, _log_ends, _lost, _reckon_files, _unexplained, told
from tests.soak.watching import HONEST_SECONDS, Watch

GOOD = b"good bytes"
DIGEST = hashlib.sha256(GOOD).hexdigest()


class Standing:
    """As much of a portal as files are reckoned with: its folder, its rows, and a sweeper that does nothing."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def sql(self, query: str) -> list[dict[str, Any]]:
        return [{"digest": DIGEST}] if "releases_artifact" in query else []

    def manage(self, *_command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 0, "", "")

    def log(self, row: dict[str, Any]) -> str:
        return str(row["log"])


def row(**facts: Any) -> dict[str, Any]:
    return {"name": "shop", "number": 1, "outcome": "succeeded", "message": "Good.", "sha256": DIGEST, **facts}


def keep(home: Path, digest: str, content: bytes) -> None:
    path = home / "blobs" / "sha256" / digest[:2] / digest
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def short(home: Path) -> set[str]:
    found = Reckoning()
    portal = cast("RunningPortal", Standing(home))
    _reckon_files(portal, [row(size=len(GOOD))], found)
    assert found.is_good == (not any(found.short.values()))
    return {question for question, what in found.short.items() if what}


def test_reckoning_of_whole_files_is_good(tmp_path: Path) -> None:
    keep(tmp_path, DIGEST, GOOD)
    assert short(tmp_path) == set()


def test_reckoning_finds_files_that_are_wrong_missing_or_nobodys(tmp_path: Path) -> None:
    assert short(tmp_path) == {"release without its bytes"}
    keep(tmp_path, DIGEST, b"bad! bytes")
    assert short(tmp_path) == {"kept file that is not what its name says"}
    keep(tmp_path, DIGEST, GOOD)
    keep(tmp_path, hashlib.sha256(b"nobody's").hexdigest(), b"nobody's")
    assert short(tmp_path) == {"kept file without a record"}


@pytest.mark.parametrize("name", ["blobs/tmp/x", "logs/a.part", "mirrors/shop/objects/pack/tmp_pack_1"])
def test_reckoning_finds_half_written_files(name: str, tmp_path: Path) -> None:
    keep(tmp_path, DIGEST, GOOD)
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_bytes(b"half")
    assert short(tmp_path) == {"half-written file"}


def test_reckoning_finds_lost_builds_and_those_that_no_kill_explains() -> None:
    answers = Answers({("shop", 1), ("shop", 2)})
    assert _lost([row()], answers) == ["shop #2"]
    bad = [row(outcome="engine_unavailable", message="away", number=number) for number in (1, 2)]
    assert _unexplained(bad, {"worker": 1, "PostgreSQL": 1, "Redis": 9}) == []
    assert len(_unexplained(bad, {"worker": 1, "Redis": 9})) == 2


def test_reckoning_wants_the_end_in_the_log() -> None:
    portal = cast("RunningPortal", Standing(Path()))
    assert _log_ends(portal, row(log="0.1\tSucceeded: Good.\n"))
    assert not _log_ends(portal, row(log="0.1\tMaking\n"))
    assert not _log_ends(portal, row(log=""))


def test_table_names_what_fell_short() -> None:
    found = Reckoning({"container left behind": [], "half-written file": ["blobs/tmp/x"]}, ["a remark"])
    assert told(found).splitlines() == [
        "    0  container left behind",
        "    1  half-written file",
        "       half-written file: blobs/tmp/x",
        "       (a remark)",
    ]


def test_watch_counts_how_long_a_build_says_what_is_not_so() -> None:
    watch = Watch(cast("RunningPortal", None))
    working = {"name": "shop #1", "state": "producing", "worker": "builds-forge-77-ab12"}
    queued = {"name": "shop #2", "state": "queued", "worker": ""}
    watch._judge([working, queued], {77}, 0.0)
    assert watch.lies == {}
    watch._judge([working, queued], set(), 10.0)  # its work-horse is gone; the other still waits behind it
    watch._judge([working], set(), 20.0)
    assert (watch.lies, watch.stuck) == ({"shop #1": 10.0}, {})
    watch._judge([working], {77}, 30.0)  # it came back, and is lost once more
    watch._judge([working], set(), 40.0)
    watch._judge([working, queued], set(), 41.0 + HONEST_SECONDS)
    assert watch.stuck == {"shop #1": 1.0 + HONEST_SECONDS}
    watch._judge([queued], set(), 200.0)
    watch._judge([queued], set(), 201.0 + HONEST_SECONDS)
    assert "shop #2" in watch.stuck


@pytest.mark.parametrize("wrong", [["--kills", "0"], ["--seconds", "soon"], ["--kill", "3"], ["--seed", "-1"]])
def test_wrong_options_are_one_sentence(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(wrong)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("./run soak: ")


def test_options_have_a_seed_that_is_told() -> None:
    assert parse(["--seed", "7", "--kills", "3", "--seconds", "60"]).seed == 7
    assert 0 <= parse([]).seed < 10_000
