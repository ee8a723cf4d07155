"""The result for machines, and for docs/benchmarks.md."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
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
PAGES_BEGIN, PAGES_END = "<!-- written by ./run bench --pages --write-docs, from here -->", "<!-- pages to here -->"


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
    _write_between(path, BEGINS, ENDS, lambda: _section(options, tables, facts))


def write_pages(path: Path, tables: str, facts: Mapping[str, Any]) -> None:
    """The same for the section about the pages."""
    _write_between(path, PAGES_BEGIN, PAGES_END, lambda: _section_of_pages(tables, facts))


def _write_between(path: Path, begin: str, end: str, text: Callable[[], str]) -> None:
    before, begins, rest = path.read_text(encoding="utf-8").partition(begin)
    _, ends, after = rest.partition(end)
    if not begins or not ends:
        raise BenchFailed(f"{path} has lost the marks between which the result goes: put “{begin}” and “{end}” back.")
    path.write_text(f"{before}{begin}\n\n{text()}\n{end}{after}", encoding="utf-8")


def _section(options: Options, tables: str, facts: Mapping[str, Any]) -> str:
    rounds = "1 round" if options.rounds == 1 else f"{options.rounds} rounds"
    asked = f"{rounds} of {', '.join(options.cases)} on {', '.join(options.applications)}"
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d}: {asked}. {facts['system']}, {facts['processors']} processors, "
        f"{facts['memory_gb']} GB, Docker Engine {facts['engine']} ({facts['storage_driver']}).\n\n"
        f"```text\n{tables}```\n"
    )


def _section_of_pages(tables: str, facts: Mapping[str, Any]) -> str:
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d}. {facts['system']}, {facts['processors']} processors, "
        f"{facts['memory_gb']} GB, Python {facts['python']}.\n\n```text\n{tables}```\n"
    )
