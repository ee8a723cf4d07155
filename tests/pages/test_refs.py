"""The table of refs: its order, the search, the pages, what tags say; and the rule for new tags in the settings."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from releases.models import Application, Event
from tests import factories
from tests.pages.reading import body, filled_buttons, see, source, words

PAGE = "/applications/shop/"
SETTINGS = f"{PAGE}settings/"


@pytest.fixture
def shop(db: None) -> Application:
    app = factories.application("shop")
    Application.objects.filter(pk=app.pk).update(
        refs_asked_at=timezone.now(), refs_read_at=timezone.now(), refs_good_at=timezone.now()
    )
    app.refresh_from_db()
    return app


def order(page: str, *names: str) -> bool:
    places = [page.index(f" {name} ") for name in names]
    return places == sorted(places)


def test_tags_stand_by_version_and_the_rest_by_date(manager: Client, shop: Application) -> None:
    for age, name in enumerate(("v1.9.0", "nightly", "v1.10.0-rc1", "v1.10.0", "autumn")):
        factories.ref(shop, name, age=timedelta(days=age))
    assert order(see(manager, PAGE), "v1.10.0", "v1.10.0-rc1", "v1.9.0", "nightly", "autumn")


@pytest.mark.parametrize(
    ("words_", "found", "others"),
    [
        ("1.2", ["v1.2.0", "v1.20.0"], ["v1.3.0", "nightly"]),
        ("V1.2*", ["v1.2.0", "v1.20.0"], ["v1.3.0"]),
        ("*3.0", ["v1.3.0"], ["v1.2.0", "nightly"]),
        ("NIGHT", ["nightly"], ["v1.2.0"]),
        ("refs/tags/nightly", ["nightly"], ["v1.2.0"]),
        ("v1.(*", [], ["v1.2.0"]),
        ("%", [], ["v1.2.0"]),
    ],
)
def test_tags_are_found(manager: Client, shop: Application, words_: str, found: list[str], others: list[str]) -> None:
    for name in ("v1.2.0", "v1.20.0", "v1.3.0", "nightly"):
        factories.ref(shop, name)
    answer = manager.get(PAGE, {"kind": "tag", "q": words_})
    page = words(answer)
    for name in found:
        assert f"What {name} brings" in page
    for name in others:
        assert f"What {name} brings" not in page
    assert f'value="{words_}"' in body(answer)
    if not found:
        assert f"No tag matches “{words_}”." in page
    else:
        assert f"{len(found)} match" in page


def test_tag_is_found_by_its_commit(manager: Client, shop: Application) -> None:
    tag, other = factories.ref(shop, "v1.2.0"), factories.ref(shop, "v1.3.0")
    page = see(manager, f"{PAGE}?kind=tag&q={tag.commit[:8].upper()}")
    assert f"What {tag.name} brings" in page
    assert f"What {other.name} brings" not in page


@pytest.mark.parametrize("query", ["?kind=tag&q=%00", "?kind=branch&q=x", f"?q={'x' * 5000}", "?q=v1&page=99", "?q=+"])
def test_odd_searches_are_answered(manager: Client, shop: Application, query: str) -> None:
    factories.ref(shop, "v1.2.0")
    see(manager, PAGE + query)


def test_tags_have_pages_and_the_search_keeps_them(manager: Client, shop: Application) -> None:
    for number in range(210):
        factories.ref(shop, f"v1.{number}")
    factories.ref(shop, "w1")
    first, last = see(manager, f"{PAGE}?kind=tag&page=1"), see(manager, f"{PAGE}?kind=tag&page=5")
    assert order(first, "v1.209", "v1.160")
    assert "v1.159 " not in first
    assert order(last, "v1.9", "v1.0", "w1")
    assert "50 of 211" in first
    found = manager.get(f"{PAGE}?kind=tag&q=v1")
    assert f'href="{PAGE}?kind=tag&amp;q=v1&amp;page=5"' in source(found)
    assert "50 of 210" in words(found)
    assert "v1.9 " in see(manager, f"{PAGE}?kind=tag&q=v1&page=99")


def test_search_stands_only_where_there_is_something_to_look_through(manager: Client, shop: Application) -> None:
    factories.ref(shop, "v1.2.0")
    assert 'id="find-ref"' not in body(manager.get(PAGE))
    for number in range(7):
        factories.ref(shop, f"v2.{number}")
    assert 'id="find-ref"' in body(manager.get(PAGE))


def test_application_asks_as_often_for_a_thousand_tags(manager: Client, shop: Application) -> None:
    def queries(query: str) -> int:
        manager.get(PAGE + query)
        with CaptureQueriesContext(connection) as asked:
            manager.get(PAGE + query)
        return len(asked)

    for number in range(8):
        factories.ref(shop, f"v1.{number}")
    addresses = ("", "?kind=tag&page=1", "?kind=tag&q=v1")
    few = [queries(address) for address in addresses]
    for number in range(8, 1000):
        factories.ref(shop, f"v1.{number}")
    assert [queries(address) for address in addresses] == few
    assert max(few) <= 18


@pytest.mark.parametrize(
    ("built", "released", "filled"),
    [
        ("v2.0.0", 10, ["Build release v1.9.1"]),  # a later mend of an older line
        ("v2.0.0", 0, []),
        ("", 0, ["Build release v2.0.0"]),
    ],
)
def test_filled_button_stands_beside_the_newest_unbuilt_tag(
    manager: Client, shop: Application, built: str, released: int, filled: list[str]
) -> None:
    for name in ("v2.0.0", "v1.9.1"):
        tag = factories.ref(shop, name, age=timedelta(days=released if name == "v2.0.0" else 1))
        if name == built:
            factories.succeeded_build(shop, ref=tag)
    assert filled_buttons(body(manager.get(PAGE))) == filled


def test_tags_say_what_they_are(manager: Client, shop: Application) -> None:
    about: dict[str, Any] = {"annotated": True, "tagger": "Ana Gil <ana@example.org>", "tagged_at": timezone.now()}
    factories.ref(shop, "v1.0.0")
    factories.ref(shop, "v1.1.0", message="Ripe pears", **about)
    factories.ref(shop, "v1.2.0", message="Ripe figs", signature="ssh", **about)
    page = see(manager, PAGE)
    assert "What v1.0.0 brings lightweight" in page
    assert "annotated v1.1.0 “Ripe pears” Ana Gil <ana@example.org>," in page
    assert "signed, not checked v1.2.0 “Ripe figs”" in page
    assert "Signed (SSH). The signature is not checked here" in page
    markup = body(manager.get(PAGE))
    for shape in ("light", "note", "signed"):
        assert f'href="#i-{shape}"' in markup
    factories.ref(shop, "main", kind="branch")
    assert "lightweight" not in see(manager, f"{PAGE}?kind=branch")


def test_page_says_when_the_refs_were_read_and_when_they_are_next(manager: Client, shop: Application) -> None:
    assert "Refs read now , again in 5 min Read again" in see(manager, PAGE)


def test_page_says_since_when_reading_fails_and_when_it_is_tried_next(manager: Client, shop: Application) -> None:
    factories.ref(shop, "v1.0.0")
    Application.objects.update(refs_good_at=timezone.now() - timedelta(hours=3))
    for _ in range(3):
        shop.note_refs_error("The host git.example.org was not found; check the address.")
    Application.objects.update(refs_failed_since=timezone.now() - timedelta(hours=2))
    page = see(manager, PAGE)
    assert "Refs could not be read now , next try in 40 min" in page
    assert "It failed 3 times in a row, first 2 hours ago ." in page
    assert "What stands below is what the repository had when it was last read, 3 hours ago ." in page
    assert "It is tried again by itself in 40 min ;" in page


def test_reading_that_waits_for_a_worker_is_next_now(manager: Client, shop: Application) -> None:
    Application.objects.update(refs_asked_at=None, refs_read_at=timezone.now() - timedelta(hours=9))
    assert "again now" in see(manager, PAGE)


# ---- the rule ------------------------------------------------------------------------------------------------


def test_settings_show_which_known_tags_a_rule_matches(manager: Client, shop: Application) -> None:
    for name in ("v1.0.0", "v1.10.0", "v1.9.0-rc1", "nightly"):
        factories.ref(shop, name)
    Application.objects.update(rule="v*, !*-rc*")
    page = see(manager, SETTINGS)
    assert "2 of the 4 known tags match: v1.10.0 , v1.0.0 ." in page
    assert "They exist already, so they are not built by themselves." in page


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("v*", "2 of the 3 known tags match: v1.1.0 , v1.0.0 ."),
        ("v1.0*", "1 of the 3 known tags matches: v1.0.0 ."),
        ("release-*", "None of the 3 known tags matches."),
        ("", "None of the 3 known tags matches."),
        ("v[0", "close the bracket"),
        ("a b", "can match no tag"),
        ("\0", "can match no tag"),
        ("v*," * 2000, "at most 20 patterns"),
    ],
)
def test_rule_is_tried_while_it_is_typed(manager: Client, shop: Application, typed: str, sentence: str) -> None:
    for name in ("v1.0.0", "v1.1.0", "nightly"):
        factories.ref(shop, name)
    answer = manager.get(f"{SETTINGS}rule/", {"rule": typed})
    assert answer.status_code == 200
    assert sentence in words(answer)


def test_many_matches_are_counted(manager: Client, shop: Application) -> None:
    for number in range(12):
        factories.ref(shop, f"v1.{number}")
    assert "v1.4 and 4 more." in words(manager.get(f"{SETTINGS}rule/?rule=v*"))


def test_rule_is_saved_told_and_waits_for_the_next_reading(manager: Client, shop: Application) -> None:
    fields = {"repository": shop.repository, "stack": shop.stack, "requirements": "requirements.txt", "probe_path": "/"}
    fields |= {"directory": "app", "module": "app", "callable": "app", "probe_policy": "record"}
    answer = manager.post(SETTINGS, {**fields, "rule": " v*,!*-rc* "}, follow=True)
    page = words(answer)
    assert "v*, !*-rc* are built by themselves , as soon as the refs have been read once more" in page
    assert Event.objects.get(verb="application.changed").data == {"rule": ["", "v*, !*-rc*"]}
    shop.refresh_from_db()
    assert (shop.rule_armed, shop.refs_are_being_read) == (False, True)
    refused = manager.post(SETTINGS, {**fields, "rule": "refs/tags/v*"})
    assert refused.status_code == 422
    assert "“refs/tags/v*”: write the tag's name alone, without refs/tags/." in words(refused)
    shop.refresh_from_db()
    assert shop.rule == "v*, !*-rc*"
    assert "changed the application's settings rule nothing → became v*, !*-rc*" in see(
        manager, "/audit/?verb=application.changed"
    )


def test_page_says_what_the_rule_left(manager: Client, shop: Application) -> None:
    Application.objects.update(rule="v*", rule_armed=True, rule_note="9 new tags matched the rule at once.")
    page = see(manager, PAGE)
    assert "9 new tags matched the rule at once." in page
    assert "v* are built by themselves" in page
