"""A portal with the invented rows, a real browser that visits every page of it, and what it sees as small files."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.contrib.auth.models import User
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.management import call_command
from django.db import connections
from django.test.testcases import LiveServerThread
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from portal.setup import SetupFailed
from tests import factories
from tests.screenshots import rows
from tests.screenshots.pages import Shot

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"]
LOCALES = {"en": "en-GB", "es": "es-ES"}
WIDTHS = {"wide": 1280, "narrow": 390}


@dataclass(frozen=True, slots=True)
class Look:
    """How a page is looked at."""

    language: str = "en"
    scheme: str = "light"
    width: str = "wide"

    def file(self, shot: Shot) -> str:
        """`build.webp`; every other look than the usual one is named: `build-es-dark-narrow.webp`."""
        parts = [shot.name] if self == Look() else [shot.name, self.language, self.scheme, self.width]
        return "-".join(parts) + ".webp"


ALL_LOOKS = tuple(
    Look(language, scheme, width) for language in LOCALES for scheme in ("light", "dark") for width in WIDTHS
)


def take(shots: Sequence[Shot], looks: Sequence[Look], folder: Path) -> int:
    """Take the pictures; how many bytes they are together. The settings' database must be new and our own."""
    path = shutil.which("chromium")
    if path is None:
        raise SetupFailed("The pictures need chromium: install it (Debian: apt-get install chromium).")
    call_command("migrate", interactive=False, verbosity=0)
    person = rows.make()
    rows.listen()
    rows.freeze()
    folder.mkdir(parents=True, exist_ok=True)
    with _served() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        taken = sum(_looked_at(browser, address, person, shots, look, folder) for look in looks)
        browser.close()
    return taken


@contextmanager
def _served() -> Iterator[str]:
    server = LiveServerThread("127.0.0.1", StaticFilesHandler, connections_override={})
    server.daemon = True
    server.start()
    server.is_ready.wait()
    if server.error:
        raise server.error
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.terminate()
        connections.close_all()


def _looked_at(browser: Browser, address: str, person: User, shots: Sequence[Shot], look: Look, folder: Path) -> int:
    taken = 0
    for signed_in in (False, True):
        some = [shot for shot in shots if shot.signed_in == signed_in]
        if some:
            context = _context(browser, address, look)
            if signed_in:
                _sign_in(context, person)
            taken += sum(_one(context, shot, folder / look.file(shot)) for shot in some)
            context.close()
    return taken


def _context(browser: Browser, address: str, look: Look) -> BrowserContext:
    context = browser.new_context(
        base_url=address,
        locale=LOCALES[look.language],
        timezone_id="UTC",
        color_scheme="dark" if look.scheme == "dark" else "light",
        viewport={"width": WIDTHS[look.width], "height": 900},
        reduced_motion="reduce",
    )
    context.new_page()
    return context


def _sign_in(context: BrowserContext, person: User) -> None:
    page = context.pages[0]
    page.goto("/accounts/login/")
    page.locator("[name=username]").fill(person.get_username())
    page.locator("[name=password]").fill(factories.PASSWORD)
    page.locator("form.sheet button[type=submit]").click()
    page.wait_for_url("**/")


def _one(context: BrowserContext, shot: Shot, file: Path) -> int:
    """WebP without loss: such a page is smaller than as PNG, and its text stays sharp."""
    page = context.pages[0]
    answer = page.goto(shot.address)
    if answer is None or answer.status != 200:
        raise SetupFailed(f"{shot.address} answered {answer.status if answer else 'nothing'}: correct pages.py.")
    if page.locator("[data-log-lines]").count():
        page.locator("[data-log-lines]:not([aria-busy])").wait_for()
        page.mouse.move(0, 0)
    picture = Image.open(io.BytesIO(page.screenshot(full_page=True, animations="disabled", caret="hide")))
    picture.convert("RGB").save(file, "WEBP", lossless=True, quality=100, method=6)
    return file.stat().st_size
