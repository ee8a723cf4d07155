"""The workers' page in a real browser: it lives without a reload, can be used by all, and a pause is seen at once."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import Permission, User
from playwright.sync_api import Page, expect

from releases import actions
from releases.models import Build, Outcome, Pause
from tests import factories
from tests.pages import test_browser as frame
from tests.pages.workshop import busy, register, seen

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
browser = frame.browser
open_as = frame.open_as
models_beside_playwright = frame._models_beside_playwright


@pytest.fixture
def boss() -> User:
    """Somebody who releases and operates."""
    person = factories.user(username="olga", first_name="Olga")
    factories.user("operators")
    person.user_permissions.add(Permission.objects.get(codename="operate_workshop"))
    return person


def a_full_workshop(redis: Any) -> list[Build]:
    """Every kind of row that the page draws; those that wait."""
    busy(register("builds"), redis)
    shop, billing = factories.application("fruit-shop"), factories.application("billing")
    factories.succeeded_build(shop, worker="forge-builds")
    factories.finished_build(billing, Outcome.FAILED)
    factories.running_build(shop, worker="forge-builds")
    factories.running_build(billing, worker="killed-worker")
    waiting = [factories.queued_build(shop) for _ in range(3)]
    actions.build_next(waiting[2], by=None)
    places = [
        {"names": ["data", "logs"], "path": "/srv/portal", "free": 90 * 10**9, "total": 10**11},
        {"names": ["engine"], "path": "/var/lib/docker", "free": 10**9, "total": 10**11},
    ]
    kept = {"artifacts": 2, "artifact_bytes": 5_000_000, "engine_images": 12, "engine_containers": 1}
    seen(places=places, holds=kept, mended={"builds": 1, "containers": 3}, round_seconds=0.25)
    return waiting


def assert_fit_for_all(page: Page, address: str, width: int) -> None:
    page.goto(address)
    found = Axe().run(page)
    assert found.violations_count == 0, f"{address}: {found.generate_report()}"
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{address} is {wide} px wider than {width} px"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_full_workshop_has_no_violation_and_nothing_overflows(
    open_as: frame.Open, redis: Any, boss: User, scheme: str, width: int
) -> None:
    waiting = a_full_workshop(redis)
    page = open_as(boss, color_scheme=scheme, viewport={"width": width, "height": 900}).pages[0]
    addresses = ("/", "/workers/", waiting[1].get_absolute_url())
    for address in addresses:
        assert_fit_for_all(page, address, width)
    Pause.objects.begin("The engine is brought up to date until 18:00", by=boss)
    for address in addresses:
        assert_fit_for_all(page, address, width)


def test_page_follows_the_line_and_keeps_what_is_being_typed(open_as: frame.Open, redis: Any, boss: User) -> None:
    register("builds")
    shop = factories.application("shop")
    factories.succeeded_build(shop)
    page = open_as(boss).pages[0]
    page.goto("/workers/")
    reason = page.get_by_label("Why no new builds are taken")
    reason.fill("The engine")
    factories.queued_build(shop)
    expect(page.locator("#live")).to_contain_text("begins at once")
    expect(reason).to_have_value("The engine")
    expect(reason).to_be_focused()


def test_pause_is_begun_seen_and_ended(open_as: frame.Open, redis: Any, boss: User) -> None:
    register("builds")
    build = factories.queued_build(factories.application("shop"))
    context = open_as(boss)
    page, other = context.pages[0], context.new_page()
    page.goto("/workers/")
    other.goto(build.get_absolute_url())
    expect(other.locator("main")).to_contain_text("Waiting for a worker")
    page.get_by_label("Why no new builds are taken").fill("The engine is brought up to date")
    page.get_by_role("button", name="Take no new builds").click()
    expect(page.get_by_role("region", name="Pause")).to_contain_text("Said by Olga")
    expect(other.locator("main")).to_contain_text("Held: no new builds are taken")  # without a reload
    expect(other.locator("main")).to_contain_text("The engine is brought up to date")
    page.goto("/")
    page.get_by_role("button", name="Take builds again").click()
    expect(page.locator("main")).to_contain_text("Builds are taken again.")
    expect(other.locator("main")).to_contain_text("Waiting for a worker")


def test_build_next_is_pressed_in_the_line(open_as: frame.Open, redis: Any, boss: User) -> None:
    register("builds")
    shop = factories.application("shop")
    for _ in range(3):
        factories.queued_build(shop)
    page = open_as(boss).pages[0]
    page.goto("/workers/")
    line = page.get_by_role("table", name="Builds in the order in which they are taken up").get_by_role("row")
    line.filter(has_text="shop #3").get_by_role("button", name="Build next").click()
    expect(line.nth(1)).to_contain_text("shop #3")
    expect(line.nth(1)).to_contain_text("moved to the front")
