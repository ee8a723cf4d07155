"""An application's page: refs, what became of them, and the doors to build and to read again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks

from releases.models import Application, Build, Event, Outcome, Ref
from tests import factories
from tests.pages.reading import body, filled_buttons, see, words

PAGE = "/applications/shop/"
NEW_BUILD = f"{PAGE}builds/new/"


@pytest.fixture
def shop(db: None) -> Application:
    app = factories.application("shop", environment={"SECRET_KEY": "not-to-be-seen"})
    Application.objects.filter(pk=app.pk).update(refs_asked_at=timezone.now(), refs_read_at=timezone.now())
    app.refresh_from_db()
    return app


def tags(app: Application, count: int) -> list[Ref]:
    """v1.0.0 is the oldest."""
    return [factories.ref(app, f"v1.{number}.0", age=timedelta(days=count - number)) for number in range(count)]


def test_application_lists_tags_newest_first(manager: Client, shop: Application) -> None:
    tags(shop, 3)
    page = see(manager, PAGE)
    assert page.index("v1.2.0") < page.index("v1.1.0") < page.index("v1.0.0")
    assert f"v1.2.0 {factories.commit('shop v1.2.0')[:7]} What v1.2.0 brings lightweight yesterday Not built" in page


def test_application_shows_each_commits_last_build(manager: Client, shop: Application) -> None:
    first, second, third = tags(shop, 3)
    factories.finished_build(shop, Outcome.FAILED, ref=first)
    factories.succeeded_build(shop, ref=first)
    factories.running_build(shop, ref=second)
    page = see(manager, PAGE)
    assert "Producing #3 Watch #3 , v1.1.0" in page
    assert "Succeeded #2 Build release v1.0.0" in page
    assert filled_buttons(body(manager.get(PAGE))) == [f"Build release {third.name}"]


@pytest.mark.parametrize(
    ("outcomes", "filled"),
    [
        ([None, None, None], ["Build release v1.2.0"]),
        ([None, None, Outcome.SUCCEEDED], []),
        ([None, None, Outcome.FAILED], ["Build release v1.1.0"]),
        ([Outcome.SUCCEEDED, Outcome.SUCCEEDED, None], ["Build release v1.2.0"]),
    ],
)
def test_application_fills_only_the_likely_next_act(
    manager: Client, shop: Application, outcomes: list[Outcome | None], filled: list[str]
) -> None:
    for tag, outcome in zip(tags(shop, 3), outcomes, strict=True):
        if outcome == Outcome.SUCCEEDED:
            factories.succeeded_build(shop, ref=tag)
        elif outcome:
            factories.finished_build(shop, outcome, ref=tag)
    assert filled_buttons(body(manager.get(PAGE))) == filled


def test_application_folds_older_tags_behind_a_link(manager: Client, shop: Application) -> None:
    tags(shop, 12)
    page = see(manager, PAGE)
    assert "v1.5.0" in page
    assert "v1.4.0" not in page
    assert "5 older tags" in page
    everything = see(manager, f"{PAGE}?kind=tag&page=1")
    assert "v1.11.0" in everything
    assert "v1.0.0" in everything
    assert "older tags" not in everything


def test_application_branches_have_their_own_address(manager: Client, shop: Application) -> None:
    factories.ref(shop, "main", kind="branch")
    factories.ref(shop, "v1.0.0")
    page = see(manager, f"{PAGE}?kind=branch")
    assert "Branches 1" in page
    assert "What main brings" in page
    assert "What v1.0.0 brings" not in page
    assert filled_buttons(body(manager.get(f"{PAGE}?kind=branch"))) == []


@pytest.mark.parametrize(
    "query", ["?kind=nonsense", "?kind=tag&page=nonsense", "?kind=tag&page=9999", "?page=-1", "?kind="]
)
def test_application_takes_odd_addresses(manager: Client, shop: Application, query: str) -> None:
    tags(shop, 2)
    assert "v1.1.0" in see(manager, PAGE + query)


def test_application_asks_as_often_for_fifty_refs_as_for_five(manager: Client, shop: Application) -> None:
    def queries(query: str) -> int:
        manager.get(PAGE + query)
        with CaptureQueriesContext(connection) as asked:
            manager.get(PAGE + query)
        return len(asked)

    for tag in tags(shop, 5):
        factories.succeeded_build(shop, ref=tag)
    few = queries("?kind=tag&page=1")
    for number in range(45):
        factories.succeeded_build(shop, ref=factories.ref(shop, f"v2.{number}.0"))
    assert "v2.44.0" in see(manager, f"{PAGE}?kind=tag&page=1")
    assert queries("?kind=tag&page=1") == few
    assert few <= 17


def test_application_shows_release_trends_and_settings(manager: Client, shop: Application) -> None:
    factories.succeeded_build(shop, size=42_100_000)
    factories.succeeded_build(shop, size=43_200_000, by=factories.user(username="ana"))
    page = see(manager, PAGE)
    assert "Last release #2" in page
    assert "by ana" in page
    assert "+1.1 MB in 2 releases" in page
    assert "Image size by build Build Ref Size Note #2 v1.0.0 43.2 MB – #1 v1.0.0 42.1 MB –" in page
    assert "builder 388 MB" in page
    assert "SECRET_KEY" in page
    assert "not-to-be-seen" not in body(manager.get(PAGE))


def test_application_warns_of_a_moved_tag(manager: Client, shop: Application) -> None:
    (tag,) = tags(shop, 1)
    factories.succeeded_build(shop, ref=tag)
    move = factories.moved(tag)
    page = see(manager, PAGE)
    assert "Tag v1.0.0 moved. It was built as" in page
    assert f"{move.before[:7]} in #1 ; the repository now says {move.after[:7]} ." in page
    assert "v1.0.0 moved" in page


def test_application_tag_that_moved_unbuilt_raises_no_alarm(manager: Client, shop: Application) -> None:
    (tag,) = tags(shop, 1)
    factories.moved(tag)
    page = see(manager, PAGE)
    assert "It was built as" not in page
    assert "v1.0.0 moved" in page


def test_application_whose_refs_are_being_read_says_so_and_looks_again(manager: Client, shop: Application) -> None:
    Application.objects.update(refs_asked_at=timezone.now(), refs_read_at=None)
    assert "Refs are being read" in see(manager, PAGE)
    assert "its refs appear here by themselves" in see(manager, PAGE)
    assert f'hx-get="{PAGE}" hx-trigger="every 2s"' in body(manager.get(PAGE))
    Application.objects.update(refs_read_at=timezone.now() + timedelta(seconds=1))
    page = body(manager.get(PAGE))
    assert "hx-trigger" not in page
    assert "The repository has no tags." in page


def test_application_says_why_refs_could_not_be_read_and_what_to_do(manager: Client, shop: Application) -> None:
    tags(shop, 1)
    shop.note_refs_error("The host git.example.org was not found; check the address.")
    page = see(manager, PAGE)
    assert "The refs could not be read. The host git.example.org was not found; check the address." in page
    assert "What stands below is what the repository had when it was last read." in page
    assert "press Read again" in page
    assert "v1.0.0" in page


def test_refresh_asks_for_the_refs(manager: Client, shop: Application) -> None:
    response = manager.post(f"{PAGE}refresh/", follow=True)
    assert "Refs are being read" in words(response)
    assert Event.objects.filter(verb="refs.asked", actor_name="marta").count() == 1


def test_doors_lead_back_when_they_are_only_opened(manager: Client, shop: Application) -> None:
    """After the session ran out, signing in again leads to the address that was posted to."""
    for address in (f"{PAGE}refresh/", NEW_BUILD):
        assert manager.get(address).headers["Location"] == PAGE
    assert not Event.objects.filter(verb__in=["refs.asked", "build.requested"]).exists()


def test_build_release_freezes_the_commit_that_was_seen(manager: Client, shop: Application) -> None:
    (tag,) = tags(shop, 1)
    response = manager.post(NEW_BUILD, {"ref": tag.full_name, "commit": tag.commit})
    build = Build.objects.get()
    assert response.headers["Location"] == build.get_absolute_url()
    assert (build.ref, build.ref_full, build.commit) == ("v1.0.0", "refs/tags/v1.0.0", tag.commit)
    assert build.requested_by is not None
    assert build.requested_by.username == "marta"


def test_build_release_of_a_tag_that_moved_meanwhile_starts_nothing(manager: Client, shop: Application) -> None:
    (tag,) = tags(shop, 1)
    seen = tag.commit
    Ref.objects.update(commit=factories.commit("elsewhere"))
    response = manager.post(NEW_BUILD, {"ref": tag.full_name, "commit": seen}, follow=True)
    assert "v1.0.0 points to" in words(response)
    assert "not to what you saw" in words(response)
    Ref.objects.all().delete()
    response = manager.post(NEW_BUILD, {"ref": tag.full_name, "commit": seen}, follow=True)
    assert "is no longer in the repository, so nothing was started" in words(response)
    assert not Build.objects.exists()


def test_build_release_of_what_no_database_takes_starts_nothing(manager: Client, shop: Application) -> None:
    response = manager.post(NEW_BUILD, {"ref": "refs/tags/v1\0", "commit": "1" * 40}, follow=True)
    assert "is no longer in the repository, so nothing was started" in words(response)
    assert not Build.objects.exists()


def test_build_release_twice_leads_to_the_one_build(manager: Client, shop: Application) -> None:
    (tag,) = tags(shop, 1)
    asked = {"ref": tag.full_name, "commit": tag.commit}
    manager.post(NEW_BUILD, asked)
    response = manager.post(NEW_BUILD, asked)
    assert response.headers["Location"] == Build.objects.get().get_absolute_url()
    assert "is being built already, as #1" in see(manager, PAGE)


def test_build_release_of_a_typed_commit(manager: Client, shop: Application) -> None:
    manager.post(NEW_BUILD, {"ref": " 9f3c1ab "})
    build = Build.objects.get()
    assert (build.ref, build.commit) == ("9f3c1ab", "")


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("", "No ref was given"),
        ("-x", "may not begin with “-”"),
        ("--upload-pack=id", "may not begin with “-”"),
        ("a b", "what git does not allow"),
        ("v1\0", "what git does not allow"),
        ("x" * 300, "too long"),
        ("<script>alert(1)</script> ", "what git does not allow"),
    ],
)
def test_build_release_of_an_impossible_ref_says_why_beside_the_field(
    manager: Client, shop: Application, typed: str, sentence: str
) -> None:
    if typed.startswith("<"):
        typed = "<script>alert(1) </script>"
    response = manager.post(NEW_BUILD, {"ref": typed})
    assert response.status_code == 422
    page = body(response)
    field = page[page.index('id="typed"') :]
    assert sentence in words(response)
    assert 'id="typed-problem"' in field
    assert "<script>alert" not in page
    assert not Build.objects.exists()


def test_build_release_while_redis_is_away_stands_and_says_so(
    manager: Client, shop: Application, monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:  # fmt: skip
    (tag,) = tags(shop, 1)
    away = {"URL": "redis://127.0.0.1:1/0"}
    monkeypatch.setattr(settings, "RQ_QUEUES", {"builds": away, "desk": away})
    with django_capture_on_commit_callbacks(execute=True):
        response = manager.post(NEW_BUILD, {"ref": tag.full_name, "commit": tag.commit})
    assert response.status_code == 302
    assert Build.objects.get().state == "queued"
    assert "Redis does not answer, so it starts when it is back." in see(manager, PAGE)
