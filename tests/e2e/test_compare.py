"""Two releases compared, and a failed one explained, in a real browser and on real parts."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.e2e.portal import SERVE, RunningPortal, repository
from tests.e2e.test_browser import browser, page

__all__ = ["browser", "page"]  # the fixtures of the main job
pytestmark = [pytest.mark.engine, pytest.mark.browser]

RULES = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]
BROKEN = b'import os\nKEY = os.environ["NOBODY_SETS_THIS"]\n' + SERVE


@pytest.fixture(scope="module")
def orchard(portal: RunningPortal) -> RunningPortal:
    """Two releases, and a third version that cannot start."""
    versions = {
        "v1.0.0": {"requirements.txt": b"", "app/app.py": SERVE, "app/old.py": b"old = 1\n"},
        "v1.1.0": {"app/slugs.py": b"slugs = 1\n", "app/old.py": b"old = 12345\n"},
        "v1.2.0": {"app/app.py": BROKEN, "app/other.py": b"other = 1\n"},
    }
    for tag, files in versions.items():
        url = repository(portal.repositories, "orchard", files, tag=tag)
    assert portal.register("orchard", url, "--probe", "required").returncode == 0
    assert [portal.release("orchard", tag)[0] for tag in versions] == [0, 0, 1]
    return portal


def test_release_manager_compares_two_releases(page: Page, orchard: RunningPortal) -> None:
    page.goto("/applications/orchard/builds/2/")
    page.get_by_role("link", name="Compare with #1").click()
    expect(page).to_have_url(f"{orchard.address}/applications/orchard/compare/1...2/")
    expect(page.get_by_role("heading", level=1)).to_have_text("v1.0.0 → v1.1.0")
    main = page.locator("main")
    expect(main).to_contain_text("What v1.1.0 brings", timeout=30_000)
    expect(page.get_by_role("row").filter(has_text="app/slugs.py")).to_contain_text("added")
    expect(page.get_by_role("row").filter(has_text="app/old.py")).to_contain_text("+4")

    # any two, also those that no build has asked for: the page fills itself
    page.get_by_label("Compare build").fill("1")
    page.get_by_label("with build").fill("3")
    page.get_by_role("button", name="Compare").click()
    expect(page).to_have_url(f"{orchard.address}/applications/orchard/compare/1...3/")
    expect(main).to_contain_text("What v1.2.0 brings", timeout=30_000)
    expect(main).to_contain_text("2 between the two")
    page.get_by_role("link", name="The other way").click()
    expect(main).to_contain_text("#3 is the newer one")


def test_number_of_no_build_stands_beside_its_field(orchard: RunningPortal) -> None:
    answer = orchard.page().get("/applications/orchard/compare/?old=1&new=99")
    assert answer.status_code == 422
    assert "orchard has no build #99; its last is #3." in answer.text


def test_developer_reads_why_a_build_failed(page: Page, orchard: RunningPortal) -> None:
    page.goto("/applications/orchard/builds/3/")
    link = page.get_by_role("link", name=re.compile(r"First error, line \d+")).first
    expect(page.get_by_role("region", name="Why it ended so")).to_contain_text("KeyError: 'NOBODY_SETS_THIS'")
    line = (link.get_attribute("href") or "").removeprefix("#L")
    assert page.locator(".logbox").get_attribute("data-error-line") == line
    expect(page.locator(f"#L{line}")).to_contain_text("KeyError: 'NOBODY_SETS_THIS'")
    since = page.locator("#build-since")
    expect(since).to_contain_text("the last good one")
    suspect = since.get_by_role("listitem").filter(has_text="suspect")
    expect(suspect).to_have_count(1)
    expect(suspect).to_contain_text("app/app.py")
    page.goto("/")
    expect(page.get_by_role("link", name="KeyError: 'NOBODY_SETS_THIS'").first).to_be_visible()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_comparison_can_be_used_by_all(
    page: Page,
    orchard: RunningPortal,
    scheme: str,
    width: int,
) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_viewport_size({"width": width, "height": 900})
    for path in ("compare/1...2/", "compare/3...1/", "compare/", "builds/3/"):
        page.goto(f"/applications/orchard/{path}")
        found = Axe().run(page, options={"runOnly": RULES})
        assert found.violations_count == 0, f"{path} ({scheme}, {width}): {found.generate_report()}"
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{path} is {wide} px wider than {width} px"
