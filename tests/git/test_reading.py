"""Files and archives out of a mirror."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from releases.errors import BuildCancelled, BuildFailed, LimitExceeded
from releases.git import Git, reading
from tests.git.conftest import Origin
from tests.git.test_mirrors import Ended


def archived(git: Git, commit: str) -> dict[str, tarfile.TarInfo]:
    data = b"".join(git.archive("shop", commit))
    with tarfile.open(fileobj=io.BytesIO(data), encoding="utf-8", errors="surrogateescape") as archive:
        return {member.name: member for member in archive}


def test_archive_holds_the_exact_commit_owned_by_the_builder(git: Git, origin: Origin) -> None:
    (origin.work / "run.sh").write_text("#!/bin/sh\n")
    (origin.work / "run.sh").chmod(0o755)
    (origin.work / "latest").symlink_to("app/app.py")
    first = origin.commit("Add a script", {"deep/" * 60 + "end.py": b"x" * 1000})
    origin.commit("Later", {"later.txt": b"no"})
    origin.push()
    git.refresh("shop", origin.url)
    members = archived(git, first)
    assert set(members) >= {"app", "app/app.py", "requirements.txt", "run.sh", "latest", "deep/" * 60 + "end.py"}
    assert "later.txt" not in members
    assert {(member.uid, member.gid, member.uname) for member in members.values()} == {(10001, 10001, "")}
    assert (members["run.sh"].mode, members["requirements.txt"].mode, members["app"].mode) == (0o755, 0o644, 0o755)
    assert members["latest"].issym()
    assert members["latest"].linkname == "app/app.py"
    assert members["deep/" * 60 + "end.py"].size == 1000


def test_archive_is_the_same_bytes_every_time(git: Git, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = git.refresh("shop", origin.url)[0].commit
    first = b"".join(git.archive("shop", commit))
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    before = os.umask(0o077)
    try:
        assert b"".join(git.archive("shop", commit)) == first
    finally:
        os.umask(before)


def test_archive_keeps_odd_names(git: Git, origin: Origin) -> None:
    names = [b"new\nline", b"caf\xe9", "nañdú 🍐".encode(), b"-rf", b"sp ace", b"\x1b[31mred", b"q'\"\\", b"x" * 255]
    for name in names:
        Path(os.fsdecode(os.fsencode(origin.work) + b"/" + name)).write_bytes(b"!")
    commit = origin.commit("Odd names", {})
    origin.push()
    git.refresh("shop", origin.url)
    assert set(map(os.fsencode, archived(git, commit))) >= set(names)
    paths = {entry.path for entry in git.entries("shop", commit)}
    assert {"new\nline", "caf\\xe9", "nañdú 🍐", "-rf"} <= paths
    assert git.read_file("shop", commit, "-rf") == b"!"
    assert git.read_file("shop", commit, "nañdú 🍐") == b"!"


@pytest.mark.parametrize("name", [b"..", b"../x"])
def test_archive_refuses_a_name_that_leads_out(git: Git, origin: Origin, name: bytes) -> None:
    """git itself would not write such a tree; a hostile server would."""
    blob = origin.git("hash-object", "-w", "--stdin", feed=b"evil")
    tree = b"100644 " + name + b"\0" + bytes.fromhex(blob)
    tree_id = origin.git("hash-object", "-t", "tree", "--literally", "-w", "--stdin", feed=tree)
    commit = origin.git("commit-tree", tree_id, "-m", "Evil")
    origin.git("update-ref", "refs/heads/evil", commit)
    origin.push()
    git.refresh("shop", origin.url)
    with pytest.raises(BuildFailed, match="leads out of its folder"):
        list(git.archive("shop", commit))


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("../out", tarfile.REGTYPE, "leads out of its folder"),
        ("app/../../out", tarfile.SYMTYPE, "leads out of its folder"),
        ("/etc/cron.d/out", tarfile.REGTYPE, "leads out of its folder"),
        ("app/pipe", tarfile.FIFOTYPE, "no file, folder or link"),
        ("app/disk", tarfile.BLKTYPE, "no file, folder or link"),
        ("app/passwd", tarfile.LNKTYPE, "no file, folder or link"),
    ],
)
def test_archive_is_looked_through_whatever_git_lets_pass(name: str, kind: bytes, words: str) -> None:
    """git refuses such names by itself; that it goes on to do so is not relied upon."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "/etc/passwd"
    data = member.tobuf(tarfile.GNU_FORMAT) + bytes(1024)
    with pytest.raises(BuildFailed, match=words):
        list(reading._reowned(iter([data]), 10001, 1024))


