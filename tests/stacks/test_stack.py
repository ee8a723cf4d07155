"""Reading stacks, and saying what is wrong with a folder that means to be one."""

from __future__ import annotations

import io
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import Settings

from releases.errors import StackError
from releases.stacks import stack

FILES = {
    "stack.toml": 'title = "Own"\nbase = "debian:trixie-slim"\npython = "3.13"\n',
    "builder/Dockerfile": "FROM debian:trixie-slim\nCOPY build.sh /\n",
    "builder/build.sh": "echo hello\n",
    "runner/Dockerfile": "FROM debian:trixie-slim AS runtime\nFROM runtime\nADD app.tar.gz /\n",
    "runner/app.ini": "[uwsgi]\n",
}


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def site(tmp_path: Path, settings: Settings) -> Path:
    """A site's own folder of stacks, after the portal's."""
    folder = tmp_path / "stacks"
    folder.mkdir()
    settings.STACK_DIRS = (*settings.STACK_DIRS[:1], folder)
    return folder


# ---- what is there -----------------------------------------------------------------------------------------


def test_stack_of_the_portal_says_what_it_is() -> None:
    found = stack.load("python3.13-uwsgi")
    assert found.title == "Python 3.13 with uWSGI"
    assert (found.base, found.suite, found.python, found.port) == ("debian:trixie-slim", "trixie", "3.13", 8080)
    assert re.fullmatch(r"release-portal/python3\.13-uwsgi-builder:[0-9a-f]{12}", found.builder_tag)
    assert re.fullmatch(r"release-portal/python3\.13-uwsgi-runner:[0-9a-f]{12}", found.runner_tag)
    assert found.package_of("libpq.so.5") == "libpq5"


def test_each_half_has_the_tag_of_its_own_files(tmp_path: Path) -> None:
    before = stack.read(write(tmp_path / "own", FILES))
    after = stack.read(write(tmp_path / "own", {"runner/app.ini": "[other]\n"}))
    assert after.builder_tag == before.builder_tag
    assert after.runner_tag != before.runner_tag


# ---- a stack with the builder of another -------------------------------------------------------------------

LENT = {name: text for name, text in FILES.items() if not name.startswith("builder/")} | {
    "stack.toml": FILES["stack.toml"] + 'builder = "own"\n'
}


def test_stack_uses_the_builder_of_another(site: Path) -> None:
    own = stack.read(write(site / "own", FILES | {"stack.toml": FILES["stack.toml"] + '[libraries]\n"*" = "so:*"\n'}))
    second = stack.read(write(site / "second", LENT))
    assert second.builder_tag == own.builder_tag
    assert second.runner_tag.startswith("release-portal/second-runner:")
    assert b"".join(second.context("builder")) == b"".join(own.context("builder"))
    assert second.package_of("libodd.so.9") == "so:libodd.so.9"
    assert list(second.files()) == [
        "own/builder/Dockerfile", "own/builder/build.sh", "runner/Dockerfile", "runner/app.ini", "stack.toml"
    ]  # fmt: skip


def test_digest_knows_the_files_of_a_lent_builder(site: Path) -> None:
    write(site / "own", FILES)
    before = stack.read(write(site / "second", LENT)).digest
    write(site / "own", {"builder/build.sh": "echo Hello\n"})
    assert stack.read(site / "second").digest != before


@pytest.mark.parametrize(
    "change", [{"stack.toml": FILES["stack.toml"] + 'builder = "nobody"\n'}, {"builder/Dockerfile": "FROM x\n"}]
)
def test_builder_that_is_not_there_or_there_twice_is_told(site: Path, change: dict[str, str]) -> None:
    write(site / "own", FILES)
    write(site / "second", LENT | change)
    with pytest.raises(StackError, match=r"second/stack\.toml names \w+ as the stack whose builder it uses"):
        stack.load("second")


def test_stacks_with_one_interpreter_put_the_same_root_together() -> None:
    """A runner's folder is complete by itself, so files are copied: change one, then copy it to the others."""
    first, second = stack.load("python3.13-uwsgi"), stack.load("python3.13-asgi")
    for name in ("assemble.sh", "libraries.txt"):
        assert (first.path / "runner" / name).read_bytes() == (second.path / "runner" / name).read_bytes()


# ---- names ------------------------------------------------------------------------------------------------


def test_stacks_of_the_site_stand_beside_the_portals(site: Path) -> None:
    write(site / "own", FILES)
    assert {"own", "python3.13-asgi", "python3.13-uwsgi"} <= {found.name for found in stack.available()}
    assert stack.load("own").path == site / "own"


def test_stack_of_the_site_stands_before_the_portals_of_the_same_name(site: Path) -> None:
    write(site / "python3.13-uwsgi", FILES)
    assert stack.load("python3.13-uwsgi").title == "Own"


@pytest.mark.parametrize("name", ["nothing", "", "../stacks", "python3.13-uwsgi/builder", "."])
def test_stack_that_is_not_there_is_told_with_those_that_are(name: str) -> None:
    with pytest.raises(StackError, match=r"There is no stack .*\(there are: .*python3\.13-uwsgi"):
        stack.load(name)


def test_folder_of_stacks_that_is_not_there_is_named(site: Path) -> None:
    site.rmdir()
    with pytest.raises(StackError, match=f"The folder of stacks {site} is not there: create it"):
        stack.available()


# ---- the digest --------------------------------------------------------------------------------------------


def test_digest_does_not_know_modes_and_times(tmp_path: Path) -> None:
    folder = write(tmp_path / "own", FILES)
    before = stack.read(folder).digest
    (folder / "builder/build.sh").chmod(0o755)
    os.utime(folder / "runner/app.ini", (1, 1))
    assert stack.read(folder).digest == before
    assert stack.read(write(tmp_path / "elsewhere" / "own", FILES)).digest == before


