"""What a build prints, made fit to be kept and shown: no escape but colours, no hidden direction, no known secret.

Masking is a courtesy, not a wall: a secret that was encrypted, reversed or printed letter by letter is not found. The
wall is that a builder is given no secret.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus

LONGEST_LINE = 8 * 1024
"""Bytes of one line that are kept."""
LONGEST_LOOK = 256 * 1024
"""Characters of one line that are looked at at all."""
SHORTEST_SECRET = 4
"""Shorter values are not masked: they would black out the whole log."""
MASKED = "********"

_COLOUR = r"\x1b\[[0-9;:]{0,60}m"
_PATTERN = re.compile(
    rf"(?P<colour>{_COLOUR})"
    # OSC, DCS, SOS, PM and APC with their end; possessive, so that no input makes it slow
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d\x9e\x9f])[^\x07\x1b\x90\x98\x9c-\x9f]*+(?:\x07|\x1b\\|\x9c)"
    r"|(?:\x1b\[|\x9b)[0-?]*+[ -/]*+[@-~]"  # other control sequences: cursor, erase, modes
    r"|\x1b[ -/]*+[0-~]?"  # other escapes, and what begins one
    # controls but tab, line separators, marks and overrides of direction, what is no character
    "|(?P<bad>[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff])"
)
_COLOURS = re.compile(_COLOUR)
_BROKEN_COLOUR = re.compile(r"\x1b(?:\[[0-9;:]*)?$")


def clean(text: str) -> str:
    """One line without anything that could move a cursor, hide text or be refused by a database; colours stay.

    Where a tool redraws a line (`\r`), its last state stays."""
    if text.isprintable():
        return text
    if "\r" in text:
        text = next((part for part in reversed(text.split("\r")) if part), "")
    return _PATTERN.sub(_replacement, text)


def without_colours(text: str) -> str:
    return _COLOURS.sub("", text)


def cut(text: str, most: int = LONGEST_LINE) -> str:
    """At most `most` bytes of UTF-8, never in the middle of a character or a colour code; a cut is said."""
    if len(text) * 4 <= most:
        return text
    data = text.encode("utf-8", "replace")
    if len(data) <= most:
        return text
    kept = _BROKEN_COLOUR.sub("", data[:most].decode("utf-8", "ignore"))
    reset = "\x1b[0m" if "\x1b" in kept else ""
    return f"{kept}{reset} … (the line is cut here, after {most:,} bytes)"


def secret_values(environment: Mapping[str, str]) -> list[str]:
    """Values that must not stand in a log: those whose names say so."""
    words = ("SECRET", "PASSWORD", "PASSWD", "TOKEN", "KEY", "URI", "URL", "DSN")
    return [
        value for name, value in environment.items() if len(value) >= 6 and any(word in name.upper() for word in words)
    ]


class Mask:
    """Hides given values in whole lines, also where a colour code stands in the middle of one, and as they stand in an
    address, in JSON and in base64."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        values = [value for secret in secrets for value in (*secret.split("\n"), secret)]
        forms = [form for value in values if len(value) >= SHORTEST_SECRET for form in (value, *_encoded(value))]
        lines = {line for form in forms if "\n" not in form and len(line := clean(form)) >= SHORTEST_SECRET}
        self._secrets = sorted(lines, key=len, reverse=True)
        self._heads = {secret[:SHORTEST_SECRET] for secret in lines}
        self._pattern = re.compile("|".join(_spread(secret) for secret in self._secrets) or r"(?!)")
        self._unfinished = False

    def __call__(self, text: str, *, unfinished: bool = False) -> str:
        """The line without the secrets. `unfinished` says that it was cut off before, so that a secret may end or, in
        the next line, begin in the middle: such halves are hidden too."""
        if not self._secrets:
            return text
        bare = without_colours(text)
        if any(head in bare for head in self._heads):
            text = self._pattern.sub(MASKED, text)
        if self._unfinished:
            text = self._without_tail_of_secret(text)
        if unfinished:
            text = self._without_head_of_secret(text)
        self._unfinished = unfinished
        return text

    def _without_head_of_secret(self, text: str) -> str:
        longest = max((_overlap(text, secret) for secret in self._secrets), default=0)
        return text[:-longest] + MASKED if longest else text

    def _without_tail_of_secret(self, text: str) -> str:
        longest = max((_overlap(text[::-1], secret[::-1]) for secret in self._secrets), default=0)
        return MASKED + text[longest:] if longest else text


def _encoded(value: str) -> Iterator[str]:
    """How a value looks where it was put into an address, into JSON, or into base64, alone or amid other bytes."""
    yield from (quote(value, safe=""), quote(value), quote_plus(value), json.dumps(value)[1:-1])
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    data = value.encode("utf-8", "replace")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(data).decode()
        for before in range(3):  # the bytes before it decide how its bits fall; what others touch is left out
            first, bits = -(-8 * before // 6), 8 * (before + len(data))
            inner = encode(bytes(before) + data).decode()[first : bits // 6]
            if len(inner) >= 2 * SHORTEST_SECRET:
                yield inner


def _spread(secret: str) -> str:
    return f"(?:{_COLOUR})*".join(re.escape(character) for character in secret)


def _overlap(text: str, secret: str) -> int:
    """How many characters at the end of the text begin the secret."""
    return next((size for size in range(min(len(secret), len(text)), 0, -1) if text.endswith(secret[:size])), 0)


def _replacement(match: re.Match[str]) -> str:
    if match["colour"]:
        return match["colour"]
    return "\ufffd" if match["bad"] else ""
