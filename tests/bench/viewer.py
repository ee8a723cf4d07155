"""`./run bench --log`: how soon a long log is there, and how far behind a growing one is shown, in a real browser on a
page of a whole portal."""

from __future__ import annotations

import json
import shutil
import statistics
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from playwright.sync_api import Browser, Page, sync_playwright

from portal.setup import engine, packages, redis_server
from tests.bench import long_log, record, table
from tests.bench.commands import BenchFailed
from tests.bench.figures import Goal
from tests.bench.options import Options
from tests.bench.own_portal import own_portal
from tests.e2e.portal import PASSWORD, RunningPortal

A_SECOND, SECONDS = 5_000, 20.0
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync")
WATCH = Path(__file__).with_name("watch_log.js")
DRAWN = "new Promise((done) => { const look = () => (bench.whole ? done(bench) : setTimeout(look, 10)); look(); })"
SEARCH = """benchUntil(() => {
  const field = document.querySelector("[data-log-find]");
  field.value = "warning";
  field.dispatchEvent(new Event("input"));
}, () => document.querySelector("[data-log-status]").textContent)"""
JUMP = """benchUntil(() => document.querySelector("[data-log-steps] a").click(), () => document.querySelector("#L2"))"""
MOST_SECONDS, MOST_LAG = 0.5, 1.5


@dataclass(frozen=True, slots=True)
class Drawn:
    """One loading of the page with the finished log. Seconds; the first two since the navigation began."""

    first: float
    whole: float
    search: float
    jump: float
    elements: int


@dataclass(frozen=True, slots=True)
class Followed:
    """One growing log. Ages in seconds: of the last line on the screen, taken just before each new frame."""

    lines: int
    median: float
    most: float
    longest_frame: float
    elements: int


def bench(options: Options, document: Path) -> int:
    """0 when both goals are met, else 1. Raises `BenchFailed` or `SetupFailed`."""
    _set_up(may_install=options.may_install)
    drawn: list[Drawn] = []
    followed: list[Followed] = []
    with _portal() as (portal, builds), _browser() as browser:
        for number in range(1, options.rounds + 1):
            drawn.append(_draw(browser, portal, builds["finished"]["page"]))
            record.say(f"round {number} of {options.rounds}: all of a finished log after {drawn[-1].whole:.2f} s")
        for number in range(1, options.rounds + 1):
            followed.append(_follow(browser, portal, builds["running"]))
            record.say(f"round {number} of {options.rounds}: a growing log at most {followed[-1].most:.2f} s behind")
    reached = goals(drawn, followed)
    tables = text(drawn, followed, reached)
    record.tell(options, tables, _as_json(options, drawn, followed, reached))
    if options.write_docs:
        record.put(document, record.BEGINS_LOG, f"{record.rounds(options)}\n\n```text\n{tables}```\n")
    return 0 if all(goal.met for goal in reached) else 1


def _set_up(*, may_install: bool) -> None:
    packages.need("git", "to release from repositories", may_install=may_install)
    packages.need("chromium", "to look at its pages", may_install=may_install)
    redis_server.ensure(may_install=may_install)
    engine.ensure(settings.DOCKER_HOST, may_install=may_install)


# ---- what is measured ----------------------------------------------------------------------------------


def _draw(browser: Browser, portal: RunningPortal, address: str) -> Drawn:
    """With an empty cache, but for what the page of signing in has in common with it."""
    with _signed_in(browser, portal) as page:
        page.goto(portal.address + address, wait_until="commit")
        seen = page.evaluate(DRAWN)
        links = page.locator("[data-log-steps] a").all_inner_texts()
        last = page.locator(".log .l > b").last.inner_text()
        if (links, last) != (list(long_log.STEPS), str(long_log.LINES)):
            raise BenchFailed(f"The log's page shows {last} lines with the steps {links}; it should show all of both.")
        search, jump = page.evaluate(SEARCH), page.evaluate(JUMP)
        return Drawn(seen["first"] / 1e3, seen["whole"] / 1e3, search / 1e3, jump / 1e3, _elements(page))


