"""What a person may name: the address of a repository, and a ref. No process is started here.

The addresses are an allow-list: whatever is not plainly one of the known forms is refused with one sentence. Nothing
that is refused is repeated in the sentence, because it may hold a password.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn
from urllib.parse import SplitResult, quote, unquote, urlsplit

from releases.errors import InvalidInput, Sentence, say
from releases.git.near import is_near, refusal

LONGEST_ADDRESS = 500
LONGEST_REF = 255
KNOWN_PROTOCOLS = ("https", "ssh", "http", "git")

_DEFAULT_PORTS = {"https": 443, "ssh": 22, "http": 80, "git": 9418}
_SCP = re.compile(r"(?P<user>[^@:/]*)@(?P<host>\[[^\]]*\]|[^@:/]*):(?P<path>.*)")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_NUMBER = re.compile(r"(?:0[xX][0-9A-Fa-f]*|[0-9]+)")
_PATH = re.compile(r"[A-Za-z0-9._~/+@%,=!$&'()*:;-]*")
_HIDDEN = re.compile(r"%(?:[01][0-9A-Fa-f]|7[Ff])")
_BAD_IN_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(?:/|$)")


def check_repository(url: str, *, protocols: Sequence[str], local_root: Path | None, near: bool = False) -> str:
    """The normalised address of a repository that the portal may fetch from.

    `protocols` are the allowed ones (`https`, `ssh`, …); `file://` is allowed below `local_root` alone, judged after
    links and `..` are resolved, and a host that is plainly this machine itself with `near` alone. Raises `InvalidInput`
    (field `repository`) with one sentence."""
    _check_characters(url)
    if "::" in url.split("[", 1)[0]:
        _refuse(say("A repository's address may not name a transport helper (“…::…”): use an https or ssh address."))
    if not _SCHEME.match(url):
        return _check_without_scheme(url, protocols, local_root, near)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        _refuse(say("The repository's address cannot be read: its host or port is malformed."))
    scheme = parts.scheme.lower()
    if scheme == "file":
        return _check_local(parts, local_root)
    _check_protocol(scheme, protocols)
    user = _check_user(parts, scheme)
    host = _check_host(parts.hostname or "", near)
    path = _check_path(parts)
    place = host if port in (None, _DEFAULT_PORTS[scheme]) else f"{host}:{port}"
    return f"{scheme}://{user}{place}{path}"


def check_ref(name: str) -> str:
    """The name of a tag, a branch or a commit as a person may type it. Raises `InvalidInput` (field `ref`).

    The rules are git's own for refs, and no leading `-`, so that a name can never be read as an option or as an
    expression (`HEAD~1`, `main@{yesterday}`)."""
    if not name:
        _refuse(say("No ref was given: name a tag, a branch or a commit."), field="ref")
    if name.startswith("-"):
        _refuse(say("A ref may not begin with “-”: name a tag, a branch or a commit."), field="ref")
    if len(name.encode("utf-8", "surrogatepass")) > LONGEST_REF:
        _refuse(say("The ref is too long: at most %(most)s bytes are allowed.", most=LONGEST_REF), field="ref")
    if not name.isprintable() or _BAD_IN_REF.search(name):
        _refuse(
            say(
                "The ref holds what git does not allow in a name (spaces, control characters, “..”, “@{”, “:”, “~”, "
                "“^”, “?”, “*”, “[”, “\\”): name a tag, a branch or a commit."
            ),
            field="ref",
        )
    if name == "@" or name.startswith(("/", ".")) or name.endswith(("/", ".")):
        _refuse(say("That is no name of a ref: name a tag, a branch or a commit, for example v1.0.0."), field="ref")
    return name


def protocol_of(url: str) -> str:
    """The protocol that git will use for an address which `check_repository` has let through."""
    return url.split("://", 1)[0] if "://" in url else "ssh"


def _refuse(sentence: Sentence, *, field: str = "repository") -> NoReturn:
    raise InvalidInput(sentence, field=field)


def _check_characters(url: str) -> None:
    if not url:
        _refuse(say("No repository was given: enter its address, for example https://host/team/shop.git."))
    if url.startswith("-"):
        _refuse(say("A repository's address may not begin with “-”."))
    if len(url) > LONGEST_ADDRESS:
        _refuse(
            say(
                "The repository's address is too long: at most %(most)s characters are allowed.",
                most=LONGEST_ADDRESS,
            )
        )
    if any(character.isspace() or not character.isprintable() for character in url):
        _refuse(say("The repository's address holds a space, a line break or a control character: remove it."))
    if "\\" in url:
        _refuse(say("The repository's address holds a backslash: write it with “/”."))


def _check_without_scheme(url: str, protocols: Sequence[str], local_root: Path | None, near: bool) -> str:
    scp = _SCP.fullmatch(url)
    if scp:
        return _check_scp(scp, protocols, near)
    if url.startswith(("/", ".", "~")) or ":" not in url:
        where = say(" below %(root)s", root=local_root) if local_root else ""
        _refuse(
            say(
                "A plain path is no address of a repository: write https://…, or file:///… for a repository on this "
                "machine%(where)s (PORTAL_LOCAL_REPOSITORIES).",
                where=where,
            )
        )
    _refuse(say("The repository's address has no protocol: write https://host/path, or user@host:path for ssh."))


def _check_scp(scp: re.Match[str], protocols: Sequence[str], near: bool) -> str:
    _check_protocol("ssh", protocols)
    user, path = scp["user"], scp["path"]
    if not _USER.fullmatch(user):
        _refuse(say("The user before “@” in the repository's address is not one: write git@host:path."))
    if not path.strip("/") or path.startswith("-") or not _PATH.fullmatch(path):
        _refuse(
            say("The path after “:” in the repository's address is missing or malformed: write git@host:team/shop.git.")
        )
    host = _check_host(scp["host"].strip("[]"), near)
    return f"{user}@{host}:{path}"


def _check_protocol(scheme: str, protocols: Sequence[str]) -> None:
    allowed = [name for name in KNOWN_PROTOCOLS if name in protocols]
    if scheme not in allowed:
        words = " or ".join(allowed) if allowed else "none"
        _refuse(
            say(
                "The protocol “%(scheme)s” is not allowed here (allowed: %(words)s): use another address, or ask an "
                "operator to change PORTAL_GIT_PROTOCOLS.",
                scheme=scheme[:20],
                words=words,
            )
        )


def _check_user(parts: SplitResult, scheme: str) -> str:
    if "@" not in parts.netloc:
        return ""
    if scheme != "ssh" or parts.password is not None:
        _refuse(
            say(
                "The repository's address holds credentials before “@”: remove them, for they would be seen in logs "
                "and process lists; give the portal's account a deploy key and use ssh instead."
            )
        )
    if not _USER.fullmatch(parts.username or ""):
        _refuse(say("The user before “@” in the repository's address is not one: write ssh://git@host/path."))
    return f"{parts.username}@"


def _check_host(host: str, near: bool) -> str:
    found = _normal_host(host)
    if not near and is_near(found):
        _refuse(refusal())
    return found


def _normal_host(host: str) -> str:
    if not host:
        _refuse(say("The repository's address names no host: write for example https://host/team/shop.git."))
    if ":" in host:
        try:
            return f"[{ipaddress.IPv6Address(host)}]"
        except ValueError:
            _refuse(say("The host in the repository's address is malformed."))
    if not _HOST.fullmatch(host) or len(host) > 253:
        _refuse(say("The host in the repository's address is malformed: a name such as git.example.org is expected."))
    # A last part that is a number makes the whole a number to curl: 127.1, 0x7f000001 and 2130706433 are one host.
    if _NUMBER.fullmatch(host.rstrip(".").rsplit(".", 1)[-1]):
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            _refuse(say("The host in the repository's address is an odd number: write a name or four numbers."))
    return host.lower()


def _check_path(parts: SplitResult) -> str:
    if parts.query or parts.fragment:
        _refuse(say("The repository's address holds “?” or “#”: leave out what follows."))
    path = parts.path.rstrip("/")
    if not path:
        _refuse(say("The repository's address names a host but no repository: a path is missing after the host."))
    if not _PATH.fullmatch(path) or _HIDDEN.search(path):
        _refuse(
            say("The path in the repository's address holds characters that do not belong there: percent-encode them.")
        )
    return path


def _check_local(parts: SplitResult, local_root: Path | None) -> str:
    if parts.netloc:
        _refuse(say("A file:// address may not name a host: write file:/// and an absolute path."))
    if local_root is None:
        _refuse(say("Repositories on this machine are not allowed here: PORTAL_LOCAL_REPOSITORIES names no folder."))
    if parts.query or parts.fragment:
        _refuse(say("The repository's address holds “?” or “#”: leave out what follows."))
    text = unquote(parts.path, errors="surrogateescape")
    if not text.isprintable():
        _refuse(say("The path in the repository's address holds a control character or is not UTF-8: remove it."))
    root = local_root.resolve()
    try:
        path = Path(text).resolve()
    except (OSError, RuntimeError):  # a loop of links, or a name longer than the file system takes
        _refuse(say("The path in the repository's address cannot be followed on this machine."))
    if path == root or not path.is_relative_to(root):
        _refuse(
            say(
                "file:// repositories are allowed below %(root)s only (PORTAL_LOCAL_REPOSITORIES): move the "
                "repository there, or use https or ssh.",
                root=local_root,
            )
        )
    return f"file://{quote(str(path))}"
