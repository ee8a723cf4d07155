"""The pages in a real browser: what the scripts add, what stays without them, and whether all can use them."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from releases.models import Application, Build, Comparison, Credential, Outcome, Ref
from releases.specs import CommitFacts
from releases.storage import Blobs
from releases.vault.pairs import new_pair
from tests import factories
from tests.console import is_fault
from tests.e2e.portal import eventually

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

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
PAGES = (
    "/",
    "/applications/fruit-shop/",
    "/applications/fruit-shop/?kind=branch",
    "/applications/fruit-shop/?kind=other",
    "/applications/fruit-shop/?kind=tag&page=1",
    "/applications/fruit-shop/?kind=tag&q=v1",
    "/applications/fruit-shop/?kind=tag&q=nothing",
    "/applications/fruit-shop/builds/1/",
    "/applications/intranet/",
    "/applications/fruit-shop/settings/",
    "/applications/fruit-shop/access/",
    "/applications/intranet/access/",
    "/applications/new/",
    "/applications/fruit-shop/compare/",
    "/applications/fruit-shop/compare/?old=1&new=x",
    "/applications/fruit-shop/compare/1...2/",
    "/applications/fruit-shop/compare/2...3/",
    "/history/",
    "/history/?q=flask&outcome=succeeded",
    "/history/?outcome=nonsense",
    "/audit/",
    "/audit/?verb=nonsense",
    "/stacks/",
    "/stacks/python3.13-uwsgi/",
    "/workers/",
    "/help/",
    "/accounts/password/",
)
Open = Callable[..., BrowserContext]


@pytest.fixture(scope="module", autouse=True)
def _models_beside_playwright() -> Iterator[None]:
    """Playwright's loop runs in this thread, so Django would refuse to be asked from it."""
    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    yield
    if before is None:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium")
    if path is None and os.environ.get("CI") != "true":
        pytest.skip("no chromium on this machine; apt-get install chromium brings one")
    assert path is not None, "CI needs chromium; ./run test installs it as root on Debian and Ubuntu"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def open_as(browser: Browser, live_server: LiveServer) -> Iterator[Open]:
    """A context in which somebody has signed in through the page; a script error fails the test."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def sign_in(user: User, **options: Any) -> BrowserContext:
        context = browser.new_context(base_url=live_server.url, locale="en-GB", timezone_id="Asia/Tokyo", **options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if is_fault(message) else None)
        page.goto("/accounts/login/")
        page.get_by_label("User").fill(user.username)
        page.get_by_label("Password").fill(factories.PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Applications")
        return context

    yield sign_in
    for context in contexts:
        context.close()
    eventually(nobody_is_asking, seconds=30, what="the last request of a page is answered")
    assert errors == []


def nobody_is_asking() -> bool:
    """Whether the server's threads have left the database alone, which is emptied next: the two would wait for each
    other."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'"
        )
        return bool(cursor.fetchone() == (0,))


def shop_with_a_past() -> Application:
    """Every kind of row that the pages draw."""
    app = factories.application("fruit-shop", environment={"GREETING": "Hello"})
    for number in range(9):
        tag = factories.ref(app, f"v1.{number}.0", age=timedelta(days=20 - 2 * number))
        if number < 7:
            factories.succeeded_build(app, ref=tag, size=42_000_000 + 100_000 * number)
    factories.ref(app, "main", kind="branch")
    factories.running_build(app)
    for outcome in (Outcome.FAILED, Outcome.TIMED_OUT, Outcome.WORKER_LOST, Outcome.CANCELLED):
        factories.finished_build(app, outcome)
    one, other, third, *_ = Build.objects.succeeded().filter(application=app).order_by("number")
    gone = (CommitFacts(factories.commit("gone"), "Iker Sanz", 1_790_000_000, "Only in the old one"),)
    factories.comparison(one, other, factories.difference(60, 60, gone=gone, gone_count=1))
    row, _ = Comparison.objects.ask(app, other.commit, third.commit)
    row.mark_failed("The commit abc1234 is no longer in the repository.")
    factories.moved(Ref.objects.get(name="v1.0.0"))
    factories.moved(Ref.objects.get(name="v1.1.0"), to="")
    about = {
        "annotated": True,
        "tagger": "Ana Gil <ana@example.org>",
        "message": "Ripe figs",
        "tagged_at": timezone.now(),
    }
    Ref.objects.filter(name="v1.7.0").update(**about)
    Ref.objects.filter(name="v1.8.0").update(**about, signature="openpgp")
    Application.objects.update(rule="v*, !*-rc*", rule_note="9 new tags matched the rule at once.")
    factories.queued_build(app, ref=factories.ref(app, "v1.9.0"), rule="v*")
    factories.succeeded_build(app, runner="old")
    token = {"account": "git", "place": "https://git.example.com", "sealed": "gAAAA"}
    Credential.objects.create(application=app, kind="token", **token)
    Credential.objects.create(application=app, kind="key", public_key=new_pair("fruit-shop")[1], sealed="gAAAA")
    factories.prepared("new")  # so its page has all buttons, and names a release on an older runtime
    factories.application("intranet").note_refs_error("The host was not found; check the address in the settings.")
    return app


