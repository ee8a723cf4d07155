"""Long and growing logs in a real browser: nothing is lost or double, and the page stays small whatever was printed."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from pytest_django import Settings

from releases.models import Build, Outcome, Preview
from releases.storage import BuildLog, LogWriter, log_path, preview_log_path
from releases.storage.log import STEP_MARK
from tests import factories
from tests.pages import test_browser as frame

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
browser = frame.browser
open_as = frame.open_as
models_beside_playwright = frame._models_beside_playwright

FIND = "Search in the log, or go to a line"
PATIENCE = 30_000  # milliseconds, for a machine that does much else
EVERY_LINE = """() => [...document.querySelectorAll(".log .chunk")].flatMap((chunk) => chunk.classList.contains("rows")
  ? [...chunk.children].map((row) => row.lastElementChild.textContent)
  : chunk.textContent.split("\\n").slice(0, -1))"""


@pytest.fixture
def page(open_as: frame.Open, settings: Settings, tmp_path: Path) -> Page:
    settings.LOGS_DIR = tmp_path
    tall = {"width": 1280, "height": 2000}  # the whole log is in sight
    return open_as(factories.user(username="marta"), viewport=tall).pages[0]


def write(build: Build, lines: int) -> None:
    """A log with two steps, as it lies on the disk; line n says so."""
    half = lines // 2
    steps = {1: "checkout", half: "produce"}
    text = "".join(
        f"{n / 100:.2f}\t{STEP_MARK}{steps[n]}\n"
        if n in steps
        else f"{n / 100:.2f}\tline {n} of a build that prints {'much ' * (n % 40)}\n"
        for n in range(1, lines + 1)
    )
    log_path(build.pk).parent.mkdir(parents=True, exist_ok=True)
    log_path(build.pk).write_text(text)


def told(path: Path) -> list[str]:
    return [line.text for line in BuildLog(path).lines() if not line.begins_step]


def test_hundred_thousand_lines_are_all_there_and_few_are_elements(page: Page) -> None:
    build = factories.succeeded_build()
    write(build, 100_000)
    page.goto(build.get_absolute_url())
    expect(page.locator("#L100000")).to_be_in_viewport(timeout=PATIENCE)
    links = page.get_by_label("Steps in the log").get_by_role("link")
    expect(links).to_have_text(["checkout", "produce"])
    expected = "[...Array(100000).keys()].map((at) => at + 1).filter((number) => number !== 1 && number !== 50000)"
    lines = f"({EVERY_LINE})().map((line) => Number(line.split(' ')[1]))"
    assert page.evaluate(f"JSON.stringify({lines}) === JSON.stringify({expected})")
    assert page.evaluate("document.querySelectorAll('.log *').length") < 10_000

    field = page.get_by_role("searchbox", name=FIND)
    field.fill("LINE 77")
    found = page.locator("[data-log-status]")
    expect(found).to_have_text("1,111")  # 77, 77x, 77xx, 77xxx
    field.press("Enter")
    expect(page.locator("#L77")).to_be_in_viewport()
    expect(found).to_have_text("1 / 1,111")
    assert page.evaluate("[...CSS.highlights.get('log-found')].map(String)") == ["line 77"]
    page.get_by_role("button", name="Next line found").click()
    expect(page.locator("#L770")).to_be_in_viewport()
    page.get_by_role("log").press("N")
    expect(found).to_have_text("1 / 1,111")
    page.get_by_role("button", name="Previous line found").click()
    expect(page.locator("#L77999")).to_be_in_viewport()
    field.press("Escape")
    expect(found).to_have_text("")

    links.last.click()
    expect(page.locator("#L50001")).to_be_in_viewport()
    page.get_by_role("button", name="End").click()
    expect(page.locator("#L100000")).to_be_in_viewport()
    expect(page.get_by_role("button", name="End")).to_be_hidden()
    assert page.evaluate("document.querySelectorAll('.log *').length") < 10_000


def test_line_stays_where_it_is_while_the_lines_around_it_are_drawn(page: Page) -> None:
    build = factories.succeeded_build()
    write(build, 20_000)
    page.goto(f"{build.get_absolute_url()}#L9000")
    expect(page.locator("#L9000")).to_be_in_viewport()
    text, rows = page.evaluate(
        """() => {
          const heights = () => [...document.querySelectorAll(".chunk.rows")].map((chunk) => chunk.offsetHeight);
          const rows = heights();
          for (const chunk of document.querySelectorAll(".chunk.rows")) {
            chunk.innerText = [...chunk.children].map((row) => `${row.lastElementChild.textContent}\\n`).join("");
            chunk.style.contentVisibility = "visible";
            chunk.classList.add("was");
            chunk.classList.remove("rows");
          }
          return [[...document.querySelectorAll(".chunk.was")].map((chunk) => chunk.offsetHeight), rows];
        }"""
    )
    assert text == rows
    assert len(rows) >= 1


def test_browsers_own_search_finds_what_is_out_of_sight(page: Page) -> None:
    build = factories.succeeded_build()
    write(build, 20_000)
    page.goto(build.get_absolute_url())
    expect(page.locator("#L20000")).to_be_in_viewport()
    assert page.locator("#L7007").count() == 0
    assert page.evaluate("window.find('line 7007 of', false, true)") is True


@pytest.mark.parametrize("reloads", [0, 3])
def test_log_that_grows_is_complete_whenever_the_page_was_loaded(page: Page, reloads: int) -> None:
    build = factories.running_build()
    page.goto(build.get_absolute_url())
    written = threading.Thread(target=_print_much, args=(log_path(build.pk),))
    written.start()
    for number in range(reloads):
        expect(page.locator(".log .l > b").last).to_have_text(re.compile(rf"^[{2 * number + 1}-9]\d\d\d$"))
        page.reload()
    written.join()
    expect(page.get_by_text("line 8999", exact=True)).to_be_in_viewport()
    assert page.evaluate(EVERY_LINE) == [f"line {number}" for number in range(9000)]
    assert page.locator(".log .l > b").last.inner_text() == "9001"  # the step's head is line 1
    build.mark_ended(Outcome.CANCELLED, "Cancelled by marta.")
    expect(page.get_by_role("switch", name="Follow")).to_be_hidden()
    assert page.evaluate(EVERY_LINE) == told(log_path(build.pk))


def _print_much(path: Path) -> None:
    """Lines whose first halves lie on the disk for a while before their ends do."""
    with LogWriter(path) as log:
        log.step("produce")
    pause = threading.Event()
    with path.open("ab", buffering=0) as file:
        for number in range(9000):
            line = f"{number / 1000:.2f}\tline {number}\n".encode()
            if number % 100:
                file.write(line)
                continue
            file.write(line[:7])
            pause.wait(0.03)
            file.write(line[7:])


def test_way_back_counts_what_has_come_since_the_reader_left_the_end(page: Page) -> None:
    build = factories.running_build()
    log = LogWriter(log_path(build.pk))
    for number in range(300):
        log.line(f"line {number}")
    page.goto(build.get_absolute_url())
    expect(page.get_by_text("line 299", exact=True)).to_be_in_viewport()
    back = page.locator("[data-log-pill]")
    expect(back).to_be_hidden()
    page.get_by_role("log").press("Home")
    expect(back).to_have_text("Follow ↓")
    log.line("one more")
    expect(back).to_have_text("1 new line ↓")
    for number in range(1200):
        log.line(f"more {number}")
    expect(back).to_have_text("1,201 new lines ↓")
    expect(page.get_by_text("line 0", exact=True)).to_be_in_viewport()
    back.click()
    expect(page.get_by_text("more 1199", exact=True)).to_be_in_viewport()
    expect(page.get_by_role("switch", name="Follow")).to_be_checked()
    page.get_by_role("log").press("Home")
    expect(page.get_by_role("switch", name="Follow")).not_to_be_checked()
    page.get_by_role("log").press("End")  # a reader who goes to the end follows again
    expect(page.get_by_role("switch", name="Follow")).to_be_checked()


def test_address_of_a_line_works_before_the_line_is_written(page: Page) -> None:
    build = factories.running_build()
    log = LogWriter(log_path(build.pk))
    for number in range(1, 1001):
        log.line(f"line {number}")
    page.goto(f"{build.get_absolute_url()}#L2500")
    expect(page.locator("[data-log-trouble]")).to_have_text(
        "Line 2,500 has not been written yet; it is shown when it comes."
    )
    for number in range(1001, 4001):
        log.line(f"line {number}")
    expect(page.get_by_text("line 2500", exact=True)).to_be_in_viewport()
    expect(page.locator("#L2500")).to_have_class(re.compile(r"\bat\b"))
    expect(page.locator("[data-log-trouble]")).to_be_hidden()
    page.reload()
    expect(page.get_by_text("line 2500", exact=True)).to_be_in_viewport()


def test_lines_become_the_address(page: Page) -> None:
    build = factories.finished_build(outcome=Outcome.CANCELLED, message="Cancelled by marta.")
    write(build, 1000)
    page.goto(f"{build.get_absolute_url()}#L31")
    page.locator("#L33 b").click()
    expect(page).to_have_url(re.compile("#L33$"))
    page.locator("#L36 b").click(modifiers=["Shift"])
    expect(page).to_have_url(re.compile("#L33-L36$"))
    page.reload()
    expect(page.locator(".log .at > b")).to_have_text(["33", "34", "35", "36"])
    expect(page.locator("#L33")).to_be_in_viewport()
    page.locator("#L30 b").click(modifiers=["Shift"])
    expect(page).to_have_url(re.compile("#L30-L33$"))
    assert page.locator("#L30 b").get_attribute("title") is None


def test_trouble_with_the_connection_is_said_and_passes(page: Page) -> None:
    build = factories.running_build()
    log = LogWriter(log_path(build.pk))
    log.line("before")
    page.goto(build.get_absolute_url())
    expect(page.get_by_text("before", exact=True)).to_be_visible()
    page.route("**/log?offset=*", lambda route: route.fulfill(status=200, body="a proxy's page"))
    log.line("meanwhile")
    trouble = page.locator("[data-log-trouble]")
    expect(trouble).to_have_text("The log cannot be read at the moment; trying again.")
    page.unroute("**/log?offset=*")
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(page.get_by_text("meanwhile", exact=True)).to_be_visible()
    expect(trouble).to_be_hidden()
    assert page.evaluate(EVERY_LINE) == ["before", "meanwhile"]
    page.context.clear_cookies()
    expect(trouble).to_have_text("You are signed out: reload the page, and sign in again.")


def test_preview_log_that_was_begun_anew_is_shown_anew(page: Page) -> None:
    preview = Preview.objects.create(build=factories.succeeded_build())
    path = preview_log_path(preview.pk)
    with LogWriter(path) as log:
        for number in range(50):
            log.line(f"first {number}")
    page.goto(preview.get_absolute_url())
    expect(page.get_by_text("first 49", exact=True)).to_be_visible()
    path.unlink()
    with LogWriter(path) as log:
        log.line("anew")
    expect(page.get_by_text("anew", exact=True)).to_be_visible()
    assert page.evaluate(EVERY_LINE) == ["anew"]


def test_line_of_ten_megabytes_is_cut_and_stops_nobody(page: Page) -> None:
    build = factories.finished_build()
    with LogWriter(log_path(build.pk)) as log:
        log.line("before")
        for _ in range(20):
            log.line("x" * 10_000_000)
        log.line("Error: after")
    page.goto(build.get_absolute_url())
    expect(page.get_by_text("Error: after", exact=True)).to_be_in_viewport()
    expect(page.locator("#L21")).to_contain_text("(the line is cut here, after 8,192 bytes)")


def test_first_error_is_the_line_that_the_portal_has_found(page: Page) -> None:
    build = factories.running_build()
    with LogWriter(log_path(build.pk)) as log:
        log.step("produce")
        log.line("gcc: fatal error: no input files")
        log.line("the very reason")
        log.line("Failed in produce.")
    page.goto(build.get_absolute_url())
    expect(page.locator("#L4")).to_be_visible()
    page.evaluate("document.querySelector('.logbox').dataset.errorLine = '3'")
    build.mark_ended(Outcome.FAILED, "Failed in produce.")
    expect(page.locator(".say a")).to_have_text("First error, line 3")
    expect(page.locator("#L3")).to_have_class(re.compile(r"\bhit\b"))
    page.get_by_label("Steps in the log").get_by_role("link", name="First error").click()
    expect(page).to_have_url(re.compile("#L3$"))


def test_log_is_not_announced_line_by_line(page: Page) -> None:
    build = factories.running_build()
    log = LogWriter(log_path(build.pk))
    log.line("first")
    page.goto(build.get_absolute_url())
    expect(page.get_by_role("log")).to_have_attribute("aria-live", "off")
    expect(page.get_by_text("first", exact=True)).to_be_visible()
    log.step("produce")
    log.line("second")
    expect(page.get_by_role("status").filter(has_text="produce")).to_have_text("produce")


SAMPLES = [
    ("\x1b[31mred\x1b[0m", ["red"]),
    ("\x1b[1;91mbright\x1b[22;39m", ["bright-red bold"]),
    ("\x1b[44;97mon blue\x1b[49m\x1b[m", ["bright-white on-blue"]),
    (
        "\x1b[2mdim\x1b[0m\x1b[3mitalic\x1b[23m\x1b[4munder\x1b[24m\x1b[9mstruck\x1b[m",
        ["dim", "italic", "under", "struck"],
    ),
    ("\x1b[7minverse\x1b[27m", ["inverse"]),
    ("\x1b[38;5;9mnine\x1b[38;5;160mcube\x1b[38;5;244mgrey\x1b[m", ["bright-red", "red", "bright-black"]),
    ("\x1b[38;2;0;200;10mgreen\x1b[48;2;250;250;250mon white\x1b[m", ["green", "green on-bright-white"]),
    ("\x1b[38:2::0:0:240mblue\x1b[38:5:6mcyan\x1b[m", ["blue", "cyan"]),
    ("\x1b[4:3mcurly\x1b[4:0m", ["under"]),
    ("\x1b[38;5;999mno colour\x1b[38mnor here\x1b[mplain", []),
    ("\x1b[35mgoes on", ["magenta"]),
    ("in the next line\x1b[0m", ["magenta"]),
    ("and ends", []),
]


def test_colours_of_a_terminal_are_classes_and_never_a_style(page: Page) -> None:
    build = factories.finished_build()
    with LogWriter(log_path(build.pk)) as log:
        for printed, _ in SAMPLES:
            log.line(printed)
    page.goto(build.get_absolute_url())
    expect(page.get_by_text("and ends", exact=True)).to_be_visible()
    for number, (_, looks) in enumerate(SAMPLES, start=1):
        shown = page.locator(f"#L{number} > span > span")
        assert [element.get_attribute("class") for element in shown.all()] == looks
    assert page.locator(".log .l [style]").count() == 0


def test_colours_can_be_read_on_each_other(page: Page) -> None:
    """Each ink on the log's ground and on each paper, plain and inverse: 4.5 to 1 at least."""
    build = factories.finished_build()
    inks = [*range(30, 38), *range(90, 98)]
    papers = [0, *range(40, 48), *range(100, 108)]
    with LogWriter(log_path(build.pk)) as log:
        for paper in papers:
            log.line("".join(f"\x1b[0;{paper};{ink}mx\x1b[7my" for ink in inks))
    page.goto(build.get_absolute_url())
    expect(page.locator(".log .l")).to_have_count(len(papers))
    ratios = page.evaluate(
        """() => {
          const light = (colour) => {
            const parts = colour.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255);
            const [r, g, b] = parts.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
          };
          const ground = (one) => {
            const { backgroundColor } = getComputedStyle(one);
            return backgroundColor === "rgba(0, 0, 0, 0)" ? ground(one.parentElement) : backgroundColor;
          };
          return [...document.querySelectorAll(".log .l > span > span")].map((one) => {
            const both = [light(getComputedStyle(one).color), light(ground(one))];
            const [low, high] = both.sort((a, b) => a - b);
            return [one.className, (high + 0.05) / (low + 0.05)];
          });
        }"""
    )
    assert len(ratios) == 2 * len(inks) * len(papers)
    assert [one for one in ratios if one[1] < 4.5] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_log_has_no_violation_and_nothing_overflows(
    open_as: frame.Open, settings: Settings, tmp_path: Path, scheme: str, width: int
) -> None:
    """While it grows and the reader has scrolled up and searched; and of a failure, with its first error."""
    settings.LOGS_DIR = tmp_path
    running, failed = factories.running_build(), factories.finished_build()
    for build in (running, failed):
        with LogWriter(log_path(build.pk)) as log:
            log.step("produce")
            for number in range(300):
                log.line(f"\x1b[33mwarning:\x1b[0m {'a long line ' * 12}{number} \x1b[41;97merror\x1b[0m")
    context = open_as(factories.user(), color_scheme=scheme, viewport={"width": width, "height": 900})
    page = context.pages[0]
    for build in (running, failed):
        page.goto(f"{build.get_absolute_url()}#L100-L102")
        expect(page.locator("#L100")).to_have_class(re.compile(r"\bat\b"))
        page.get_by_role("searchbox", name=FIND).fill("warning")
        page.get_by_role("button", name="Next line found").click()
        expect(page.locator("[data-log-status]")).to_have_text("1 / 300")
        expect(page.locator("[data-log-pill]")).to_be_visible()
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0
        sideways = page.get_by_role("log").evaluate("(log) => log.scrollWidth - log.clientWidth")
        assert sideways <= 0
