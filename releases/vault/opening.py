"""Opening what was sealed: for the worker that runs git, and for whoever changes the key. Not for the web."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from cryptography.fernet import InvalidToken, MultiFernet
from django.views.decorators.debug import sensitive_variables

from releases.errors import StorageError, say
from releases.vault import keys


@sensitive_variables()
def opened(path: Path, kept: str, about: Mapping[str, str]) -> str:
    """The secret. Raises `StorageError` when the key is missing or another, or when it was sealed for something else:
    whoever writes the database can move what is sealed, but not make it open there."""
    try:
        found = json.loads(keys.box(path).decrypt(kept.encode()))
    except InvalidToken as error:
        raise StorageError(say("It was sealed with another key than is in %(path)s.", path=str(path))) from error
    if found["about"] != dict(about):
        raise StorageError(say("It was sealed for something else: its row was changed in the database."))
    return str(found["secret"])


@sensitive_variables()
def resealed(box: MultiFernet, kept: str) -> str:
    """The same secret, sealed with the newest key of the box. Raises `StorageError`."""
    try:
        return box.rotate(kept.encode()).decode()
    except InvalidToken as error:
        raise StorageError(
            say(
                "Something is sealed with a key that is lost: “./run manage secrets check” names it; set it anew first."
            )
        ) from error
