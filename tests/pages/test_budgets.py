"""Budgets of size on the pages: where they are set, and where a release that is over one says so."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from releases.models import Build, Event
from releases.specs import Budget, Budgets, Crossing, Grown
from tests import factories
from tests.pages.reading import body, see, words
from tests.pages.test_register import USUAL, beside

SETTINGS = "/applications/shop/settings/"
ADMIN = "/admin/releases/application/"


@pytest.fixture(autouse=True)
def _redis_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("releases.jobs.doorbell.answers", lambda: True)


def test_budgets_are_set_recorded_and_unfolded(manager: Client) -> None:
    app = factories.application("shop")
    fields = USUAL | {"image_budget_mb": "45", "image_budget_policy": "fail", "growth_budget": "10"}
    assert "are saved" in words(manager.post(SETTINGS, fields, follow=True))
    app.refresh_from_db()
    assert app.budgets() == Budgets(image=Budget(45_000_000, "fail"), growth=Budget(10, "warn"))
    changed = Event.objects.get(verb="application.changed").data
    assert changed["image_budget_mb"] == [None, 45]
    assert changed["image_budget_policy"] == ["warn", "fail"]
    page = " ".join(body(manager.get(SETTINGS)).split())
    assert "<details open> <summary> Size budgets" in page
    manager.post(SETTINGS, USUAL | {"image_budget_mb": ""})
    app.refresh_from_db()
    assert (app.budgets(), app.image_budget_policy) == (Budgets(), "fail")  # what was not said stays


@pytest.mark.parametrize(
    ("field", "typed", "sentence"),
    [
        ("image_budget_mb", "0", "Write whole megabytes from 1 to 20,000, or leave it empty for no budget."),
        ("image_budget_mb", "-5", "Write whole megabytes from 1 to 20,000, or leave it empty for no budget."),
        ("archive_budget_mb", "20001", "Write whole megabytes from 1 to 20,000, or leave it empty for no budget."),
        ("archive_budget_mb", "9" * 30, "Write whole megabytes from 1 to 20,000, or leave it empty for no budget."),
        ("image_budget_mb", "45.5", "Write a whole number, or leave it empty for no budget."),
        ("growth_budget", "a lot", "Write a whole number, or leave it empty for no budget."),
        ("growth_budget", "1001", "Write whole per cent from 1 to 1,000, or leave it empty for no budget."),
        ("growth_budget_policy", "nag", "Select a valid choice. nag is not one of the available choices."),
    ],
)
def test_budgets_that_make_no_sense_are_refused_beside_their_field(
    manager: Client, admin_client: Client, field: str, typed: str, sentence: str
) -> None:
    app = factories.application("shop")
    refused = manager.post(SETTINGS, USUAL | {field: typed})
    assert refused.status_code == 422
    assert beside(body(refused), field).startswith(sentence)
    assert "<details open> <summary> Size budgets" in " ".join(body(refused).split())
    asked = {name: getattr(app, name) or "" for name in USUAL if name != "name"} | {field: typed}
    assert sentence in words(admin_client.post(f"{ADMIN}{app.pk}/change/", asked))
    assert not Event.objects.filter(verb="application.changed").exists()


# ---- where a release that is over one says so ------------------------------------------------------------------------


def over(**fields: Any) -> Build:
    """The second release of the shop, over its image budget of 45 MB since the first."""
    app = factories.application("shop", image_budget_mb=45, archive_budget_mb=12)
    factories.succeeded_build(app, size=46_000_000)
    grown = Grown("package", "numpy", "", "2.3.4", 2_000_000)
    crossing = Crossing("image", "warn", 48_100_000, 45_000_000, 1, 1, 46_000_000, grew=(grown,))
    return factories.succeeded_build(app, size=48_100_000, crossings=[crossing.as_json()], **fields)


SENTENCE = (
    "The image, 48.1 MB, is 3.1 MB over its budget of 45 MB. Releases have been over it since #1. "
    "Grown most since #1: numpy 2.3.4 by 2.0 MB (new)."
)


def test_page_of_a_release_over_budget_says_by_how_much_since_when_and_what_grew(
    manager: Client, viewer: Client
) -> None:
    build = over()
    page = see(manager, build.get_absolute_url())
    assert "Succeeded over budget" in page
    assert f"Over budget. {SENTENCE} Change the budget" in page
    assert "app.tar.gz budget 12 MB: 8.6 MB to spare." in page
    assert "Budgets image 45 MB (warns), app.tar.gz 12 MB (warns)" in page
    assert "Change the budget" not in see(viewer, build.get_absolute_url())


def test_over_budget_is_said_wherever_the_release_stands(manager: Client) -> None:
    over()
    application = see(manager, "/applications/shop/")
    assert f"The last release, #2, is over budget. {SENTENCE} See #2" in application
    assert "Succeeded over budget the portal 48.1 MB" in application
    assert "Budgets image 45 MB (warns), app.tar.gz 12 MB (warns)" in application
    assert "v1.0.0 over budget" in see(manager, "/")
    assert "shop #2 Succeeded over budget" in see(manager, "/history/")


def test_release_within_its_budgets_is_marked_nowhere(manager: Client) -> None:
    factories.succeeded_build(factories.application("shop", image_budget_mb=45))
    for address in ("/", "/history/", "/applications/shop/", "/applications/shop/builds/1/"):
        assert "over budget" not in see(manager, address).lower(), address
    assert "Image budget 45 MB: 1.8 MB to spare." in see(manager, "/applications/shop/builds/1/")


def test_crossing_is_a_line_of_the_record(manager: Client) -> None:
    build = over()
    Event.objects.record("budget.crossed", build=build, data={"budget": "image"})
    assert "The portal found a budget crossed" in see(manager, build.get_absolute_url())


def test_growth_is_said_in_per_cent() -> None:
    crossing = Crossing("growth", "warn", 52_000_000, 44_000_000, 7, 7, 40_000_000, percent=10)
    assert crossing.sentence() == ("The image, 52.0 MB, is 30.0 % larger than #7, 40.0 MB; 10 % are allowed.")
    assert crossing.short() == "image 30.0 % larger, 10 % allowed"
