"""Previews: asked for with an environment, watched, stopped."""

from __future__ import annotations

from html import unescape
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from releases.jobs import doorbell
from releases.models import Build, Preview, PreviewState
from releases.storage import LogWriter, preview_log_path
from tests import factories


@pytest.fixture(autouse=True)
def no_doorbell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorbell, "ring", lambda *_: True)
    monkeypatch.setattr(doorbell, "answers", lambda: True)


def form(build: Build) -> str:
    return reverse("preview-create", args=[build.application.name, build.number])


def address(preview: Preview, name: str = "preview") -> str:
    return reverse(name, args=[preview.build.application.name, preview.build.number, preview.pk])


def asked(build: Build | None = None, **fields: object) -> Preview:
    return Preview.objects.create(build=build or factories.succeeded_build(), **fields)


def running(body: str = "Hello from the fruit shop", status: int = 200) -> Preview:
    preview = asked(environment={"GREETING": "sesame-opens"})
    preview.mark_running(
        address="http://127.0.0.1:49153", status=status, seconds=0.42, body=body, message="GET / answered."
    )
    return preview


def read(client: Client, preview: Preview) -> str:
    return unescape(client.get(address(preview)).content.decode()).replace("\xa0", " ")


def test_preview_form_holds_the_applications_variables(manager: Client) -> None:
    build = factories.succeeded_build(factories.application(environment={"GREETING": "Hello", "COLOUR": "red"}))
    html = manager.get(form(build)).content.decode()
    written = html.partition("<textarea")[2].partition(">")[2].partition("</textarea>")[0]
    assert sorted(written.split()) == ["COLOUR=red", "GREETING=Hello"]


def test_preview_is_asked_for_with_the_given_variables(manager: Client) -> None:
    build = factories.succeeded_build()
    answer = manager.post(form(build), {"environment": "# mine\r\nGREETING=Hello=you \r\n\r\nEMPTY=\r\n"})
    preview = build.previews.get()
    assert answer["Location"] == address(preview)
    assert preview.environment == {"GREETING": "Hello=you ", "EMPTY": ""}
    assert preview.requested_by is not None
    assert preview.requested_by.get_username() == "marta"
    assert build.events.filter(verb="preview.asked", actor_name="marta").count() == 1
    assert f"Preview {preview.pk}" in manager.get(build.get_absolute_url()).content.decode()


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("GOOD=1\njust words", "Line 2: write NAME=value, such as GREETING=Hello."),
        ("=value", "Line 1: write NAME=value"),
        ("A B=1", "Line 1: “A B” is no name for an environment variable"),
        ("1ST=1", "Line 1: “1ST” is no name for an environment variable"),
        ("BIG=" + "x" * 9000, "The value of BIG must be plain text of at most 8,192 characters"),
        ("NUL=\0", "The value of NUL must be plain text"),
    ],
)
def test_preview_with_a_wrong_line_says_which_and_keeps_the_text(manager: Client, written: str, sentence: str) -> None:
    build = factories.succeeded_build()
    answer = manager.post(form(build), {"environment": written})
    html = unescape(answer.content.decode())
    assert answer.status_code == 422
    assert sentence in html
    assert written.splitlines()[0] in html
    assert not build.previews.exists()


def test_preview_of_a_build_without_an_image_is_not_found(manager: Client) -> None:
    build = factories.finished_build()
    for answer in (manager.get(form(build)), manager.post(form(build), {"environment": ""})):
        assert answer.status_code == 404
        assert "cannot be previewed" in answer.content.decode()


def test_preview_that_runs_shows_its_address_and_answer(manager: Client) -> None:
    preview = running()
    html = read(manager, preview)
    assert 'href="http://127.0.0.1:49153"' in html
    assert "answered 200" in html
    assert "in 0.42 s" in html
    assert "Hello from the fruit shop" in html
    assert "GREETING=sesame-opens" in html
    assert "in 30 min" in html
    assert address(preview, "preview-stop") in html


