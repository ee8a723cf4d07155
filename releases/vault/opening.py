"""Opening what was sealed: for the worker that runs git, and for whoever changes the key. Not for the web."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from cryptography.fernet import InvalidToken
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
def resealed(path: Path, kept: str) -> str:
    """The same secret, sealed with the newest key. Raises `StorageError`."""
    try:
        return keys.box(path).rotate(kept.encode()).decode()
    except InvalidToken as error:
        raise StorageError(say("It was sealed with another key than is in %(path)s.", path=str(path))) from error
