"""Hostile repositories, made with the real git, on the way that each takes: refs read, mirrored, checked, archived.

None may run anything, reach anybody or give away a file of this machine; what cannot be built is refused."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest
from pytest_django import Settings

from releases.errors import BuildFailed, InvalidInput, PortalError
from releases.git import Git
from releases.pipeline.bench import Bench
from releases.pipeline.checkout import check_out
from releases.specs import RemoteRef
from tests.git.conftest import Origin, make_origin
from tests.hostile.test_entrances import Traps
from tests.hostile.test_entrances import traps as traps
from tests.pipeline import shop
from tests.pipeline.conftest import bench as bench
from tests.pipeline.conftest import engine as engine
from tests.pipeline.conftest import said as said

HTML = "<script>alert(1)</script>\x1b[31m\x1b]8;;http://evil.example\x07link\x1b]8;;\x07\u202e"
Harm = Callable[[Origin, Traps], None]


@pytest.fixture
def git(traps: Traps, settings: Settings) -> Git:
    return Git.from_settings()


@pytest.fixture
def origin(traps: Traps) -> Origin:
    """A repository that could be built, below the folder that is allowed; each test adds its harm."""
    origin = make_origin(traps.local, "shop")
    origin.commit("Sell apples", dict(shop.FILES))
    return origin


def add(origin: Origin, name: bytes, content: bytes, mode: str = "100644") -> None:
    """A file whatever its name: no file system and no check of git's is asked."""
    blob = origin.git("hash-object", "-w", "--stdin", feed=content)
    origin.git("update-index", "-z", "--add", "--index-info", feed=f"{mode} {blob}\t".encode() + name + b"\0")


def filters(origin: Origin, traps: Traps) -> None:
    run = f"touch {traps.canary}"
    attributes = b"* filter=evil diff=evil merge=evil ident text eol=crlf\n"
    config = f'[filter "evil"]\n\tsmudge = {run}\n\tclean = {run}\n\tprocess = {run}\n[core]\n\tfsmonitor = {run}\n'
    origin.commit("Filter", {".gitattributes": attributes, ".gitconfig": config.encode(), ".config/git/config": b"x"})


def substituted(origin: Origin, traps: Traps) -> None:
    content = b"$Format:%B$ $Format:%(describe)$ $Format:%an%n%GG$"
    origin.commit(
        HTML, {".gitattributes": b"about export-subst\nhidden export-ignore\n", "about": content, "hidden": b"1"}
    )


def submodules(origin: Origin, traps: Traps) -> None:
    urls = {
        "ext": f"ext::touch {traps.canary}", "file": f"file://{traps.secret}", "path": str(traps.secret),
        "http": f"http://127.0.0.1:{traps.port}/x.git", "option": f"--upload-pack=touch {traps.canary}",
    }  # fmt: skip
    text = "".join(
        f'[submodule "{name}"]\n\tpath={name}\n\turl={url}\n\tupdate=!touch {traps.canary}\n'
        for name, url in urls.items()
    )
    origin.commit("Add modules", {".gitmodules": text.encode()})
    for name in urls:
        origin.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},{name}")
    origin.git("commit", "-q", "-m", "Pin them")


def links(origin: Origin, traps: Traps) -> None:
    targets = {"absolute": str(traps.secret / "HEAD"), "up": "../../../../etc/passwd", "proc": "/proc/self/environ"}
    for name, target in targets.items():
        add(origin, f"app/{name}".encode(), target.encode(), "120000")
    origin.git("commit", "-q", "-m", "Link")


def names(origin: Origin, traps: Traps) -> None:
    for name in (
        b"caf\xe9",
        "\u202egpj.exe".encode(),
        b"-rf",
        b"--output=x",
        b"$(touch x)",
        b"a" * 250,
        b"<img src=x>",
    ):
        add(origin, b"app/" + name, b"1")
    origin.git("commit", "-q", "-m", "Name")


def hooks(origin: Origin, traps: Traps) -> None:
    """The other side's own configuration and hooks: git reads them when it is asked for a local repository."""
    run = f"touch {traps.canary}"
    for name in ("post-checkout", "pre-receive", "reference-transaction", "post-index-change", "fsmonitor-watchman"):
        hook = origin.bare / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\n{run}\n")
        hook.chmod(0o755)
    with (origin.bare / "config").open("a") as config:
        config.write(
            f"[core]\n\tfsmonitor = {run}\n\talternateRefsCommand = {run}\n\tsshCommand = {run}\n\tpager = {run}\n"
        )
        config.write(f'[uploadpack]\n\tpackObjectsHook = {run}\n[protocol "ext"]\n\tallow = always\n')


def words(origin: Origin, traps: Traps) -> None:
    origin.git("commit", "-q", "--allow-empty", "-m", HTML)
    origin.git("tag", "-a", "words", "-m", HTML)


