"""Pages of the hosts that keep repositories: where a commit, or what lies between two, can be read there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

_SCP = re.compile(r"[^@/:]+@(?P<host>[^/:]+):(?P<path>[^:]+)")


@dataclass(frozen=True, slots=True)
class _Kind:
    commit: str
    between: str


_KINDS = {
    "github": _Kind("commit/{new}", "compare/{old}...{new}"),
    "gitlab": _Kind("-/commit/{new}", "-/compare/{old}...{new}"),
    "bitbucket": _Kind("commits/{new}", "branches/compare/{new}..{old}#diff"),
    "gitea": _Kind("commit/{new}", "compare/{old}...{new}"),
}
_HOSTS = {"github.com": "github", "gitlab.com": "gitlab", "bitbucket.org": "bitbucket", "codeberg.org": "gitea"}
_FIRST_WORDS = {"github": "github", "gitlab": "gitlab", "gitea": "gitea", "forgejo": "gitea"}
"""A company's own, such as gitlab.example.org."""


@dataclass(frozen=True, slots=True)
class Host:
    """The pages of one repository."""

    address: str
    kind: _Kind

    def commit(self, commit: str) -> str:
        return f"{self.address}/{self.kind.commit.format(new=commit)}"

    def between(self, old: str, new: str) -> str:
        return f"{self.address}/{self.kind.between.format(old=old, new=new)}"


def host_of(repository: str) -> Host | None:
    """Of a repository's checked address; None for a host whose pages are not known."""
    host, path = _parts(repository)
    kind = _KINDS.get(_HOSTS.get(host) or _FIRST_WORDS.get(host.partition(".")[0], ""))
    path = path.strip("/").removesuffix(".git")
    if kind is None or "/" not in path:
        return None
    return Host(f"https://{host}/{quote(path, safe='/~%')}", kind)


def _parts(repository: str) -> tuple[str, str]:
    if scp := _SCP.fullmatch(repository):
        return scp["host"].lower(), scp["path"]
    parts = urlsplit(repository)
    if parts.scheme not in ("https", "ssh") or (parts.scheme == "https" and parts.port):
        return "", ""  # another port than that of its pages, or an address of this machine
    return (parts.hostname or "").lower(), parts.path