def test_preview_shows_what_it_answered_as_text(manager: Client) -> None:
    html = manager.get(address(running("<script>alert(1)</script>"))).content.decode()
    assert "<script>alert(1)</script>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


def test_preview_that_failed_says_why(manager: Client) -> None:
    preview = asked()
    preview.mark_failed("The container ended with exit code 1 before it answered: no module named fruit.")
    html = read(manager, preview)
    assert "The container ended with exit code 1 before it answered: no module named fruit." in html
    assert address(preview, "preview-stop") not in html
    assert "hx-get" not in html


def test_preview_is_stopped_by_its_button(manager: Client) -> None:
    preview = running()
    answer = manager.post(address(preview, "preview-stop"), follow=True)
    preview.refresh_from_db()
    assert preview.state == PreviewState.STOPPING
    assert "Stopping" in answer.content.decode()
    assert preview.build.events.filter(verb="preview.stop_asked", actor_name="marta").count() == 1


def test_preview_that_is_over_cannot_be_stopped(manager: Client) -> None:
    preview = running()
    preview.mark_stopped("Its 30 minutes were over.")
    answer = manager.post(address(preview, "preview-stop"), follow=True)
    html = unescape(answer.content.decode())
    assert "The preview is stopped" in html
    assert "Its 30 minutes were over." in html
    assert "Preview again" in html


def test_preview_page_asks_while_it_lives_and_swaps_when_it_has_moved(manager: Client) -> None:
    preview = running()
    assert f'hx-get="{address(preview, "preview-live")}?state=running"' in read(manager, preview)
    same = manager.get(address(preview, "preview-live"), {"state": "running"}).content.decode()
    assert "preview-facts" not in same
    moved = manager.get(address(preview, "preview-live"), {"state": "asked"}).content.decode()
    assert f"<title>Preview running · #{preview.build.number}" in moved
    assert 'id="preview-facts"' in moved
    assert "data-log-url" not in moved


def test_preview_log_is_read_by_offset_and_done_when_it_is_over(
    manager: Client, settings: Settings, tmp_path: Path
) -> None:
    settings.LOGS_DIR = tmp_path
    preview = running()
    with LogWriter(preview_log_path(preview.pk)) as log:
        log.line("spawned uWSGI worker 1")
    first = manager.get(address(preview, "preview-log"))
    assert b"spawned uWSGI worker 1" in first.content
    assert "X-Log-Done" not in first
    preview.mark_stopped("Stopped.")
    rest = manager.get(address(preview, "preview-log"), {"offset": first["X-Next-Offset"]})
    assert (rest.content, rest["X-Log-Done"]) == (b"", "1")


def test_preview_shows_values_to_those_who_release_alone(viewer: Client) -> None:
    html = read(viewer, running())
    assert "GREETING" in html
    assert "sesame-opens" not in html


def test_preview_acts_are_for_release_managers_alone(client: Client, viewer: Client, manager: Client) -> None:
    preview = running()
    for door in (form(preview.build), address(preview, "preview-stop")):
        assert client.post(door)["Location"].startswith(reverse("login"))
        assert viewer.post(door).status_code == 403
    assert viewer.get(form(preview.build)).status_code == 403
    assert address(preview, "preview-stop") not in read(viewer, preview)
    assert manager.get(address(preview, "preview-stop")).status_code == 405
    preview.refresh_from_db()
    assert preview.state == PreviewState.RUNNING
    assert preview.build.previews.count() == 1


@pytest.mark.parametrize("name", ["preview", "preview-live", "preview-log"])
def test_preview_is_for_those_who_may_see(client: Client, viewer: Client, name: str) -> None:
    preview = running()
    assert client.get(address(preview, name))["Location"].startswith(reverse("login"))
    assert viewer.get(address(preview, name)).status_code == 200
    client.force_login(factories.user(role=""))
    assert client.get(address(preview, name)).status_code == 403


def test_preview_of_another_build_is_not_found(manager: Client) -> None:
    preview, other = running(), factories.succeeded_build()
    wrong = reverse("preview", args=[other.application.name, other.number, preview.pk])
    assert manager.get(wrong).status_code == 404
