"""Where a commit can be read at the host of its repository."""

from __future__ import annotations

import pytest

from releases.views.hosts import host_of


@pytest.mark.parametrize(
    ("repository", "commit", "between"),
    [
        ("https://github.com/team/shop.git", "https://github.com/team/shop/commit/bb", "/compare/aa...bb"),
        ("git@github.com:team/shop.git", "https://github.com/team/shop/commit/bb", "/compare/aa...bb"),
        ("ssh://git@gitlab.com:2222/a/b/shop.git", "https://gitlab.com/a/b/shop/-/commit/bb", "/-/compare/aa...bb"),
        ("https://gitlab.example.org/a/shop", "https://gitlab.example.org/a/shop/-/commit/bb", "/-/compare/aa...bb"),
        (
            "https://bitbucket.org/team/shop.git",
            "https://bitbucket.org/team/shop/commits/bb",
            "/branches/compare/bb..aa",
        ),
        ("https://codeberg.org/team/shop.git", "https://codeberg.org/team/shop/commit/bb", "/compare/aa...bb"),
        ("https://forgejo.example.org/team/shop.git", "https://forgejo.example.org/team/shop/commit/bb", "/compare/"),
    ],
)
def test_known_hosts_have_pages(repository: str, commit: str, between: str) -> None:
    host = host_of(repository)
    assert host is not None
    assert host.commit("bb") == commit
    assert between in host.between("aa", "bb")


@pytest.mark.parametrize(
    "repository",
    ["https://git.example.org/shop.git", "file:///srv/git/github.com/shop.git", "https://github.com/shop", "nonsense"],
)
def test_other_hosts_have_none(repository: str) -> None:
    assert host_of(repository) is None


def test_path_cannot_break_out_of_the_address() -> None:
    host = host_of("https://github.com/te'am/shop$(x).git")
    assert host is not None
    assert host.commit("bb") == "https://github.com/te%27am/shop%24%28x%29/commit/bb"
