"""Private repositories on real hosts: what these are shown, and where it is not to be found meanwhile or later."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from releases.errors import SourceUnavailable
from releases.git import Git, showing
from releases.git.process import Failed
from releases.specs import Access, fingerprint
from releases.vault.pairs import new_pair
from tests.git.conftest import Origin
from tests.git.private import PrivateSsh, PrivateWeb

TOKEN = "canary/+token%40:#?3f9c"
"""With all that means something in an address, in base64 and in a shell."""
USER = "deploy@shop"


@pytest.fixture
def web(local_root: Path) -> Iterator[PrivateWeb]:
    host = PrivateWeb(local_root, USER, TOKEN)
    yield host
    host.close()


@pytest.fixture
def ssh() -> Iterator[PrivateSsh]:
    host = PrivateSsh()
    yield host
    host.close()


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The account's own key, in an agent: its public half."""
    private, public = new_pair("workers@machine")
    file, socket = tmp_path / "id", tmp_path / "agent"
    file.write_text(private)
    file.chmod(0o600)
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    until = time.monotonic() + 30
    while not socket.exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
    subprocess.run(["ssh-add", "-q", str(file)], check=True)
    yield public
    process.terminate()
    process.wait()


@pytest.fixture
def private(tmp_path: Path) -> Path:
    return tmp_path / "tmp" / "access"


@pytest.fixture
def portal(git: Git, tmp_path: Path, private: Path) -> Git:
    """git as the portal has it: with a folder for secrets, and a file of hosts."""
    return replace(git, private=private, known_hosts=tmp_path / 'known "hosts" 100%')


def token_for(place: str, secret: str = TOKEN) -> Access:
    return Access("token", secret, USER, place)


def only(access: Access) -> Callable[[str], Access]:
    """The same for each address: what is given where is git's to decide then."""
    return lambda _url: access


def forms(secret: str) -> list[str]:
    """As the secret might be written by whoever is careless."""
    return [secret, *secret.splitlines()[1:-1], base64.b64encode(f"{USER}:{secret}".encode()).decode()]


def assert_nowhere(secret: str, *texts: str) -> None:
    for form in forms(secret):
        for text in texts:
            assert form not in text


def files(folder: Path) -> str:
    """All that lies in a folder, as text."""
    return "\n".join(path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file())


# ---- tokens ------------------------------------------------------------------------------------------------


def test_token_opens_a_private_repository_and_stands_nowhere(
    portal: Git, web: PrivateWeb, origin: Origin, private: Path
) -> None:
    portal = replace(portal, access=only(token_for(web.url)))
    found = portal.refresh("shop", f"{web.url}/shop.git")
    assert [ref.name for ref in found] == ["v1.1.0", "v1.0.0", "main"]
    assert web.seen, "the host has looked around while git was there"
    assert all("credential" in seen for seen in web.seen[:1]), "and it saw git's own line"
    assert_nowhere(TOKEN, *web.seen, files(portal.mirrors))
    assert list(private.iterdir()) == []


def test_without_a_token_the_sentence_says_what_is_needed(portal: Git, web: PrivateWeb, origin: Origin) -> None:
    with pytest.raises(
        SourceUnavailable, match=r"refuses us.*access token, which is set on the application's settings"
    ):
        portal.refresh("shop", f"{web.url}/shop.git")


def test_wrong_token_is_told_as_one_and_not_repeated(portal: Git, web: PrivateWeb, origin: Origin) -> None:
    wrong = "another-canary-1234"
    portal = replace(portal, access=only(token_for(web.url, wrong)))
    with pytest.raises(SourceUnavailable, match="refuses the access token") as refusal:
        portal.refresh("shop", f"{web.url}/shop.git")
    assert_nowhere(wrong, refusal.value.message, str(refusal.value.__cause__))


def test_token_is_given_to_its_own_host_alone(portal: Git, web: PrivateWeb, origin: Origin) -> None:
    """The same machine on another port is another host, and so is the same host without TLS."""
    for place in (f"{web.url}0", web.url.replace("http:", "https:")):
        with pytest.raises(SourceUnavailable):
            replace(portal, access=only(token_for(place))).refresh("shop", f"{web.url}/shop.git")
    assert set(web.asked) == {""}


def test_token_is_not_given_to_a_proxy_that_asks(portal: Git, tmp_path: Path) -> None:
    """git asks its helpers for a proxy's password, too."""
    proxy = PrivateWeb(tmp_path, "proxy", "password", as_proxy=True)
    proxied = replace(
        portal,
        proxy={"http_proxy": f"http://127.0.0.1:{proxy.server.server_port}"},
        access=only(token_for("http://shop.invalid")),
    )
    with pytest.raises(SourceUnavailable, match="proxy"):
        proxied.refresh("shop", "http://shop.invalid/shop.git")
    proxy.close()
    assert proxy.asked
    assert set(proxy.asked) == {""}


# ---- deploy keys -------------------------------------------------------------------------------------------


