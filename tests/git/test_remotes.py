"""Addresses that fail, and addresses that attack: each is a sentence, and nothing is run."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from releases.errors import BuildCancelled, GitError, PortalError, SourceUnavailable, StorageFull
from releases.git import Git, mirrors, near, process
from releases.git.faults import remote_fault
from releases.git.process import Surroundings
from tests.git.conftest import Origin
from tests.git.test_mirrors import Ended

# Each would leave CANARY behind, or connect to somebody, if git were let loose on it.
ATTACKS = [
    "--upload-pack=touch CANARY",
    "--upload-pack=touch${IFS}CANARY",
    "--config=core.sshCommand=touch CANARY",
    "-c core.sshCommand=touch CANARY",
    "-uCANARY",
    "--exec=touch CANARY",
    "--output=CANARY",
    "--server-option=CANARY",
    "--recurse-submodules",
    "--all",
    "ext::sh -c touch% CANARY",
    "ext::sh -c 'touch CANARY'",
    "ext::touch CANARY",
    "EXT::touch CANARY",
    "fd::17",
    "fd::0,1/x",
    "ssh://-oProxyCommand=touch${IFS}CANARY/x",
    "ssh://-oProxyCommand=touch%20CANARY@host/x",
    "-oProxyCommand=touch${IFS}CANARY:x",
    "x@-oProxyCommand=touch${IFS}CANARY:x",
    "git@host:--upload-pack=touch CANARY",
    "file:///etc/passwd",
    "file://SECRET",
    "file://LOCAL/../secret.git",
    "file://LOCAL/%2e%2e/secret.git",
    "file://LOCAL/link.git",
    "SECRET",
    "./secret.git",
    "https://ana:hunter2@127.0.0.1:1/x",
    "https://hunter2@127.0.0.1:1/x",
    "https://127.0.0.1:1/x\n--upload-pack=touch CANARY",
    "https://127.0.0.1:1/x%0aHost:%20evil",
    "https://127.0.0.1:1/x`touch CANARY`",
    "https://$(touch CANARY)/x",
    "ssh://host/$(touch CANARY)",
    "\0--upload-pack=touch CANARY",
    "",
]


@pytest.fixture
def secret(tmp_path: Path, local_root: Path, origin: Origin) -> Path:
    """A whole repository beside the allowed folder, and a link to it inside."""
    place = tmp_path / "secret.git"
    origin.bare.rename(place)
    (local_root / "link.git").symlink_to(place)
    return place


def spelled(attack: str, canary: Path, secret: Path, local_root: Path) -> str:
    return attack.replace("CANARY", str(canary)).replace("SECRET", str(secret)).replace("LOCAL", str(local_root))


@pytest.mark.parametrize("attack", ATTACKS)
def test_attack_is_refused_before_git_is_started(
    git: Git, secret: Path, local_root: Path, tmp_path: Path, attack: str
) -> None:
    canary = tmp_path / "canary"
    with pytest.raises(SourceUnavailable) as refusal:
        git.refresh("shop", spelled(attack, canary, secret, local_root))
    assert not canary.exists()
    assert not git.mirrors.exists()
    assert "hunter2" not in refusal.value.message


def test_name_that_leads_to_this_machine_is_not_followed(
    tmp_path: Path, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the name server says: an address of the loopback, or one that this machine has."""
    git = Git(tmp_path, ("http",))
    for address in ("127.0.0.1", "::1", "127.0.0.9", *own_addresses()):
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, found=address, **__: [(0, 0, 0, "", (found, 80))])
        with pytest.raises(SourceUnavailable, match="PORTAL_GIT_NEAR"):
            git.refresh("shop", web.url.replace("127.0.0.1", "git.example.org") + "/page.git")
    assert web.asked == []


def own_addresses() -> list[str]:
    """Of this machine's cards."""
    found = [address.address for card in psutil.net_if_addrs().values() for address in card]
    return [address for address in found if address.count(".") == 3]


