"""The log's two doors: pieces by offset for the page, and the whole as plain text."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from releases.models import Build, Outcome, Preview
from releases.storage import LogWriter, log_path, preparation_log_path, preview_log_path
from tests import factories

HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(2)">'


@pytest.fixture(autouse=True)
def logs(settings: Settings, tmp_path: Path) -> None:
    settings.LOGS_DIR = tmp_path / "logs"


def address(build: Build, name: str = "build-log") -> str:
    return reverse(name, args=[build.application.name, build.number])


def write(build: Build, *lines: str, step: str = "checkout") -> None:
    with LogWriter(log_path(build.pk)) as log:
        log.step(step)
        for line in lines:
            log.line(line)


def test_log_gives_lines_and_the_offset_to_go_on_from(manager: Client) -> None:
    build = factories.running_build()
    write(build, "first", "second")
    answer = manager.get(address(build))
    texts = [line.split("\t", 1)[1] for line in answer.content.decode().split("\n") if line]
    assert texts == ["\x1echeckout", "first", "second"]
    assert answer["X-Next-Offset"] == str(len(answer.content))
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "X-Log-Done" not in answer


def test_log_goes_on_where_the_last_piece_ended(manager: Client) -> None:
    build = factories.running_build()
    write(build, "first")
    offset = manager.get(address(build))["X-Next-Offset"]
    assert manager.get(address(build), {"offset": offset}).content == b""
    write(build, "second", step="produce")
    later = manager.get(address(build), {"offset": offset})
    assert b"second" in later.content
    assert b"first" not in later.content


@pytest.mark.parametrize("squeezed", [True, False])
def test_long_log_comes_in_one_answer_squeezed_for_who_can_read_that(manager: Client, squeezed: bool) -> None:
    build = factories.finished_build()
    write(build, *(f"line {number} {'x' * 90}" for number in range(10_000)))
    kept = log_path(build.pk).read_bytes()
    answer = manager.get(address(build), headers={"Accept-Encoding": "gzip, deflate" if squeezed else "identity"})
    sent = answer.getvalue()
    assert answer.get("Content-Encoding") == ("gzip" if squeezed else None)
    assert (gzip.decompress(sent) if squeezed else sent) == kept
    assert not squeezed or len(sent) < len(kept) / 4
    assert (answer["X-Next-Offset"], answer["X-Log-Done"], answer["X-Log-Good"]) == (str(len(kept)), "1", "0")
    assert answer["X-Content-Type-Options"] == "nosniff"


def test_log_is_whole_wherever_an_answer_broke_off(manager: Client) -> None:
    """A browser goes on behind the last line that it has whole; the torn end counts only when nobody writes on."""
    build = factories.running_build()
    write(build, "first", "secönd")
    with log_path(build.pk).open("ab") as file:
        file.write(b"7.00\ttorn by the death of its wri")
    kept = log_path(build.pk).read_bytes()
    ends = [at + 1 for at, byte in enumerate(kept) if byte == 0x0A]
    for end in (0, *ends):
        answer = manager.get(address(build), {"offset": str(end)})
        assert answer.content == kept[end : ends[-1]]
        assert answer["X-Next-Offset"] == str(ends[-1])
    build.mark_ended(Outcome.WORKER_LOST, "The worker was lost.")
    assert manager.get(address(build)).content == kept


def test_log_of_a_success_says_so_at_its_end(manager: Client) -> None:
    build = factories.succeeded_build()
    write(build, "done")
    assert manager.get(address(build))["X-Log-Good"] == "1"


@pytest.mark.parametrize("offset", ["-5", "abc", "", "9" * 40, "²", "1e3"])
def test_log_begins_at_the_beginning_for_what_is_no_offset(manager: Client, offset: str) -> None:
    build = factories.running_build()
    write(build, "first")
    answer = manager.get(address(build), {"offset": offset})
    assert answer.status_code == 200
    assert b"first" in answer.content


def test_log_beyond_its_end_is_empty(manager: Client) -> None:
    build = factories.finished_build()
    write(build, "first")
    answer = manager.get(address(build), {"offset": "999999"})
    assert answer.content == b""
    assert answer["X-Log-Done"] == "1"


def test_log_that_nobody_wrote_is_empty_and_done(manager: Client) -> None:
    answer = manager.get(address(factories.finished_build()))
    assert (answer.status_code, answer.content, answer["X-Log-Done"]) == (200, b"", "1")


def test_log_with_markup_in_it_stays_text(manager: Client) -> None:
    build = factories.running_build()
    write(build, HOSTILE)
    answer = manager.get(address(build))
    assert HOSTILE.encode() in answer.content
    assert answer["Content-Type"].startswith("text/plain")
    assert HOSTILE not in manager.get(build.get_absolute_url()).content.decode()


def test_log_as_a_file_has_no_colours_and_names_its_steps(manager: Client) -> None:
    build = factories.finished_build()
    write(build, "\x1b[31mred\x1b[0m words", "\x1b[38;5;200mpink\x1b[48;2;1;2;3m on \x1b[7;4mgrey\x1b[m")
    answer = manager.get(address(build, "build-log-text"))
    assert answer.getvalue().decode() == "== checkout ==\nred words\npink on grey\n"
    name = f"{build.application.name}-{build.number}-log.txt"
    is_a_text_to_save(answer, name)


def test_log_of_a_preview_and_of_a_preparation_can_be_saved(manager: Client) -> None:
    build = factories.succeeded_build()
    preview = Preview.objects.create(build=build)
    preparation = factories.prepared("new")
    kept = {"preview": preview_log_path(preview.pk), "preparation": preparation_log_path(preparation.pk)}
    for what, path in kept.items():
        with LogWriter(path) as log:
            log.line(f"\x1b[1mof the {what}\x1b[0m")
    name = build.application.name
    saved = manager.get(reverse("preview-log-text", args=[name, build.number, preview.pk]))
    assert saved.getvalue() == b"of the preview\n"
    is_a_text_to_save(saved, f"{name}-{build.number}-preview-{preview.pk}-log.txt")
    saved = manager.get(reverse("stack-log-text", args=[preparation.stack]), {"preparation": preparation.pk})
    assert saved.getvalue() == b"of the preparation\n"
    is_a_text_to_save(saved, f"{preparation.stack}-preparation-{preparation.pk}-log.txt")


def is_a_text_to_save(answer: Any, name: str) -> None:
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Disposition"] == f'attachment; filename="{name}"'


@pytest.mark.parametrize("name", ["build-log", "build-log-text"])
def test_log_is_for_those_who_may_see(client: Client, viewer: Client, name: str) -> None:
    build = factories.finished_build()
    assert client.get(address(build, name)).status_code == 302
    assert viewer.get(address(build, name)).status_code == 200
    client.force_login(factories.user(role=""))
    assert client.get(address(build, name)).status_code == 403


def test_log_of_no_build_is_not_found(manager: Client) -> None:
    assert manager.get(reverse("build-log", args=["nothing", 1])).status_code == 404
