"""What the ten thousand requests have found once, each by itself: an answer that says so, and not a fault of ours."""

from __future__ import annotations

import html
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.test import Client, RequestFactory
from pytest_django import Settings

from releases.storage import Blobs
from tests import factories
from tests.hostile.malformed import TOKEN
from tests.hostile.test_malformed import ask

pytestmark = pytest.mark.django_db
FORM = "application/x-www-form-urlencoded"
UNREADABLE = {
    "a form in UTF-16": (f"{FORM}; charset=utf-16", b"a=1"),
    "parts without a boundary": ("multipart/form-data", b"a=1"),
    "parts whose heads are too long": (
        "multipart/form-data; boundary=x",
        b"--x\r\n" + b"a: " + b"b" * 2000 + b"\r\n\r\n",
    ),
    "too many fields": (FORM, b"a=1&" * 1001),
    "too many bytes": (FORM, b"a=" + b"1" * 3_000_000),
}


@pytest.mark.parametrize("what", UNREADABLE)
@pytest.mark.parametrize("address", ["/", "/nowhere/", "/accounts/login/", "/admin/login/"])
def test_body_that_cannot_be_read_is_refused_with_a_sentence(address: str, what: str, settings: Settings) -> None:
    kind, body = UNREADABLE[what]
    visitor = Client(enforce_csrf_checks=True, raise_request_exception=False)
    visitor.cookies[settings.CSRF_COOKIE_NAME] = TOKEN  # who was here before: then the form is read for its own
    answer = visitor.generic("POST", address, body, content_type=kind)
    assert answer.status_code == 400
    assert "could not read this request, so nothing was done" in html.unescape(answer.text)


def test_length_that_no_machine_holds_is_refused(one_connection: None) -> None:
    environ = RequestFactory().post("/").environ
    assert ask({**environ, "CONTENT_LENGTH": "9" * 30})[0] == 400


def test_too_many_parameters_are_refused_whatever_the_character_set(one_connection: None) -> None:
    """Django reads them before anything could turn its refusal into an answer, when a character set is named."""
    environ = RequestFactory().get("/livez").environ | {"QUERY_STRING": "a=1&" * 1001}
    assert ask({**environ, "CONTENT_TYPE": "text/plain; charset=utf-8"})[0] == 400
    assert ask(environ)[0] == 400


def test_account_that_is_no_number_is_nobodys(client: Client) -> None:
    client.force_login(User.objects.create_superuser("root", password=factories.PASSWORD))
    assert client.get("/admin/auth/user/nobody/password/").status_code == 404


def test_every_record_that_the_admin_can_be_asked_to_show_has_a_table(client: Client) -> None:
    client.force_login(User.objects.create_superuser("root", password=factories.PASSWORD))
    for kind in ContentType.objects.all():
        assert client.get(f"/admin/r/{kind.pk}/1/").status_code in (302, 404), kind


def test_small_file_that_is_damaged_is_refused_before_anything_is_promised(
    manager: Client, settings: Settings, tmp_path: Path
) -> None:
    settings.BLOBS_DIR = tmp_path / "blobs"
    Blobs(settings.BLOBS_DIR).put([b"the right bytes"])
    build = factories.succeeded_build(artifact_bytes=b"the right bytes")
    assert build.artifact is not None
    path = Blobs(settings.BLOBS_DIR).path(build.artifact.sha256)
    path.chmod(0o644)
    path.write_bytes(b"the wrong bytes")
    answer = manager.get(f"/applications/{build.application.name}/builds/{build.number}/app.tar.gz")
    assert answer.status_code == 410
    assert "differs from its record" in answer.text
