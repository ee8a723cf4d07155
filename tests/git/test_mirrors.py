"""A mirror of a real repository: refreshed, resolved, mended."""

from __future__ import annotations

import fcntl
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from releases.errors import BuildCancelled, GitError, InvalidInput, RefNotFound, SourceUnavailable
from releases.git import Git, upkeep
from tests.git.conftest import Origin, make_origin


class Ended:
    """A `Stop` that a person presses after so many questions."""

    def __init__(self, after: int = 0) -> None:
        self.left = after

    def check(self) -> None:
        if self.left <= 0:
            raise BuildCancelled("Ana cancelled the build.")
        self.left -= 1


def test_refresh_lists_tags_before_branches_and_the_newest_first(git: Git, origin: Origin) -> None:
    found = git.refresh("shop", origin.url)
    assert [(ref.kind, ref.name, ref.annotated, ref.subject) for ref in found] == [
        ("tag", "v1.1.0", False, "Sell pears"),
        ("tag", "v1.0.0", True, "Sell apples"),
        ("branch", "main", False, "Sell pears"),
    ]
    assert found[0].commit == found[2].commit == origin.git("rev-parse", "v1.1.0")
    assert found[1].commit == origin.git("rev-parse", "v1.0.0^{commit}")
    assert found[1].committed_at == datetime(2026, 1, 5, 10, tzinfo=UTC)
    assert found[2].full_name == "refs/heads/main"


def test_refresh_peels_a_tag_of_a_tag(git: Git, origin: Origin) -> None:
    origin.git("tag", "-a", "outer", "-m", "A tag of a tag", "v1.0.0")
    origin.push()
    outer = next(ref for ref in git.refresh("shop", origin.url) if ref.name == "outer")
    assert outer.commit == origin.git("rev-parse", "v1.0.0^{commit}")
    assert (outer.subject, outer.committed_at.year) == ("Sell apples", 2026)


def test_refresh_leaves_out_tags_of_what_is_no_commit(git: Git, origin: Origin) -> None:
    blob = origin.git("rev-parse", "HEAD:requirements.txt")
    origin.git("tag", "a-file", blob)
    origin.git("tag", "a-tree", "HEAD^{tree}")
    origin.git("tag", "-a", "noted-file", "-m", "no commit", blob)
    origin.push()
    assert {ref.name for ref in git.refresh("shop", origin.url)} == {"v1.0.0", "v1.1.0", "main"}


def test_refresh_cleans_subjects(git: Git, origin: Origin) -> None:
    origin.commit("Red \x1b[31malert\x1b[0m \u202eevil\u202c \x07" + "long " * 100, {})
    raw = origin.git("cat-file", "commit", "v1.1.0").encode().split(b"\n\n")[0] + b"\n\ncaf\xe9 \x01\n"
    latin = origin.git("hash-object", "-t", "commit", "-w", "--literally", "--stdin", feed=raw)
    origin.git("update-ref", "refs/heads/latin", latin)
    origin.push()
    found = {ref.name: ref.subject for ref in git.refresh("shop", origin.url)}
    assert found["main"].isprintable()
    assert found["main"].startswith("Red [31malert [0m evil")
    assert len(found["main"]) <= 200
    assert found["latin"] == "caf\ufffd"
    assert git.committed_at("shop", latin) == git.committed_at("shop", origin.git("rev-parse", "v1.1.0^{commit}"))


def test_refresh_leaves_out_names_that_no_page_could_show(git: Git, origin: Origin) -> None:
    packed = origin.bare / "packed-refs"
    commit = origin.git("rev-parse", "HEAD")
    packed.write_bytes(f"{commit} refs/heads/".encode() + b"caf\xe9\n" + f"{commit} refs/heads/{'x' * 247}\n".encode())
    assert {ref.name for ref in git.refresh("shop", origin.url)} == {"main", "v1.0.0", "v1.1.0"}


def test_refresh_follows_a_moved_tag_and_keeps_the_commit_that_it_left(git: Git, origin: Origin) -> None:
    git.refresh("shop", origin.url)
    left = origin.git("rev-parse", "v1.1.0")
    origin.git("reset", "--quiet", "--hard", "v1.0.0")
    moved = origin.commit("Sell plums instead", {"app/app.py": b"app = 3\n"})
    origin.git("tag", "--force", "v1.1.0")
    origin.push()
    git.refresh("shop", origin.url)
    assert git.resolve("shop", "v1.1.0") == ("refs/tags/v1.1.0", moved)
    assert git.has_commit("shop", left)
    assert git.read_file("shop", left, "app/app.py") == b"app = 2\n"


