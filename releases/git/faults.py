"""What git says when it fails, turned into one sentence for a person and into whose fault it is.

git runs with `LC_ALL=C`, so the words below are its own. Lines that the other side printed (`remote: …`) never decide
about our own disk or our own settings.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from releases.errors import GitError, Sentence, SourceUnavailable, StorageFull, say
from releases.specs import AccessKind

_CREDENTIALS = re.compile(r"//[^/@\s'\"]*@")
_CONTROL = re.compile(r"[^\x20-\x7e\u00a0-\ud7ff\uf900-\ufffc]+")

_REFUSED = (
    r"could not read (?:Username|Password)|Authentication failed|Permission denied|terminal prompts disabled|"
    r"error: 40[13]|[Rr]epository not found|Access denied|Invalid username or password|error: 404|"
    r"repository '[^']*' not found"
)
_OTHER_HOST_KEY = re.compile(r"REMOTE HOST IDENTIFICATION HAS CHANGED|Host key for \S+ has changed")
_NEW_FINGERPRINT = re.compile(r"sent by the remote host is\s+(\S+?)\.?\s")
_OLD_LINE = re.compile(r"Offending \S+ key in (.+):(\d+)")

# Order matters: the first that fits is told. `url` is the checked address, which holds no credentials.
_REMOTE_FAULTS: tuple[tuple[str, Callable[[str], Sentence]], ...] = (
    (
        r"resolve proxy|from proxy|proxy connect|Proxy CONNECT|to proxy|error: 407",
        lambda url: say(
            "%(url)s cannot be reached because the proxy refused or is not there: check PORTAL_HTTPS_PROXY.", url=url
        ),
    ),
    (
        r"Could not resolve host|Name or service not known|Temporary failure in name resolution",
        lambda url: say(
            "The host of %(url)s is not known: check the address, and the name server of the machine that builds.",
            url=url,
        ),
    ),
    (
        r"SSL certificate|certificate verif|gnutls_handshake|SSL_ERROR|SSL connect|CAfile|CApath|TLS handshake",
        lambda url: say(
            "The secure connection to %(url)s failed: check the address; if its certificate is of your own "
            "authority, name that in PORTAL_CA_BUNDLE.",
            url=url,
        ),
    ),
    (
        r"Host key verification failed",
        lambda url: say(
            "The ssh host key of %(url)s is not known here: add it to the known_hosts of the account that "
            "runs the workers.",
            url=url,
        ),
    ),
    (
        (
            r"Failed to connect|Couldn't connect|Connection refused|[Cc]onnection timed out|Connection timeout|"
            r"No route to host|Network is unreachable|Connection reset|unable to connect to"
        ),
        lambda url: say(
            "%(url)s cannot be reached: the host does not answer; check the address and the network, then try again.",
            url=url,
        ),
    ),
    (
        r"Operation too slow|timed out",
        lambda url: say("%(url)s answers too slowly: try again later.", url=url),
    ),
    (
        r"error: 30[12378]|redirect",
        lambda url: say(
            "%(url)s points to another address (a redirect), which is not followed: enter the new address "
            "of the repository.",
            url=url,
        ),
    ),
    (_REFUSED, lambda url: _refused(url, None)),
    (
        r"dubious ownership",
        lambda url: say(
            "%(url)s belongs to another account of this machine, so git refuses to read it: give it to the "
            "account that runs the workers.",
            url=url,
        ),
    ),
    (
        r"cannot run ssh",
        lambda url: say(
            "%(url)s is reached by ssh, and there is none on this machine: ask an operator to install openssh-client.",
            url=url,
        ),
    ),
    (
        r"transport '[^']*' not allowed",
        lambda url: say(
            "git refused the protocol of %(url)s: use https or ssh, or ask an operator to change PORTAL_GIT_PROTOCOLS.",
            url=url,
        ),
    ),
    (
        # Before the next one: where a transfer ends too early, git also finds that packets are not what they should be.
        (
            r"early EOF|unexpected disconnect|transfer closed|bytes of body are still expected|"
            r"expected flush after ref listing|expected 'packfile'|bad pack header|Empty reply from server"
        ),
        lambda url: say("The connection to %(url)s broke off: try again.", url=url),
    ),
    (
        (
            r"does not appear to be a git repository|is this a git repository|not a git repository|not valid:|"
            r"invalid gitfile|invalid server response|bad line length|unexpected .*packet|expected (?:service|flush)"
        ),
        lambda url: say("There is no git repository at %(url)s: check the address.", url=url),
    ),
    (
        r"hung up unexpectedly|RPC failed|Could not read from remote",
        lambda url: say("The connection to %(url)s broke off: try again.", url=url),
    ),
    (
        r"unable to access|error: [45][0-9][0-9]",
        lambda url: say("%(url)s answered with an error: try again later.", url=url),
    ),
)

_DAMAGE = re.compile(
    r"bad object|corrupt|missing (?:blob|tree|commit|object)|unable to read (?:sha1|tree|object)|did not send all|"
    r"not a git repository: '|packfile .* (?:cannot|does not|is)|bad (?:signature|index|pack)|index-pack failed|"
    r"unable to resolve reference|reference broken|loose object|inflate|badly formed|invalid sha1"
)


def shows_damage(url: str, said: str) -> bool:
    """Whether a fetch failed for what may be a damaged mirror of ours, so that it is worth making it anew."""
    return type(remote_fault(url, said)) is GitError and bool(_DAMAGE.search(said))


def remote_fault(url: str, said: str, shown: AccessKind | None = None) -> GitError | StorageFull:
    """The exception for a fetch that failed with these words on its error output. `shown` is what the other side was
    shown of the application's own: it is told what to do about that."""
    ours = "\n".join(line for line in said.splitlines() if not line.startswith("remote:"))
    if full := disk_fault(ours):
        return full
    url = url if url.startswith("ssh:") else _CREDENTIALS.sub("//", url)
    judged = said.replace(url, "")  # a repository may be called “redirect”
    if _OTHER_HOST_KEY.search(judged):
        return SourceUnavailable(_other_host_key(url, said))
    for pattern, sentence in _REMOTE_FAULTS:
        if re.search(pattern, judged):
            return SourceUnavailable(_refused(url, shown) if pattern is _REFUSED else sentence(url))
    return GitError(say("git could not fetch from %(url)s: %(said)s.", url=url, said=last_words(said)))


