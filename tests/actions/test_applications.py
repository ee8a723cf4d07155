"""Registering and changing applications, and having their refs read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import django_rq
import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from releases import actions
from releases.errors import InvalidInput
from releases.models import Application, Event
from tests import factories

pytestmark = pytest.mark.django_db

ADDRESS = "https://git.example.org/shop/fruit-shop.git"


@pytest.fixture
def marta() -> User:
    return factories.user(username="marta")


def rung(queue: str) -> list[str]:
    """The functions that wait for a worker of this queue."""
    return [str(job.func_name) for job in django_rq.get_queue(queue).jobs]


def test_register_keeps_who_and_what_and_has_the_refs_read(
    marta: User, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        app = actions.register_application(
            by=marta,
            name="fruit-shop",
            repository=f"  {ADDRESS}/ ",
            environment={"TOKEN": "s3cret"},
            probe_path="/health",
        )
        assert rung("desk") == []
    app = Application.objects.get(pk=app.pk)
    assert (app.repository, app.stack, app.created_by) == (ADDRESS, "python3.13-uwsgi", marta)
    assert app.refs_are_being_read
    assert rung("desk") == ["releases.jobs.desk.refresh_refs"]
    told = Event.objects.get(verb="application.registered")
    assert (told.actor, told.application, told.data["probe_path"]) == (marta, app, "/health")


def test_values_of_the_environment_stay_out_of_the_audit_trail(marta: User) -> None:
    app = actions.register_application(by=marta, name="shop", repository=ADDRESS, environment={"TOKEN": "s3cret"})
    app.environment = {"TOKEN": "t0psecret", "OTHER": "x"}
    actions.change_application(app, by=marta)
    trail = str(list(Event.objects.values_list("data", flat=True)))
    assert "TOKEN" in trail
    assert "s3cret" not in trail
    assert "t0psecret" not in trail


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("repository", "-oProxyCommand=x"),
        ("repository", "https://me:pw@git.example.org/x.git"),
        ("repository", "ext::sh -c x"),
        ("repository", "http://git.example.org/x.git"),
        ("repository", "file:///etc"),
        ("repository", ""),
        ("name", "new"),
        ("stack", "no-such-stack"),
        ("stack", "../stacks"),
        ("environment", {"NO-NAME": "x"}),
        ("environment", {"": "x"}),
        ("environment", {"1A": "x"}),
        ("environment", {"A": 1}),
        ("environment", {"A": "x\0y"}),
        ("environment", {"A": "half \ud800"}),
        ("environment", {"A": "x" * 9000}),
        ("environment", ["A=1"]),
    ],
)
def test_register_refuses_in_a_sentence_beside_the_field(field: str, value: Any) -> None:
    given: dict[str, Any] = {"name": "shop", "repository": ADDRESS, field: value}
    with pytest.raises(InvalidInput) as refused:
        actions.register_application(by=None, **given)
    assert refused.value.field == field
    assert str(refused.value).endswith((".", ")."))
    assert "pw" not in str(refused.value)
    assert not Application.objects.exists()
    assert not Event.objects.exists()


@pytest.mark.parametrize(
    ("field", "value"), [("name", "Fruit Shop"), ("module", "app:app"), ("memory_mb", 5), ("cpus", 900)]
)
def test_register_refuses_what_the_record_cannot_hold(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as refused:
        actions.register_application(by=None, **{"name": "shop", "repository": ADDRESS, field: value})  # type: ignore[arg-type] # one of several fields
    assert list(refused.value.message_dict) == [field]


def test_name_is_given_once() -> None:
    actions.register_application(by=None, name="shop", repository=ADDRESS)
    with pytest.raises(ValidationError) as refused:
        actions.register_application(by=None, name="shop", repository=ADDRESS)
    assert list(refused.value.message_dict) == ["name"]


def test_name_that_another_hand_takes_meanwhile_is_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    check: Callable[[Application], None] = actions.check_application

    def check_then_lose(application: Application) -> None:
        check(application)
        factories.application(application.name)

    monkeypatch.setattr(actions, "check_application", check_then_lose)
    with pytest.raises(InvalidInput, match="registered already") as refused:
        actions.register_application(by=None, name="shop", repository=ADDRESS)
    assert refused.value.field == "name"


def test_local_repository_is_taken_below_its_folder_only(settings: Settings, tmp_path: Path) -> None:
    settings.LOCAL_REPOSITORIES = tmp_path / "demo"
    (tmp_path / "demo" / "shop.git").mkdir(parents=True)
    app = actions.register_application(by=None, name="shop", repository=f"file://{tmp_path}/demo/shop.git")
    assert app.repository == f"file://{tmp_path}/demo/shop.git"
    with pytest.raises(InvalidInput):
        actions.register_application(by=None, name="other", repository=f"file://{tmp_path}/demo/../elsewhere.git")


def test_change_tells_each_field_before_and_after(marta: User) -> None:
    app = actions.register_application(by=marta, name="shop", repository=ADDRESS)
    app.directory, app.probe_policy = "web", "required"
    actions.change_application(app, by=marta)
    told = Event.objects.get(verb="application.changed")
    assert told.data == {"directory": ["app", "web"], "probe_policy": ["record", "required"]}
    assert told.actor == marta
    assert Event.objects.filter(verb="refs.asked").count() == 1


def test_change_that_changes_nothing_is_no_event(marta: User) -> None:
    app = actions.register_application(by=marta, name="shop", repository=ADDRESS)
    actions.change_application(app, by=marta)
    assert not Event.objects.filter(verb="application.changed").exists()


def test_change_of_the_repository_has_the_refs_read_again(marta: User) -> None:
    app = actions.register_application(by=marta, name="shop", repository=ADDRESS)
    app.repository = "git@git.example.org:shop/other.git"
    actions.change_application(app, by=marta)
    assert Event.objects.filter(verb="refs.asked").count() == 2


def test_change_that_is_refused_changes_nothing(marta: User) -> None:
    app = actions.register_application(by=marta, name="shop", repository=ADDRESS)
    app.directory, app.repository = "web", "http://git.example.org/x.git"
    with pytest.raises(InvalidInput):
        actions.change_application(app, by=marta)
    kept = Application.objects.get(pk=app.pk)
    assert (kept.directory, kept.repository) == ("app", ADDRESS)


def test_refresh_refs_rings_for_the_desk(
    marta: User, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    app = factories.application()
    with django_capture_on_commit_callbacks(execute=True):
        actions.refresh_refs(app, by=marta)
    assert app.refs_are_being_read
    assert rung("desk") == ["releases.jobs.desk.refresh_refs"]
