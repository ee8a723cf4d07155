"""`./run bench --pages`: how long each page takes with a hundred thousand builds, for a person who is signed in."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from tests.bench.commands import BenchFailed
from tests.bench.figures import p95
from tests.bench.options import Options
from tests.bench.own_portal import Say
from tests.bench.pages import Page, pages
from tests.bench.table import aligned
from tests.e2e.portal import RunningPortal, Visitor

GOAL = 100.0
"""Milliseconds that 95 of 100 requests may take."""
WARM_UP = 4
"""Requests that are not counted, so that each process of the web server has its templates and its connection."""
BUILDS_OF_ONE = 100
"""Builds for each application."""
ACTIVE = 12


@dataclass(frozen=True, slots=True)
class Seen:
    """How one page did. Milliseconds, and bytes of the whole answer (0 where only the first row was waited for)."""

    page: str
    address: str
    median: float
    p95: float
    most: float
    size: int

    @property
    def is_met(self) -> bool:
        return self.p95 <= GOAL


@dataclass(frozen=True, slots=True)
class Looked:
    seen: Sequence[Seen]
    builds: int
    requests: int
    load: float
    """How many processes wanted a processor, on average, while it was measured: above the number of processors the
    times are as much the other processes' as the portal's."""


def look(options: Options, home: Path, say: Say) -> Looked:
    """Start a portal, invent its rows, and ask for every page in turn. Raises `BenchFailed`."""
    with _portal(options, home, say) as portal:
        visitor = Visitor(portal, "manager")
        wanted = pages(portal.sql)
        say(f"Measuring {len(wanted)} pages, {options.requests} requests each.")
        times: dict[Page, list[float]] = {page: [] for page in wanted}
        sizes: dict[Page, int] = {}
        for _ in range(WARM_UP):
            for page in wanted:
                _ask(visitor, page)
        loads = []
        for _ in range(options.requests):  # in turn, so that an unquiet minute is shared by all
            for page in wanted:
                taken, sizes[page] = _ask(visitor, page)
                times[page].append(taken)
            loads.append(os.getloadavg()[0])
    seen = [_seen(page, times[page], sizes[page]) for page in wanted]
    return Looked(seen, options.builds, options.requests, statistics.mean(loads))


def _ask(visitor: Visitor, page: Page) -> tuple[float, int]:
    """Milliseconds until the last byte (or the first row), and how many bytes there were."""
    began = time.perf_counter()
    answer = visitor.get(page.address, stream=page.first_row)
    size = 0
    if page.first_row:
        _lines(answer, 2)  # the head tells nothing of the rows
    else:
        size = len(answer.content)
    taken = 1000 * (time.perf_counter() - began)
    answer.close()
    if answer.status_code != 200:
        raise BenchFailed(f"{page.name} ({page.address}) answers {answer.status_code}, so its time says nothing.")
    return taken, size


def _lines(answer: requests.Response, wanted: int) -> None:
    """Read so many lines, and no more."""
    for byte in answer.iter_content(1):
        wanted -= byte == b"\n"
        if not wanted:
            return


def _seen(page: Page, times: list[float], size: int) -> Seen:
    return Seen(page.name, page.address, statistics.median(times), p95(times), max(times), size)


@contextmanager
def _portal(options: Options, home: Path, say: Say) -> Iterator[RunningPortal]:
    """A portal with invented rows: in a folder that is gone afterwards, or in `--home` for the next time, too."""
    home.mkdir(parents=True, exist_ok=True)
    folder = Path(options.home) if options.home else Path(tempfile.mkdtemp(prefix="bench-pages-", dir=home))
    portal = RunningPortal(folder, PORTAL_DEMO="0", PORTAL_LOG_LEVEL="WARNING")
    try:
        say("Starting a portal of its own.")
        portal.start(accept=(200, 503))  # without an engine its pages can be looked at all the same
        _invent(portal, options.builds, say)
        yield portal
    except requests.RequestException as error:
        raise BenchFailed(f"The portal that is measured went away ({error}).") from error
    finally:
        say("Clearing up.")
        if portal.process is not None and portal.process.poll() is None:
            portal.stop()
        if not options.home:
            shutil.rmtree(folder, ignore_errors=True)


def _invent(portal: RunningPortal, builds: int, say: Say) -> None:
    if found := portal.sql("SELECT count(*) AS n FROM releases_build")[0]["n"]:
        if found != builds:
            raise BenchFailed(
                f"The folder of --home holds {found} builds, not {builds}: name another, or --builds {found}."
            )
        return
    say(f"Inventing {builds} builds; 100,000 take some minutes.")
    applications = max(ACTIVE, builds // BUILDS_OF_ONE)
    size = ("--applications", str(applications), "--builds", str(builds), "--active", str(ACTIVE))
    done = portal.manage("invent", *size)
    if done.returncode:
        raise BenchFailed(f"Nothing could be invented: {done.stderr.strip()}")


# ---- telling ---------------------------------------------------------------------------------------------


def text(looked: Looked) -> str:
    """The table, at most 120 columns."""
    lines = [["page", "p50 ms", "p95 ms", "most", "kB", "met"]]
    for seen in looked.seen:
        size = f"{seen.size / 1000:.0f}" if seen.size else ""
        met = "yes" if seen.is_met else "NO"
        lines.append([seen.page, f"{seen.median:.0f}", f"{seen.p95:.0f}", f"{seen.most:.0f}", size, met])
    worst = max(looked.seen, key=lambda seen: seen.p95)
    good = sum(seen.is_met for seen in looked.seen)
    busy = f"On average {looked.load:.1f} processes wanted one of {os.cpu_count()} processors meanwhile."
    return (
        f"{looked.builds:,} builds; {looked.requests} requests for each page, one after the other. {busy}\n\n"
        f"{aligned(lines, left=1)}\n\n"
        f"Goal: p95 at most {GOAL:.0f} ms. Met by {good} of {len(looked.seen)} pages; the slowest is “{worst.page}”.\n"
    )


def as_json(looked: Looked, machine: dict[str, Any]) -> str:
    document = {
        "version": 1,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine,
        "goal_p95_ms": GOAL,
        **asdict(looked),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