HARMS: dict[str, Harm] = {
    harm.__name__: harm for harm in (filters, substituted, submodules, links, names, hooks, words)
}


def members(archive: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(archive), errors="surrogateescape") as reader:
        return reader.getmembers()


@pytest.mark.parametrize("harm", HARMS)
def test_hostile_repository_does_nothing_on_its_way(
    git: Git, origin: Origin, traps: Traps, bench: Bench, harm: str
) -> None:
    if harm != "hooks":
        HARMS[harm](origin, traps)
    origin.push()
    if harm == "hooks":  # they would run in the push itself
        hooks(origin, traps)
    found = git.refresh("1.git", origin.url)
    assert all(f"{ref.name}{ref.subject}{ref.message}{ref.tagger}".isprintable() for ref in found)
    checked = check_out(shop.spec(origin, ref="main"), replace(bench, git=git))
    archive = b"".join(git.archive("1.git", checked.commit))
    assert traps.sprung() == ""
    assert b"geheim" not in archive
    assert b"root:x:" not in archive
    for member in members(archive):
        assert member.isreg() or member.isdir() or member.issym()
        assert not member.name.startswith("/")
        assert ".." not in member.name.split("/")
    for path in ("app/absolute", "app/up", "app/proc"):
        assert git.read_file("1.git", checked.commit, path) is None


@pytest.mark.parametrize("name", [b"app/new\nline", b"app/\x1b[31mred", b"app/\x7f", b"app/\r"])
def test_name_with_a_control_character_is_refused(git: Git, origin: Origin, bench: Bench, name: bytes) -> None:
    add(origin, name, b"1")
    origin.git("commit", "-q", "-m", "Name")
    origin.push()
    with pytest.raises(BuildFailed, match="control characters") as refusal:
        check_out(shop.spec(origin, ref="main"), replace(bench, git=git))
    assert refusal.value.message.isprintable()


def point(origin: Origin, ref: str, commit: str) -> None:
    """A ref of any name, as a hostile server would have it."""
    packed = origin.bare / "packed-refs"
    before = packed.read_text() if packed.exists() else ""
    packed.write_text(
        "# pack-refs with: peeled \n" + before.replace("# pack-refs with: peeled \n", "") + f"{commit} {ref}\n"
    )


def test_branch_named_like_a_tag_is_another_ref(git: Git, origin: Origin) -> None:
    tagged = origin.git("rev-parse", "HEAD")
    origin.git("tag", "v1")
    branched = origin.commit("Not what was reviewed", {"app/app.py": b"app = evil\n"})
    origin.git("branch", "v1")
    origin.push()
    found = {ref.full_name: ref.commit for ref in git.refresh("1.git", origin.url)}
    assert (found["refs/tags/v1"], found["refs/heads/v1"]) == (tagged, branched)
    assert git.resolve("1.git", "v1") == ("refs/tags/v1", tagged)
    assert git.resolve("1.git", "refs/heads/v1") == ("refs/heads/v1", branched)


HOSTILE_NAMES = (
    "-evil",
    "--output=CANARY",
    "--exec=touch,CANARY",
    "ab" * 20,
    "<script>alert(1)</script>",
    "$(touch,x)",
    "HEAD",
)


@pytest.mark.parametrize("name", HOSTILE_NAMES)
@pytest.mark.parametrize("kind", ["heads", "tags"])
def test_ref_with_a_hostile_name_is_only_a_name(git: Git, origin: Origin, traps: Traps, kind: str, name: str) -> None:
    origin.push()
    commit = origin.git("rev-parse", "HEAD")
    name = traps.spelled(name)
    point(origin, f"refs/{kind}/{name}", commit)
    found = [ref for ref in git.refresh("1.git", origin.url) if ref.full_name == f"refs/{kind}/{name}"]
    assert [ref.commit for ref in found] == [commit]
    assert b"".join(git.archive("1.git", found[0].commit))
    assert git.resolve("1.git", found[0].full_name) == (found[0].full_name, commit)
    if name.startswith("-"):
        with pytest.raises(InvalidInput):
            git.resolve("1.git", name)
    assert traps.sprung() == ""


@pytest.mark.parametrize("name", ["a\x1b[31mb", "\u202eevil", "a\u2028b", "x" * 260])
def test_ref_that_no_page_could_show_is_left_out(git: Git, origin: Origin, name: str) -> None:
    origin.push()
    point(origin, f"refs/heads/{name}", origin.git("rev-parse", "HEAD"))
    found: list[RemoteRef] = []
    with suppress(PortalError):  # git itself takes no control characters
        found = git.refresh("1.git", origin.url)
    assert [ref.name for ref in found] in ([], ["main"])
