"""Trends and layers in a real browser: the keyboard, the pointer, and whether all can use them."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from releases.models import Application, Outcome
from releases.specs import Crossing, Grown
from tests import factories
from tests.pages import test_browser as frame

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
browser = frame.browser
open_as = frame.open_as
models_beside_playwright = frame._models_beside_playwright

TRENDS = "/applications/shop/trends/"
MEMBERS = (("environment", 60_000), ("numpy-2.3.4", 30_000_000), ("flask-3.1.3", 3_000_000), ("source", 2_000_000))


def shop() -> Application:
    """Every shape that a chart and the bars of layers know."""
    app = factories.application("shop", image_budget_mb=45, archive_budget_mb=500)
    weighed = {
        "members": [{"name": name, "size": size // 3, "unpacked": size} for name, size in MEMBERS],
        "sheets": [
            {"diff_id": factories.sha256("environment"), "size": 33_061_024, "members": [0, 1, 2]},
            {"diff_id": factories.sha256("own"), "size": 2_001_024, "members": [3]},
        ],
    }
    made = factories.succeeded_build(app, size=71_000_000, runner="old", weighed=weighed)
    factories.succeeded_build(app, size=72_000_000, kept_environment=made.kept_environment, weighed=weighed)
    for outcome in (Outcome.FAILED, Outcome.TIMED_OUT, Outcome.CANCELLED):
        factories.finished_build(app, outcome)
    refused = Crossing("image", "fail", 80_000_000, 45_000_000, 0)
    factories.finished_build(app, crossings=[refused.as_json()])
    grown = Grown("package", "numpy", "2.3.3", "2.3.4", 3_000_000)
    warned = Crossing("image", "warn", 75_000_000, 45_000_000, 1, 2, 72_000_000, grew=(grown,))
    factories.succeeded_build(app, size=75_000_000, crossings=[warned.as_json()], weighed=weighed)
    return app


def test_arrows_lead_from_build_to_build_and_enter_opens_it(open_as: frame.Open) -> None:
    shop()
    page = open_as(factories.user()).pages[0]
    page.goto(TRENDS)
    chart = page.locator("svg.chart").first
    stop = chart.locator('a[tabindex="0"]')
    expect(stop).to_have_count(1)
    stop.focus()
    expect(chart.locator("a:focus .tip")).to_have_css("visibility", "visible")
    expect(chart.locator("a:focus .tip")).to_contain_text("#7 v1.0.0: 75.0 MB, 75,000,000 bytes, over budget")
    page.keyboard.press("ArrowLeft")
    expect(chart.locator("a:focus .tip")).to_contain_text("#6")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowLeft")  # there is nothing before the first
    expect(chart.locator("a:focus .tip")).to_contain_text("#1")
    expect(stop).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("#1 · v1.0.0")


def test_pointer_shows_the_exact_value_and_leads_to_the_build(open_as: frame.Open) -> None:
    shop()
    page = open_as(factories.user()).pages[0]
    page.goto(TRENDS)
    column = page.locator("svg.chart").first.locator("a").nth(1)
    expect(column.locator(".tip")).to_have_css("visibility", "hidden")
    column.locator(".hit").hover()
    expect(column.locator(".tip")).to_have_css("visibility", "visible")
    column.locator(".hit").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("#2 · v1.0.0")


def test_table_behind_a_chart_leads_to_the_builds_without_scripts(open_as: frame.Open) -> None:
    shop()
    page = open_as(factories.user(), java_script_enabled=False).pages[0]
    page.goto(TRENDS)
    page.locator("summary", has_text="As a table").first.click()
    page.get_by_role("row", name="#2 v1.0.0 72.0 MB").get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("#2 · v1.0.0")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_pictures_have_no_violation_and_nothing_overflows(open_as: frame.Open, scheme: str, width: int) -> None:
    shop()
    context = open_as(factories.user(), color_scheme=scheme, viewport={"width": width, "height": 900})
    page = context.pages[0]
    builds = [f"/applications/shop/builds/{number}/" for number in (1, 6, 7)]
    addresses = [TRENDS, f"{TRENDS}?last=x", "/", "/history/", "/applications/shop/", *builds]
    for address in (*addresses, "/applications/shop/settings/"):
        page.goto(address)
        page.evaluate("document.querySelectorAll('main details').forEach((part) => { part.open = true; })")
        found = Axe().run(page)
        assert found.violations_count == 0, f"{address}: {found.generate_report()}"
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{address} is {wide} px wider than {width} px"
