"""What a tab says by its title and its picture, so that it can be left alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.test import Client
from playwright.sync_api import Page, expect
from pytest_django import Settings

from releases.models import Build, Outcome, Preparation, Preview
from releases.stacks import stack as stacks
from releases.templatetags.portal import MARKS
from tests import factories
from tests.pages import test_browser as frame

browser = frame.browser
open_as = frame.open_as
models_beside_playwright = frame._models_beside_playwright
STACK = "python3.13-uwsgi"


@pytest.fixture
def page(open_as: frame.Open, settings: Settings, tmp_path: Path) -> Page:
    settings.LOGS_DIR = tmp_path
    return open_as(factories.user(username="marta")).pages[0]


def tab(client: Client, address: str) -> tuple[str, str]:
    """Title and picture of a page, as they are without a script."""
    page = client.get(address).content.decode()
    title, picture = re.search(r"<title>(.*?)</title>", page, re.S), re.search(r'rel="icon"\s+href="(.*?)"', page)
    assert title
    assert picture
    return " ".join(title[1].split()), picture[1]


@pytest.mark.parametrize("shape", sorted({shape for _, shape in MARKS.values()} - {"none"}))
def test_each_shape_has_a_picture_of_its_own(shape: str) -> None:
    path = finders.find(f"favicons/{shape}.svg")
    assert path
    drawn = Path(path).read_text()
    others = [other for other in Path(path).parent.iterdir() if other.name != f"{shape}.svg"]
    assert all(other.read_text() != drawn for other in others)


@pytest.mark.django_db
def test_tab_says_where_a_build_stands(manager: Client) -> None:
    app = factories.application("shop")
    waiting, running = factories.queued_build(app), factories.running_build(app)
    failed, late = factories.finished_build(app), factories.finished_build(app, Outcome.TIMED_OUT)
    released = factories.succeeded_build(app)
    told = [tab(manager, build.get_absolute_url()) for build in (waiting, running, failed, late, released)]
    assert told == [
        ("#1 queued · shop · Release Portal", "/static/favicons/queue.svg"),
        ("#2 producing · shop · Release Portal", "/static/favicons/run.svg"),
        ("#3 failed · shop · Release Portal", "/static/favicons/fail.svg"),
        ("#4 timed out · shop · Release Portal", "/static/favicons/time.svg"),
        ("#5 succeeded · shop · Release Portal", "/static/favicons/ok.svg"),
    ]


@pytest.mark.django_db
def test_tab_says_where_a_preparation_and_a_preview_stand(manager: Client) -> None:
    assert tab(manager, f"/stacks/{STACK}/") == (f"{STACK} · Release Portal", "/static/favicon.svg")
    row = Preparation.objects.request(STACK, stacks.load(STACK).digest, by=None)
    assert tab(manager, f"/stacks/{STACK}/")[0] == f"Preparation queued · {STACK} · Release Portal"
    row.take_up()
    row.mark_failed("No network.")
    picture = "/static/favicons/fail.svg"
    assert tab(manager, f"/stacks/{STACK}/") == (f"Preparation failed · {STACK} · Release Portal", picture)
    preview = Preview.objects.create(build=factories.succeeded_build(factories.application("shop")))
    assert tab(manager, preview.get_absolute_url())[1] == "/static/favicons/queue.svg"
    assert tab(manager, "/")[1] == "/static/favicon.svg"


def picture(page: Page, shape: str) -> None:
    expect(page.locator("link[rel=icon]")).to_have_attribute("href", f"/static/favicons/{shape}.svg")


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_tab_of_a_build_changes_with_it(page: Page) -> None:
    build = factories.queued_build(factories.application("shop"))
    page.goto(build.get_absolute_url())
    picture(page, "queue")
    assert build.take_up(worker="forge-1")
    picture(page, "run")
    expect(page).to_have_title("#1 checking out · shop · Release Portal")
    Build.objects.get().mark_ended(Outcome.FAILED, "There is no requirements.txt.")
    picture(page, "fail")
    expect(page).to_have_title("#1 failed · shop · Release Portal")


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_tab_of_a_preparation_changes_with_it(page: Page) -> None:
    row = Preparation.objects.request(STACK, stacks.load(STACK).digest, by=None)
    assert row.take_up()
    page.goto(f"/stacks/{STACK}/")
    picture(page, "run")
    expect(page).to_have_title(f"Preparing · {STACK} · Release Portal")
    row.mark_failed("No network.")
    picture(page, "fail")
    expect(page).to_have_title(f"Preparation failed · {STACK} · Release Portal")