def test_archive_has_limits(git: Git, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = git.refresh("shop", origin.url)[0].commit
    with pytest.raises(LimitExceeded, match="larger than"):
        list(git.archive("shop", commit, bytes_limit=10))
    monkeypatch.setattr(reading, "MOST_FILES", 2)
    with pytest.raises(LimitExceeded, match="more than 2 files"):
        list(git.archive("shop", commit))
    monkeypatch.setattr(reading, "MOST_FILES", 1)
    with pytest.raises(LimitExceeded, match="more than 1 files"):
        git.entries("shop", commit)


def test_archive_asks_whether_to_go_on(git: Git, origin: Origin) -> None:
    commit = git.refresh("shop", origin.url)[0].commit
    with pytest.raises(BuildCancelled):
        list(git.archive("shop", commit, stop=Ended()))


def test_archive_that_nobody_reads_to_the_end_leaves_no_process(git: Git, origin: Origin) -> None:
    commit = origin.commit("Something large", {"large": os.urandom(4_000_000)})
    origin.push()
    git.refresh("shop", origin.url)
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    others = set(children.read_text().split())  # of other tests, such as a browser's driver
    chunks = git.archive("shop", commit)
    next(chunks)
    assert set(children.read_text().split()) - others
    del chunks
    assert not set(children.read_text().split()) - others


def test_archive_carries_large_files_whole(git: Git, origin: Origin) -> None:
    content = os.urandom(1_234_567)
    commit = origin.commit("Something large", {"large": content})
    origin.push()
    git.refresh("shop", origin.url)
    with tarfile.open(fileobj=io.BytesIO(b"".join(git.archive("shop", commit)))) as archive:
        large = archive.extractfile("large")
        assert large is not None
        assert large.read() == content


def test_entries_name_every_file_with_size_and_mode(git: Git, origin: Origin) -> None:
    commit = git.refresh("shop", origin.url)[0].commit
    assert [(entry.path, entry.size, entry.mode) for entry in git.entries("shop", commit)] == [
        ("app/app.py", 8, "100644"),
        ("requirements.txt", 6, "100644"),
    ]


def test_read_file_follows_links_inside_the_repository_alone(git: Git, origin: Origin) -> None:
    (origin.work / "linked").symlink_to("requirements.txt")
    (origin.work / "folder").symlink_to("app")
    (origin.work / "outside").symlink_to("/etc/passwd")
    (origin.work / "upwards").symlink_to("../../etc/passwd")
    (origin.work / "nowhere").symlink_to("gone")
    (origin.work / "loop").symlink_to("loop")
    commit = origin.commit("Links", {})
    origin.push()
    git.refresh("shop", origin.url)
    assert git.read_file("shop", commit, "linked") == b"Flask\n"
    assert git.read_file("shop", commit, "folder/app.py") == b"app = 2\n"
    for path in ("outside", "upwards", "nowhere", "loop"):
        assert git.read_file("shop", commit, path) is None


@pytest.mark.parametrize(
    "path",
    [
        *(
            "",
            "gone",
            "app",
            "app/",
            "/requirements.txt",
            "./requirements.txt",
            "app/../requirements.txt",
            "a\nb",
            "a\0b",
        ),
        *("requirements.txt/x", "*", ":(glob)*", "x" * 5000, "--help"),
    ],
)
def test_read_file_of_what_is_no_file(git: Git, origin: Origin, path: str) -> None:
    commit = git.refresh("shop", origin.url)[0].commit
    assert git.read_file("shop", commit, path) is None


def test_read_file_is_bounded(git: Git, origin: Origin) -> None:
    commit = git.refresh("shop", origin.url)[0].commit
    assert git.read_file("shop", commit, "requirements.txt", limit=6) == b"Flask\n"
    with pytest.raises(LimitExceeded, match=r"requirements\.txt holds 6 bytes"):
        git.read_file("shop", commit, "requirements.txt", limit=5)


# ---- what tags say -------------------------------------------------------------------------------------------


def test_annotated_tag_says_who_when_and_what(git: Git, origin: Origin) -> None:
    light, annotated = (ref for ref in git.refresh("shop", origin.url) if ref.kind == "tag")
    assert (annotated.name, annotated.annotated) == ("v1.0.0", True)
    assert (annotated.tagger, annotated.message) == ("Ana <ana@example.org>", "The first release")
    assert annotated.tagged_at == datetime(2026, 1, 5, 10, tzinfo=UTC)
    assert annotated.subject == "Sell apples"
    assert annotated.signature == ""
    assert (light.annotated, light.tagger, light.tagged_at, light.message) == (False, "", None, "")


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        ("PGP SIGNATURE", "openpgp"),
        ("PGP MESSAGE", "openpgp"),
        ("SSH SIGNATURE", "ssh"),
        ("SIGNED MESSAGE", "x509"),
        ("SOMETHING ELSE", ""),
    ],
)
def test_signed_tag_is_known_by_its_signature(git: Git, origin: Origin, start: str, kind: str) -> None:
    body = f"A release\n\nWith words.\n-----BEGIN {start}-----\n\nAAAA\n-----END {start}-----\n"
    head = f"object {origin.git('rev-parse', 'HEAD')}\ntype commit\ntag v2.0.0\ntagger Ana <a@b> 1767607200 +0000"
    tag = f"{head}\n\n{body}"
    identity = origin.git("hash-object", "-t", "tag", "-w", "--stdin", feed=tag.encode())
    origin.git("update-ref", "refs/tags/v2.0.0", identity)
    origin.push()
    [found] = [ref for ref in git.refresh("shop", origin.url) if ref.name == "v2.0.0"]
    assert (found.signature, found.annotated) == (kind, True)
    assert found.message.startswith("A release")


def test_tag_that_is_really_signed_with_ssh(git: Git, origin: Origin, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    options = ["-c", "gpg.format=ssh", "-c", f"user.signingKey={key}"]
    origin.git(*options, "tag", "--sign", "v3.0.0", "-m", "Signed")
    origin.push()
    [found] = [ref for ref in git.refresh("shop", origin.url) if ref.name == "v3.0.0"]
    assert (found.signature, found.message) == ("ssh", "Signed")


def test_tag_without_a_tagger_and_with_odd_words(git: Git, origin: Origin) -> None:
    tag = f"object {origin.git('rev-parse', 'HEAD')}\ntype commit\ntag old\n\n\x1b[31mred\x1b[0m\n".encode()
    identity = origin.git("hash-object", "-t", "tag", "-w", "--literally", "--stdin", feed=tag)
    origin.git("update-ref", "refs/tags/old", identity)
    origin.push()
    [found] = [ref for ref in git.refresh("shop", origin.url) if ref.name == "old"]
    assert (found.tagger, found.tagged_at) == ("", None)
    assert found.message == "[31mred [0m"