def test_deploy_key_opens_a_private_repository_and_stands_nowhere(
    portal: Git, ssh: PrivateSsh, origin: Origin, private: Path, agent: str
) -> None:
    key, public = new_pair("shop@portal")
    ssh.allowed = [public]
    portal = replace(portal, access=only(Access("key", key)))
    assert len(portal.refresh("shop", ssh.url(origin.bare))) == 3
    assert set(ssh.offered) == {fingerprint(public)}, "no other key of this account was shown"
    assert "-oIdentitiesOnly=yes" in ssh.seen[0], "and it saw ssh's own line"
    assert_nowhere(key, *ssh.seen, files(portal.mirrors))
    assert list(private.iterdir()) == []


def test_key_that_the_host_does_not_know_is_told_as_one(portal: Git, ssh: PrivateSsh, origin: Origin) -> None:
    key, _public = new_pair("shop@portal")
    portal = replace(portal, access=only(Access("key", key)))
    with pytest.raises(SourceUnavailable, match=r"refuses the deploy key.*public key"):
        portal.refresh("shop", ssh.url(origin.bare))


def test_without_a_key_the_sentence_says_what_is_needed(portal: Git, ssh: PrivateSsh, origin: Origin) -> None:
    with pytest.raises(SourceUnavailable, match=r"refuses us.*deploy key, which is made on the application's settings"):
        portal.refresh("shop", ssh.url(origin.bare))


def test_application_without_a_key_is_read_with_what_the_account_has(
    portal: Git, ssh: PrivateSsh, origin: Origin, agent: str
) -> None:
    ssh.allowed = [agent]
    assert len(portal.refresh("shop", ssh.url(origin.bare))) == 3


def test_host_that_has_another_key_than_before_is_refused_and_told(
    portal: Git, ssh: PrivateSsh, origin: Origin
) -> None:
    key, public = new_pair("shop@portal")
    ssh.allowed = [public]
    portal = replace(portal, access=only(Access("key", key)))
    portal.refresh("shop", ssh.url(origin.bare))
    hosts = portal.known_hosts
    assert hosts is not None
    assert f"[127.0.0.1]:{ssh.port} ssh-ed25519 " in hosts.read_text()
    ssh.stop()
    ssh.start()
    before = len(ssh.offered)
    with pytest.raises(SourceUnavailable, match="another key than before") as refusal:
        portal.refresh("shop", ssh.url(origin.bare))
    assert f"line 1 of {hosts}" in refusal.value.message
    assert "(now SHA256:" in refusal.value.message
    assert len(ssh.offered) == before, "a host that is not the one is shown no key"
    hosts.write_text("")
    portal.refresh("shop", ssh.url(origin.bare))


def test_without_a_file_of_hosts_unknown_ones_are_refused(portal: Git, ssh: PrivateSsh, origin: Origin) -> None:
    with pytest.raises(SourceUnavailable, match="known_hosts"):
        replace(portal, known_hosts=None).refresh("shop", ssh.url(origin.bare))


# ---- files -------------------------------------------------------------------------------------------------


def test_secret_lies_in_a_file_of_its_owner_alone(private: Path) -> None:
    with showing.shown(Access("key", "k" * 40), private) as ours:
        assert ours.key is not None
        assert ours.key.read_text() == "k" * 40
        assert (ours.key.stat().st_mode & 0o777, ours.key.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        assert private.stat().st_mode & 0o777 == 0o700
    assert not ours.key.exists()


def test_secret_is_gone_after_a_failure_and_not_in_its_words(private: Path) -> None:
    access = token_for("https://shop.example")
    with pytest.raises(Failed) as failure, showing.shown(access, private):
        raise Failed(128, f"fatal: could not log in with {TOKEN}, nor with {forms(TOKEN)[-1]}")
    assert_nowhere(TOKEN, failure.value.said, repr(failure.value), repr(access), str(access))
    assert failure.value.said.count("********") == 2
    assert list(private.iterdir()) == []


def test_what_a_killed_worker_left_is_swept_when_its_git_is_gone_too(
    private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import pathlib, subprocess, sys, time\n"
        "from releases.git.showing import shown\n"
        "from releases.specs import Access\n"
        "with shown(Access('key', 'canary'), pathlib.Path(sys.argv[1])) as ours:\n"
        "    print(subprocess.Popen(['sleep', '600'], pass_fds=ours.held, stdout=subprocess.DEVNULL).pid, flush=True)\n"
        "    time.sleep(600)\n"
    )
    worker = subprocess.Popen([sys.executable, "-c", code, str(private)], stdout=subprocess.PIPE)
    assert worker.stdout is not None
    git = int(worker.stdout.readline())
    assert showing.sweep(private) == 0, "it is too young to be judged"
    monkeypatch.setattr(showing, "SETTLED", 0.0)
    worker.kill()
    worker.wait()
    worker.stdout.close()
    assert showing.sweep(private) == 0, "git is there still, and holds it"
    assert "canary" in files(private)
    os.kill(git, signal.SIGKILL)
    until = time.monotonic() + 30
    while not showing.sweep(private):
        assert time.monotonic() < until, "it was never swept"
        time.sleep(0.02)
    assert list(private.iterdir()) == []
    assert showing.sweep(private / "never-made") == 0
