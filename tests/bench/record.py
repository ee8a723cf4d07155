"""The result for machines, and for docs/benchmarks.md."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench import commands
from tests.bench.commands import BenchFailed
from tests.bench.figures import Goal, Row
from tests.bench.options import Options
from tests.bench.turns import Measured

BEGINS, ENDS = "<!-- written by ./run bench --write-docs, from here -->", "<!-- to here -->"
PAGES_BEGIN = "<!-- written by ./run bench --pages --write-docs, from here -->"
BEGINS_LOG = "<!-- written by ./run bench --log --write-docs, from here -->"
BEGINS_FLOOD = "<!-- written by ./run bench --flood --write-docs, from here -->"


def machine() -> dict[str, Any]:
    """What the figures hold for; nothing that names the machine."""
    engine = json.loads(commands.run("docker", "version", "--format", "{{json .Server}}"))
    driver = commands.run("docker", "info", "--format", "{{.Driver}}").strip()
    return {**computer(), "engine": engine["Version"], "storage_driver": driver}


def computer() -> dict[str, Any]:
    """The same without the engine."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "system": _system(),
        "architecture": platform.machine(),
        "processors": os.cpu_count() or 0,
        "memory_gb": round(memory / 1e9),
        "python": platform.python_version(),
    }


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def as_json(options: Options, rows: Sequence[Row], measured: Measured, goals: Sequence[Goal]) -> str:
    """Everything: the machine, each turn, what was computed of them, the goals. Seconds and bytes."""
    document = {
        "version": 1,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "options": {"rounds": options.rounds, "applications": options.applications, "cases": options.cases},
        "turns": [asdict(turn) for turn in measured.turns],
        "probe_seconds": measured.probes,
        "rows": [asdict(row) for row in rows],
        "goals": [asdict(goal) for goal in goals],
    }
    return json.dumps(document, indent=2) + "\n"


def write_docs(path: Path, options: Options, tables: str, facts: Mapping[str, Any]) -> None:
    """Replace the generated section of the document. Raises `BenchFailed` when it has lost its marks."""
    before, after = _around(path, BEGINS)
    path.write_text(f"{before}\n\n{_section(options, tables, facts)}\n{after}", encoding="utf-8")


def write_pages(path: Path, tables: str, facts: Mapping[str, Any]) -> None:
    """The same for the section about the pages."""
    put(path, PAGES_BEGIN, _section_of_pages(tables, facts))


def put(path: Path, mark: str, section: str) -> None:
    """Replace what stands in the document behind `mark`. Raises `BenchFailed` when it has lost its marks."""
    before, after = _around(path, mark)
    path.write_text(f"{before}\n\n{section}\n{after}", encoding="utf-8")


def _around(path: Path, mark: str) -> tuple[str, str]:
    """What stands before and behind a generated section, with its marks."""
    before, begins, rest = path.read_text(encoding="utf-8").partition(mark)
    _, ends, after = rest.partition(ENDS)
    if not begins or not ends:
        raise BenchFailed(f"{path} has lost the marks between which the result goes: put “{mark}” and “{ENDS}” back.")
    return before + begins, ends + after


def tell(options: Options, tables: str, document: str) -> None:
    """The table on stdout; where the figures go there instead, on stderr."""
    print(tables, end="", file=sys.stderr if options.json == "-" else sys.stdout)
    if options.json == "-":
        print(document, end="")
    elif options.json:
        Path(options.json).write_text(document, encoding="utf-8")


def say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def _section(options: Options, tables: str, facts: Mapping[str, Any]) -> str:
    times = "1 round" if options.rounds == 1 else f"{options.rounds} rounds"
    asked = f"{times} of {', '.join(options.cases)} on {', '.join(options.applications)}"
    return f"Measured {when()}: {asked}. {machine_in_words(facts)}\n\n```text\n{tables}```\n"


def rounds(options: Options) -> str:
    """When and where so many were measured, with the engine."""
    return f"Measured {when()}: {options.rounds} rounds. {machine_in_words(machine())}"


def when() -> str:
    return f"on {datetime.now(UTC):%Y-%m-%d}"


def machine_in_words(facts: Mapping[str, Any]) -> str:
    return (
        f"{facts['system']}, {facts['processors']} processors, {facts['memory_gb']} GB, "
        f"Docker Engine {facts['engine']} ({facts['storage_driver']})."
    )


def _section_of_pages(tables: str, facts: Mapping[str, Any]) -> str:
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d}. {facts['system']}, {facts['processors']} processors, "
        f"{facts['memory_gb']} GB, Python {facts['python']}.\n\n```text\n{tables}```\n"
    )
