"""Every record has its list and its page; what is history cannot be changed by any address of the admin."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.apps import apps
from django.db import connection, models
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from releases.models import Application, Build, Credential, Event, Pause, Preparation, Preview, Workshop
from tests import factories

pytestmark = pytest.mark.django_db

OURS = list(apps.get_app_config("releases").get_models())
HISTORY = [model for model in OURS if model is not Application]
SEARCHED = [model for model in OURS if model is not Workshop]


def rows() -> dict[type[models.Model], models.Model]:
    """One row of each kind, with a secret in every environment."""
    app = factories.application(environment={"TOKEN": "s3cret"})
    factories.moved(factories.ref(app, "v1.0.0"))
    factories.queued_build(app)
    build = factories.succeeded_build(app)
    factories.environment(build)
    factories.comparison(build, factories.succeeded_build(app))
    Preview.objects.create(build=build, environment={"TOKEN": "s3cret"})
    Preparation.objects.request("python3.13-uwsgi", "d" * 64, by=None)
    with connection.cursor() as cursor:  # what a commit does: events get their links
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    Pause.objects.begin("The engine is brought up to date", by=None)
    key = {"kind": "key", "public_key": "ssh-ed25519 AAAA shop", "sealed": "gAAAA"}
    Credential.objects.create(application=factories.application("private-shop"), **key)
    Workshop.objects.create(pk=1, seen_at=timezone.now(), disk_free=5)
    found = {model: model._base_manager.order_by("-pk").first() for model in OURS}
    found[Build] = build
    return {model: row for model, row in found.items() if row is not None}


def address(model: type[models.Model], page: str, *args: object) -> str:
    return reverse(f"admin:releases_{model._meta.model_name}_{page}", args=args)


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_list_shows_the_record_and_its_page_opens(model: type[models.Model], admin: Client) -> None:
    row = rows()[model]
    listed = admin.get(address(model, "changelist"))
    assert listed.status_code == 200
    assert address(model, "change", row.pk) in listed.text
    page = admin.get(address(model, "change", row.pk))
    assert page.status_code == 200
    assert str(row) in page.text


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_list_takes_a_search_and_every_filter(model: type[models.Model], admin: Client) -> None:
    rows()
    listed = admin.get(address(model, "changelist"))
    queries = set(listed.text.split('href="?')[1:])
    for query in ["q=shop", "q=%2742%00", *{found.split('"')[0].replace("&amp;", "&") for found in queries}]:
        assert admin.get(f"{address(model, 'changelist')}?{query}").status_code == 200, query


@pytest.mark.parametrize("model", SEARCHED, ids=lambda model: model.__name__)
def test_search_for_what_is_not_there_finds_nothing(model: type[models.Model], admin: Client) -> None:
    row = rows()[model]
    listed = admin.get(address(model, "changelist"), {"q": "no-such-thing-anywhere"})
    assert address(model, "change", row.pk) not in listed.text


@pytest.mark.parametrize("model", HISTORY, ids=lambda model: model.__name__)
def test_history_cannot_be_added_changed_or_deleted(model: type[models.Model], admin: Client) -> None:
    row = rows()[model]
    before = model._base_manager.values().get(pk=row.pk)
    assert admin.get(address(model, "add")).status_code == 403
    assert admin.post(address(model, "change", row.pk), {"message": "x", "verb": "x"}).status_code == 403
    assert admin.post(address(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    bulk = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
    admin.post(address(model, "changelist"), bulk)
    assert model._base_manager.values().get(pk=row.pk) == before
    page = admin.get(address(model, "change", row.pk)).text
    assert 'name="_save"' not in page
    assert "deletelink" not in page


def test_events_are_found_by_what_they_tell(admin: Client) -> None:
    app = factories.application("fruit-shop")
    Event.objects.record("ref.moved", application=app, data={"ref": "refs/tags/v1.0.0"})
    Event.objects.record("refs.asked", application=app)
    for query in ("v1.0.0", "MOVED", "ref.moved"):
        found = admin.get(address(Event, "changelist"), {"q": query}).context["cl"].result_list
        assert [event.verb for event in found] == ["ref.moved"], query


def test_builds_are_found_by_commit_number_and_digest(admin: Client) -> None:
    build, other = factories.succeeded_build(), factories.succeeded_build()
    assert build.artifact is not None
    for query in (build.commit[:10], build.artifact.sha256):
        text = admin.get(address(Build, "changelist"), {"q": query}).text
        assert address(Build, "change", build.pk) in text
        assert address(Build, "change", other.pk) not in text


def test_values_of_environments_are_not_shown_on_builds_and_previews(admin: Client) -> None:
    app = factories.application()
    build = factories.queued_build(app)
    Build.objects.filter(pk=build.pk).update(environment={"TOKEN": "s3cret"})
    preview = Preview.objects.create(build=factories.succeeded_build(app), environment={"TOKEN": "s3cret"})
    for row in (build, preview):
        text = admin.get(address(type(row), "change", row.pk)).text
        assert "TOKEN" in text
        assert "s3cret" not in text


def test_rows_lead_to_one_another(admin: Client) -> None:
    build = factories.succeeded_build()
    listed = admin.get(address(Build, "changelist")).text
    assert build.artifact is not None
    assert build.image is not None
    for related in (build.artifact, build.image):
        assert address(type(related), "change", related.pk) in listed
    page = admin.get(address(Build, "change", build.pk)).text
    for noun in ("step", "package", "preview", "event"):
        assert f"/admin/releases/{noun}/?build__id__exact={build.pk}" in page
    events = admin.get(f"{address(Event, 'changelist')}?build__id__exact={build.pk}").text
    assert "build.finished" in events


def test_pages_keep_the_strict_policy(admin: Client) -> None:
    found = rows()
    addresses = [address(model, "changelist") for model in OURS]
    addresses += [address(model, "change", row.pk) for model, row in found.items()]
    for place in [*addresses, address(Application, "add"), reverse("admin:index")]:
        answer = admin.get(place)
        policy = answer.headers["Content-Security-Policy"]
        assert "script-src 'self'" in policy
        assert "style-src 'self'" in policy
        assert " style=" not in answer.text, place
        assert "<script>" not in answer.text, place
        assert " onclick=" not in answer.text, place


def test_a_viewer_reads_but_is_offered_no_action(onlooker: Client) -> None:
    build = factories.queued_build()
    listed = onlooker.get(address(Build, "changelist"))
    assert listed.status_code == 200
    assert 'name="action"' not in listed.text
    assert onlooker.get(address(Application, "change", build.application.pk)).status_code == 200
    assert onlooker.get(address(Application, "add")).status_code == 403
    onlooker.post(address(Build, "changelist"), {"action": "cancel", "_selected_action": [build.pk]})
    build.refresh_from_db()
    assert build.state == "queued"


def test_somebody_who_is_not_staff_is_asked_to_sign_in(client: Client) -> None:
    client.force_login(factories.user())
    answer = client.get(address(Build, "changelist"))
    assert answer.status_code == 302
    assert "login" in answer.headers["Location"]


def test_lists_do_not_ask_the_database_for_each_row(
    admin: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    app = factories.application()
    for age in range(12):
        factories.ref(app, f"v1.{age}.0", age=timedelta(days=age))
        factories.succeeded_build(app)
    for model in OURS:
        with django_assert_max_num_queries(20):
            assert admin.get(address(model, "changelist")).status_code == 200
