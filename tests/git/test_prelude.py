"""The settings that every command of git is given, each against a mirror whose own configuration says the contrary.

Nobody but the portal writes that configuration, and it is written anew before each fetch: this is the wall behind."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings as portal

from releases.errors import PortalError, SourceUnavailable
from releases.git import Git, mirrors, upkeep
from releases.git.process import Surroundings
from releases.specs import Stop
from tests.git.conftest import Origin
from tests.git.test_remotes import Web
from tests.git.test_remotes import web as web

Plant = Callable[[str], None]


@pytest.fixture
def plant(git: Git, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> Plant:
    """Put lines into the configuration of the mirror, now and after each time that the portal has written it."""
    git.refresh("shop", origin.url)
    prepare = upkeep.prepare

    def put(lines: str) -> None:
        def planted(path: Path, surroundings: Surroundings, stop: Stop) -> None:
            prepare(path, surroundings, stop)
            with (path / "config").open("a") as config:
                config.write(lines)

        monkeypatch.setattr(upkeep, "prepare", planted)
        with (git.mirrors / "shop/config").open("a") as config:
            config.write(lines)

    return put


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


@pytest.fixture
def script(tmp_path: Path, canary: Path) -> Path:
    """A program that leaves the canary behind."""
    path = tmp_path / "hooks/reference-transaction"
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\ntouch {canary}\n")
    path.chmod(0o755)
    return path


def archive(git: Git, origin: Origin) -> bytes:
    return b"".join(git.archive("shop", origin.git("rev-parse", "v1.1.0")))


def test_no_hook_runs(git: Git, origin: Origin, plant: Plant, script: Path, canary: Path) -> None:
    plant(f"[core]\n\thooksPath = {script.parent}\n")
    origin.commit("Sell figs", {})
    origin.push()
    assert git.refresh("shop", origin.url)[-1].subject == "Sell figs"
    assert not canary.exists()


@pytest.mark.parametrize("planted", ["[core]\n\tattributesFile = {attributes}\n", "[tar]\n\tumask = 0077\n"])
def test_archive_is_of_the_commit_alone(git: Git, origin: Origin, plant: Plant, tmp_path: Path, planted: str) -> None:
    before = archive(git, origin)
    attributes = tmp_path / "attributes"
    attributes.write_text("requirements.txt export-ignore\n")
    plant(planted.format(attributes=attributes))
    assert archive(git, origin) == before


@pytest.mark.parametrize("planted", ["[credential]\n\thelper = !{script}\n", "[core]\n\taskPass = {script}\n"])
def test_nobody_else_is_asked_for_a_password(
    git: Git, plant: Plant, web: Web, script: Path, canary: Path, planted: str
) -> None:
    plant(planted.format(script=script))
    with pytest.raises(SourceUnavailable, match="refuses us"):
        git.refresh("shop", f"{web.url}/401.git")
    assert web.asked
    assert not canary.exists()


def test_redirect_is_not_followed(git: Git, plant: Plant, web: Web) -> None:
    plant("[http]\n\tfollowRedirects = true\n")
    with pytest.raises(SourceUnavailable, match="points to another address"):
        git.refresh("shop", f"{web.url}/301.git")
    assert not [asked for asked in web.asked if "elsewhere" in asked]


def test_password_in_an_address_is_not_sent(git: Git, plant: Plant, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the judgement of addresses taken away, which refuses it long before."""
    plant("[transfer]\n\tcredentialsInUrl = allow\n")
    monkeypatch.setattr(mirrors, "check_repository", lambda url, **_: url)
    with pytest.raises(PortalError) as refusal:
        git.refresh("shop", web.url.replace("//", "//ana:hunter2@") + "/401.git")
    assert web.asked == []
    assert "hunter2" not in refusal.value.message


