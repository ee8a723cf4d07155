"""One digest over everything that decides what an environment holds."""

from __future__ import annotations

import pytest

from releases.pipeline.requirements import inputs_digest

COMMIT, OTHER_COMMIT = "a" * 40, "b" * 40


def digest(files: dict[str, bytes], start: str = "requirements.txt", *, commit: str = COMMIT, index: str = "") -> str:
    return inputs_digest(start, files.get, commit=commit, index_url=index)


def test_same_files_have_the_same_digest_whatever_the_commit() -> None:
    files = {"requirements.txt": b"Flask==3.1.0\n", "app/app.py": b"one"}
    assert digest(files) == digest({**files, "app/app.py": b"two"}, commit=OTHER_COMMIT)
    assert len(digest(files)) == 64


@pytest.mark.parametrize(
    "line", ["-r base.txt", "-rbase.txt", "--requirement=base.txt", "-c base.txt", "--constraint base.txt # why"]
)
def test_files_that_are_led_to_count(line: str) -> None:
    files = {"deps/requirements.txt": f"Flask\n{line}\n".encode(), "deps/base.txt": b"click==8.1.0\n"}
    changed = {**files, "deps/base.txt": b"click==8.2.0\n"}
    assert digest(files, "deps/requirements.txt") != digest(changed, "deps/requirements.txt")


def test_files_that_lead_to_each_other_come_to_an_end() -> None:
    assert digest({"requirements.txt": b"-r b.txt\n", "b.txt": b"-r requirements.txt\n"})


def test_file_in_another_encoding_is_read_too() -> None:
    files = {"requirements.txt": "-r base.txt\r\n".encode("utf-16"), "base.txt": b"click==8.1.0\n"}
    assert digest(files) != digest({**files, "base.txt": b"click==8.2.0\n"})


def test_another_index_is_another_digest() -> None:
    files = {"requirements.txt": b"Flask\n"}
    assert digest(files) != digest(files, index="https://packages.example.org/simple")


@pytest.mark.parametrize("line", ["-e .", ".", "./libs/thing", "libs/thing.whl", "thing @ file:libs", "--find-links x"])
def test_folder_of_the_repository_makes_the_whole_commit_count(line: str) -> None:
    files = {"requirements.txt": f"{line}\n".encode()}
    assert digest(files)
    assert digest(files) != digest(files, commit=OTHER_COMMIT)


@pytest.mark.parametrize(
    "line",
    [
        "git+https://git.example.org/thing.git",
        "thing @ git+https://git.example.org/thing.git@main",
        "https://files.example.org/thing-1.0.tar.gz",
        "-r https://files.example.org/more.txt",
    ],
)
def test_what_may_change_elsewhere_has_no_digest(line: str) -> None:
    assert digest({"requirements.txt": f"{line}\n".encode()}) == ""


@pytest.mark.parametrize(
    "line",
    [
        f"thing @ git+https://git.example.org/thing.git@{COMMIT}",
        f"https://files.example.org/thing-1.0.tar.gz#sha256={'0' * 64}",
        "--extra-index-url https://packages.example.org/simple",
    ],
)
def test_what_cannot_change_elsewhere_has_one(line: str) -> None:
    assert digest({"requirements.txt": f"{line}\n".encode()})


def test_project_file_counts_with_its_lock() -> None:
    files = {"pyproject.toml": b'[project]\nname = "x"\ndependencies = ["flask"]\n', "uv.lock": b"one"}
    assert digest(files, "pyproject.toml") != digest({**files, "uv.lock": b"two"}, "pyproject.toml")
    assert digest(files, "pyproject.toml") == digest(files, "pyproject.toml", commit=OTHER_COMMIT)


def test_project_that_computes_its_dependencies_counts_as_a_whole() -> None:
    files = {"pyproject.toml": b'[project]\nname = "x"\ndynamic = ["dependencies"]\n'}
    assert digest(files, "pyproject.toml") != digest(files, "pyproject.toml", commit=OTHER_COMMIT)


def test_mistaken_number_of_files_has_no_digest() -> None:
    files = {f"r{number}.txt": f"-r r{number + 1}.txt\n".encode() for number in range(300)}
    assert digest(files, "r0.txt") == ""
