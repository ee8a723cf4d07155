"""What the portal needs around it: the engine, a base image, PostgreSQL, Redis, the first people.

Each room finds what is there, or makes it, and says what it does. What cannot be had is a `SetupFailed`: one
sentence that ends with the line that mends it.
"""

from __future__ import annotations

from contextlib import suppress

from django.conf import settings

from portal.logs import told
from releases.errors import PortalError


class SetupFailed(PortalError):
    """Something around the portal is missing and could not be put there."""


def say(sentence: str) -> None:
    """Tell the terminal; that it is gone is no reason to stop half-way."""
    with suppress(OSError):
        print(told("portal", sentence, as_json=True) if settings.LOG_FORMAT == "json" else sentence, flush=True)
