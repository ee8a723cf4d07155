"""The main job as a release manager does it: in a real browser, on real parts."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator

import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.console import is_fault
from tests.e2e.portal import PASSWORD, RunningPortal

pytestmark = [pytest.mark.engine, pytest.mark.browser]
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None and os.environ.get("CI") != "true":
        pytest.skip("no chromium on this machine; apt-get install chromium brings one")
    assert path is not None, "CI needs chromium; ./run test installs it as root on Debian and Ubuntu"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def page(browser: Browser, portal: RunningPortal) -> Iterator[Page]:
    """Signed in as the release manager; a script error on any page fails the test."""
    context = browser.new_context(base_url=portal.address, accept_downloads=True)
    fresh = context.new_page()
    errors: list[str] = []
    fresh.on("pageerror", lambda error: errors.append(str(error)))
    fresh.on("console", lambda message: errors.append(message.text) if is_fault(message) else None)
    fresh.goto("/")
    fresh.get_by_label("User").fill("manager")
    fresh.get_by_label("Password").fill(PASSWORD)
    fresh.get_by_role("button", name="Sign in").click()
    expect(fresh).to_have_url(portal.address + "/")
    yield fresh
    context.close()
    assert not errors


def test_release_manager_goes_from_a_repository_to_a_running_release(page: Page, portal: RunningPortal) -> None:
    # register
    page.get_by_role("link", name=re.compile("Register")).first.click()
    page.get_by_label("Repository").fill(f"file://{portal.repositories}/fruit-shop.git")
    page.get_by_label("Name").fill("fruit-stand")
    page.get_by_role("button", name="Register").click()
    expect(page).to_have_url(f"{portal.address}/applications/fruit-stand/")

    # build: the refs come without a reload
    row = page.get_by_role("row").filter(has_text="v1.1.0").first
    expect(row).to_be_visible(timeout=30_000)
    row.get_by_role("button", name="Build release").click()
    expect(page).to_have_url(f"{portal.address}/applications/fruit-stand/builds/1/")

    # watch: the log moves while the page stays
    log = page.get_by_role("log")
    expect(log).to_contain_text("The contract is kept", timeout=60_000)
    expect(log).not_to_have_text(log.inner_text(), timeout=60_000)
    expect(page).to_have_title(re.compile("succeeded", re.IGNORECASE), timeout=120_000)
    expect(page.get_by_role("heading", level=1)).to_contain_text("#1")

    # download: the bytes are those of the record
    build = portal.build("fruit-stand", 1)
    [artifact] = portal.sql("SELECT * FROM releases_artifact WHERE id = %s", build["artifact_id"])
    with page.expect_download() as download:
        page.get_by_role("link", name="Download app.tar.gz").click()
    digest = hashlib.sha256(download.value.path().read_bytes()).hexdigest()
    assert digest == artifact["sha256"]
    assert digest[:12] in page.locator("main").inner_text()

    # preview: the image answers with the variable it was given
    page.get_by_role("link", name="Preview").first.click()
    page.get_by_label("Environment").fill("SHOP_NAME=The Quince Stand")
    page.get_by_role("button", name=re.compile("Preview|Start|Boot")).click()
    link = page.get_by_role("link", name="http://127.0.0.1:")
    expect(link).to_be_visible(timeout=60_000)
    session = requests.Session()
    session.trust_env = False
    address = link.get_attribute("href")
    assert address is not None
    assert "The Quince Stand" in session.get(address, timeout=10).text
    expect(page.get_by_role("log")).to_contain_text("GET /", timeout=20_000)
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name=re.compile("Stop")).click()
    if (confirm := page.get_by_role("dialog").get_by_role("button", name=re.compile("Stop"))).count():
        confirm.click()
    expect(page.locator("main")).to_contain_text("Stopped", timeout=30_000)
    assert not portal.containers("release-portal.role=preview")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_no_page_has_an_accessibility_violation_or_overflows(
    page: Page, portal: RunningPortal, scheme: str, width: int
) -> None:
    _, answer = portal.release("fruit-shop", "v1.1.0")
    build = f"/applications/fruit-shop/builds/{answer['number']}/"
    portal.manage("register", "broken", f"file://{portal.repositories}/nothing.git")
    if not portal.numbers("broken"):
        portal.manage("release", "broken", "v1", "--wait")
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_viewport_size({"width": width, "height": 900})
    for path in (
        "/",
        "/applications/fruit-shop/",
        "/applications/fruit-shop/settings/",
        "/applications/new/",
        build,
        build + "image/",
        build + "previews/new/",
        "/applications/broken/builds/1/",
        "/history/",
        "/stacks/",
        "/stacks/python3.13-uwsgi/",
        "/workers/",
        "/help/",
    ):
        page.goto(path)
        found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]})
        assert found.violations_count == 0, f"{path} ({scheme}, {width}): {found.generate_report()}"
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{path} is {wide} px wider than {width} px"
