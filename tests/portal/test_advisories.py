"""The audit of the pinned packages, with a source of advisories that speaks as OSV does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from django.conf import settings

from portal import advisories

BAD = {("django", "5.2.0"): ["GHSA-bad-bad-bad", "PYSEC-2026-1"], ("idna", "3.0"): ["GHSA-old-old-old"]}


class Source:
    """Answers what `answer` says; else of each package what stands in `BAD`."""

    def __init__(self) -> None:
        self.answer: tuple[int, bytes] | None = None
        self.asked: list[tuple[str, str]] = []
        source = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                queries = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
                pins = [(query["package"]["name"], query["version"]) for query in queries]
                assert {query["package"]["ecosystem"] for query in queries} == {"PyPI"}
                source.asked += pins
                results = [{"vulns": [{"id": one} for one in BAD[pin]]} if pin in BAD else {} for pin in pins]
                status, data = source.answer or (200, json.dumps({"results": results}).encode())
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1/querybatch"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def source() -> Iterator[Source]:
    source = Source()
    yield source
    source.server.shutdown()
    source.server.server_close()


@pytest.fixture
def locks(tmp_path: Path) -> Path:
    (tmp_path / "requirements.txt").write_text(
        "django==5.2.19 \\\n    --hash=sha256:00\n    # via -r requirements.in\npsycopg[binary]==3.3.1 ; os_name > ''\n"
    )
    (tmp_path / "requirements-dev.txt").write_text("pytest==9.2.0 \\\n    --hash=sha256:00\ndjango==5.2.19\n")
    return tmp_path


def test_every_pinned_package_is_asked_for_once(
    source: Source, locks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert advisories.audit(locks, source.url) == 0
    assert source.asked == [("django", "5.2.19"), ("psycopg", "3.3.1"), ("pytest", "9.2.0")]
    assert "check advisories  passed" in capsys.readouterr().out


def test_own_locks_are_read(source: Source) -> None:
    assert advisories.audit(None, source.url) == 0
    text = "".join((Path(settings.BASE_DIR) / name).read_text() for name in advisories.LOCKS)
    assert len(source.asked) == len({line.split(" ")[0] for line in text.splitlines() if line[:1].isalnum()}) > 50


def test_known_advisory_fails_and_is_named(source: Source, locks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (locks / "requirements.txt").write_text("django==5.2.0\nidna==3.0\n")
    assert advisories.audit(locks, source.url) == 1
    said = capsys.readouterr().out
    assert "check advisories  FAILED" in said
    assert "django 5.2.0: GHSA-bad-bad-bad, PYSEC-2026-1; see https://osv.dev/list?q=django" in said
    assert "idna 3.0: GHSA-old-old-old" in said


def test_accepted_advisory_does_not_fail(source: Source, locks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (locks / "requirements.txt").write_text("idna==3.0\n")
    monkeypatch.setattr(advisories, "ACCEPTED", {"GHSA-old-old-old": "The portal encodes no name."})
    assert advisories.audit(locks, source.url) == 0


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((503, b""), "answered 503"),
        ((200, b"<html>sign in to the network</html>"), "did not answer as OSV does"),
        ((200, b"[]"), "did not answer as OSV does"),
        ((200, b'{"results": []}'), "answered for 0 packages instead of 3"),
        ((200, b'{"results": [1, 2, 3]}'), "did not answer as OSV does"),
    ],
)
def test_source_that_does_not_answer_is_said_and_goes_on(
    source: Source, locks: Path, capsys: pytest.CaptureFixture[str], answer: tuple[int, bytes], said: str
) -> None:
    source.answer = answer
    assert advisories.audit(locks, source.url) == 0
    told = capsys.readouterr().out
    assert "left out" in told
    assert said in told
    assert "Nothing is known of the 3 packages" in told


def test_source_that_is_not_there_is_said_and_goes_on(locks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert advisories.audit(locks, "http://127.0.0.1:1/v1/querybatch") == 0
    assert "cannot be reached" in capsys.readouterr().out