def test_git_goes_where_the_portal_looked(tmp_path: Path, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that means something else a moment later leads nowhere else: git is told the address."""
    here = [(0, 0, 0, "", ("127.0.0.1", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: here)
    monkeypatch.setattr(near, "is_near", lambda _: False)
    monkeypatch.setattr(near, "_is_ours", lambda _: False)
    with pytest.raises(SourceUnavailable, match="no git repository at"):
        Git(tmp_path, ("http",)).refresh("shop", web.url.replace("127.0.0.1", "shop.invalid") + "/page.git")
    assert web.asked


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://git.example.org/x", ("https", "git.example.org", 443)),
        ("http://[2001:db8::1]:81/x", ("http", "2001:db8::1", 81)),
        ("ssh://git@host:2222/x", ("ssh", "host", 2222)),
        ("git@host:x:y", ("ssh", "host", 22)),
        ("git@[2001:db8::1]:x", ("ssh", "2001:db8::1", 22)),
        ("file:///srv/x.git", ("file", "", 22)),
    ],
)
def test_place_of_an_address(url: str, place: tuple[str, str, int]) -> None:
    assert near._place(url) == place


def test_proxy_looks_up_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", None)
    proxy = {"https_proxy": "http://proxy:3128", "no_proxy": "intern.example.org"}
    assert near.pinned("https://git.example.org/x", proxy) == {}
    with pytest.raises(TypeError):
        near.pinned("https://intern.example.org/x", proxy)


@pytest.mark.parametrize("attack", [attack for attack in ATTACKS if "\0" not in attack and "SECRET" not in attack])
def test_attack_does_nothing_even_when_it_reaches_git(
    git: Git, secret: Path, local_root: Path, tmp_path: Path, attack: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second wall: the prelude alone, with the judgement of addresses taken away. What `file://` reaches is not
    its business: only the judgement knows the allowed folder."""
    monkeypatch.setattr(mirrors, "check_repository", lambda url, **_: url)
    canary = tmp_path / "canary"
    monkeypatch.chdir(tmp_path)
    address = spelled(attack, canary, secret, local_root)
    if not address.startswith("file://"):
        with pytest.raises(PortalError) as refusal:
            git.refresh("shop", address, stop=Ended(after=100))
        assert "hunter2" not in refusal.value.message
        if address.startswith("-"):  # it was read as an address, and as no option
            assert re.search("strange (path|host)name", refusal.value.message)
    assert not canary.exists()
    assert not list(tmp_path.glob("**/*CANARY*"))


def test_submodule_is_not_fetched(git: Git, origin: Origin, web: Web) -> None:
    origin.commit(
        "Add a submodule", {".gitmodules": f'[submodule "x"]\n\tpath = x\n\turl = {web.url}/x.git\n'.encode()}
    )
    origin.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},x")
    origin.git("commit", "--quiet", "-m", "Pin it")
    origin.push()
    commit = git.refresh("shop", origin.url)[-1].commit
    assert b"".join(git.archive("shop", commit))
    assert [entry.size for entry in git.entries("shop", commit) if entry.mode == "160000"] == [0]
    assert web.asked == []


# ---- remotes that fail -----------------------------------------------------------------------------


class Web:
    """An HTTP server that answers what each test needs, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                name = self.path.split(".git")[0].strip("/")
                self.send_response(int(name) if name.isdigit() else 200)
                if name == "301":
                    self.send_header("Location", "/elsewhere.git/info/refs?service=git-upload-pack")
                if name == "401":
                    self.send_header("WWW-Authenticate", 'Basic realm="shop"')
                page = b"<!doctype html>\n<title>A page, not a repository</title>\n"
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page)

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()


@pytest.fixture
def web() -> Iterator[Web]:
    server = Web()
    yield server
    server.server.shutdown()
    server.server.server_close()


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/301.git", "points to another address"),
        ("/401.git", "refuses us"),
        ("/403.git", "refuses us"),
        ("/404.git", "not found"),
        ("/503.git", "answered with an error"),
        ("/page.git", "no git repository at"),
    ],
)
def test_remote_that_answers_otherwise(git: Git, web: Web, path: str, sentence: str) -> None:
    with pytest.raises(SourceUnavailable, match=sentence) as refusal:
        git.refresh("shop", web.url + path)
    assert web.url + path in refusal.value.message
    assert not [asked for asked in web.asked if "elsewhere" in asked]


def test_remote_that_speaks_no_tls(git: Git, web: Web) -> None:
    with pytest.raises(SourceUnavailable, match=r"secure connection.*PORTAL_CA_BUNDLE"):
        git.refresh("shop", web.url.replace("http:", "https:") + "/x.git")


@pytest.mark.parametrize("address", ["https://127.0.0.1:1/x.git", "http://127.0.0.1:1/x", "ssh://git@127.0.0.1:1/x"])
def test_remote_that_refuses_connections(git: Git, address: str) -> None:
    with pytest.raises(SourceUnavailable, match="cannot be reached"):
        git.refresh("shop", address)


def test_remote_with_an_unknown_host(git: Git) -> None:
    with pytest.raises(SourceUnavailable, match="is not known"):
        git.refresh("shop", "https://shop.invalid/x.git")


def test_remote_behind_a_proxy_that_is_away(tmp_path: Path) -> None:
    git = Git(tmp_path, ("http",), None, proxy={"http_proxy": "http://proxy.invalid:3128", "no_proxy": ""})
    with pytest.raises(SourceUnavailable, match="proxy"):
        git.refresh("shop", "http://shop.invalid/x.git")


@pytest.mark.parametrize("kind", ["missing", "file", "folder"])
def test_local_path_that_is_no_repository(git: Git, local_root: Path, kind: str) -> None:
    if kind == "file":
        (local_root / "x.git").write_text("no repository")
    if kind == "folder":
        (local_root / "x.git").mkdir()
    with pytest.raises(SourceUnavailable, match="no git repository at"):
        git.refresh("shop", f"file://{local_root}/x.git")


def test_cancel_ends_git_while_the_other_side_is_silent(git: Git) -> None:
    """The listener sees the connection close: no process of git is left that would hold it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = threading.Event()

        def serve() -> None:
            connection, _ = listener.accept()
            connection.settimeout(15)  # git itself would give up after 30 s, and be waited for
            with connection, suppress(TimeoutError):
                while connection.recv(1024):
                    pass
                closed.set()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with pytest.raises(BuildCancelled):
            git.refresh("shop", f"http://127.0.0.1:{listener.getsockname()[1]}/x.git", stop=Ended(after=6))
        thread.join(timeout=60)
        assert closed.is_set()


