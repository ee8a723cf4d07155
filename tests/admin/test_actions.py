"""What can be done in the admin is done as on the pages: same checks, same Events, and each row is answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import models
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from releases.models import Application, Build, Event, Outcome, Ref, State
from releases.storage import Blobs
from tests import factories

pytestmark = pytest.mark.django_db

FIELDS: dict[str, Any] = {
    "name": "fruit-shop",
    "repository": "https://git.example.org/shop/fruit-shop.git",
    "stack": "python3.13-uwsgi",
    "directory": "app",
    "module": "app",
    "callable": "app",
    "requirements": "requirements.txt",
    "probe_path": "/",
    "probe_policy": "record",
    "environment": "",
}
ADD = "admin:releases_application_add"


def act(client: Client, action: str, *rows: models.Model) -> str:
    """Choose an action for rows of a list; the page that answers, as text."""
    address = reverse(f"admin:releases_{rows[0]._meta.model_name}_changelist")
    chosen = {"action": action, "_selected_action": [row.pk for row in rows]}
    answer: HttpResponse = client.post(address, chosen, follow=True)  # type: ignore[assignment] # the client's own kind of it
    assert answer.status_code == 200
    return answer.content.decode()


def change(application: Application) -> str:
    return reverse("admin:releases_application_change", args=[application.pk])


# ---- applications --------------------------------------------------------------------------------------


def test_register(staff: Client) -> None:
    answer = staff.post(reverse(ADD), {**FIELDS, "environment": "GREETING=hola", "memory_mb": "256"}, follow=True)
    assert answer.status_code == 200
    app = Application.objects.get()
    assert (app.name, app.environment, app.memory_mb) == ("fruit-shop", {"GREETING": "hola"}, 256)
    assert app.created_by == User.objects.get(username="marta")
    assert Event.objects.get(verb="application.registered").actor == app.created_by
    assert app.refs_are_being_read


def test_add_form_begins_with_the_default_stack(admin: Client) -> None:
    assert 'value="python3.13-uwsgi"' in admin.get(reverse(ADD)).text


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("repository", "http://git.example.org/x.git", "is not allowed here"),
        ("repository", "-x", "may not begin with"),
        ("repository", "https://me:pw@git.example.org/x.git", "credentials"),
        ("stack", "no-such-stack", "no-such-stack"),
        ("name", "Fruit Shop", "Use lower-case letters"),
        ("name", "new", "choose another name"),
        ("module", "app:app", "Write the module"),
        ("directory", "../x", "Write a folder"),
        ("environment", "A B=x", "is no name for an environment variable"),
        ("environment", "A", "write NAME=value"),
        ("environment", 'A="\\ud800"', "must be plain text"),
        ("memory_mb", "5", "greater than or equal to 128"),
    ],
)
def test_refusals_stand_beside_their_field(admin: Client, field: str, value: str, sentence: str) -> None:
    answer = admin.post(reverse(ADD), {**FIELDS, field: value})
    assert answer.status_code == 200
    assert sentence in str(answer.context["adminform"].form.errors[field])
    assert sentence in answer.text
    assert not Application.objects.exists()


def test_name_that_is_taken_is_refused_beside_the_field(admin: Client) -> None:
    factories.application("fruit-shop")
    answer = admin.post(reverse(ADD), FIELDS)
    assert "already exists" in str(answer.context["adminform"].form.errors["name"])


def test_change_is_told_before_and_after_and_keeps_the_name(staff: Client) -> None:
    app = factories.application("fruit-shop", repository=FIELDS["repository"])
    answer = staff.post(change(app), {**FIELDS, "name": "another", "directory": "web"}, follow=True)
    assert answer.status_code == 200
    app.refresh_from_db()
    assert (app.name, app.directory) == ("fruit-shop", "web")
    told = Event.objects.get(verb="application.changed")
    assert told.data == {"directory": ["app", "web"]}
    assert told.actor_name == "marta"


def test_change_that_is_refused_changes_nothing(admin: Client) -> None:
    app = factories.application("fruit-shop")
    answer = admin.post(change(app), {**FIELDS, "repository": "ftp://x/y"})
    assert "is not allowed here" in str(answer.context["adminform"].form.errors["repository"])
    assert not Event.objects.exclude(verb="session.began").exists()


def test_application_is_kept_and_the_admin_says_why(admin: Client) -> None:
    app = factories.finished_build().application
    page = admin.get(change(app)).text
    assert "deletelink" not in page
    answer = admin.post(reverse("admin:releases_application_delete", args=[app.pk]), {"post": "yes"}, follow=True)
    assert "is kept: 1 build and 3 lines of the audit trail name it" in answer.text
    assert act(admin, "delete_selected", app)
    assert Application.objects.filter(pk=app.pk).exists()


def test_delete_of_an_application_that_is_not_there_is_no_error(admin: Client) -> None:
    assert admin.get(reverse("admin:releases_application_delete", args=[4711]), follow=True).status_code == 200


def test_build_release_of_the_newest_tag(staff: Client) -> None:
    app, bare = factories.application("fruit-shop"), factories.application("bare")
    factories.ref(app, "v1.0.0")
    page = act(staff, "build_newest_tag", app, bare)
    build = Build.objects.get()
    assert (build.ref, build.application, build.requested_by) == ("v1.0.0", app, User.objects.get(username="marta"))
    assert "fruit-shop #1</a> is queued: v1.0.0." in page
    assert "bare</a>: no tag is known yet" in page
    assert "being built already, as #1" in act(staff, "build_newest_tag", app)
    assert Build.objects.count() == 1


def test_refresh_refs(staff: Client) -> None:
    one, two = factories.application("one"), factories.application("two")
    page = act(staff, "refresh_refs", one, two)
    assert "The refs of one are being read again." in page
    assert "The refs of two are being read again." in page
    assert all(app.refs_are_being_read for app in Application.objects.all())


# ---- refs and builds -------------------------------------------------------------------------------------


def test_build_release_of_refs(staff: Client) -> None:
    app = factories.application("fruit-shop")
    tag = factories.ref(app, "v1.0.0")
    same = factories.ref(app, "main", kind="branch", commit=tag.commit)
    page = act(staff, "build_release", *Ref.objects.order_by("pk"))
    assert Build.objects.get().commit == same.commit
    assert page.count("is queued:") == 1
    assert page.count("is being built already, as #1") == 1


def test_cancel(staff: Client) -> None:
    queued, working, done = factories.queued_build(), factories.running_build(), factories.finished_build()
    page = act(staff, "cancel", queued, working, done)
    states = dict(Build.objects.values_list("pk", "state"))
    assert (states[queued.pk], states[working.pk]) == (State.FINISHED, State.CANCELLING)
    assert f"{queued}</a>: Cancelled." in page
    assert f"{working}</a>: Cancelling." in page
    assert f"{done}</a>: Build {done} is failed: there is nothing to cancel." in page
    assert Build.objects.get(pk=queued.pk).outcome == Outcome.CANCELLED
    assert "marta" in Build.objects.get(pk=queued.pk).message


def test_rebuild(staff: Client) -> None:
    done = factories.finished_build()
    page = act(staff, "rebuild", done)
    assert Build.objects.get(retry_of=done).number == 2
    assert "#2</a> is queued: v1.0.0." in page
    assert "is being built already, as #2" in act(staff, "rebuild", done)


def test_rebase(staff: Client, settings: Settings, tmp_path: Path) -> None:
    settings.BLOBS_DIR = tmp_path
    Blobs(tmp_path).put([b"archive"])
    release, failed = factories.succeeded_build(artifact_bytes=b"archive", runner="old"), factories.finished_build()
    factories.prepared("new")
    page = act(staff, "rebase", release, failed)
    assert Build.objects.get(rebase_of=release).number == 2
    assert "#2</a> is queued: v1.0.0." in page
    assert "did not succeed, so there is no release to rebase" in page


def test_redis_away_is_said_once_and_what_was_asked_stands(staff: Client, settings: Settings) -> None:
    away = {"URL": "unix:///nowhere/redis.sock"}
    settings.RQ_QUEUES = {"builds": away, "desk": away}
    one, two = factories.finished_build(), factories.finished_build()
    page = act(staff, "rebuild", one, two)
    assert page.count("Redis does not answer") == 1
    assert Build.objects.queued().count() == 2


def test_rule_is_checked_as_on_the_page(staff: Client) -> None:
    app = factories.application("fruit-shop", repository=FIELDS["repository"])
    answer = staff.post(change(app), {**FIELDS, "rule": "v[0-9"})
    assert "close the bracket" in str(answer.context["adminform"].form.errors["rule"])
    staff.post(change(app), {**FIELDS, "rule": "v*"})
    app.refresh_from_db()
    assert (app.rule, app.rule_armed, app.refs_are_being_read) == ("v*", False, True)
