"""The main job in Spanish: a release manager whose browser prefers it reads no English sentence on the way."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.portal import PASSWORD, RunningPortal, repository
from tests.e2e.test_browser import browser

__all__ = ["browser"]  # a fixture
pytestmark = [pytest.mark.engine, pytest.mark.browser]


@pytest.fixture
def page(browser: Browser, portal: RunningPortal) -> Iterator[Page]:
    context = browser.new_context(base_url=portal.address, locale="es-ES")
    fresh = context.new_page()
    fresh.goto("/")
    fresh.get_by_label("Usuario").fill("manager")
    fresh.get_by_label("Contraseña").fill(PASSWORD)
    fresh.get_by_role("button", name="Entrar").click()
    expect(fresh).to_have_url(portal.address + "/")
    yield fresh
    context.close()


def test_from_a_repository_to_a_release_in_spanish(page: Page, portal: RunningPortal) -> None:
    register(page, "fruteria", f"file://{portal.repositories}/fruit-shop.git")
    expect(page).to_have_url(f"{portal.address}/applications/fruteria/")

    row = page.get_by_role("row").filter(has_text="v1.1.0").first
    expect(row).to_be_visible(timeout=30_000)
    row.get_by_role("button", name="Compilar versión").click()
    expect(page).to_have_title(re.compile("éxito", re.IGNORECASE), timeout=180_000)

    main = page.locator("main")
    expect(main).to_contain_text("Qué se ha hecho")
    expect(main).to_contain_text(re.compile(r"\d+,\d\s*MB"))
    expect(main).to_contain_text(
        re.compile(r"Hecho: \d+ paquetes")
    )  # how the environment came about, as its worker said it
    expect(page.get_by_role("link", name="Descargar app.tar.gz")).to_be_visible()
    portal_message = portal.build("fruteria", 1)
    assert portal_message["message"].startswith("app.tar.gz ")  # the record stays English
    assert ", image " in portal_message["message"]


def test_a_failed_build_says_in_spanish_what_to_do(page: Page, portal: RunningPortal) -> None:
    address = repository(portal.repositories, "vacio", {"README.md": b"nothing yet"})
    register(page, "vacio", address)
    row = page.get_by_role("row").filter(has_text="v1.0.0").first
    expect(row).to_be_visible(timeout=30_000)
    row.get_by_role("button", name="Compilar versión").click()
    expect(page).to_have_title(re.compile("fallo", re.IGNORECASE), timeout=120_000)
    sentence = page.locator(".what").first
    expect(sentence).to_contain_text("no cumple el contrato: no hay requirements.txt; cambia «Fichero de requisitos»")
    expect(sentence).to_contain_text("no hay carpeta app/; cambia «Carpeta de trabajo»")
    assert "does not keep the contract" in portal.build("vacio", 1)["message"]


def register(page: Page, name: str, address: str) -> None:
    page.goto("/applications/new/")
    page.get_by_label("Repositorio").fill(address)
    page.get_by_label("Nombre").fill(name)
    page.get_by_role("button", name="Registrar", exact=True).click()
