"""`./run bench --flood`: how much slower a gigabyte of output makes a build, how much of it is kept, and how quick the
pages are meanwhile."""

from __future__ import annotations

import json
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import requests
from django.conf import settings

from tests.bench import measuring, record, table
from tests.bench.commands import BenchFailed
from tests.bench.figures import MB, Goal, p95
from tests.bench.options import Options
from tests.bench.own_portal import own_portal
from tests.e2e.flooding import BUILD_SH, LINE, NOWHERE, application
from tests.e2e.portal import RunningPortal, Visitor, repository

SIZE = 1024**3
MOST_TIMES, MOST_KEPT, MOST_PAGE = 1.2, 20, 0.5
"""Of the goals: times, MB, seconds."""
PAUSE = 0.25
"""Seconds between two pages that are asked for while it builds: a person's browser, with two tabs."""
BESIDE = ("Flask==3.1.1",)
ADDRESSES = ("/", "/history/")


@dataclass(frozen=True, slots=True)
class Build:
    """One release."""

    seconds: float
    """From its start to its end, as its page shows it."""
    log: int
    """Bytes that are kept of its log."""
    lines: int
    """Lines of the flood among them."""
    pages: list[float]
    """Seconds that each page took that was asked for while it was built."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two releases in turn: what is printed goes nowhere in the one, and into the log in the other."""

    quiet: Build
    flood: Build

    @property
    def times(self) -> float:
        return self.flood.seconds / self.quiet.seconds


def bench(options: Options, document: Path) -> int:
    """0 when all goals are met, else 1. Raises `BenchFailed` or `SetupFailed`."""
    measuring.set_up(may_install=options.may_install)
    pairs = []
    with own_portal(settings.PORTAL_HOME, record.say) as (portal, _):
        record.say("A release that is not counted prepares the images.")
        _release(portal, "warm-up", NOWHERE)
        for number in range(1, options.rounds + 1):
            turns = [("quiet", NOWHERE), ("flood", BUILD_SH)]
            turns = turns if number % 2 else turns[::-1]
            found = {kind: _release(portal, f"{kind}-{number}", there) for kind, there in turns}
            pairs.append(Pair(found["quiet"], found["flood"]))
            record.say(f"round {number} of {options.rounds}: {pairs[-1].times:.2f} times the time")
    reached = goals(pairs)
    tables = text(pairs, reached)
    record.tell(options, tables, _as_json(options, pairs, reached))
    if options.write_docs:
        record.put(document, record.BEGINS_FLOOD, f"{record.rounds(options)}\n\n```text\n{tables}```\n")
    return 0 if all(goal.met for goal in reached) else 1


def _release(portal: RunningPortal, name: str, there: str) -> Build:
    """Of an application that the portal does not know yet: nothing of its environment is kept."""
    address = repository(portal.repositories, name, application(there, SIZE, *BESIDE))
    registered = portal.register(name, address)
    if registered.returncode:
        raise BenchFailed(f"{name} could not be registered: {registered.stderr.strip()[-500:]}")
    with _looking(portal) as pages:
        status, answer = portal.release(name, "v1.0.0")
    if status:
        raise BenchFailed(f"The release of {name} failed: {answer['message']}")
    build = portal.build(name, 1)
    log = portal.log(build)
    seconds = (build["finished_at"] - build["started_at"]).total_seconds()
    return Build(seconds, len(log.encode()), log.count(LINE), pages)


@contextmanager
def _looking(portal: RunningPortal) -> Iterator[list[float]]:
    """A person at the portal; how long each page took."""
    visitor, over = Visitor(portal, "manager"), threading.Event()
    seconds: list[float] = []
    wrong: list[requests.RequestException] = []

    def look() -> None:
        try:
            while not over.wait(PAUSE):
                for address in ADDRESSES:
                    began = time.monotonic()
                    visitor.get(address).raise_for_status()
                    seconds.append(time.monotonic() - began)
        except requests.RequestException as error:
            wrong.append(error)

    looker = threading.Thread(target=look, daemon=True)
    looker.start()
    try:
        yield seconds
    finally:
        over.set()
        looker.join()
    if wrong:
        raise BenchFailed(f"A page could not be had while a build ran: {wrong[0]}")


# ---- what is told ----------------------------------------------------------------------------------------


def goals(pairs: Sequence[Pair]) -> list[Goal]:
    times = statistics.median(pair.times for pair in pairs)
    kept = max(pair.flood.log for pair in pairs) / MB
    page = p95([seconds for pair in pairs for seconds in pair.flood.pages])
    return [
        Goal("1 GB of output: the build's time", f"≤ {MOST_TIMES:g}x", f"{times:.2f}x", times <= MOST_TIMES),
        Goal("kept of it", f"≤ {MOST_KEPT} MB", f"{kept:.1f} MB", kept <= MOST_KEPT),
        Goal("pages meanwhile, 95 of 100", f"≤ {MOST_PAGE:g} s", f"{page:.2f} s", page <= MOST_PAGE),
    ]


def text(pairs: Sequence[Pair], reached: Sequence[Goal]) -> str:
    """All tables, with a blank line between them."""
    kinds = {"printed nowhere": [pair.quiet for pair in pairs], "printed": [pair.flood for pair in pairs]}
    builds = [
        [kind, *table.three([one.seconds for one in ones]), f"{p95([page for one in ones for page in one.pages]):.2f}"]
        for kind, ones in kinds.items()
    ]
    times = ["of each pair, times", *table.three([pair.times for pair in pairs]), ""]
    lines = statistics.median(pair.flood.lines for pair in pairs)
    parts = [
        table.aligned([["the build, seconds", "median", "least", "most", "pages p95"], *builds, times], left=1),
        f"Of {SIZE // (len(LINE) + 1):,} lines, {lines:,.0f} are kept.",
        table.reached(reached),
    ]
    return "\n\n".join(parts) + "\n"


def _as_json(options: Options, pairs: Sequence[Pair], reached: Sequence[Goal]) -> str:
    document: dict[str, Any] = {
        "version": 1,
        "machine": record.machine(),
        "options": {"rounds": options.rounds, "flood": True},
        "pairs": [asdict(pair) for pair in pairs],
        "goals": [asdict(goal) for goal in reached],
    }
    return json.dumps(document, indent=2) + "\n"
