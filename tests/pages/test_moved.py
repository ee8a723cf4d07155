"""A tag that moved or vanished: on the ref, on every build of its old commit, and what a person does about it."""

from __future__ import annotations

import csv
import io

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from releases.models import Application, Build, Event, Move
from releases.specs.budget import Crossing
from tests import factories
from tests.pages.reading import body, filled_buttons, see, words

PAGE = "/applications/shop/"


@pytest.fixture
def shop(db: None) -> Application:
    return factories.application("shop")


def built_and_moved(app: Application, name: str = "v1.0.0", to: str = "elsewhere") -> tuple[Build, Move]:
    tag = factories.ref(app, name)
    build = factories.succeeded_build(app, ref=tag)
    return build, factories.moved(tag, to)


def seen(client: Client, move: Move, **fields: str) -> str:
    return words(client.post(f"{PAGE}moves/{move.pk}/seen/", fields, follow=True))


def test_alarm_stands_on_the_ref_on_every_build_and_in_the_trail(manager: Client, shop: Application) -> None:
    tag = factories.ref(shop, "v1.0.0")
    first = factories.succeeded_build(shop, ref=tag)
    second = factories.finished_build(shop, ref=tag)
    move = factories.moved(tag)
    other = factories.succeeded_build(shop, ref=tag)
    page = see(manager, PAGE)
    assert f"Tag v1.0.0 moved. It was built as {move.before[:7]} in #2 , {move.before[:7]} in #1 ;" in page
    assert "if the new commit is meant, build it and use that release; if not, have the tag put back." in page
    assert page.count("tag moved") == 2
    assert f"the repository now says {move.after[:7]} , released in #{other.number} ( compare the two )." in page
    assert f'href="{PAGE}compare/{second.number}...{other.number}/"' in body(manager.get(PAGE))
    for build in (first, second):
        there = see(manager, build.get_absolute_url())
        assert "Tag v1.0.0 moved away from this commit. This build is of" in there
        assert f"the repository now says {move.after[:7]} , released in #{other.number}" in there
        assert "What was built here has not changed." in there
        assert f"make sure that {move.before[:7]} is what you mean" in there
    assert "moved away" not in see(manager, other.get_absolute_url())
    assert f"saw that a tag moved v1.0.0 commit {move.before} → became {move.after}" in see(manager, "/audit/")
    assert see(manager, "/history/").count("tag moved") == 2


def test_alarm_that_was_seen_leaves_the_pages_but_not_the_build(manager: Client, shop: Application) -> None:
    build, move = built_and_moved(shop)
    assert "You have seen that v1.0.0 moved" in seen(manager, move)
    assert "It was built as" not in see(manager, PAGE)
    assert "It was built as" not in see(manager, "/")
    assert "v1.0.0 moved" in see(manager, PAGE)
    assert "tag moved" in see(manager, "/history/")
    page = see(manager, build.get_absolute_url())
    assert "Tag v1.0.0 moved away from this commit." in page
    assert "Seen by Marta Ruiz" in page
    told = Event.objects.get(verb="ref.move_seen")
    assert (told.actor_name, told.data["from"]) == ("marta", move.before)
    assert "You have seen" not in seen(manager, move)
    assert Event.objects.filter(verb="ref.move_seen").count() == 1


def test_alarm_is_seen_by_release_managers_alone(viewer: Client, shop: Application) -> None:
    _build, move = built_and_moved(shop)
    assert "Tag v1.0.0 moved." in see(viewer, PAGE)
    assert "I have seen it" not in see(viewer, PAGE)
    assert viewer.post(f"{PAGE}moves/{move.pk}/seen/").status_code == 403
    assert Move.objects.open().count() == 1


@pytest.mark.parametrize("address", ["moves/999999/seen/", "moves/0/seen/"])
def test_seeing_a_move_that_is_not_there(manager: Client, shop: Application, address: str) -> None:
    assert manager.post(PAGE + address).status_code == 404


def test_seeing_only_opened_leads_back(manager: Client, shop: Application) -> None:
    _build, move = built_and_moved(shop)
    assert manager.get(f"{PAGE}moves/{move.pk}/seen/").headers["Location"] == PAGE
    assert Move.objects.open().count() == 1


def test_vanished_tag_is_a_row_without_a_button(manager: Client, shop: Application) -> None:
    build, move = built_and_moved(shop, to="")
    factories.ref(shop, "v1.1.0")
    page = see(manager, PAGE)
    assert "Tag v1.0.0 is gone. It was built as" in page
    assert "the repository has no such tag any more." in page
    assert f"v1.0.0 gone {move.before[:7]} no longer in the repository" in page
    assert "Build release v1.0.0" not in page
    assert "Tag v1.0.0 of shop is gone." in see(manager, "/")
    assert "Tag v1.0.0 is gone from the repository." in see(manager, build.get_absolute_url())
    assert "tag gone" in see(manager, "/history/")
    seen(manager, move)
    assert "no longer in the repository" not in see(manager, PAGE)


def test_vanished_tag_of_which_nothing_was_built_is_no_alarm(manager: Client, shop: Application) -> None:
    factories.moved(factories.ref(shop, "v1.0.0"), "")
    assert "gone" not in see(manager, PAGE)