def _follow(browser: Browser, portal: RunningPortal, build: dict[str, str]) -> Followed:
    path = Path(build["log"])
    path.unlink(missing_ok=True)
    with _signed_in(browser, portal) as page:
        page.goto(portal.address + build["page"])
        written: list[int] = []
        writer = threading.Thread(
            target=lambda: written.append(long_log.grow(path, a_second=A_SECOND, seconds=SECONDS)), daemon=True
        )
        writer.start()
        page.wait_for_timeout(1000 * SECONDS - 500)
        seen = page.evaluate("({ ages: bench.ages.splice(0), gap: bench.gap })")
        writer.join()
        page.wait_for_timeout(3000)
        last = page.locator(".log .l > b").last.inner_text()
        if not seen["ages"] or last != str(written[0] + 1):  # the step's head is a line, too
            raise BenchFailed(f"The page of the growing log ended at line {last}, of {written[0] + 1}.")
        ages = [age / 1e3 for age in seen["ages"]]
        return Followed(written[0], statistics.median(ages), max(ages), seen["gap"] / 1e3, _elements(page))


def _elements(page: Page) -> int:
    return int(page.evaluate("document.querySelectorAll('*').length"))


# ---- what it is measured on ----------------------------------------------------------------------------


@contextmanager
def _portal() -> Iterator[tuple[RunningPortal, dict[str, dict[str, str]]]]:
    with own_portal(settings.PORTAL_HOME, record.say) as (portal, _):
        done = portal.manage("shell", "-v", "0", "-c", "from tests.bench.long_log import seed; seed()")
        if done.returncode:
            raise BenchFailed(f"The builds to look at could not be written: {done.stderr.strip()[-500:]}")
        yield portal, json.loads(done.stdout)


@contextmanager
def _browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def _signed_in(browser: Browser, portal: RunningPortal) -> Iterator[Page]:
    with browser.new_context(viewport={"width": 1280, "height": 1600}) as context:
        context.add_init_script(path=WATCH)
        page = context.new_page()
        page.goto(f"{portal.address}/accounts/login/")
        page.get_by_label("User").fill("manager")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("heading", level=1, name="Applications").wait_for()
        yield page


# ---- what is told ----------------------------------------------------------------------------------------


def goals(drawn: Sequence[Drawn], followed: Sequence[Followed]) -> list[Goal]:
    whole = statistics.median(one.whole for one in drawn)
    lag = max(one.most for one in followed)
    return [
        Goal(
            f"{long_log.LINES:,} finished lines: from the click until all can be used",
            f"≤ {MOST_SECONDS} s",
            f"{whole:.2f} s",
            whole <= MOST_SECONDS,
        ),
        Goal(
            f"{A_SECOND:,} lines a second for {SECONDS:.0f} s: how far behind, at most",
            f"≤ {MOST_LAG} s",
            f"{lag:.2f} s",
            lag <= MOST_LAG,
        ),
    ]


def text(drawn: Sequence[Drawn], followed: Sequence[Followed], reached: Sequence[Goal]) -> str:
    """All tables, with a blank line between them."""
    draws = [
        ["first lines on the screen", *table.three([one.first for one in drawn])],
        ["all lines, steps and the end", *table.three([one.whole for one in drawn])],
        ["a search over all lines, after that", *table.three([one.search for one in drawn])],
        ["a jump to the first step, after that", *table.three([one.jump for one in drawn])],
    ]
    follows = [
        ["age of the last line on the screen, median", *table.three([one.median for one in followed])],
        ["age of the last line on the screen, most", *table.three([one.most for one in followed])],
        ["longest time without a new frame", *table.three([one.longest_frame for one in followed])],
    ]
    head = ["median", "least", "most"]
    elements = max(*(one.elements for one in drawn), *(one.elements for one in followed))
    parts = [
        table.aligned([[f"a finished log of {long_log.LINES:,} lines, seconds", *head], *draws], left=1),
        table.aligned([[f"a log that grows to {followed[-1].lines:,} lines, seconds", *head], *follows], left=1),
        f"At most {elements:,} elements were in the page.",
        table.reached(reached),
    ]
    return "\n\n".join(parts) + "\n"


def _as_json(options: Options, drawn: Sequence[Drawn], followed: Sequence[Followed], reached: Sequence[Goal]) -> str:
    document: dict[str, Any] = {
        "version": 1,
        "machine": record.machine(),
        "options": {"rounds": options.rounds, "log": True},
        "drawn": [asdict(one) for one in drawn],
        "followed": [asdict(one) for one in followed],
        "goals": [asdict(goal) for goal in reached],
    }
    return json.dumps(document, indent=2) + "\n"
