"""The variables that an application is booted with: what their names and values may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from releases.errors import InvalidInput, say


def check_environment(environment: Mapping[str, Any]) -> dict[str, str]:
    """Names as a shell takes them, values of text that the database can hold; raises `InvalidInput`."""
    if not isinstance(environment, Mapping):
        raise InvalidInput(say('Write the environment as an object such as {"NAME": "value"}.'), field="environment")
    checked = {}
    for name, value in environment.items():
        if not name.isascii() or not name.replace("_", "a").isalnum() or name[0].isdigit():
            raise InvalidInput(
                say(
                    "“%(name)s” is no name for an environment variable: use letters, digits and underscores.",
                    name=name[:60],
                ),
                field="environment",
            )
        if not isinstance(value, str) or not fits_the_database(value) or len(value) > 8192:
            raise InvalidInput(
                say("The value of %(name)s must be plain text of at most 8,192 characters.", name=name),
                field="environment",
            )
        checked[name] = value
    return checked


def fits_the_database(text: str) -> bool:
    """PostgreSQL takes neither NUL nor half of a surrogate pair, which JSON and a terminal can both hold."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)