def _refused(url: str, shown: AccessKind | None) -> Sentence:
    if shown == "key":
        return say(
            "%(url)s was not found, or it refuses the deploy key: check the address, and that the public key which the "
            "application's settings show is entered at the host.",
            url=url,
        )
    if shown == "token":
        return say(
            "%(url)s was not found, or it refuses the access token: check the address, and that the token has not run "
            "out and may read this repository; a new one is set on the application's settings.",
            url=url,
        )
    if url.startswith(("https:", "http:")):
        return say(
            "%(url)s was not found, or it refuses us: check the address; a private repository needs an access token, "
            "which is set on the application's settings.",
            url=url,
        )
    return say(
        "%(url)s was not found, or it refuses us: check the address; a private repository needs a deploy key, which is "
        "made on the application's settings.",
        url=url,
    )


def _other_host_key(url: str, said: str) -> Sentence:
    """ssh says which line it holds against which fingerprint; both are for whoever decides."""
    fingerprint, line = _NEW_FINGERPRINT.search(said), _OLD_LINE.search(said)
    return say(
        "The ssh host of %(url)s has another key than before (now %(fingerprint)s): ask its administrator whether that "
        "is right, for it may be another machine; if so, an operator removes line %(line)s of %(file)s.",
        url=url,
        fingerprint=fingerprint[1] if fingerprint else say("unknown"),
        line=line[2] if line else "?",
        file=_CONTROL.sub(" ", line[1].strip())[:200] if line else "known_hosts",
    )


def local_fault(what: str, said: str) -> GitError | StorageFull:
    """The exception for work on a mirror that failed. `what` reads on: “git could not …”."""
    return disk_fault(said) or GitError(say("git could not %(what)s: %(said)s.", what=what, said=last_words(said)))


def disk_fault(said: str) -> StorageFull | None:
    """git's own disk was full, or it was not."""
    if "No space left on device" in said or "Disk quota exceeded" in said:
        return StorageFull(
            say("No space is left for the mirrors of repositories: free some in PORTAL_HOME and try again.")
        )
    return None


def last_words(said: str) -> str:
    """The line of git's error output that says most, cleaned, without credentials, at most 300 characters."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines
    if not telling:
        return say("it gave no reason")
    line = telling[0].split(":", 1)[-1].strip() if telling[0].startswith(("fatal:", "error:")) else telling[-1]
    return _CONTROL.sub(" ", _CREDENTIALS.sub("//", line))[:300].rstrip(". ") or say("it gave no reason")
