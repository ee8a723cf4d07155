"""Taking a secret in: it is sealed together with what it is for, so that it opens for nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from django.views.decorators.debug import sensitive_variables

from releases.vault import keys


@sensitive_variables()
def sealed(path: Path, secret: str, about: Mapping[str, str]) -> str:
    """The secret as the database may keep it; the key in the file `path` is made when there is none.

    `about` says what it is for; whoever opens it must say the same. Raises `StorageError`."""
    keys.make(path)
    return keys.box(path).encrypt(json.dumps({"secret": secret, "about": dict(about)}).encode()).decode()
