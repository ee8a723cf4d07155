"""The pages in a real browser whose reader prefers Spanish."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from releases.models import Outcome
from releases.storage import LogWriter, log_path
from tests import factories
from tests.pages.test_browser import PAGES, _models_beside_playwright, browser, shop_with_a_past

__all__ = ["_models_beside_playwright", "browser"]  # fixtures
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]}


@pytest.fixture
def page(browser: Browser, live_server: LiveServer) -> Iterator[Page]:
    """Signed in, in Spanish, because the browser asks for it; a script error fails the test."""
    errors: list[str] = []
    context = browser.new_context(base_url=live_server.url, locale="es-ES", timezone_id="Europe/Madrid")
    fresh = context.new_page()
    fresh.on("pageerror", lambda error: errors.append(str(error)))
    fresh.goto("/accounts/login/")
    fresh.get_by_label("Usuario").fill(factories.user(first_name="Marta", last_name="Ruiz").username)
    fresh.get_by_label("Contraseña").fill(factories.PASSWORD)
    fresh.get_by_role("button", name="Entrar").click()
    expect(fresh.get_by_role("heading", level=1)).to_have_text("Aplicaciones")
    yield fresh
    context.close()
    assert errors == []


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_no_page_has_an_accessibility_violation_or_overflows_in_spanish(page: Page, scheme: str, width: int) -> None:
    app = shop_with_a_past()
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_viewport_size({"width": width, "height": 900})
    builds = [build.get_absolute_url() for build in app.builds.all()]
    for path in (*PAGES, *builds, builds[-1] + "image/", builds[-1] + "previews/new/"):
        page.goto(path)
        found = Axe().run(page, options=RULES)
        assert found.violations_count == 0, f"{path} ({scheme}, {width}): {found.generate_report()}"
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{path} is {wide} px wider than {width} px"


def test_switch_turns_the_page_that_is_read(page: Page) -> None:
    page.goto("/history/?ref=v1")
    page.locator("details.menu > summary").click()
    page.get_by_role("button", name="English").click()
    expect(page).to_have_url(re.compile(r"/history/\?ref=v1$"))
    expect(page.get_by_role("heading", level=1)).to_have_text("History")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    page.locator("details.menu > summary").click()
    expect(page.get_by_role("button", name="English")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Español").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Historial")


def test_log_counts_and_times_as_spanish_does(page: Page) -> None:
    build = factories.finished_build(factories.application("shop"), Outcome.FAILED)
    with LogWriter(log_path(build.pk)) as log:
        log.step("checkout")
        for number in range(1200):
            log.line(f"apple {number}")
    page.goto(build.get_absolute_url())
    page.get_by_label("Buscar en el log, o ir a una línea").fill("apple")
    expect(page.get_by_role("status").filter(has_text="200")).to_have_text("1200")
    expect(page.locator(".log .s span").last).to_have_text(re.compile(r"^\d+,\d+ s$"))
    expect(page.get_by_role("link", name="Primer error").first).to_be_visible()


def test_question_before_a_cancel_is_asked_in_spanish(page: Page) -> None:
    build = factories.running_build(factories.application("shop"))
    page.goto(build.get_absolute_url())
    page.get_by_role("button", name="Cancelar compilación").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("La compilación #1 termina ahora")
    dialog.get_by_role("button", name="No hacerlo").click()
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name="Cancelar compilación").click()
    dialog.get_by_role("button", name="Cancelar compilación").click()
    expect(page.locator("main")).to_contain_text("Cancelando")