def test_application_page_fills_itself_when_the_refs_have_been_read(open_as: Open) -> None:
    app = factories.application("shop")
    Application.objects.update(refs_asked_at=timezone.now())
    page = open_as(factories.user()).pages[0]
    page.goto("/applications/shop/")
    expect(page.locator("main")).to_contain_text("Refs are being read")
    factories.ref(app, "v1.0.0")
    Application.objects.update(refs_read_at=timezone.now() + timedelta(seconds=1))
    expect(page.get_by_role("button", name="Build release v1.0.0")).to_be_visible()
    expect(page.locator("main")).not_to_contain_text("Refs are being read")


def test_application_page_follows_a_build(open_as: Open) -> None:
    app = factories.application("shop")
    build = factories.running_build(app, ref=factories.ref(app, "v1.0.0"))
    page = open_as(factories.user()).pages[0]
    page.goto("/applications/shop/")
    expect(page.get_by_role("link", name="Watch #1")).to_be_visible()
    expect(page.locator("#pulse")).to_contain_text("1 building")
    build.mark_ended(Outcome.FAILED, "No requirements.")
    expect(page.get_by_role("button", name="Build release v1.0.0")).to_be_visible()
    expect(page.locator("#pulse")).to_have_text("")


def test_double_click_asks_for_one_build(open_as: Open) -> None:
    app = factories.application("shop")
    factories.ref(app, "v1.0.0")
    page = open_as(factories.user()).pages[0]
    page.goto("/applications/shop/")
    page.get_by_role("button", name="Build release v1.0.0").dblclick()
    expect(page).to_have_url(re.compile(r"/builds/1/$"))
    assert Build.objects.count() == 1
    expect(page.locator("main")).not_to_contain_text("is being built already")


def test_theme_is_chosen_and_remembered(open_as: Open) -> None:
    context = open_as(factories.user(), color_scheme="light")
    page = context.pages[0]
    light = background(page)
    page.locator("details.menu > summary").click()
    page.get_by_role("button", name="Dark").click()
    expect(page.get_by_role("button", name="Dark")).to_have_attribute("aria-pressed", "true")
    dark = background(page)
    assert dark != light
    page.goto("/history/")
    assert background(page) == dark
    page.locator("details.menu > summary").click()
    page.get_by_role("button", name="System").click()
    assert background(page) == light
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="System")).to_be_hidden()


