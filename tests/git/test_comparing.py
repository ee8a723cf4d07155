"""What lies between two commits, read from real repositories, also from those that mean no good."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from releases.errors import GitError
from releases.git import Git, comparing
from releases.specs import Difference, FileChange
from tests.git.conftest import Origin


def between(git: Git, origin: Origin, old: str, new: str) -> Difference:
    origin.push()
    git.refresh("shop", origin.url)
    return git.difference("shop", old, new)


def test_commits_and_files_between_two_commits(git: Git, origin: Origin) -> None:
    old = origin.git("rev-parse", "v1.0.0^{commit}")
    (origin.work / "requirements.txt").unlink()
    new = origin.commit("Sell plums", {"app/plums.py": b"plums"}, when="2026-03-05T10:00:00Z")
    found = between(git, origin, old, new)
    assert found.base == old
    assert [(commit.subject, commit.author) for commit in found.come] == [("Sell plums", "Ana"), ("Sell pears", "Ana")]
    assert found.come[0].commit == new
    assert found.come[0].at == 1772704800
    assert (found.come_count, found.gone, found.gone_count) == (2, (), 0)
    assert found.files == (
        FileChange("app/app.py", "changed", 8, 8),
        FileChange("app/plums.py", "added", 0, 5),
        FileChange("requirements.txt", "removed", 6, 0),
    )
    assert (found.added, found.removed, found.changed, found.files_count) == (1, 1, 1, 3)


def test_way_back_is_the_same_turned(git: Git, origin: Origin) -> None:
    old = origin.git("rev-parse", "v1.0.0^{commit}")
    new = origin.commit("Flask again", {"requirements.txt": b"Flask==3.1.3\n", "new.txt": b"1"})
    forth = between(git, origin, old, new)
    assert forth.requirements[0].come == ("Flask==3.1.3",)
    assert git.difference("shop", new, old) == forth.turned()
    assert forth.turned().turned() == forth
    assert Difference.from_json(json.loads(json.dumps(forth.as_json()))) == forth


def test_branches_that_parted_have_commits_on_both_sides(git: Git, origin: Origin) -> None:
    parted = origin.git("rev-parse", "HEAD")
    one = origin.commit("One way", {"one.txt": b"1"})
    origin.git("checkout", "--quiet", "-b", "other", parted)
    other = origin.commit("The other way", {"other.txt": b"2"})
    found = between(git, origin, one, other)
    assert found.base == parted
    assert [commit.subject for commit in found.come] == ["The other way"]
    assert [commit.subject for commit in found.gone] == ["One way"]


def test_rewritten_history_has_nothing_in_common_but_files(git: Git, origin: Origin) -> None:
    old = origin.git("rev-parse", "HEAD")
    origin.push()
    git.refresh("shop", origin.url)
    origin.git("checkout", "--quiet", "--orphan", "anew")
    new = origin.commit("All anew", {"app/app.py": b"app = 3333\n"})
    origin.git("branch", "--quiet", "-D", "main")
    origin.git("tag", "-d", "v1.0.0", "v1.1.0")
    found = between(git, origin, old, new)
    assert (found.base, found.come, found.gone) == ("", (), ())
    assert found.files == (FileChange("app/app.py", "changed", 8, 11),)


def test_hostile_names_and_words_come_as_plain_lines(git: Git, origin: Origin) -> None:
    old = origin.git("rev-parse", "HEAD")
    names = [
        b"new\nline",
        b"tab\there",
        b"caf\xe9",
        b"\x1b[31mred",
        b"\xe2\x80\xaegnp.exe",
        b"<b>bold",
        b"-rf",
        b"\xed\xa0\x80",
    ]
    for name in [*names, b"x" * 255]:
        Path(os.fsdecode(os.fsencode(origin.work) + b"/" + name)).write_bytes(b"!")
    origin.git("add", "--all")
    origin.git(
        "-c",
        "user.name=<script>\x1b[31m\u202e",
        "commit",
        "--quiet",
        "-F",
        "-",
        feed=b"\x1b]0;title\x07 A\xff \xe2\x80\xae" + b"long " * 5000,
    )
    found = between(git, origin, old, origin.git("rev-parse", "HEAD"))
    [commit] = found.come
    assert commit.subject.isprintable()
    assert len(commit.subject) == 200
    assert commit.author.isprintable()
    paths = [file.path for file in found.files]
    assert all(path.isprintable() for path in paths), paths
    assert {"new\\nline", "caf\\xe9", "\\x1b[31mred", "\\u202egnp.exe", "<b>bold", "-rf"} <= set(paths)
    assert len(paths) == len(names) + 1
    assert "\x00" not in json.dumps(found.as_json())
    assert json.dumps(found.as_json()).encode()  # no half of a surrogate pair


def test_lists_are_bounded_and_counts_are_not(git: Git, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "MOST_COMMITS", 2)
    monkeypatch.setattr(comparing, "MOST_FILES", 3)
    old = origin.git("rev-parse", "HEAD")
    for number in range(5):
        new = origin.commit(f"Commit {number}", {f"file{number}.txt": b"x" * number})
    found = between(git, origin, old, new)
    assert [commit.subject for commit in found.come] == ["Commit 4", "Commit 3"]
    assert found.come_count == 5
    assert [(file.path, file.now) for file in found.files] == [("file0.txt", 0), ("file1.txt", 1), ("file2.txt", 2)]
    assert found.files_count == 5


def test_other_rights_links_and_submodules(git: Git, origin: Origin) -> None:
    old = origin.commit("A script", {"run.sh": b"#!/bin/sh\n"})
    (origin.work / "run.sh").chmod(0o755)
    (origin.work / "latest").symlink_to("app/app.py")
    origin.git("update-index", "--add", "--cacheinfo", f"160000,{old},vendored")
    new = origin.commit("Odd entries", {})
    origin.git("update-index", "--add", "--cacheinfo", f"160000,{old},vendored")
    found = {file.path: file for file in between(git, origin, old, new).files}
    assert found["run.sh"].same_bytes
    assert (found["latest"].what, found["latest"].now) == ("added", len("app/app.py"))


def test_requirements_are_told_line_by_line(git: Git, origin: Origin) -> None:
    before = b"flask==3.1.2 \\\n    --hash=sha256:aa\n# a comment\npsycopg2-binary==2.9.11\nsame==1\n"
    after = b"same==1\nflask==3.1.2 \\\n    --hash=sha256:bb\npsycopg2==2.9.11 # from source\n"
    old = origin.commit("Before", {"requirements.txt": before, "deps/prod.list": b"a==1\n", "notes.txt": b"a\n"})
    new = origin.commit("After", {"requirements.txt": after, "deps/prod.list": b"a==2\n", "notes.txt": b"b\n"})
    origin.push()
    git.refresh("shop", origin.url)
    found = git.difference("shop", old, new, requirements=["deps/prod.list"]).requirements
    assert [(one.path, one.gone, one.come) for one in found] == [
        ("deps/prod.list", ("a==1",), ("a==2",)),
        ("requirements.txt", ("psycopg2-binary==2.9.11",), ("psycopg2==2.9.11",)),
    ]


def test_commit_that_is_no_commit_is_refused(git: Git, origin: Origin) -> None:
    origin.push()
    git.refresh("shop", origin.url)
    with pytest.raises(GitError):
        git.difference("shop", "--output=/tmp/canary", origin.git("rev-parse", "HEAD"))