def test_tag_that_is_back_is_told_so(manager: Client, shop: Application) -> None:
    tag = factories.ref(shop, "v1.0.0")
    build = factories.succeeded_build(shop, ref=tag)
    there = factories.moved(tag)
    back = Move.objects.create(
        application=shop, name=tag.name, full_name=tag.full_name, before=there.after, after=there.before,
        noticed_at=there.noticed_at,
    )  # fmt: skip
    tag.commit = there.before
    tag.save()
    assert "it was elsewhere for a while, and the repository says this commit again." in see(manager, PAGE)
    assert "Tag v1.0.0 was moved away from this commit, and is back." in see(manager, build.get_absolute_url())
    seen(manager, there)
    seen(manager, back)
    assert Move.objects.open().count() == 0


def test_one_tag_that_moved_twice_is_one_alarm_and_seen_at_once(manager: Client, shop: Application) -> None:
    tag = factories.ref(shop, "v1.0.0")
    factories.succeeded_build(shop, ref=tag)
    factories.moved(tag, "first")
    factories.succeeded_build(shop, ref=tag)
    last = factories.moved(tag, "second")
    page = see(manager, PAGE)
    assert page.count("Tag v1.0.0 moved.") == 1
    assert f"the repository now says {last.after[:7]}" in page
    seen(manager, last)
    assert Move.objects.open().count() == 0
    assert Event.objects.filter(verb="ref.move_seen").count() == 2


def test_build_of_another_ref_with_that_commit_tells_it_too(manager: Client, shop: Application) -> None:
    tag = factories.ref(shop, "v1.0.0")
    build = factories.succeeded_build(
        shop, ref="main", ref_full="refs/heads/main", ref_kind="branch", commit=tag.commit
    )
    factories.moved(tag)
    page = see(manager, build.get_absolute_url())
    assert "Tag v1.0.0 moved away from this commit. The tag was at this build's commit," in page


def test_build_whose_tag_moved_before_it_was_taken_up_says_so(manager: Client, shop: Application) -> None:
    tag = factories.ref(shop, "v1.0.0")
    build = factories.queued_build(shop, ref=tag)
    factories.moved(tag)
    sentence = "It happened after this build was asked for and before it was checked out"
    assert sentence in see(manager, build.get_absolute_url())
    assert build.take_up(worker="forge-1")
    assert sentence in see(manager, build.get_absolute_url())


def test_many_alarms_are_counted(manager: Client, shop: Application) -> None:
    for number in range(7):
        built_and_moved(shop, f"v1.{number}.0", f"commit {number}")
    page = see(manager, "/")
    assert page.count("of shop moved.") == 5
    assert "2 more tags moved or are gone; they come up when you have seen these." in page


def test_pages_ask_as_often_for_many_moves_as_for_two(manager: Client, shop: Application) -> None:
    def queries(address: str) -> int:
        manager.get(address)
        with CaptureQueriesContext(connection) as asked:
            manager.get(address)
        return len(asked)

    for number in range(2):
        built_and_moved(shop, f"v1.{number}.0", f"commit {number}")
    few = {address: queries(address) for address in ("/", PAGE, "/history/")}
    for number in range(2, 30):
        built_and_moved(shop, f"v1.{number}.0", f"commit {number}")
    assert {address: queries(address) for address in few} == few


def test_files_of_the_history_hold_the_mark_and_the_rule(manager: Client, shop: Application) -> None:
    built_and_moved(shop)
    factories.queued_build(shop, ref=factories.ref(shop, "v1.1.0"), rule="v*")
    rows = list(csv.DictReader(io.StringIO(body(manager.get("/history/?format=csv")))))
    assert [(row["ref"], row["tag_moved"], row["rule"], row["asked_by_name"]) for row in rows] == [
        ("v1.1.0", "False", "v*", "the portal"),
        ("v1.0.0", "True", "", "the portal"),
    ]


def test_files_of_the_history_name_the_budgets_that_were_crossed(manager: Client, shop: Application) -> None:
    crossing = Crossing("image", "warn", 46_000_000, 45_000_000, 0)
    factories.succeeded_build(shop, size=46_000_000, crossings=[crossing.as_json()])
    factories.succeeded_build(shop, ref="v0.9.0")
    rows = list(csv.DictReader(io.StringIO(body(manager.get("/history/?format=csv")))))
    assert [(row["number"], row["over_budget"]) for row in rows] == [("2", ""), ("1", "image")]


def test_build_by_a_rule_says_which(manager: Client, shop: Application) -> None:
    build = factories.queued_build(shop, ref=factories.ref(shop, "v1.1.0"), rule="v*")
    page = see(manager, build.get_absolute_url())
    assert "the rule v*" in page
    assert "The portal asked for the build: a new tag matched the rule v*" in page
    assert "the rule v*" in see(manager, "/history/")
    assert "the rule v*" in see(manager, PAGE)


def test_alarms_leave_the_one_filled_button_alone(manager: Client, shop: Application) -> None:
    built_and_moved(shop)
    factories.ref(shop, "v1.1.0")
    assert filled_buttons(body(manager.get(PAGE))) == ["Build release v1.1.0"]
