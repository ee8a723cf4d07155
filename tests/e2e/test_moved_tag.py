"""A tag that is moved in the repository, and one that a rule builds, as a release manager sees them in a browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.portal import SERVE, RunningPortal, repository
from tests.e2e.test_browser import browser, page

pytestmark = [pytest.mark.engine, pytest.mark.browser]
__all__ = ["browser", "page"]  # pytest finds fixtures where their names are

APPLICATION = "/applications/moving/"
SECONDS = 60_000


def push(portal: RunningPortal, tag: str, words: bytes) -> str:
    files = {"app/app.py": SERVE + b"# " + words + b"\n", "requirements.txt": b""}
    return repository(portal.repositories, "moving", files, tag=tag)


def read_again(page: Page) -> None:
    page.goto(APPLICATION)
    page.get_by_role("button", name="Read again").click()
    expect(page.get_by_role("button", name="Read again")).to_be_visible(timeout=SECONDS)


def test_moved_tag_raises_the_alarm_in_all_three_places(page: Page, portal: RunningPortal) -> None:
    url = push(portal, "v1.0.0", b"as it was released")
    assert portal.register("moving", url, "--rule", "v2*").returncode == 0
    status, answer = portal.release("moving", "v1.0.0")
    assert (status, answer["outcome"]) == (0, "succeeded")
    build = f"{APPLICATION}builds/1/"
    old = portal.build("moving", 1)["commit"]
    read_again(page)
    page.goto(build)
    expect(page.locator("main")).not_to_contain_text("moved away")

    push(portal, "v1.0.0", b"as somebody made it afterwards")
    read_again(page)

    # on the ref: its row, the application's page, the first page
    expect(page.get_by_role("row").filter(has_text="v1.0.0").first).to_contain_text("moved")
    expect(page.locator("#alarms")).to_contain_text("Tag v1.0.0 moved.")
    expect(page.locator("#alarms")).to_contain_text(f"It was built as {old[:7]} in #1;")
    page.goto("/")
    expect(page.locator("main")).to_contain_text("Tag v1.0.0 of moving moved.")

    # on the build that was made of the old commit, and in the trail
    page.goto(build)
    expect(page.locator("main")).to_contain_text("Tag v1.0.0 moved away from this commit.")
    page.goto("/history/?application=moving")
    expect(page.get_by_role("row").filter(has_text="moving #1")).to_contain_text("tag moved")
    page.goto("/audit/?application=moving&verb=ref.moved")
    expect(page.locator("table.audit")).to_contain_text("saw that a tag moved v1.0.0")
    expect(page.locator("table.audit")).to_contain_text(old)

    # the first page is calm when it was seen; the build's page is not
    page.goto("/")
    page.get_by_role("button", name="I have seen it v1.0.0").click()
    expect(page.locator("main")).not_to_contain_text("Tag v1.0.0 of moving moved.")
    page.goto(build)
    expect(page.locator("main")).to_contain_text("Tag v1.0.0 moved away from this commit.")
    expect(page.locator("main")).to_contain_text("Seen by manager")


def test_rule_builds_a_new_tag_but_not_one_that_moved(page: Page, portal: RunningPortal) -> None:
    before = portal.numbers("moving")
    push(portal, "v2.0.0", b"the next one")
    read_again(page)
    page.goto(f"{APPLICATION}builds/{before[0] + 1}/")
    expect(page.get_by_role("heading", level=1)).to_contain_text("v2.0.0")
    expect(page.locator("main")).to_contain_text("the rule v2*")
    expect(page.locator("main")).to_contain_text("a new tag matched the rule v2*")
    expect(page).to_have_title("#2 succeeded · moving · Release Portal", timeout=SECONDS)
    push(portal, "v2.0.0", b"moved by somebody")
    read_again(page)
    expect(page.locator("#alarms")).to_contain_text("Tag v2.0.0 moved.")
    assert portal.numbers("moving") == [before[0] + 1, *before]
