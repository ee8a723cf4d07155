"""What a person may type as a repository and as a ref."""

from __future__ import annotations

from pathlib import Path

import pytest

from releases.errors import InvalidInput
from releases.git import check_ref, check_repository

BOTH = ("https", "ssh")


@pytest.mark.parametrize(
    ("typed", "normal"),
    [
        ("https://git.example.org/team/shop.git", "https://git.example.org/team/shop.git"),
        ("HTTPS://Git.Example.ORG/Team/Shop.git", "https://git.example.org/Team/Shop.git"),
        ("https://git.example.org:443/team/shop/", "https://git.example.org/team/shop"),
        ("https://git.example.org:8443/team/shop", "https://git.example.org:8443/team/shop"),
        ("https://10.1.2.3/team/shop", "https://10.1.2.3/team/shop"),
        ("https://[2001:DB8::1]/team/shop", "https://[2001:db8::1]/team/shop"),
        ("https://git.example.org/a%20b.git", "https://git.example.org/a%20b.git"),
        ("ssh://git@git.example.org/team/shop.git", "ssh://git@git.example.org/team/shop.git"),
        ("ssh://git.example.org:2222/~ana/shop", "ssh://git.example.org:2222/~ana/shop"),
        ("git@git.example.org:team/shop.git", "git@git.example.org:team/shop.git"),
    ],
)
def test_address_is_normalised(typed: str, normal: str) -> None:
    assert check_repository(typed, protocols=BOTH, local_root=None) == normal
    assert check_repository(normal, protocols=BOTH, local_root=None) == normal


REFUSED = {
    "": "No repository",
    "--upload-pack=touch CANARY": "may not begin",
    "-uCANARY": "may not begin",
    "--config=core.sshCommand=CANARY": "may not begin",
    "https://host/shop --upload-pack=x": "space",
    " https://host/shop": "space",
    "https://host/shop\n": "space",
    "https://host/\0shop": "control",
    "https://host/sh\x1bop": "control",
    "https://host/shop\u202egit": "control",
    "https://ana:hunter2@host/shop": "credentials",
    "https://hunter2@host/shop": "credentials",
    "https://ana:hunter2@host:8443/shop": "credentials",
    "ssh://git:hunter2@host/shop": "credentials",
    "ssh://-oProxyCommand=CANARY/shop": "host",
    "ssh://-oProxyCommand=CANARY@host/shop": "user",
    "-oProxyCommand=CANARY:shop": "may not begin",
    "git@-oProxyCommand=CANARY:shop": "host",
    "git@host:-oProxyCommand=CANARY": "path",
    "git@host:": "path",
    "-x@host:shop": "may not begin",
    "ext::sh -c CANARY": "space",
    "ext::CANARY": "transport helper",
    "fd::17": "transport helper",
    "https::http://host/shop": "transport helper",
    "ftp://host/shop": "not allowed",
    "http://host/shop": "not allowed",
    "git://host/shop": "not allowed",
    "ext://host/shop": "not allowed",
    "javascript:alert(1)": "no protocol",
    "host:shop.git": "no protocol",
    "/srv/shop.git": "plain path",
    "../shop.git": "plain path",
    "~ana/shop.git": "plain path",
    "shop.git": "plain path",
    "\\\\host\\shop": "backslash",
    "https://host\\@other/shop": "backslash",
    "https:///shop": "no host",
    "https://:443/shop": "no host",
    "https://host": "path is missing",
    "https://host/": "path is missing",
    "https://host:99999/shop": "malformed",
    "https://host:port/shop": "malformed",
    "https://[::1/shop": "malformed",
    "https://[nonsense]/shop": "malformed",
    "https://ho_st!/shop": "malformed",
    "https://höst/shop": "malformed",
    "https://2130706433/shop": "odd number",
    "https://0x7f000001/shop": "odd number",
    "https://127.1/shop": "odd number",
    "https://0177.0.0.01/shop": "odd number",
    "https://host/shop?token=hunter2": "leave out",
    "https://host/shop#main": "leave out",
    "https://host/shop%0aHost:evil": "characters",
    "https://host/shop%00": "characters",
    'https://host/"shop"': "characters",
    "https://host/" + "a" * 600: "too long",
    "file:///etc/passwd": "PORTAL_LOCAL_REPOSITORIES",
    "file://host/srv/shop.git": "not name a host",
    "FILE:///etc": "PORTAL_LOCAL_REPOSITORIES",
}


