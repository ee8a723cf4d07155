"""A file that somebody has in hand leads to the build that made it: chosen or dropped, hashed in the browser."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from pytest_django import Settings

from releases.views import history
from tests import factories
from tests.pages import test_browser as frame

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
browser = frame.browser
open_as = frame.open_as
models_beside_playwright = frame._models_beside_playwright

MIB = 1024 * 1024
DROP = """([name, size]) => {
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([new Uint8Array(size)], name));
  document.querySelector("h1").dispatchEvent(new DragEvent("drop", {bubbles: true, cancelable: true, dataTransfer}));
}"""


@pytest.fixture
def page(open_as: frame.Open) -> Page:
    return open_as(factories.user()).pages[0]


def test_file_that_is_chosen_leads_to_its_build(page: Page, tmp_path: Path) -> None:
    content = bytes(range(256)) * (9 * MIB // 256) + b"the end"  # more than two pieces, and no whole number of them
    factories.succeeded_build(factories.application("shop"), artifact_bytes=content)
    factories.succeeded_build(factories.application("other"))
    (tmp_path / "app.tar.gz").write_bytes(content)
    page.goto("/history/")
    page.get_by_label("Choose a file").set_input_files(tmp_path / "app.tar.gz")
    page.wait_for_url(f"**/history/?q={hashlib.sha256(content).hexdigest()}")
    expect(page.locator("table.hist tbody th a")).to_have_text(["shop #1"])
    expect(page.locator("table.hist")).to_contain_text("app.tar.gz")


def test_file_that_is_dropped_anywhere_on_the_page_is_hashed(page: Page) -> None:
    page.goto("/history/")
    page.evaluate(DROP, ["nothing.gz", 0])
    page.wait_for_url(f"**/history/?q={hashlib.sha256(b'').hexdigest()}")
    expect(page.locator("main")).to_contain_text("No build here made a file with this sha256")


def test_way_from_any_page_by_the_keyboard_alone(page: Page, tmp_path: Path) -> None:
    content = b"wheel"
    (tmp_path / "flask.whl").write_bytes(content)
    build = factories.running_build(factories.application("shop"))
    build.packages.create(name="flask", version="3.1", sha256=hashlib.sha256(content).hexdigest())
    page.goto("/help/")
    page.keyboard.press("/")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/history/#which$"))  # and until it is loaded: only then does Tab start at the anchor
    page.keyboard.press("Tab")
    expect(page.get_by_label("Choose a file")).to_be_focused()
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    chooser.value.set_files(tmp_path / "flask.whl")
    expect(page.locator("table.hist tbody th a")).to_have_text(["shop #1"])
    expect(page.locator("table.hist")).to_contain_text("flask 3.1")


def test_file_larger_than_any_that_was_made_here_is_a_sentence(page: Page, settings: Settings) -> None:
    history_limit = 3_000_000
    settings.BUILD_LIMITS = type(settings.BUILD_LIMITS)(artifact_bytes=history_limit)
    assert history.largest_file() == history_limit
    page.goto("/history/")
    page.evaluate(DROP, ["disk.img", history_limit + 1])
    expect(page.locator("[data-state]")).to_have_text(
        "disk.img has 3 MB; no build here can have made a file of more than 3 MB."
    )
    expect(page.locator("progress")).to_be_hidden()
    expect(page).to_have_url(re.compile(r"/history/$"))


def test_largest_file_is_the_largest_that_was_ever_allowed(settings: Settings) -> None:
    settings.BUILD_LIMITS = type(settings.BUILD_LIMITS)(artifact_bytes=1000)
    shop = factories.application("shop")
    assert history.largest_file() == 1000
    factories.succeeded_build(shop)
    assert history.largest_file() == 3_412_880
    factories.application("large", artifact_mb=16)
    assert history.largest_file() == 16 * MIB


def test_hashing_shows_how_far_it_is_and_can_be_stopped(page: Page, tmp_path: Path) -> None:
    with (tmp_path / "large.tar.gz").open("wb") as file:
        file.truncate(900 * MIB)  # a hole in the disk: nothing is written
    page.goto("/history/")
    page.get_by_label("Choose a file").set_input_files(tmp_path / "large.tar.gz")
    expect(page.locator("[data-state]")).to_have_text("Hashing large.tar.gz, 943.7 MB. The file is not sent anywhere.")
    expect(page.locator("progress")).not_to_have_js_property("value", 0)
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("[data-state]")).to_have_text("Stopped.")
    expect(page.get_by_role("button", name="Stop")).to_be_hidden()
    expect(page).to_have_url(re.compile(r"/history/$"))


def test_file_that_cannot_be_read_is_a_sentence(page: Page, tmp_path: Path) -> None:
    (tmp_path / "app.tar.gz").write_bytes(b"x" * 100)
    page.goto("/history/")
    page.route("**/js/hash*.js", lambda route: route.abort())
    page.get_by_label("Choose a file").set_input_files(tmp_path / "app.tar.gz")
    expect(page.locator("[data-state]")).to_contain_text("This browser could not hash app.tar.gz: run sha256sum on it")


def test_without_scripts_the_page_says_which_command_to_run(open_as: frame.Open) -> None:
    page = open_as(factories.user(), java_script_enabled=False).pages[0]
    page.goto("/history/")
    expect(page.locator("#which")).to_contain_text("Search for what sha256sum app.tar.gz prints.")
    expect(page.locator("#which")).to_contain_text("Which build made this file?")
    expect(page.get_by_text("Choose a file")).to_be_hidden()
    expect(page.locator("#which progress")).to_be_hidden()