def test_refresh_forgets_removed_refs_also_when_a_folder_takes_their_place(git: Git, origin: Origin) -> None:
    origin.git("branch", "topic")
    origin.push()
    git.refresh("shop", origin.url)
    origin.git("branch", "-m", "topic", "topic/one")
    origin.git("tag", "-d", "v1.0.0")
    origin.push()
    assert {ref.name for ref in git.refresh("shop", origin.url)} == {"v1.1.0", "main", "topic/one"}


def test_refresh_takes_another_address(git: Git, origin: Origin, local_root: Path) -> None:
    other = make_origin(local_root, "other")
    theirs = other.commit("Another shop", {"x": b"y"})
    other.push()
    git.refresh("shop", origin.url)
    assert [(ref.name, ref.commit) for ref in git.refresh("shop", other.url)] == [("main", theirs)]
    assert git.has_commit("shop", origin.git("rev-parse", "HEAD"))


def test_refresh_by_many_at_once_gives_all_the_same(git: Git, origin: Origin) -> None:
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: git.refresh("shop", origin.url), range(6)))
    assert all(answer == answers[0] for answer in answers)
    assert len(answers[0]) == 3


def test_refresh_is_fetched_once_for_all_who_wait(git: Git, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[str] = []
    fetch = Git._fetch

    def counted(self: Git, path: Path, url: str, *rest: Any) -> None:
        fetched.append(url)
        fetch(self, path, url, *rest)

    monkeypatch.setattr(Git, "_fetch", counted)
    git.mirrors.mkdir()
    waiting = Barrier(4)
    with ThreadPoolExecutor(3) as pool:
        with (git.mirrors / "shop.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            stops = [Arriving(waiting) for _ in range(3)]
            answers = [pool.submit(git.refresh, "shop", origin.url, stop=stop) for stop in stops]
            waiting.wait(timeout=30)
        assert [len(answer.result()) for answer in answers] == [3, 3, 3]
    assert fetched == [origin.url]

    origin.git("tag", "v1.2.0")
    origin.push()
    assert "v1.2.0" in [ref.name for ref in git.refresh("shop", origin.url)]  # who asks later is told what is new
    assert fetched == [origin.url] * 2


class Arriving:
    """A `Stop` that says once that somebody waits."""

    def __init__(self, barrier: Barrier) -> None:
        self._barrier: Barrier | None = barrier

    def check(self) -> None:
        barrier, self._barrier = self._barrier, None
        if barrier is not None:
            barrier.wait(timeout=30)


def test_refresh_waits_for_the_lock_and_can_be_cancelled_meanwhile(git: Git, origin: Origin) -> None:
    git.mirrors.mkdir()
    with (git.mirrors / "shop.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BuildCancelled):
            git.refresh("shop", origin.url, stop=Ended(after=2))
        assert not (git.mirrors / "shop").exists()
    assert git.refresh("shop", origin.url)


def test_refresh_gives_up_on_a_lock_that_never_comes(git: Git, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "LOCK_SECONDS", 0)
    git.mirrors.mkdir()
    with (git.mirrors / "shop.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(GitError, match="Another process has been refreshing shop"):
            git.refresh("shop", origin.url)


def test_refresh_mends_what_a_killed_process_left(git: Git, origin: Origin) -> None:
    mirror = git.mirrors / "shop"
    git.refresh("shop", origin.url)
    for left_over in (
        "packed-refs.lock",
        "HEAD.lock",
        "config.lock",
        "refs/heads/main.lock",
        "objects/pack/tmp_pack_x",
    ):
        (mirror / left_over).parent.mkdir(parents=True, exist_ok=True)
        (mirror / left_over).write_text("half")
    (mirror / "HEAD").unlink()
    origin.commit("Sell figs", {})
    origin.push()
    assert git.refresh("shop", origin.url)[-1].subject == "Sell figs"
    assert not list(mirror.glob("**/*.lock"))
    assert not list(mirror.glob("objects/pack/tmp_*"))


def test_refresh_goes_on_in_a_folder_that_was_only_begun(git: Git, origin: Origin) -> None:
    (git.mirrors / "shop" / "refs").mkdir(parents=True)
    (git.mirrors / "shop" / "config").write_text("[core\n broken")
    assert len(git.refresh("shop", origin.url)) == 3


@pytest.mark.parametrize("damage", ["pack", "ref", "all"])
def test_refresh_makes_a_damaged_mirror_anew(git: Git, origin: Origin, damage: str) -> None:
    git.refresh("shop", origin.url)
    mirror = git.mirrors / "shop"
    if damage == "ref":
        for packed in mirror.glob("packed-refs"):
            packed.unlink()
        (mirror / "refs/heads").mkdir(parents=True, exist_ok=True)
        (mirror / "refs/heads/main").write_bytes(b"")
    for pack in mirror.glob("objects/pack/*") if damage != "ref" else ():
        pack.chmod(0o644)
        pack.write_bytes(pack.read_bytes()[:40])
    if damage == "all":
        shutil.rmtree(mirror / "objects")
    origin.commit("Sell figs", {"new": b"1"})
    origin.push()
    found = git.refresh("shop", origin.url)
    assert [ref.name for ref in found] == ["v1.1.0", "v1.0.0", "main"]
    assert b"".join(git.archive("shop", found[-1].commit))


def test_refresh_joins_packs_and_drops_nothing(git: Git, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "PACKS_KEPT", 3)
    commits = []
    for number in range(8):
        commits.append(origin.commit(f"Try {number}", {"app/app.py": str(number).encode()}))
        origin.push()
        git.refresh("shop", origin.url)
        origin.git("reset", "--quiet", "--hard", "v1.0.0")
    assert len(list((git.mirrors / "shop").glob("objects/pack/*.pack"))) <= 4
    assert [git.read_file("shop", commit, "app/app.py") for commit in commits] == [b"%d" % n for n in range(8)]


def test_refresh_never_believes_a_configuration_that_it_finds(git: Git, origin: Origin, tmp_path: Path) -> None:
    git.refresh("shop", origin.url)
    mirror, canary = git.mirrors / "shop", tmp_path / "canary"
    with (mirror / "config").open("a") as config:
        config.write(f'[core]\n\tfsmonitor = "touch {canary}"\n\talternateRefsCommand = "touch {canary}"\n')
        config.write(f'[uploadpack]\n\tpackObjectsHook = "touch {canary}"\n[tar]\n\tumask = 0777\n')
    (mirror / "hooks").mkdir()
    (mirror / "hooks" / "reference-transaction").write_text(f"#!/bin/sh\ntouch {canary}\n")
    (mirror / "hooks" / "reference-transaction").chmod(0o755)
    origin.commit("Sell figs", {})
    origin.push()
    git.refresh("shop", origin.url)
    assert not canary.exists()
    assert "umask" not in (mirror / "config").read_text()


def test_refresh_reads_nothing_of_the_account_or_the_environment(
    git: Git, origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".gitconfig").write_text(
        '[url "file:///nowhere"]\n\tinsteadOf = file://\n[fetch]\n\tfsckObjects = no-bool\n'
    )
    hostile = {"HOME": tmp_path, "XDG_CONFIG_HOME": tmp_path, "GIT_DIR": "/nowhere", "GIT_TRACE": tmp_path / "trace"}
    hostile |= {"GIT_CONFIG_COUNT": 1, "GIT_CONFIG_KEY_0": "core.hooksPath", "GIT_CONFIG_VALUE_0": tmp_path}
    hostile |= {"GIT_EXEC_PATH": tmp_path, "GIT_OBJECT_DIRECTORY": tmp_path / "objects"}
    for name, value in hostile.items():
        monkeypatch.setenv(name, str(value))
    assert len(git.refresh("shop", origin.url)) == 3
    assert not (tmp_path / "trace").exists()


def test_refresh_of_an_empty_repository_says_so(git: Git, empty_origin: Origin) -> None:
    with pytest.raises(SourceUnavailable, match="no tags and no branches yet"):
        git.refresh("shop", empty_origin.url)


def test_refresh_says_that_git_is_missing(
    git: Git, origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitError, match="git is not installed"):
        git.refresh("shop", origin.url)


def test_refresh_says_that_a_repository_is_too_large(git: Git, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    growth = upkeep.Growth(git.mirrors / "shop", Ended(after=9), most=3)
    (git.mirrors / "shop/objects/pack").mkdir(parents=True)
    growth.check()
    (git.mirrors / "shop/objects/pack/tmp_pack_abc").write_bytes(b"1234")
    with pytest.raises(SourceUnavailable, match="larger than"):
        growth.check()


def test_settings_make_the_adapter(settings: object, tmp_path: Path) -> None:
    adapter = Git.from_settings()
    assert replace(adapter, mirrors=tmp_path).protocols == adapter.protocols
    assert "https" in adapter.protocols


# ---- resolve ---------------------------------------------------------------------------------------


def test_resolve_takes_a_tag_before_a_branch_before_a_commit(git: Git, origin: Origin) -> None:
    first, second = origin.git("rev-parse", "v1.0.0^{commit}"), origin.git("rev-parse", "v1.1.0")
    origin.git("branch", "v1.0.0", second)
    origin.git("branch", first[:10], second)
    origin.push()
    git.refresh("shop", origin.url)
    assert git.resolve("shop", "v1.0.0") == ("refs/tags/v1.0.0", first)
    assert git.resolve("shop", "refs/heads/v1.0.0") == ("refs/heads/v1.0.0", second)
    assert git.resolve("shop", first[:10]) == (f"refs/heads/{first[:10]}", second)
    assert git.resolve("shop", first[:8]) == ("", first)
    assert git.resolve("shop", first.upper()) == ("", first)


@pytest.mark.parametrize(
    "name", ["v9", "refs/tags/v9", "0" * 40, "abcdef0", "refs/heads", "HEAD", "shop.git", "config"]
)
def test_resolve_of_an_unknown_ref_says_what_there_is(git: Git, origin: Origin, name: str) -> None:
    git.refresh("shop", origin.url)
    with pytest.raises(RefNotFound, match=r"no tag, branch or commit “.*v1\.1\.0"):
        git.resolve("shop", name)


def test_resolve_names_at_most_five_that_come_close(git: Git, origin: Origin) -> None:
    for number in range(12):
        origin.git("tag", f"v2.0.{number}")
    origin.push()
    git.refresh("shop", origin.url)
    with pytest.raises(RefNotFound) as missing:
        git.resolve("shop", "v2.0.99")
    assert missing.value.message.count("v2.0.") == 6
    assert "did you mean v2.0.9" in missing.value.message


def test_resolve_of_a_tree_or_file_is_no_commit(git: Git, origin: Origin) -> None:
    git.refresh("shop", origin.url)
    with pytest.raises(RefNotFound):
        git.resolve("shop", origin.git("rev-parse", "HEAD^{tree}"))


def test_ref_with_the_name_of_an_option_is_listed_and_never_obeyed(git: Git, origin: Origin, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    for name in (f"--output={canary}", "--exec=touch", "-evil"):
        origin.git("update-ref", f"refs/tags/{name}", "HEAD")
    origin.push()
    found = {ref.name: ref for ref in git.refresh("shop", origin.url)}
    assert f"--output={canary}" in found
    for name in found:
        if name.startswith("-"):
            with pytest.raises(InvalidInput):
                git.resolve("shop", name)
            assert git.resolve("shop", found[name].full_name)[1] == found[name].commit
    assert b"".join(git.archive("shop", found["-evil"].commit))
    assert not canary.exists()


def test_reading_without_a_mirror_says_to_refresh(git: Git) -> None:
    assert not git.has_commit("shop", "0" * 40)
    with pytest.raises(GitError, match="refresh the application first"):
        git.resolve("shop", "main")


@pytest.mark.parametrize("name", ["../shop", "/shop", "", ".", "-x", "shop.lock", "shop.damaged", "a/b", "a\nb"])
def test_mirror_name_never_leads_out_of_the_folder(git: Git, origin: Origin, name: str) -> None:
    with pytest.raises(GitError, match="name of a mirror"):
        git.refresh(name, origin.url)


@pytest.mark.parametrize("commit", ["main", "--output=x", "abc", "A" * 40, "0" * 39, "0" * 40 + "\n"])
def test_only_forty_digits_name_a_commit(git: Git, origin: Origin, commit: str) -> None:
    git.refresh("shop", origin.url)
    with pytest.raises(GitError, match="40 hexadecimal"):
        git.has_commit("shop", commit)
    with pytest.raises(GitError, match="40 hexadecimal"):
        list(git.archive("shop", commit))