def background(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_slash_goes_to_the_search_and_finds(open_as: Open) -> None:
    factories.succeeded_build(factories.application("shop"))
    page = open_as(factories.user()).pages[0]
    page.keyboard.press("/")
    page.keyboard.type("flask==3.1.3")
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_contain_text("shop #1")
    expect(page.locator("#f-q")).to_have_value("flask==3.1.3")


def test_history_cuts_its_days_where_the_readers_day_ends(open_as: Open) -> None:
    """20:00 UTC is the next day's 05:00 in Tokyo; 10:00 UTC is 19:00 of the same day."""
    app = factories.application("shop")
    for day, hour in ((10, 10), (10, 20), (11, 10)):
        build = factories.queued_build(app)
        at = timezone.now().replace(year=2026, month=3, day=day, hour=hour, minute=0)
        Build.objects.filter(pk=build.pk).update(created_at=at)
    page = open_as(factories.user()).pages[0]
    page.goto("/history/")
    rows = page.locator("table.hist tbody tr").all_inner_texts()
    shown = [row.replace(",", "").split() for row in rows]
    assert [" ".join(row if len(row) == 4 else [row[0], row[1], row[-1]]) for row in shown] == [
        "Wednesday 11 March 2026",
        "shop #3 19:00",
        "shop #2 05:00",
        "Tuesday 10 March 2026",
        "shop #1 19:00",
    ]
    expect(page.locator("#zone")).to_have_text("Asia/Tokyo")


def test_digest_is_copied_whole(open_as: Open) -> None:
    context = open_as(factories.user())
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.pages[0]
    page.goto("/stacks/python3.13-uwsgi/")
    whole = page.locator("aside dd code[title]").get_attribute("title")
    page.get_by_role("button", name="Copy the digest of the stack").click()
    expect(page.locator("#said")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == whole


def test_pages_do_their_work_without_scripts(open_as: Open) -> None:
    app = factories.application("shop")
    factories.ref(app, "v1.0.0")
    factories.ref(app, "main", kind="branch")
    page = open_as(factories.user(), java_script_enabled=False).pages[0]
    page.goto("/applications/shop/")
    page.get_by_role("link", name="Branches").click()
    expect(page.get_by_role("button", name="Build release main")).to_be_visible()
    page.get_by_role("link", name="Another ref").click()
    page.get_by_label("Tag, branch or commit").fill("a b")
    page.locator("form.typed button").click()
    expect(page.locator("#typed-problem")).to_contain_text("what git does not allow")
    page.get_by_role("link", name="Tags").click()
    page.get_by_role("button", name="Build release v1.0.0").click()
    assert Build.objects.get().ref == "v1.0.0"
    page.goto("/history/")
    expect(page.locator("main")).to_contain_text("shop #1")
    page.locator("details.menu > summary").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()


def test_rule_says_what_it_matches_while_it_is_typed(open_as: Open) -> None:
    app = factories.application("shop")
    for name in ("v1.0.0", "v1.10.0", "nightly"):
        factories.ref(app, name)
    page = open_as(factories.user()).pages[0]
    page.goto("/applications/shop/settings/")
    page.locator("summary").filter(has_text="New tags").click()
    matches = page.locator("#rule-matches")
    page.get_by_label("Build new tags that match").fill("v*")
    expect(matches).to_contain_text("2 of the 3 known tags match: v1.10.0, v1.0.0.")
    page.get_by_label("Build new tags that match").fill("v[0")
    expect(matches).to_contain_text("close the bracket")
    page.get_by_label("Build new tags that match").fill("night*")
    expect(matches).to_contain_text("1 of the 3 known tags matches: nightly.")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("main")).to_contain_text("night* are built by themselves")


def test_tags_are_found_and_moves_are_seen_without_scripts(open_as: Open) -> None:
    app = factories.application("shop")
    for number in range(12):
        factories.ref(app, f"v1.{number}.0")
    tag = factories.ref(app, "v2.0.0", annotated=True, message="Ripe figs")
    factories.succeeded_build(app, ref=tag)
    factories.moved(tag)
    page = open_as(factories.user(), java_script_enabled=False).pages[0]
    page.goto("/applications/shop/")
    page.get_by_label("Find tags").fill("v1.1*")
    page.get_by_role("button", name="Find").click()
    expect(page.locator("table.refs tbody tr")).to_have_count(3)
    page.get_by_role("link", name="Show all").click()
    page.locator("details.about > summary").click()
    expect(page.locator("details.about")).to_contain_text("“Ripe figs”")
    page.get_by_role("button", name="I have seen it v2.0.0").click()
    expect(page.locator("main")).to_contain_text("You have seen that v2.0.0 moved")
    expect(page.get_by_role("button", name="I have seen it")).to_have_count(0)


def test_what_is_typed_into_the_search_survives_a_build(open_as: Open) -> None:
    """While something moves, the table is fetched anew every two seconds; the field is not."""
    app = factories.application("shop")
    for number in range(12):
        factories.ref(app, f"v1.{number}.0")
    build = factories.running_build(app, ref=app.refs.tags()[0])
    page = open_as(factories.user()).pages[0]
    page.goto("/applications/shop/")
    page.get_by_label("Find tags").fill("half a wo")
    build.mark_ended(Outcome.FAILED, "No requirements.")
    expect(page.get_by_role("button", name="Build release v1.11.0")).to_be_visible()
    expect(page.get_by_label("Find tags")).to_have_value("half a wo")
    expect(page.get_by_label("Find tags")).to_be_focused()


def test_rebase_says_what_will_happen_and_takes_a_no(open_as: Open, settings: Settings, tmp_path: Path) -> None:
    settings.BLOBS_DIR = tmp_path
    Blobs(tmp_path).put([b"archive"])
    release = factories.succeeded_build(factories.application("shop"), artifact_bytes=b"archive", runner="old")
    factories.prepared("new")
    page = open_as(factories.user()).pages[0]
    page.goto("/applications/shop/builds/1/")
    dialog = page.locator("dialog")
    page.get_by_role("button", name="Rebase").click()
    expect(dialog).to_contain_text("A new build puts the app.tar.gz of #1, as it is, on the newest runtime")
    dialog.get_by_role("button", name="Not now").click()
    expect(dialog).to_be_hidden()
    assert not release.rebases.exists()
    page.get_by_role("button", name="Rebase").click()
    dialog.get_by_role("button", name="Rebase").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("#2 · v1.0.0")
    expect(page.locator("main")).to_contain_text("Rebased from #1")
    page.get_by_role("button", name="Cancel build").click()
    expect(dialog.get_by_role("button", name="Keep it")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_pages_have_no_violation_and_nothing_overflows(open_as: Open, scheme: str, width: int) -> None:
    shop_with_a_past()
    context = open_as(factories.user(), color_scheme=scheme, viewport={"width": width, "height": 900})
    page = context.pages[0]
    for address in PAGES:
        page.goto(address)
        page.evaluate("document.querySelectorAll('main details').forEach((part) => { part.open = true; })")
        found = Axe().run(page)
        assert found.violations_count == 0, f"{address}: {found.generate_report()}"
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{address} is {wide} px wider than {width} px"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_login_page_has_no_violation(browser: Browser, live_server: LiveServer, scheme: str) -> None:
    context = browser.new_context(base_url=live_server.url, color_scheme="dark" if scheme == "dark" else "light")
    page = context.new_page()
    page.goto("/accounts/login/?next=/history/")
    found = Axe().run(page)
    context.close()
    assert found.violations_count == 0, found.generate_report()
