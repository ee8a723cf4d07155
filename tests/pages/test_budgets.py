"""Budgets of size on the pages: where they are set, and where a release that is over one says so."""

from __future__ import annotations

import pytest
from django.test import Client

from releases.models import Event
from releases.specs import Budget, Budgets
from tests import factories
from tests.pages.reading import body, words
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
