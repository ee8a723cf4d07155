"""Hostile words wherever they are shown, in a real browser: they are words. No dialog, no script, no markup, no link;
and what is given out raw is text that no browser takes for a page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Dialog, Page, expect
from pytest_django import Settings

from releases.models import Application, Build, Outcome, Package, Pause, Preview
from releases.specs import CommitFacts, FileChange
from releases.specs.difference import LinesChanged
from releases.storage import LogWriter, log_path, preparation_log_path, preview_log_path
from tests import factories
from tests.hostile.payloads import ALL, LINE_FOR_TEN_MEGABYTES, rows
from tests.pages import test_browser as frame
from tests.pages.workshop import seen

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
browser = frame.browser
open_as = frame.open_as
models_beside_playwright = frame._models_beside_playwright

SPRUNG = """() => [
  window.canary ? "a script ran" : "",
  ...[...document.querySelectorAll("[data-canary]")].map((one) => "markup: " + one.outerHTML.slice(0, 200)),
  ...[...document.querySelectorAll("a[href]")].map((one) => new URL(one.getAttribute("href"), document.URL))
    .filter((url) => !/^https?:$/.test(url.protocol) || url.hostname === "evil.example").map(String),
  /the secret key|SECRET_KEY = /.test(document.body.innerText) ? "a template ran" : "",
].filter(Boolean)"""


@pytest.fixture
def page(open_as: frame.Open, settings: Settings, tmp_path: Path) -> Iterator[Page]:
    """A manager's browser, among rows that hold every payload."""
    settings.LOGS_DIR = tmp_path
    dialogs: list[str] = []

    def refuse(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    person = factories.user(
        username="marta", first_name="<b data-canary>Marta", last_name="{{ 6|add:36 }}", is_staff=True
    )
    page = open_as(person).pages[0]
    page.on("dialog", refuse)
    page.route("**/favicon.ico", lambda route: route.fulfill(status=204))  # the admin's pages have none
    yield page
    assert dialogs == []


def log(path: Path) -> None:
    with LogWriter(path) as writer:
        for number, text in enumerate(ALL):
            if number % 20 == 0:
                writer.step(text)
            writer.line(text)
            writer.line(f"ERROR: {text}")
        writer.line(LINE_FOR_TEN_MEGABYTES)


def hostile_rows() -> Application:
    texts = rows()
    shop = factories.application("shop", environment={f"NAME_{number}": text for number, text in enumerate(texts)})
    for number, text in enumerate(texts):
        about: dict[str, Any] = {
            "subject": text[:200],
            "message": text[:200],
            "tagger": text[:200],
            "annotated": True,
            "tagged_at": timezone.now(),
        }
        factories.ref(shop, f"v{number}{text}"[:200], **about)
        factories.ref(shop, f"{text} {number}"[:200], kind="branch", subject=text[:200])
    packages = {f"{number}{text}"[:200]: text[:100] for number, text in enumerate(texts)}
    last = shop.refs.filter(kind="tag").first()
    old, new = (
        factories.succeeded_build(shop, packages={}),
        factories.succeeded_build(shop, ref=last, packages=packages, runner="old"),
    )
    for start in range(0, len(texts), 12):
        some = texts[start : start + 12]
        failed = factories.running_build(shop, subject=some[0][:200])
        failed.note(probe_body="\n".join(texts), probe_message=" ".join(some)[:500])
        failed.mark_ended(Outcome.FAILED, " ".join(some)[:2000])
    log(log_path(failed.pk))
    commits = tuple(CommitFacts(factories.commit(text), text, 1_790_000_000, text) for text in texts)
    files = tuple(FileChange(text, "changed", 1, 2) for text in texts)
    lines = (LinesChanged(texts[0], tuple(texts), tuple(texts)),)
    found = factories.difference(
        come=commits, come_count=len(commits), files=files, changed=len(files), requirements=lines
    )
    factories.comparison(old, new, found)
    preview = Preview.objects.create(build=new, environment={"A": texts[0]})
    preview.mark_running(
        address="http://127.0.0.1:1", status=200, seconds=1, body="\n".join(texts), message=" ".join(texts)[:1000]
    )
    log(preview_log_path(preview.pk))
    preparation = factories.prepared("new")
    log(preparation_log_path(preparation.pk))
    Pause.objects.begin(" ".join(texts)[:200], by=None)
    factories.application("other").note_refs_error(" ".join(texts)[:1000])
    seen(engine=texts[0], engine_answers=False, engine_problem=" ".join(texts)[:500])
    return shop


def addresses(shop: Application) -> list[str]:
    """Each page that shows any of them, and those that repeat what stands in their address."""
    builds = Build.objects.order_by("number")
    asked = [quote(" ".join(rows()[start : start + 6])) for start in (0, 12, 28)]
    good = builds.filter(outcome="succeeded").last()
    assert good is not None
    shown = [build.get_absolute_url() for build in builds if build.number > 1]
    preview = good.previews.get().get_absolute_url()
    of_shop = [
        "",
        "?kind=branch",
        "?kind=other",
        "?page=2",
        "settings/",
        "trends/",
        "compare/",
        "compare/1...2/",
        "compare/2...1/",
    ]
    repeated = [f"/history/?q={asked[0]}&ref={asked[1]}&by={asked[2]}", f"/audit/?verb={asked[0]}", f"/?q={asked[1]}"]
    repeated += [f"/applications/shop/?q={asked[2]}", f"/applications/shop/compare/?old={asked[0]}&new={asked[1]}"]
    repeated += [f"/applications/shop/trends/?last={asked[0]}", f"/?shown={asked[0]}"]
    admin = ["ref", "build", "package", "event", "comparison", "preview"]
    return [
        *("/", "/history/", "/audit/", "/workers/", "/stacks/python3.13-uwsgi/", "/help/"),
        *(preview, f"{good.get_absolute_url()}image/"),
        *(f"{shop.get_absolute_url()}{rest}" for rest in of_shop), *shown, *repeated,
        *(f"/admin/releases/{name}/" for name in admin),
    ]  # fmt: skip


def test_hostile_words_are_words_on_every_page(page: Page) -> None:
    for address in addresses(hostile_rows()):
        answer = page.goto(address)
        assert answer is not None
        assert answer.status < 500, address
        assert page.evaluate(SPRUNG) == [], address


def test_hostile_lines_are_lines_of_the_log(page: Page) -> None:
    shop = hostile_rows()
    failed = shop.builds.order_by("number").last()
    assert failed is not None
    page.goto(failed.get_absolute_url())
    expect(page.locator("[data-log-lines]")).not_to_have_attribute("aria-busy", "true")
    expect(page.locator(".log")).to_contain_text("<img data-canary src=x onerror=window.canary=1>")
    for move in ("End", "Home"):
        page.locator(".log").press(move)
        assert page.evaluate(SPRUNG) == []
    page.locator("[data-log-find]").fill("<script data-canary>")
    page.locator("[data-log-find]").press("Enter")
    assert page.evaluate(SPRUNG) == []
    shown = page.locator(".log").inner_text()
    assert not set(shown) & set("\x00\x1b\x9b\x07\u202e\u2066\u2069\u2028\u2029\ufeff")
    assert page.title().isprintable()


def test_what_is_given_out_raw_is_taken_for_no_page(manager: Client, settings: Settings, tmp_path: Path) -> None:
    settings.LOGS_DIR = tmp_path
    shop = hostile_rows()
    builds = shop.builds.order_by("number")
    good, failed = builds.filter(outcome="succeeded").last(), builds.last()
    assert good is not None
    assert failed is not None
    preview = good.previews.get().get_absolute_url()
    raw = {
        f"{failed.get_absolute_url()}log": "text/plain", f"{failed.get_absolute_url()}log.txt": "text/plain",
        f"{good.get_absolute_url()}packages.txt": "text/plain", f"{preview}log": "text/plain",
        f"{preview}log.txt": "text/plain",
        "/stacks/python3.13-uwsgi/log": "text/plain", "/stacks/python3.13-uwsgi/log.txt": "text/plain",
        f"{good.get_absolute_url()}evidence.json": "application/json", "/history/?format=json": "application/json",
        "/history/?format=csv": "text/csv", "/audit/?format=csv": "text/csv", "/audit/?format=json": "application/json",
        "/applications/shop/compare/1...2/?format=json": "application/json",
        "/applications/shop/trend.json": "application/json",
    }  # fmt: skip
    for address, kind in raw.items():
        answer = manager.get(address)
        assert answer.status_code == 200, address
        assert answer["Content-Type"].split(";")[0] == kind, address
        assert answer["X-Content-Type-Options"] == "nosniff", address
    assert Package.objects.count() > 40
    assert len(ALL) >= 50