@pytest.mark.parametrize(
    "change",
    [
        {"builder/build.sh": "echo Hello\n"},
        {"runner/extra.ini": ""},
        {"stack.toml": FILES["stack.toml"] + "# a remark\n"},
    ],
)
def test_digest_knows_every_file(tmp_path: Path, change: dict[str, str]) -> None:
    before = stack.read(write(tmp_path / "own", FILES)).digest
    assert stack.read(write(tmp_path / "own", change)).digest != before


def test_digest_tells_a_moved_border_between_two_files(tmp_path: Path) -> None:
    first = write(tmp_path / "a" / "own", {**FILES, "runner/x": "12", "runner/y": "3"})
    second = write(tmp_path / "b" / "own", {**FILES, "runner/x": "1", "runner/y": "23"})
    assert stack.read(first).digest != stack.read(second).digest


def test_digest_ignores_what_python_leaves(tmp_path: Path) -> None:
    before = stack.read(write(tmp_path / "own", FILES)).digest
    assert stack.read(write(tmp_path / "own", {"builder/__pycache__/x.pyc": "x"})).digest == before


# ---- folders that are wrong -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"stack.toml": "title = \n"}, "stack.toml is not readable as TOML"),
        ({"stack.toml": 'base = "debian:trixie-slim"\npython = "3.13"\n'}, "stack.toml needs a line title"),
        ({"stack.toml": FILES["stack.toml"].replace('"3.13"', "3.13")}, "stack.toml needs a line python"),
        ({"stack.toml": FILES["stack.toml"] + "port = 0\n"}, "no usable port"),
        ({"stack.toml": FILES["stack.toml"] + "port = true\n"}, "no usable port"),
        ({"stack.toml": FILES["stack.toml"] + "[engine]\napi = 1.41\n"}, "no usable api"),
        ({"stack.toml": FILES["stack.toml"] + "libraries = 1\n"}, r"no usable \[libraries\]"),
        ({"builder/Dockerfile": "FROM alpine\n"}, "builder/Dockerfile does not start FROM debian:trixie-slim"),
        ({"runner/Dockerfile": "FROM debian:trixie-slim\n"}, "runner/Dockerfile has no stage named runtime"),
    ],
)
def test_broken_stack_names_file_and_cure(site: Path, change: dict[str, str], sentence: str) -> None:
    write(site / "own", FILES | change)
    with pytest.raises(StackError, match=sentence) as caught:
        stack.available()
    assert str(site / "own") in str(caught.value)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("name", ["stack.toml", "builder/Dockerfile", "builder/build.sh", "runner/Dockerfile"])
def test_missing_file_is_named(site: Path, name: str) -> None:
    write(site / "own", FILES)
    (site / "own" / name).unlink()
    with pytest.raises(StackError, match=f"The stack own has no file {name}: add it to {site}/own."):
        stack.available()


def test_link_in_a_stack_is_refused(site: Path) -> None:
    write(site / "own", FILES)
    (site / "own" / "runner" / "passwd").symlink_to("/etc/passwd")
    with pytest.raises(StackError, match="runner/passwd is a link or a special file"):
        stack.available()


def test_name_that_is_no_image_name_is_refused(site: Path) -> None:
    write(site / "Own Stack", FILES)
    with pytest.raises(StackError):
        stack.available()


# ---- the context of a build ------------------------------------------------------------------------------------


def members(context: Iterator[bytes]) -> dict[str, bytes]:
    found = {}
    with tarfile.open(fileobj=io.BytesIO(b"".join(context)), mode="r:") as archive:
        for member in archive:
            source = archive.extractfile(member)
            assert source is not None
            found[member.name] = source.read()
    return found


def test_context_holds_one_half_and_what_is_added(tmp_path: Path) -> None:
    own = stack.read(write(tmp_path / "own", FILES))
    assert members(own.context("builder")) == {
        "Dockerfile": FILES["builder/Dockerfile"].encode(),
        "build.sh": FILES["builder/build.sh"].encode(),
    }
    assert members(own.context("runner", {"app.tar.gz": (5, [b"pro", b"", b"ve"])})) == {
        "Dockerfile": FILES["runner/Dockerfile"].encode(),
        "app.ini": FILES["runner/app.ini"].encode(),
        "app.tar.gz": b"prove",
    }


def test_context_is_the_same_for_the_same_files(tmp_path: Path) -> None:
    first = stack.read(write(tmp_path / "a" / "own", FILES))
    second = stack.read(write(tmp_path / "b" / "own", FILES))
    os.utime(second.path / "builder/build.sh", (1, 1))
    assert b"".join(first.context("builder")) == b"".join(second.context("builder"))


def test_context_reads_an_added_file_piece_by_piece(tmp_path: Path) -> None:
    own = stack.read(write(tmp_path / "own", FILES))
    read = []

    def pieces() -> Iterator[bytes]:
        for number in range(1000):
            read.append(number)
            yield bytes(1000)

    for piece in own.context("runner", {"app.tar.gz": (1_000_000, pieces())}):
        if piece == bytes(1000):
            break
    assert read == [0]


@pytest.mark.parametrize("size", [4, 6])
def test_context_refuses_an_added_file_of_another_size(tmp_path: Path, size: int) -> None:
    own = stack.read(write(tmp_path / "own", FILES))
    with pytest.raises(ValueError, match=f"announced with {size} bytes and came with 5"):
        list(own.context("runner", {"app.tar.gz": (size, [b"12345"])}))