@pytest.mark.parametrize("address", ["ext::{script}", "ssh://git@127.0.0.1:1/x.git"])
def test_nothing_is_run_to_reach_a_host(
    git: Git, plant: Plant, script: Path, canary: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    plant(f'[core]\n\tsshCommand = {script}\n[protocol]\n\tallow = always\n[protocol "ext"]\n\tallow = always\n')
    monkeypatch.setattr(mirrors, "check_repository", lambda url, **_: url)
    with pytest.raises(PortalError):
        git.refresh("shop", address.format(script=script))
    assert not canary.exists()


def test_what_a_fetch_brings_is_one_pack(git: Git, origin: Origin, plant: Plant) -> None:
    """A killed fetch leaves all of it or nothing, and never a commit without its tree."""
    plant("[fetch]\n\tunpackLimit = 1000\n[transfer]\n\tunpackLimit = 1000\n")
    packs = len(list((git.mirrors / "shop/objects/pack").glob("*.pack")))
    origin.commit("Sell figs", {"new": b"1"})
    origin.push()
    git.refresh("shop", origin.url)
    assert len(list((git.mirrors / "shop/objects/pack").glob("*.pack"))) == packs + 1
    assert not list((git.mirrors / "shop/objects").glob("??/*"))


def test_a_fetch_clears_nothing_up(git: Git, origin: Origin, plant: Plant) -> None:
    """A tag's commit is there for as long as somebody may build it again, whatever the tag has come to mean."""
    plant("[gc]\n\tauto = 1\n\tautoPackLimit = 1\n\tautoDetach = false\n\tpruneExpire = now\n\treflogExpire = now\n")
    left = origin.git("rev-parse", "v1.1.0")
    origin.git("reset", "--quiet", "--hard", "v1.0.0")
    for number in range(3):
        origin.commit(f"Try {number}", {"app/app.py": b"%d" % number})
        origin.git("tag", "--force", "v1.1.0")
        origin.push()
        git.refresh("shop", origin.url)
    assert git.has_commit("shop", left)


def test_no_object_stands_in_for_another(git: Git, origin: Origin) -> None:
    git.refresh("shop", origin.url)
    first, second = origin.git("rev-parse", "v1.0.0^{commit}"), origin.git("rev-parse", "v1.1.0")
    replaced = git.mirrors / "shop/refs/replace" / second
    replaced.parent.mkdir(parents=True)
    replaced.write_text(first + "\n")
    assert git.read_file("shop", second, "app/app.py") == b"app = 2\n"


def test_signature_is_not_looked_into(git: Git, origin: Origin, plant: Plant, script: Path, canary: Path) -> None:
    raw = origin.git("cat-file", "commit", "v1.1.0").encode().split(b"\n\n")[0]
    raw += b"\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n -----END PGP SIGNATURE-----\n\nSell pears\n"
    signed = origin.git("hash-object", "-t", "commit", "-w", "--stdin", feed=raw)
    origin.git("update-ref", "refs/heads/signed", signed)
    origin.push()
    plant(f"[log]\n\tshowSignature = true\n[gpg]\n\tprogram = {script}\n")
    git.refresh("shop", origin.url)
    assert git.committed_at("shop", signed).year == 2026
    assert git.difference("shop", origin.git("rev-parse", "v1.0.0^{commit}"), signed).come_count == 1
    assert not canary.exists()


LOOK = """
import hashlib, os, sys
from pathlib import Path
sys.path.insert(0, os.getcwd())
from releases.git import Git
git = Git(mirrors=Path(sys.argv[1]), local_root=Path(sys.argv[2]))
found = git.refresh("shop", sys.argv[3])
print(len(found), hashlib.sha256(b"".join(git.archive("shop", found[0].commit))).hexdigest())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a process another /etc: run as root")
def test_nothing_of_the_machine_is_read(git: Git, origin: Origin, local_root: Path, tmp_path: Path) -> None:
    """With an /etc of its own, in which git's configuration and attributes for the whole machine are hostile."""
    expected = (len(git.refresh("shop", origin.url)), hashlib.sha256(archive(git, origin)).hexdigest())
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "gitconfig").write_text('[url "file:///nowhere/"]\n\tinsteadOf = file:///\n')
    (etc / "gitattributes").write_text("* export-ignore\n")
    look = [sys.executable, "-c", LOOK, str(tmp_path / "again"), str(local_root), origin.url]
    inside = f'mount -t overlay -o lowerdir="{etc}":/etc overlay /etc && exec "$@"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", inside, "sh", *look], cwd=portal.BASE_DIR, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().split() == [str(fact) for fact in expected]
