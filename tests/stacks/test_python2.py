"""The builder of `python2.7-uwsgi`, as the portal runs it. What it shares with the others is tested there."""

from __future__ import annotations

import gzip
import io
import json
import struct
import tarfile

import pytest

from releases.engine import DockerEngine
from releases.specs import ImageInfo
from tests.stacks.test_build_script import FRUITS, SHELF, SHOP, WHEEL, Builder, Result

pytestmark = pytest.mark.engine

SITE = "app/env/lib/python2.7/site-packages"
PART = "parts/environment.tar.gz"
MOMENT = 315532800


@pytest.fixture
def build(docker: DockerEngine, builder_of_python2: ImageInfo) -> Builder:
    return Builder(docker, builder_of_python2.image_id)


NAME = "fruits-1.0-py2.py3-none-any.whl"
SHELF2 = {name: data for name, data in SHELF.items() if not name.endswith(".whl")} | {f"wheels/{NAME}": WHEEL}


def entries(result: Result) -> dict[str, bytes]:
    """The regular files of the one part, which has no end of archive."""
    whole = gzip.decompress(result.files[PART]) + bytes(1024)
    with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
        found = {member.name: archive.extractfile(member) for member in archive if member.isreg()}
        return {name: file.read() for name, file in found.items() if file is not None}


def test_lock_and_environment_hold_the_wheel(build: Builder) -> None:
    result = build(SHELF2, {"MODE": "pip"}, ("environment.tar.gz",))
    assert result.status.exit_code == 0, result.lines
    said = json.loads(result.files["environment.json"])
    assert (said["installer"], said["python"], said["packages"]) == ("pip", "2.7.18", [FRUITS | {"filename": NAME}])
    names = set(entries(result))
    assert {f"{SITE}/fruits.py", f"{SITE}/fruits.pyc", "app/env/bin/python"} <= names
    assert not [name for name in names if "/pip/" in name or "direct_url" in name or ".build-" in name]


def test_compiled_files_are_valid_at_the_one_time_of_all_files(build: Builder) -> None:
    """Python 2 compares this with the time of the source; other than that, each start would compile it all again."""
    compiled = {name: data for name, data in entries(shelf(build)).items() if name.endswith(".pyc")}
    assert {struct.unpack("<I", data[4:8])[0] for data in compiled.values()} == {MOMENT}


def test_same_wheels_give_the_same_bytes(build: Builder) -> None:
    assert shelf(build).files[PART] == shelf(build).files[PART]


def shelf(build: Builder) -> Result:
    return build(SHELF2, {"MODE": "pip"}, ("environment.tar.gz",))


SETUP = b"""\
from setuptools import Extension, setup
setup(name='pit', version='2.0', py_modules=['stone'], ext_modules=[Extension('kernel', ['kernel.c'])])
"""
KERNEL = b"""\
#include <Python.h>
PyMODINIT_FUNC initkernel(void) { Py_InitModule("kernel", NULL); }
"""


@pytest.mark.parametrize("line", [b"./pit\n", b"-e ./pit\n"])
def test_folder_of_the_repository_is_compiled_and_told_as_such(build: Builder, line: bytes) -> None:
    pit = {"pit": None, "pit/setup.py": SETUP, "pit/kernel.c": KERNEL, "pit/stone.py": b"print 'Python 2'\n"}
    result = build(SHOP | pit | {"requirements.txt": line}, {"MODE": "pip"}, ("environment.tar.gz",))
    assert result.status.exit_code == 0, result.lines
    [package] = json.loads(result.files["environment.json"])["packages"]
    assert {**package, "sha256": "", "filename": ""} == {
        "name": "pit", "version": "2.0", "sha256": "", "filename": "", "source": "local",
    }  # fmt: skip
    assert {f"{SITE}/kernel.so", f"{SITE}/stone.pyc"} <= set(entries(result))


FAILURES: dict[str, tuple[dict[str, bytes | None], dict[str, str], int, str]] = {
    "uv": (
        SHELF2,
        {"MODE": "uv"},
        2,
        "MODE is uv, which this builder does not know: leave it out, or say one of: pip.",
    ),
    "does not resolve": (
        SHOP | {"requirements.txt": b"no-such-fruit==9\n"},
        {},
        11,
        "cannot be met: No matching distribution found for no-such-fruit==9",
    ),
    "not a requirement": (
        SHOP | {"requirements.txt": b"fruits ===== 9\n"},
        {},
        11,
        "cannot be met: Invalid requirement",
    ),
    "wheel for Python 3": (SHOP, {}, 11, "is not a supported wheel on this platform"),
    "hash is another": (
        SHELF2 | {"requirements.txt": b"--no-index\n-f wheels\nfruits==1.0 --hash=sha256:" + b"0" * 64 + b"\n"},
        {},
        11,
        "cannot be met",
    ),
    "does not compile": (
        SHOP | {"pit": None, "pit/setup.py": b"raise SystemExit('x.c:1: error')\n", "requirements.txt": b"./pit\n"},
        {},
        12,
        "A package could not be built from its source",
    ),
    "pyproject": (
        SHOP | {"pyproject.toml": b"[project]\n"},
        {"REQUIREMENTS": "pyproject.toml"},
        11,
        "this stack's pip reads requirements files alone",
    ),
    "index away": (
        SHOP | {"requirements.txt": b"no-such-fruit\n"},
        {"PIP_NO_INDEX": "", "PIP_INDEX_URL": "https://127.0.0.1:9/simple", "PIP_RETRIES": "1"},
        17,
        "pip could not reach the package index",
    ),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_failed_build_ends_with_its_code_and_a_sentence(build: Builder, failure: str) -> None:
    files, environment, code, sentence = FAILURES[failure]
    result = build(files, {"MODE": "pip", **environment})
    assert result.status.exit_code == code, result.lines
    assert sentence in result.lines[-1]
    assert "environment.json" not in result.files