@pytest.mark.parametrize("typed", REFUSED)
def test_address_is_refused_with_one_sentence(typed: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as refusal:
        check_repository(typed, protocols=BOTH, local_root=tmp_path)
    said = refusal.value.message
    assert refusal.value.field == "repository"
    assert REFUSED[typed].lower() in said.lower()
    assert "hunter2" not in said
    assert "CANARY" not in said
    assert said.isprintable()
    assert said.endswith(".")


def test_protocol_not_allowed_names_the_allowed_ones_and_the_setting() -> None:
    with pytest.raises(InvalidInput, match=r"“http” .*https or ssh.*PORTAL_GIT_PROTOCOLS"):
        check_repository("http://host/shop", protocols=BOTH, local_root=None)
    with pytest.raises(InvalidInput, match=r"“ssh” .*allowed: https\)"):
        check_repository("git@host:shop.git", protocols=("https",), local_root=None)


def test_protocol_of_the_setting_is_allowed() -> None:
    assert check_repository("http://host/shop", protocols=("http",), local_root=None) == "http://host/shop"


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.9.9.9", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[0:0:0:0:0:ffff:7f00:1]"),  # noqa: S104
        *("[2002:7f00:1::]", "localhost", "LocalHost", "localhost.", "shop.localhost", "ip6-localhost"),
        *("169.254.169.254", "[fe80::1]", "[fd00:ec2::254]", "[::ffff:a9fe:a9fe]", "224.0.0.1"),
    ],
)
def test_host_that_is_this_machine_is_refused_unless_an_operator_says_so(host: str) -> None:
    for address in (f"https://{host}/shop.git", f"ssh://git@{host}:22/shop.git", f"git@{host}:shop.git"):
        with pytest.raises(InvalidInput, match=r"this machine itself.*PORTAL_GIT_NEAR"):
            check_repository(address, protocols=BOTH, local_root=None)
        assert check_repository(address, protocols=BOTH, local_root=None, near=True)


def test_file_protocol_in_the_setting_opens_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="PORTAL_LOCAL_REPOSITORIES"):
        check_repository("file:///etc", protocols=("file", "https"), local_root=tmp_path)


def test_local_repository_below_the_folder_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "a b.git").mkdir()
    assert check_repository(f"file://{tmp_path}/a%20b.git", protocols=(), local_root=tmp_path) == (
        f"file://{tmp_path.resolve()}/a%20b.git"
    )


@pytest.mark.parametrize(
    "path", ["", "/", "/..", "/../secret.git", "/%2e%2e/secret.git", "/link", "/in/../../secret.git"]
)
def test_local_repository_outside_the_folder_is_refused(path: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (tmp_path / "secret.git").mkdir()
    (root / "in").mkdir(parents=True)
    (root / "link").symlink_to(tmp_path / "secret.git")
    with pytest.raises(InvalidInput, match="PORTAL_LOCAL_REPOSITORIES"):
        check_repository(f"file://{root}{path}", protocols=BOTH, local_root=root)


def test_local_repository_without_a_folder_is_refused() -> None:
    with pytest.raises(InvalidInput, match="PORTAL_LOCAL_REPOSITORIES names no folder"):
        check_repository("file:///srv/shop.git", protocols=BOTH, local_root=None)


@pytest.mark.parametrize(
    "name", ["v1.0.0", "main", "feature/new-shop", "1.0", "refs/tags/v1", "versión-1", "a@b", "0a1b2c3"]
)
def test_ref_is_taken(name: str) -> None:
    assert check_ref(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *("", "-v1", "--output=CANARY", "--exec=CANARY", "a b", "a..b", "main@{1}", "HEAD:file", ":/text", "HEAD~1"),
        *("HEAD^", "a?b", "a*b", "a[b", "a\\b", "a\nb", "a\0b", "a\x7fb", "a\u202eb", "a\ud800b", "@", ".", "/", "/a"),
        *("a/", "a//b", "a.", ".a", "a/.b", "a.lock", "a.lock/b", "v" * 256),
    ],
)
def test_ref_is_refused_with_one_sentence(name: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        check_ref(name)
    assert refusal.value.field == "ref"
    assert "CANARY" not in refusal.value.message
    assert refusal.value.message.endswith(".")
