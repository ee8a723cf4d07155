"""The first page: what is building, what did not succeed, where each application stands."""

from __future__ import annotations

import re
from datetime import timedelta

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from releases.models import Application, Outcome
from tests import factories
from tests.pages.reading import body, filled_buttons, see, words


def test_home_without_applications_offers_to_register_one(manager: Client) -> None:
    assert "Register your first application" in see(manager, "/")
    assert filled_buttons(body(manager.get("/"))) == ["Register your first application"]


def test_home_without_applications_offers_a_viewer_nothing_to_press(viewer: Client) -> None:
    page = see(viewer, "/")
    assert "No application is registered yet" in page
    assert "Register your first application" not in page


def test_home_shows_what_builds_and_what_waits(manager: Client) -> None:
    shop, billing = factories.application("shop"), factories.application("billing")
    factories.running_build(shop, ref=factories.ref(shop, "v2.0.0"))
    factories.queued_build(billing, ref=factories.ref(billing, "v3.0.0"))
    page = see(manager, "/")
    assert "Building now 2" in page
    assert "shop #1 v2.0.0 Producing" in page
    assert "billing #1 v3.0.0 Queued" in page
    assert "<title> 2 building · Applications" in " ".join(body(manager.get("/")).split())


def test_home_tells_why_a_build_did_not_succeed(manager: Client) -> None:
    factories.finished_build(factories.application("shop"), Outcome.FAILED, "There is no requirements.txt: add one.")
    page = see(manager, "/")
    assert "Did not succeed, last 7 days 1" in page
    assert "shop #1 Failed There is no requirements.txt: add one. now" in page


def test_home_says_when_all_is_well(manager: Client) -> None:
    factories.succeeded_build(factories.application("shop"))
    page = see(manager, "/")
    assert "Nothing is building." in page
    assert "Every build of the last seven days succeeded" in page


def test_home_row_holds_last_release_last_build_and_unbuilt_tag(manager: Client) -> None:
    app = factories.application("shop")
    built = factories.ref(app, "v1.0.0", age=timedelta(days=2))
    factories.succeeded_build(app, ref=built, by=factories.user(username="ana", first_name="Ana", last_name="Gil"))
    factories.finished_build(app, Outcome.TIMED_OUT, "It took longer than it may.")
    factories.ref(app, "v1.1.0", age=timedelta(hours=1))
    page = see(manager, "/")
    row = page[page.index("Unbuilt tag") :]
    assert f"shop v1.0.0 {built.commit[:7]} now Ana Gil Timed out #2" in row
    assert "43.2 MB v1.1.0" in row
    assert 'title="43,187,456 bytes"' in body(manager.get("/"))


def test_home_newest_tag_that_is_built_is_not_called_unbuilt(manager: Client) -> None:
    app = factories.application("shop")
    factories.ref(app, "v1.0.0", age=timedelta(days=9))
    factories.succeeded_build(app, ref=factories.ref(app, "v1.1.0", age=timedelta(days=1)))
    page = see(manager, "/")
    assert "v1.0.0" not in page


def test_home_application_without_a_release(manager: Client) -> None:
    factories.application("stock-feed")
    assert "stock-feed None yet – –" in see(manager, "/")


def test_home_says_that_refs_could_not_be_read(manager: Client) -> None:
    factories.application("shop").note_refs_error("The host was not found; check the address.")
    assert "Refs unread" in see(manager, "/")


def test_home_warns_of_a_moved_tag_until_somebody_has_seen_it(manager: Client) -> None:
    app = factories.application("shop")
    tag = factories.ref(app, "v1.0.0")
    old = factories.succeeded_build(app, ref=tag)
    move = factories.moved(tag)
    page = see(manager, "/")
    assert "Tag v1.0.0 of shop moved." in page
    assert f"It was built as {old.commit[:7]} in #1" in page
    factories.succeeded_build(app, ref=tag)
    assert "Tag v1.0.0 of shop moved." in see(manager, "/")
    answer = manager.post(f"/applications/shop/moves/{move.pk}/seen/", {"back": "home"}, follow=True)
    assert "You have seen that v1.0.0 moved" in words(answer)
    assert "Tag v1.0.0 of shop moved." not in see(manager, "/")


def test_home_shows_thirty_applications_and_finds_the_others(manager: Client) -> None:
    for number in range(60):
        factories.application(f"shop-{number:02d}")
    page = see(manager, "/")
    assert "Last releases 60" in page
    assert "shop-29" in page
    assert "shop-30" not in page
    assert "30 of 60" in page
    assert "shop-59" in see(manager, "/?page=2")
    assert "shop-59" in see(manager, "/?page=99")
    page = see(manager, "/?name=P-5")
    assert "Last releases 10" in page
    assert "shop-55" in page
    assert "shop-49" not in page
    assert "No application is so." in see(manager, "/?name=pear")


def test_home_shows_those_that_need_somebody(manager: Client) -> None:
    good, bad, fresh, unread = (factories.application(name) for name in ("good", "bad", "fresh", "unread"))
    factories.finished_build(good)
    factories.succeeded_build(good, ref=factories.ref(good, "v1.0.0"))
    factories.succeeded_build(bad)
    factories.finished_build(bad)
    factories.running_build(bad)
    factories.ref(fresh, "v1.0.0")
    unread.note_refs_error("The host was not found; check the address.")

    def shown(which: str) -> list[str]:
        return re.findall(
            r'<th scope="row">\s*<a href="/applications/([a-z]+)/">', body(manager.get(f"/?show={which}"))
        )

    assert shown("failing") == ["bad"]
    assert shown("unbuilt") == ["fresh"]
    assert shown("unreleased") == ["fresh", "unread"]
    assert shown("unread") == ["unread"]
    assert shown("nonsense") == ["bad", "fresh", "good", "unread"]


def test_home_shows_eight_of_many_builds_at_work(manager: Client) -> None:
    for _ in range(15):
        factories.running_build()
    page = see(manager, "/now/")
    assert "Building now 15" in page
    assert page.count("Producing") == 8
    assert "7 more in History" in page


def test_home_asks_as_often_for_ten_applications_as_for_two(manager: Client) -> None:
    def fill(count: int) -> int:
        for number in range(count):
            app = factories.application()
            factories.succeeded_build(app, ref=factories.ref(app, "v1.0.0"))
            factories.finished_build(app)
            factories.ref(app, f"v2.{number}.0")
            factories.running_build(app)
        manager.get("/")
        with CaptureQueriesContext(connection) as queries:
            manager.get("/")
        return len(queries)

    few = fill(2)
    assert fill(8) == few
    assert Application.objects.count() == 10
