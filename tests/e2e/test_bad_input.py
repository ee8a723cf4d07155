"""Bad input gets a sentence in the page, the command and the log alike; nothing half-published; no 500."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping
from typing import Any

import pytest

from tests.e2e.portal import SERVE, RunningPortal, repository

pytestmark = pytest.mark.engine

GOOD = {"app/app.py": SERVE, "requirements.txt": b""}


@pytest.mark.parametrize(
    ("repository_url", "said"),
    [
        ("-oProxyCommand=touch /tmp/canary", "may not begin with"),
        ("--upload-pack=touch /tmp/canary", "may not begin with"),
        ("https://user:secret@git.example.org/shop.git", "credentials"),
        ("http://git.example.org/shop.git", "PORTAL_GIT_PROTOCOLS"),
        ("git://git.example.org/shop.git", "PORTAL_GIT_PROTOCOLS"),
        ("ext::sh -c touch% /tmp/canary", ""),
        ("/etc/passwd", ""),
        ("file:///etc", "PORTAL_LOCAL_REPOSITORIES"),
        ("https://", ""),
    ],
)
def test_repository_that_cannot_be_is_refused_by_page_and_command(
    portal: RunningPortal, repository_url: str, said: str
) -> None:
    done = (
        portal.register("never", repository_url)
        if not repository_url.startswith("-")
        else portal.manage("register", "--", "never", repository_url)
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert said in done.stderr

    page = portal.page().post(
        "/applications/new/", come_from="/applications/new/", name="never", repository=repository_url, **REST
    )
    assert page.status_code in (200, 422)
    assert 'aria-invalid="true"' in page.text
    assert said in html.unescape(page.text)
    assert not portal.sql("SELECT 1 FROM releases_application WHERE name = 'never'")


REST = {
    "stack": "python3.13-uwsgi",
    "directory": "app",
    "module": "app",
    "callable": "app",
    "requirements": "requirements.txt",
    "probe_path": "/",
    "probe_policy": "record",
}


@pytest.mark.parametrize("ref", ["-evil", "--output=/tmp/canary", "a..b", "main@{1}", "HEAD:app", "with space", ""])
def test_ref_that_cannot_be_is_refused_by_page_and_command(portal: RunningPortal, ref: str) -> None:
    done = portal.manage("release", "fruit-shop", "--wait", "--", ref)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    page = portal.page().post("/applications/fruit-shop/builds/new/", come_from="/applications/fruit-shop/", ref=ref)
    assert page.status_code < 500
    assert "builds/" not in page.url.removeprefix(portal.address + "/applications/fruit-shop/builds/new")


def fails(
    portal: RunningPortal, name: str, files: Mapping[str, bytes], *options: str, ref: str = "v1.0.0"
) -> dict[str, Any]:
    """Register and release: it must fail with the same sentence in the command, the page and the log."""
    url = repository(portal.repositories, name, files)
    assert portal.register(name, url, *options).returncode == 0
    return fails_again(portal, name, ref)


def fails_again(portal: RunningPortal, name: str, ref: str = "v1.0.0") -> dict[str, Any]:
    status, answer = portal.release(name, ref)
    assert status == 1, answer
    assert answer["state"] == "finished"
    visitor, page = portal.page(), f"/applications/{name}/builds/{answer['number']}/"
    shown = visitor.get(page)
    assert shown.status_code == 200
    assert answer["message"] in html.unescape(shown.text)
    assert visitor.get(page + "log.txt").text.rstrip().endswith(answer["message"])
    assert not portal.containers(f"release-portal.build={portal.build(name, answer['number'])['id']}")
    return answer


def test_unknown_ref_is_named_with_those_that_are_there(portal: RunningPortal) -> None:
    answer = fails(portal, "unknown-ref", GOOD, ref="v1.0.1")
    assert answer["outcome"] == "failed"
    assert "v1.0.1" in answer["message"]
    assert "v1.0.0" in answer["message"]


def test_unreachable_repository_is_the_sources_fault(portal: RunningPortal) -> None:
    assert portal.register("unreachable", "https://git.invalid/shop.git").returncode == 0
    assert fails_again(portal, "unreachable")["outcome"] == "source_unavailable"


def test_repository_that_is_not_there_is_the_sources_fault(portal: RunningPortal) -> None:
    assert portal.register("not-there", f"file://{portal.repositories}/not-there.git").returncode == 0
    assert fails_again(portal, "not-there")["outcome"] == "source_unavailable"


def test_missing_requirements_file_is_named(portal: RunningPortal) -> None:
    answer = fails(portal, "no-requirements", {"app/app.py": SERVE})
    assert "there is no requirements.txt; set “Requirements file”" in answer["message"]


def test_missing_working_folder_is_named(portal: RunningPortal) -> None:
    answer = fails(portal, "no-folder", {"requirements.txt": b"", "README": b""})
    assert "there is no folder app/; set “Working folder”" in answer["message"]


def test_missing_callable_is_named(portal: RunningPortal) -> None:
    answer = fails(portal, "no-callable", {**GOOD, "app/app.py": b"application = None\n"})
    assert "app/app.py defines no app; set “Callable” (found: application)" in answer["message"]


def test_requirement_that_does_not_resolve_is_named(portal: RunningPortal) -> None:
    answer = fails(portal, "no-such-version", {**GOOD, "requirements.txt": b"flask==0.0.77\n"})
    assert answer["outcome"] == "failed"
    assert "flask==0.0.77" in answer["message"]


def test_requirement_that_does_not_compile_is_said(portal: RunningPortal) -> None:
    setup = b"from setuptools import Extension, setup\nsetup(name='broken', ext_modules=[Extension('b', ['b.c'])])\n"
    files = {**GOOD, "broken/setup.py": setup, "broken/b.c": b"this is no C\n", "requirements.txt": b"./broken\n"}
    answer = fails(portal, "no-compile", files)
    assert answer["outcome"] == "failed"
    assert "compile" in answer["message"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_requirements_with_a_byte_order_mark_are_read(portal: RunningPortal, encoding: str) -> None:
    name = f"marked-{encoding}"
    url = repository(
        portal.repositories, name, {**GOOD, "requirements.txt": "itsdangerous==2.2.0\r\n".encode(encoding)}
    )
    assert portal.register(name, url).returncode == 0
    status, answer = portal.release(name, "v1.0.0")
    assert status == 0, answer
    assert (
        "itsdangerous==2.2.0" in portal.page().get(f"/applications/{name}/builds/{answer['number']}/packages.txt").text
    )


def test_requirements_in_utf_16_without_a_mark_are_refused(portal: RunningPortal) -> None:
    answer = fails(portal, "unmarked", {**GOOD, "requirements.txt": "itsdangerous\n".encode("utf-16-le")})
    assert "save it as UTF-8" in answer["message"]


def test_archive_with_odd_names_is_refused(portal: RunningPortal) -> None:
    answer = fails(portal, "odd-names", {**GOOD, "app/a\nb.txt": b""})
    assert answer["outcome"] == "failed"
    assert "control characters" in answer["message"]
    assert answer["artifact"] is None


def hostile(program: str) -> dict[str, bytes]:
    """A repository whose requirement runs this while it is built."""
    setup = f"from setuptools import setup\n{program}\nsetup(name='hostile', version='1')\n".encode()
    return {**GOOD, "hostile/setup.py": setup, "requirements.txt": b"./hostile\n"}


@pytest.mark.parametrize(
    ("name", "program"),
    [
        ("result-is-a-link", "import os\nos.symlink('/app', '/shared/app.tar.gz')"),
        ("result-is-a-folder", "import os\nos.mkdir('/shared/app.tar.gz')"),
    ],
)
def test_result_that_is_no_regular_file_is_never_kept(portal: RunningPortal, name: str, program: str) -> None:
    answer = fails(portal, name, hostile(program))
    assert answer["outcome"] == "failed"
    assert answer["artifact"] is None
    assert answer["image"] is None


def test_process_limit_is_named(portal: RunningPortal) -> None:
    answer = fails(
        portal,
        "many-processes",
        hostile("import os, time\n[os.fork() or (time.sleep(5), os._exit(0)) for _ in range(400)]"),
    )
    assert answer["outcome"] == "failed"
    assert "processes" in answer["message"]


def test_memory_limit_is_an_outcome_of_its_own(portal: RunningPortal) -> None:
    url = repository(portal.repositories, "hungry", hostile("x = [bytearray(1 << 20) for _ in range(1 << 20)]"))
    assert portal.register("hungry", url).returncode == 0
    portal.sql("UPDATE releases_application SET memory_mb = 128 WHERE name = 'hungry'")
    answer = fails_again(portal, "hungry")
    assert answer["outcome"] == "out_of_memory"
    assert "128 MiB" in answer["message"]


def test_time_limit_is_an_outcome_of_its_own(portal: RunningPortal) -> None:
    url = repository(portal.repositories, "sleepy", hostile("import time\ntime.sleep(600)"))
    assert portal.register("sleepy", url).returncode == 0
    portal.sql("UPDATE releases_application SET seconds = 10 WHERE name = 'sleepy'")
    answer = fails_again(portal, "sleepy")
    assert answer["outcome"] == "timed_out"
    assert "10 s" in answer["message"]


def test_artifact_limit_is_named(portal: RunningPortal) -> None:
    noise = os.urandom(3 * 1024 * 1024)
    url = repository(portal.repositories, "large", {**GOOD, "app/noise.bin": noise})
    assert portal.register("large", url).returncode == 0
    portal.sql("UPDATE releases_application SET artifact_mb = 1 WHERE name = 'large'")
    answer = fails_again(portal, "large")
    assert answer["outcome"] == "failed"
    assert answer["artifact"] is None
    assert "1 MiB" in answer["message"]


def test_required_probe_without_a_good_answer_fails_the_release(portal: RunningPortal) -> None:
    answer = fails(portal, "ill", {**GOOD, "app/app.py": SERVE.replace(b"200 OK", b"503 Ill")}, "--probe", "required")
    assert answer["outcome"] == "failed"
    assert "503" in answer["message"]
    assert answer["probe"]["status"] == 503


def test_recorded_probe_of_an_application_that_cannot_start_says_why(portal: RunningPortal) -> None:
    url = repository(
        portal.repositories, "crashes", {**GOOD, "app/app.py": b"app = 1\nraise RuntimeError('no luck')\n"}
    )
    assert portal.register("crashes", url).returncode == 0
    status, answer = portal.release("crashes", "v1.0.0")
    assert status == 0, answer
    assert answer["probe"]["status"] is None or answer["probe"]["status"] == 0
    assert "before it answered" in answer["probe"]["message"]


def test_double_click_builds_once(portal: RunningPortal) -> None:
    url = repository(portal.repositories, "twice", hostile("import time\ntime.sleep(8)"))
    assert portal.register("twice", url).returncode == 0
    visitor = portal.page()
    ask = {"come_from": "/applications/twice/", "ref": "v1.0.0"}
    first = visitor.post("/applications/twice/builds/new/", **ask)
    second = visitor.post("/applications/twice/builds/new/", **ask)
    assert first.url == second.url == portal.address + "/applications/twice/builds/1/"
    assert "already" in second.text
    assert portal.numbers("twice") == [1]


def test_unknown_application_is_named_with_those_that_are_there(portal: RunningPortal) -> None:
    done = portal.manage("release", "fruit-shpo", "v1.0.0")
    assert done.returncode == 2
    assert "fruit-shop" in done.stderr
    assert portal.page().get("/applications/fruit-shpo/").status_code == 404
