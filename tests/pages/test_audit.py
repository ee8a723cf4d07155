"""The audit trail as a page and as files: what it says, what its filters let through, how it is leafed."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from releases import actions, people
from releases.models import Application, Event
from releases.views.trail import WORDS
from tests import factories
from tests.pages.reading import body, see, source, words

pytestmark = pytest.mark.django_db

PAGE = "/audit/"


def rows(client: Client, query: str = "") -> list[int]:
    """The events that the page shows, in its order."""
    return [int(part.split('"')[0]) for part in source(client.get(PAGE + query)).split('<tr id="event-')[1:]]


def keys(**filters: object) -> list[int]:
    return list(Event.objects.filter(**filters).order_by("-at", "-id").values_list("pk", flat=True))


@pytest.fixture
def past(db: None) -> Application:
    """What a portal has seen after a while."""
    ana = factories.user(username="ana", first_name="Ana")
    app = actions.register_application(by=ana, name="shop", repository="https://git.example.org/shop.git")
    factories.succeeded_build(app, by=ana, ref=factories.ref(app, "v1.0.0"))
    factories.moved(app.refs.get())
    app.directory = "web"
    actions.change_application(app, by=factories.user(username="bo"))
    factories.queued_build(factories.application("billing"))
    return app


def test_audit_says_who_did_what_where(manager: Client, past: Application) -> None:
    page = see(manager, PAGE)
    assert "bo changed the application's settings working folder app → became web shop" in page
    assert "ana asked for the build v1.0.0" in page
    assert "The portal ended it Succeeded message Released. shop #1" in page
    assert "The portal saw that a tag moved v1.0.0 commit" in page
    assert "marta signed in" in page
    assert re.search(r"ana registered the application \d+ facts", page)


def test_audit_shows_the_newest_first(manager: Client, past: Application) -> None:
    assert rows(manager) == keys()


@pytest.mark.parametrize(
    ("query", "filters"),
    [
        ("?application=shop", {"application__name": "shop"}),
        ("?application=shop&build=1", {"build__number": 1, "application__name": "shop"}),
        ("?by=ana", {"actor_name": "ana"}),
        ("?by=(portal)", {"actor": None}),
        ("?verb=ref.moved", {"verb": "ref.moved"}),
        ("?application=shop&by=ana&verb=build.requested", {"actor_name": "ana", "verb": "build.requested"}),
        ("?application=billing&by=ana", {"pk": 0}),
    ],
)
def test_audit_is_filtered(manager: Client, past: Application, query: str, filters: dict[str, object]) -> None:
    assert rows(manager, query) == keys(**filters)
    found = len(keys(**filters))
    assert f"{found} event" in see(manager, PAGE + query)
    if not found:
        assert "No event matches all of these filters: remove one." in see(manager, PAGE + query)


def test_audit_is_filtered_by_day(manager: Client) -> None:
    days = [datetime(2026, 3, day, 23, 59, tzinfo=UTC) for day in (9, 10, 11)]
    made = [Event.objects.create(verb="refs.asked", at=day).pk for day in days]
    assert rows(manager, "?from=2026-03-10&to=2026-03-10") == [made[1]]
    assert rows(manager, "?to=2026-03-10") == [made[1], made[0]]
    assert made[2] in rows(manager, "?from=2026-03-11")


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("?verb=nonsense", "What: “nonsense” is not known here; known are: build.requested, build.moved_first,"),
        ("?by=nobody", "Who: “nobody” is not known here; known are: (portal), ana, bo"),
        ("?application=other", "Application: “other” is not known here; known are: billing, shop."),
        ("?from=yesterday", "From: write the date as 2026-11-23."),
        ("?build=1", "Build: numbers count per application: choose the application, too."),
        ("?build=x&application=shop", "Build: Enter a whole number."),
        ("?before=x", "Before: Enter a whole number."),
        ("?verb=%00", "What:"),
    ],
)
def test_audit_refuses_what_it_does_not_know(manager: Client, past: Application, query: str, sentence: str) -> None:
    page = see(manager, PAGE + query)
    assert sentence in page
    assert "No event is shown" in page
    assert rows(manager, query) == []
    refused = manager.get(f"{PAGE}{query}&format=csv")
    assert (refused.status_code, sentence[:5] in refused.text) == (400, True)


def test_audit_has_pages_that_stay_the_same_while_more_is_written(manager: Client) -> None:
    at = timezone.now() - timedelta(days=1)
    Event.objects.bulk_create(Event(verb="refs.asked", at=at) for _ in range(120))  # all in one moment
    query = "?verb=refs.asked"
    everything = keys(verb="refs.asked")
    first = rows(manager, query)
    assert first == everything[:50]
    second = rows(manager, f"{query}&before={first[-1]}")
    assert second == everything[50:100]
    Event.objects.bulk_create(Event(verb="refs.asked") for _ in range(60))
    assert rows(manager, f"{query}&before={first[-1]}") == second
    third = rows(manager, f"{query}&before={second[-1]}")
    assert third == everything[100:]
    assert rows(manager, f"{query}&after={third[0]}") == second
    assert rows(manager, f"{query}&after={second[0]}") == first
    page = source(manager.get(f"{PAGE}{query}&before={second[-1]}"))
    assert f'href="?verb=refs.asked&amp;after={third[0]}">Newer<' in page
    assert ">Older<" not in page
    assert ">Newer<" not in source(manager.get(PAGE + query))
    for odd in ("before=999999999", "after=999999999", "before=1"):
        see(manager, f"{PAGE}{query}&{odd}")


def test_audit_counts_no_further_than_a_person_reads(manager: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("releases.views.audit.COUNTED", 10)
    Event.objects.bulk_create(Event(verb="refs.asked") for _ in range(12))
    assert "More than 10 events" in see(manager, f"{PAGE}?verb=refs.asked")


def test_audit_asks_as_often_for_fifty_events_as_for_five(manager: Client, past: Application) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as asked:
            manager.get(f"{PAGE}?application=shop&by=ana")
        return len(asked)

    few = queries()
    for number in range(20):
        factories.succeeded_build(past, by=Event.objects.filter(actor_name="ana")[0].actor, ref=f"v2.{number}")
    assert queries() == few
    assert few <= 14


def test_audit_as_files(manager: Client, past: Application) -> None:
    answer = manager.get(f"{PAGE}?application=shop&verb=application.changed&format=csv")
    [row] = csv.DictReader(io.StringIO(body(answer)))
    assert answer.headers["Content-Disposition"] == 'attachment; filename="audit.csv"'
    assert (row["who"], row["verb"], row["application"]) == ("bo", "application.changed", "shop")
    assert row["sentence"] == "bo changed the application's settings (working folder: app → web)"
    assert json.loads(row["data"]) == {"directory": ["app", "web"]}
    assert row["address"].endswith("/applications/shop/")
    everything = json.loads(body(manager.get(f"{PAGE}?format=json")))["events"]
    assert [event["id"] for event in everything] == keys()
    assert everything[0].keys() >= {"at", "who", "verb", "sentence", "application", "build", "data", "address"}
    assert manager.get(f"{PAGE}?format=xml").status_code == 400


def test_files_hold_no_formula(manager: Client) -> None:
    Event.objects.record("ref.created", data={"ref": "x"}, by=factories.user(username="cmd"))
    Event.objects.create(verb="=1+1")
    assert "'=1+1" in body(manager.get(f"{PAGE}?format=csv"))


def test_audit_takes_events_of_any_shape(manager: Client) -> None:
    for data in ({}, {"ref": None}, {"from": 1, "to": [2]}, {"x": {"y": "<b>"}}, {"refs": ["a", "b", "c"]}):
        Event.objects.record("ref.moved", data=data)
        Event.objects.record("something.new", data=data)
        Event.objects.record("application.changed", data=data)
    page = body(manager.get(PAGE))
    assert "something.new" in page
    assert "<b>&quot;" not in page
    assert "{&quot;y&quot;: &quot;&lt;b&gt;&quot;}" in page


@pytest.mark.parametrize("may", [True, False])
def test_audit_is_seen_by_whom_it_is_for(may: bool) -> None:
    client, someone = Client(), factories.user(role="")
    codenames = ["view_build", "view_event"] if may else ["view_build"]
    someone.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client.force_login(someone)
    answer = client.get(PAGE)
    assert answer.status_code == (200 if may else 403)
    assert may or "ask an administrator for “view event”" in words(answer)
    assert ('href="/audit/"' in body(client.get("/"))) is may


def test_viewers_see_the_trail_and_nobody_without_signing_in(viewer: Client, client: Client) -> None:
    see(viewer, PAGE)
    assert client.get(PAGE).status_code == 302


def test_pages_lead_to_their_part_of_the_trail(manager: Client, past: Application) -> None:
    assert f'href="{PAGE}?application=shop"' in body(manager.get("/applications/shop/"))
    page = body(manager.get("/applications/shop/builds/1/"))
    assert f'href="{PAGE}?application=shop&amp;build=1"' in page


def test_every_verb_that_is_written_has_words() -> None:
    """The verbs are literals in the code, but for those of stacks and accounts, which are put together."""
    code = "\n".join(path.read_text() for path in Path("releases").rglob("*.py"))
    written = set(re.findall(r'record(?:_each)?\(\s*"([a-z_]+\.[a-z_]+)"', code))
    assert len(written) > 20
    assert written <= WORDS.keys()


# ---- people --------------------------------------------------------------------------------------------------


def sign_in(client: Client, name: str, password: str) -> None:
    client.post("/accounts/login/", {"username": name, "password": password}, REMOTE_ADDR="192.0.2.7")


def told(verb: str) -> list[Event]:
    return list(Event.objects.filter(verb=verb).order_by("id"))


def test_signing_in_and_out_is_told(client: Client) -> None:
    ana = factories.user(username="ana")
    sign_in(client, "ana", factories.PASSWORD)
    client.post("/accounts/logout/")
    [began], [ended] = told("session.began"), told("session.ended")
    assert (began.actor, began.data) == (ana, {"address": "192.0.2.7"})
    assert ended.actor == ana
    client.post("/accounts/logout/")
    assert len(told("session.ended")) == 1


def test_refused_sign_in_is_told_without_what_may_be_a_password(client: Client) -> None:
    factories.user(username="ana")
    sign_in(client, "ana", "wrong")
    sign_in(client, "plum-pear-quince", "")
    sign_in(client, "plum-pear-quince", "x")
    assert [event.data for event in told("session.refused")] == [
        {"account": "ana", "address": "192.0.2.7"},
        {"account": None, "address": "192.0.2.7"},
    ]


def test_refusals_do_not_fill_the_trail(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "MOST_REFUSED", 3)
    for number in range(6):
        sign_in(client, f"nobody{number}", "x")
    assert len(told("session.refused")) == 3


def test_own_password_is_told_when_it_is_changed(manager: Client) -> None:
    new = "quince-and-medlar-7"
    fields = {"old_password": "wrong", "new_password1": new, "new_password2": new}
    manager.post("/accounts/password/", fields)
    assert told("account.password_changed") == []
    manager.post("/accounts/password/", {**fields, "old_password": factories.PASSWORD})
    [event] = told("account.password_changed")
    assert (event.actor_name, event.data) == ("marta", {"account": "marta"})