def test_fetch_that_takes_too_long_is_ended(git: Git, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirrors, "FETCH_SECONDS", 1)
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        pytest.raises(GitError, match="took longer than 1 seconds"),
    ):
        git.refresh("shop", f"http://127.0.0.1:{listener.getsockname()[1]}/x.git")


class Trickle(BaseHTTPRequestHandler):
    """Answers, and then a byte twice a second for ever."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/x-git-upload-pack-advertisement")
        self.end_headers()
        with suppress(OSError):
            while True:
                self.wfile.write(b"0")
                time.sleep(0.5)

    def log_message(self, *_: object) -> None:
        pass


def test_remote_that_hardly_answers_is_left(git: Git, monkeypatch: pytest.MonkeyPatch) -> None:
    patience = [setting.replace("lowSpeedTime=30", "lowSpeedTime=2") for setting in process._PRELUDE]
    monkeypatch.setattr(process, "_PRELUDE", tuple(patience))
    monkeypatch.setattr(mirrors, "FETCH_SECONDS", 60)
    with ThreadingHTTPServer(("127.0.0.1", 0), Trickle) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(GitError, match="answers too slowly"):
            git.refresh("shop", f"http://127.0.0.1:{server.server_port}/x.git")
        server.shutdown()


# git's and ssh's own words, as they were seen, for what a test cannot bring about without a second machine.
WORDS = [
    ("fatal: unable to access 'URL/': SSL certificate problem: self-signed certificate", "secure connection"),
    ("fatal: unable to access 'URL/': server certificate verification failed. CAfile: none", "secure connection"),
    ("No ED25519 host key is known for h.\nHost key verification failed.\nfatal: Could not read", "known_hosts"),
    ("git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.", "refuses us"),
    ("ERROR: Repository not found.\nfatal: Could not read from remote repository.", "refuses us"),
    ("fatal: unable to access 'URL/': Received HTTP code 407 from proxy after CONNECT", "proxy"),
    ("fatal: unable to access 'URL/': Operation too slow. Less than 1000 bytes/sec transferred", "too slowly"),
    ("fatal: detected dubious ownership in repository at '/srv/x'", "another account"),
    ("fatal: transport 'git' not allowed", "PORTAL_GIT_PROTOCOLS"),
    ("error: RPC failed; curl 56\nfatal: early EOF\nfatal: fetch-pack: invalid index-pack output", "broke off"),
    ("fatal: the remote end hung up unexpectedly", "broke off"),
]


@pytest.mark.parametrize(("said", "sentence"), WORDS)
def test_words_of_git_become_a_sentence(said: str, sentence: str) -> None:
    url = "https://host/redirect-timed-out.git"
    fault = remote_fault(url, said.replace("URL", url))
    assert isinstance(fault, SourceUnavailable)
    assert sentence in fault.message
    assert "\n" not in fault.message


def test_full_disk_of_ours_is_not_mixed_up_with_theirs() -> None:
    ours = remote_fault("https://host/x", "fatal: write error: No space left on device")
    theirs = remote_fault("https://host/x", "remote: fatal: No space left on device\nfatal: early EOF")
    assert isinstance(ours, StorageFull)
    assert isinstance(theirs, SourceUnavailable)


def test_unknown_words_are_told_without_credentials_and_controls() -> None:
    said = "warning: x\nfatal: something \x1b[31modd\x1b[0m at https://ana:hunter2@host/x happened"
    fault = remote_fault("https://host/x", said)
    assert type(fault) is GitError
    assert (
        fault.message == "git could not fetch from https://host/x: something  [31modd [0m at https://host/x happened."
    )


def test_ca_bundle_and_proxy_reach_git_only_for_web_addresses() -> None:
    surroundings = Surroundings("/etc/ssl/company.pem", {"https_proxy": "http://proxy:3128", "no_proxy": ""})
    for protocol in ("", "file", "ssh"):
        assert not {"GIT_SSL_CAINFO", "https_proxy"} & set(surroundings.environment(protocol))
    environment = surroundings.environment("https")
    assert environment["GIT_SSL_CAINFO"] == "/etc/ssl/company.pem"
    assert environment["https_proxy"] == "http://proxy:3128"
    assert environment["GIT_ALLOW_PROTOCOL"] == "https"
    assert "no_proxy" not in environment
