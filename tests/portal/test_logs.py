"""The log: whose line it is stands on each, for a person and as JSON; and the name of a request on its answer."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpRequest
from django.test import Client

from portal.logs import Json, told
from releases.context import Carry, about, carried
from releases.views import health
from tests.test_settings import said

logger = logging.getLogger("tests.of.the.log")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What the handler of the settings writes, as JSON."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.addFilter(Carry())
    handler.setFormatter(Json())
    for name in ("", "django"):
        logging.getLogger(name).addHandler(handler)
    yield written
    for name in ("", "django"):
        logging.getLogger(name).removeHandler(handler)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_line_carries_what_it_is_about(stream: io.StringIO) -> None:
    with about(build=7, application="shop", job=""), about(number=3):
        logger.warning("It is %s", "late")
    logger.warning("Nobody's")
    first, second = lines(stream)
    assert {name: first[name] for name in ("level", "logger", "message", "build", "application", "number")} == {
        "level": "WARNING",
        "logger": "tests.of.the.log",
        "message": "It is late",
        "build": 7,
        "application": "shop",
        "number": 3,
    }
    assert first["time"].endswith("+00:00")
    assert "job" not in first
    assert not {"build", "number", "facts"} & second.keys()


def test_line_of_a_thread_carries_what_its_starter_is_about(stream: io.StringIO) -> None:
    with about(build=7):
        threads = [threading.Thread(target=work) for work in (carried(speak), speak)]
    for thread in threads:
        thread.start()
        thread.join()
    assert [line.get("build") for line in lines(stream)] == [7, None]


def speak() -> None:
    logger.warning("From a thread")


def test_line_with_a_traceback_is_one_line(stream: io.StringIO) -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logger.exception("A defect")
    (line,) = lines(stream)
    assert "ValueError: two\nlines" in line["exception"]


def test_line_for_a_person_ends_with_its_facts() -> None:
    record = logging.LogRecord("a", logging.INFO, "", 0, "It is late", None, None)
    with about(build=7, application="shop"):
        assert Carry().filter(record)
    text = logging.Formatter("%(levelname)s %(name)s: %(message)s%(facts)s").format(record)
    assert text == "INFO a: It is late [build=7 application=shop]"


def test_settings_choose_the_form(tmp_path: Path) -> None:
    form = "s.LOGGING['handlers']['stderr']['formatter']"
    assert said(form, tmp_path) == "text"
    assert said(form, tmp_path, PORTAL_LOG_FORMAT="json") == "json"


def test_terminal_shows_lines_of_processes_in_the_same_form() -> None:
    assert told("web", "Listening", as_json=False) == "web      | Listening"
    assert told("web", '{"message": "x"}', as_json=True) == '{"message": "x"}'
    line = json.loads(told("postgres", "ready\t“now”", as_json=True))
    assert (line["process"], line["message"], line["level"]) == ("postgres", "ready\t“now”", "INFO")


# ---- requests ------------------------------------------------------------------------------------------------


def test_answer_has_the_name_of_its_request(client: Client) -> None:
    first, second = (client.get("/livez").headers["X-Request-ID"] for _ in range(2))
    assert first != second
    assert len(first) == 32


def test_name_that_a_proxy_gave_is_kept(client: Client) -> None:
    assert client.get("/livez", headers={"X-Request-ID": "proxy-0123.45"}).headers["X-Request-ID"] == "proxy-0123.45"


@pytest.mark.parametrize("given", ["short", "x" * 65, "with blanks here", "<script>alert(1)</script>", "ñandú-ñandú"])
def test_name_that_is_none_is_not_taken_over(client: Client, given: str) -> None:
    name = client.get("/livez", headers={"X-Request-ID": given}).headers["X-Request-ID"]
    assert name != given
    assert len(name) == 32


def test_failure_tells_the_person_what_the_log_has(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_request: HttpRequest) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr(health, "JsonResponse", fail)
    answer = Client(raise_request_exception=False).get("/livez")
    name = answer.headers["X-Request-ID"]
    assert answer.status_code == 500
    assert f"The log knows it as <code>{name}</code>" in answer.text
    (line,) = [line for line in lines(stream) if "exception" in line]
    assert line["request_id"] == name
    assert "request" not in line


@pytest.mark.django_db
def test_line_of_a_bad_address_has_the_name_too(stream: io.StringIO, client: Client) -> None:
    name = client.get("/no-such-page/").headers["X-Request-ID"]
    assert [line["request_id"] for line in lines(stream)] == [name]
