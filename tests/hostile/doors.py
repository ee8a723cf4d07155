"""Every address that the portal answers, read from its own table: an address that is added is covered by itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver

_REGEX = re.compile(r"\(\?P<(\w+)>[^)]*\)")
_PART = re.compile(r"<(?:\w+:)?(\w+)>")
_ASKED = re.compile(r"""(?:GET|POST|FILES|data)(?:\.get(?:list)?)?[(\[]\s*["']([\w-]+)["']""")
_FIELD = re.compile(rb"""<(?:input|select|textarea|button)\b[^>]*\bname="([^"]+)"[^>]*?(?:\bvalue="([^"]*)")?""")


@dataclass(frozen=True, slots=True)
class Door:
    """One line of the table of addresses: `applications/<name>/builds/<number>/`."""

    route: str

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of what is variable in it."""
        return tuple(_PART.findall(self.route))

    def address(self, values: Mapping[str, bytes]) -> bytes:
        """With these values in place, as the bytes that a server would hand over (nothing is quoted)."""
        pieces = _PART.split(self.route)
        return b"/" + b"".join(
            values.get(piece, b"1") if place % 2 else piece.encode() for place, piece in enumerate(pieces)
        )


def doors() -> list[Door]:
    """All of them, the admin's too."""
    return list(dict.fromkeys(Door(route) for route in _routes(get_resolver().url_patterns)))


def _routes(patterns: Sequence[URLPattern | URLResolver], before: str = "") -> Iterator[str]:
    for pattern in patterns:
        route = before + _REGEX.sub(r"<\1>", str(pattern.pattern).removeprefix("^").removesuffix("$"))
        if isinstance(pattern, URLResolver):
            yield from _routes(pattern.url_patterns, route)
        else:
            yield route


def asked_names() -> list[str]:
    """What views ask of a query or a form by name, read from their source."""
    found: set[str] = set()
    for path in (Path(settings.BASE_DIR) / "releases").rglob("*.py"):
        found.update(_ASKED.findall(path.read_text()))
    return sorted(found)


def fields_of(page: bytes) -> dict[str, str]:
    """The fields of a page's forms, with the values that stand in them."""
    return {name.decode(): value.decode() for name, value in _FIELD.findall(page)}
