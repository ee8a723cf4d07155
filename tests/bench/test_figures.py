"""The bench's arithmetic, its tables, its document and its options. Nothing here measures anything."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import figures, record, table
from tests.bench.commands import BenchFailed, run
from tests.bench.figures import Goal, Side, Spread, Turn
from tests.bench.options import APPLICATIONS, CASES, Options, parse
from tests.bench.procedure import FILES
from tests.bench.turns import Measured

ROOT = Path(__file__).resolve().parents[2]
SIZES = {"builder": 400_000_000, "runtime": 36_300_000, "image": 41_400_000, "archive": 2_000_000}
ASKED = Options(
    rounds=3, applications=("modern",), cases=("source",), json="", write_docs=False, log=False, may_install=False
)


def turn(
    round_: int, portal: float, origin: float, floor: float = 0.0, *, application: str = "modern", case: str = "source"
) -> Turn:
    steps = {"POST answered": 0.01, "click to row": 0.01, "queue": 0.1, "checkout": 0.05, "seen": 0.01}
    return Turn(
        application,
        case,
        round_,
        Side(portal, steps, SIZES),
        Side(origin, {"pip": origin - 1, "docker run": origin}, {name: 2 * size for name, size in SIZES.items()}),
        Side(floor, {"git fetch": floor}) if floor else None,
    )


def test_ratios_are_of_each_turn_and_then_their_median() -> None:
    [row] = figures.rows([turn(1, 1.0, 10.0, 0.5), turn(2, 2.0, 80.0, 0.5), turn(3, 4.0, 100.0, 1.0)])
    assert row.portal == Spread(2.0, 1.0, 4.0)
    assert row.origin == Spread(80.0, 10.0, 100.0)
    assert row.faster == Spread(25.0, 10.0, 40.0)
    assert row.times_floor == Spread(4.0, 2.0, 4.0)
    assert row.origin_parts == {"pip": 79.0, "docker run": 80.0}


def test_part_that_one_turn_lacks_is_the_median_of_the_others() -> None:
    assert figures.medians([{"a": 1.0}, {"a": 3.0, "b": 5.0}]) == {"a": 2.0, "b": 5.0}


@pytest.mark.parametrize(
    ("portal", "origin", "floor", "met"),
    [(0.4, 10.0, 0.2, [True, True]), (0.4, 9.99, 0.2, [False, True]), (0.61, 30.0, 0.2, [True, False])],
)
def test_goals_of_a_changed_source(portal: float, origin: float, floor: float, met: list[bool]) -> None:
    turns = [turn(1, portal, origin, floor)]
    goals = figures.goals(figures.rows(turns), turns)
    assert [goal.met for goal in goals if goal.what.startswith("modern, source")] == met
    assert goals[-1] == Goal("runtime image before the application", "≤ 40 MB", "36.3 MB", met=True)


def test_only_what_was_measured_is_a_goal() -> None:
    turns = [turn(1, 1.0, 9.0, application="tiny", case="first")]
    goals = figures.goals(figures.rows(turns), turns)
    assert [goal.what for goal in goals] == ["runtime image before the application", "runtime image with Flask (tiny)"]
    assert figures.goals([], []) == []


def test_tables_are_aligned_and_fit_a_terminal() -> None:
    turns = [turn(n, 0.4 * n, 20.0 * n, 0.2, application=name) for name in APPLICATIONS for n in (1, 2, 3)]
    for name in APPLICATIONS:
        turns += [turn(n, 100.0, 1200.0, application=name, case=case) for case in CASES for n in (1, 2)]
    rows = figures.rows(turns)
    shown = table.text(
        rows, Measured(turns, {name: [11.2, 14.0, 12.3] for name in APPLICATIONS}), figures.goals(rows, turns)
    )
    assert max(len(line) for line in shown.splitlines()) <= 120
    assert "modern       source changed" in shown
    assert f"It would add, seconds: {', '.join(f'{name} 12.3 (11.2–14.0)' for name in APPLICATIONS)}." in shown
    assert "runtime before the application 36.3 72.6 2.00" in " ".join(shown.split())
    assert "modern, source changed: against the floor" in shown


def test_aligned_pads_words_left_and_numbers_right() -> None:
    assert table.aligned([["a", "bb", "1"], ["aaa", "b", "22.0"]]) == "a    bb     1\naaa  b   22.0"


def test_json_holds_each_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "machine", lambda: {"processors": 2})
    turns = [turn(1, 0.4, 20.0, 0.2)]
    rows = figures.rows(turns)
    document = json.loads(record.as_json(ASKED, rows, Measured(turns), figures.goals(rows, turns)))
    assert document["turns"][0]["portal"]["parts"]["queue"] == 0.1
    assert document["rows"][0]["faster"]["median"] == 50.0
    assert document["goals"][0] == {
        "what": "modern, source changed: against the origin",
        "wanted": "≥ 25x faster",
        "reached": "50.0x",
        "met": True,
    }


def test_document_keeps_what_a_person_wrote(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    document.write_text(f"# By hand\n\n{record.BEGINS}\nold\n{record.ENDS}\n\nAlso by hand\n")
    facts = {"system": "Debian", "processors": 2, "memory_gb": 25, "engine": "20.10", "storage_driver": "overlay2"}
    record.write_docs(document, ASKED, "the table\n", facts)
    written = document.read_text()
    assert written.startswith(f"# By hand\n\n{record.BEGINS}\n\nMeasured on ")
    assert "3 rounds of source on modern. Debian, 2 processors, 25 GB, Docker Engine 20.10 (overlay2)." in written
    assert "```text\nthe table\n```" in written
    assert "old" not in written
    assert written.endswith(f"{record.ENDS}\n\nAlso by hand\n")


def test_document_without_its_marks_is_left_alone(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    document.write_text("by hand alone\n")
    with pytest.raises(BenchFailed, match="has lost the marks"):
        record.write_docs(document, ASKED, "", {})
    assert document.read_text() == "by hand alone\n"


def test_the_projects_document_has_its_marks() -> None:
    text = (ROOT / "docs" / "benchmarks.md").read_text()
    assert text.index(record.BEGINS) < text.index(record.ENDS)


def test_options_are_all_of_it_by_default_and_keep_the_order_of_cases() -> None:
    assert parse([]) == Options(3, APPLICATIONS, CASES, "", write_docs=False, log=False, may_install=True)
    given = parse(["--cases", "requirement, first", "--applications=modern", "--rounds", "1", "--json", "-"])
    assert (given.cases, given.applications, given.rounds, given.json) == (
        ("first", "requirement"),
        ("modern",),
        1,
        "-",
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--rounds", "0"], "write a number from 1 to 50, not “0”"),
        (["--rounds", "²"], "write a number from 1 to 50, not “²”"),
        (["--cases", "first,second"], "“second” is not one of first, again, source, requirement"),
        (["--applications", ""], "“” is not one of tiny, modern, heavy"),
        (["--json", "/nowhere/figures.json"], "“/nowhere/figures.json” cannot be written"),
        (["everything"], "unrecognized arguments: everything"),
    ],
)
def test_wrong_options_are_one_sentence_and_2(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(arguments)
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert sentence in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_help_says_what_is_measured_and_what_the_exit_status_means() -> None:
    done = subprocess.run([sys.executable, "-m", "tests.bench", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0
    assert "one requirement changed" in done.stdout
    assert "exit status: 0 when all goals" in done.stdout


def test_command_that_fails_is_a_sentence_with_its_last_words() -> None:
    with pytest.raises(BenchFailed, match=r"sh -c .* ended with 3; the last that it said: one \| two"):
        run("sh", "-c", "echo one; echo two >&2; exit 3")
    with pytest.raises(BenchFailed, match="no-such-program is not installed"):
        run("no-such-program")


def test_origins_files_are_the_origins_commands() -> None:
    script = (FILES / "builder" / "build.sh").read_text()
    assert script.endswith(
        "mkdir /app\n"
        "git clone ${REPO} /build\n"
        "cd /build\n"
        "git archive ${REF} | tar xf - -C /app\n"
        "python3 -m venv /app/env\n"
        "/app/env/bin/pip install -r /app/requirements.txt\n"
        "tar czf /shared/app.tar.gz -C / app\n"
    )
    runner = (FILES / "runner" / "Dockerfile").read_text().splitlines()
    assert runner[2:] == ["ADD app.tar.gz /", "COPY app.ini /app/", 'ENTRYPOINT ["uwsgi", "--ini", "/app/app.ini"]']
