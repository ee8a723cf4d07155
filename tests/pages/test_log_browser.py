"""The build's page in a real browser: the live log, and the parts that change while a build runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django import Settings

from releases.models import Build, Outcome, Step
from releases.storage import LogWriter, log_path
from tests import factories
from tests.pages import test_browser as frame

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
browser = frame.browser
open_as = frame.open_as
models_beside_playwright = frame._models_beside_playwright

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def page(open_as: frame.Open, settings: Settings, tmp_path: Path) -> Page:
    settings.LOGS_DIR = tmp_path
    return open_as(factories.user(username="marta")).pages[0]


def log_of(page: Page) -> list[str]:
    return page.locator(".log .l > span").all_inner_texts()


def test_log_shows_steps_colours_and_markup_as_text(page: Page) -> None:
    build = factories.finished_build()
    with LogWriter(log_path(build.pk)) as log:
        log.step("checkout")
        log.line("found it")
        log.step("produce")
        log.line(f"\x1b[31mred {HOSTILE}\x1b[0m plain")
        log.line("Error: no compiler")
    page.goto(build.get_absolute_url())
    expect(page.locator("#step-produce")).to_contain_text("produce")
    assert log_of(page) == ["found it", f"red {HOSTILE} plain", "Error: no compiler"]
    assert page.locator(".log .red").inner_text() == f"red {HOSTILE}"
    assert page.locator(".log img").count() == 0
    expect(page.locator(".say a")).to_have_text("First error, line 5")
    page.locator(".say a").click()
    expect(page.locator("#L5")).to_have_class(re.compile(r"\bat\b"))


def test_log_follows_until_the_reader_scrolls_up(page: Page) -> None:
    build = factories.running_build()
    log = LogWriter(log_path(build.pk))
    log.step("produce")
    for number in range(300):
        log.line(f"line {number}")
    page.set_viewport_size({"width": 1280, "height": 1600})  # the whole log is in sight
    page.goto(build.get_absolute_url())
    expect(page.get_by_text("line 299", exact=True)).to_be_in_viewport()
    follow = page.get_by_role("switch", name="Follow")
    expect(follow).to_be_checked()
    log.line("one more")
    expect(page.get_by_text("one more", exact=True)).to_be_in_viewport()

    page.get_by_role("log").hover()
    page.mouse.wheel(0, -1500)
    expect(follow).not_to_be_checked()
    log.line("and another")
    expect(page.get_by_text("and another", exact=True)).to_be_attached()
    expect(page.get_by_text("and another", exact=True)).not_to_be_in_viewport()

    follow.check()
    expect(page.get_by_text("and another", exact=True)).to_be_in_viewport()


def test_log_is_searched_and_goes_to_a_line(page: Page) -> None:
    build = factories.finished_build(outcome=Outcome.CANCELLED, message="Cancelled by marta.")
    with LogWriter(log_path(build.pk)) as log:
        log.step("produce")
        for number in range(1000):
            log.line(f"line {number}")
    page.goto(f"{build.get_absolute_url()}#L501")
    expect(page.locator("#L501")).to_be_in_viewport()
    field = page.get_by_role("searchbox", name="Search in the log, or go to a line")
    field.fill("LINE 99")
    expect(page.locator("[data-log-status]")).to_have_text("11")
    field.press("Enter")
    expect(page.locator("[data-log-status]")).to_have_text("1 / 11")
    expect(page.get_by_text("line 99", exact=True)).to_be_in_viewport()
    field.press("Shift+Enter")
    expect(page.get_by_text("line 999", exact=True)).to_be_in_viewport()
    field.fill("42")
    field.press("Enter")
    expect(page).to_have_url(re.compile("#L42$"))
    expect(page.get_by_text("line 40", exact=True)).to_be_in_viewport()
    field.fill("nowhere")
    expect(page.locator("[data-log-status]")).to_have_text("not found")


def test_page_follows_a_build_to_its_end_without_a_reload(page: Page) -> None:
    application = factories.application()
    factories.succeeded_build(application)
    build = factories.queued_build(application)
    page.goto(build.get_absolute_url())
    page.evaluate("window.stayed = true")
    expect(page.get_by_role("heading", name="Waiting for a worker")).to_be_visible()

    build.take_up(worker="forge-1")
    Step.objects.create(build=build, position=1, name="checkout", started_at=timezone.now())
    expect(page).to_have_title(re.compile(rf"^#{build.number} checking out · "))
    expect(page.get_by_role("heading", name=re.compile("^About .* s left$"))).to_be_visible()

    log = LogWriter(log_path(build.pk))
    log.step("checkout")
    log.line("Error: it is gone")
    expect(page.get_by_text("Error: it is gone")).to_be_visible()
    Step.objects.filter(build=build).update(result="failed", finished_at=timezone.now(), seconds=1.5)
    build.mark_ended(Outcome.FAILED, "The repository has no tag v9: pick one of its tags.")
    expect(page).to_have_title(re.compile(rf"^#{build.number} failed · "))
    expect(page.locator(".say")).to_contain_text("The repository has no tag v9: pick one of its tags.")
    expect(page.locator(".say")).to_contain_text("First error, line 2")
    expect(page.get_by_role("button", name="Rebuild", exact=True)).to_be_visible()
    expect(page.get_by_role("heading", name="Failed in checkout")).to_be_visible()
    expect(page.get_by_role("switch", name="Follow")).to_be_hidden()
    assert page.evaluate("window.stayed") is True


def test_cancel_asks_first_and_then_does_it(page: Page) -> None:
    build = factories.queued_build()
    page.goto(build.get_absolute_url())
    page.get_by_role("button", name="Cancel build").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("nothing of it is released")
    dialog.get_by_role("button", name="Keep it").click()
    assert Build.objects.get().is_active
    page.get_by_role("button", name="Cancel build").click()
    dialog.get_by_role("button", name="Cancel build").click()
    expect(page.get_by_text("Cancelled by marta before a worker took it up.")).to_be_visible()
    assert Build.objects.get().outcome == Outcome.CANCELLED


def test_page_without_scripts_offers_the_raw_log(page: Page, open_as: frame.Open) -> None:
    build = factories.finished_build()
    with LogWriter(log_path(build.pk)) as log:
        log.line("found it")
    still = open_as(factories.user(username="nils"), java_script_enabled=False).pages[0]
    still.goto(build.get_absolute_url())
    expect(still.get_by_role("searchbox", name="Search in the log")).to_be_hidden()
    with still.expect_download() as download:
        still.get_by_role("link", name="Read the log as plain text").click()
    assert download.value.path().read_text() == "found it\n"
