"""What a worker shows to the host of an application's repository: opened for one fetch, and never printed."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote, quote_plus

AccessKind = Literal["key", "token"]
HIDDEN = "********"


def fingerprint(public_key: str) -> str:
    """Of a public key in OpenSSH's form, as `ssh-keygen -l` and the hosts' pages show it: `SHA256:…`."""
    digest = hashlib.sha256(base64.b64decode(public_key.split()[1])).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


@dataclass(frozen=True, slots=True)
class Access:
    """A deploy key (`secret` is its private half, as OpenSSH writes it), or a user's access token."""

    kind: AccessKind
    secret: str = field(repr=False)
    user: str = ""
    place: str = ""
    """`https://host[:port]` that a token was set for; it is given to no other."""

    def hide(self, text: str) -> str:
        """The text without the secret, however git or curl may have written it."""
        for form in sorted(self._forms(), key=len, reverse=True):
            text = text.replace(form, HIDDEN)
        return text

    def _forms(self) -> set[str]:
        if self.kind == "key":
            return {line for line in self.secret.splitlines() if line and "PRIVATE KEY" not in line}
        encoded = {base64.b64encode(text.encode()).decode() for text in (self.secret, f"{self.user}:{self.secret}")}
        return {self.secret, quote(self.secret, safe=""), quote(self.secret), quote_plus(self.secret), *encoded}
