"""`./run audit-dependencies`: are advisories known against the pinned packages? One question to OSV answers it for all.

Where the source cannot be reached, that is said, and is no failure: a machine without the world must be able to run the
tests. A known advisory is one, until the package is replaced, or the advisory is accepted below, with its reason.
That is all that is wanted of pip-audit, which would bring two dozen packages of its own."""

from __future__ import annotations

import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings

from portal.setup import say

LOCKS = ("requirements.txt", "requirements-dev.txt")
ACCEPTED: dict[str, str] = {}
"""The id of an advisory → why it does not concern the portal."""
SECONDS = 10
_PINNED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*\])?==([^\s;\\]+)", re.MULTILINE)

Pin = tuple[str, str]


class SourceAway(Exception):
    """Nobody answered, or not as the source of advisories does."""


def audit(folder: Path | None = None, url: str = "") -> int:
    """Say what is known against the packages of the locks in `folder`; 1 when something is."""
    began = time.monotonic()
    pins = pinned((folder or settings.BASE_DIR) / name for name in LOCKS)
    try:
        found = asked(pins, url or settings.ADVISORIES_URL)
    except SourceAway as error:
        say(f"check advisories  left out: {error}. Nothing is known of the {len(pins)} packages; audit them elsewhere.")
        return 0
    bad = [(pin, [one for one in ids if one not in ACCEPTED]) for pin, ids in zip(pins, found, strict=True)]
    bad = [(pin, ids) for pin, ids in bad if ids]
    verdict = "FAILED" if bad else "passed"
    say(f"check advisories  {verdict}  {time.monotonic() - began:.1f} s, {len(pins)} packages")
    for (name, version), ids in bad:
        say(f"{name} {version}: {', '.join(ids)}; see https://osv.dev/list?q={name}, and pin a version without it.")
    return 1 if bad else 0


def pinned(locks: Iterable[Path]) -> list[Pin]:
    """Each package of the locks with its version, once."""
    return list(dict.fromkeys(pin for lock in locks for pin in _PINNED.findall(lock.read_text())))


def asked(pins: Sequence[Pin], url: str) -> list[list[str]]:
    """The ids of the advisories against each. Raises `SourceAway`."""
    queries = [{"package": {"ecosystem": "PyPI", "name": name}, "version": version} for name, version in pins]
    request = urllib.request.Request(  # noqa: S310 - the address is a setting
        url, data=json.dumps({"queries": queries}).encode(), headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
            results = json.load(answer)["results"]
        if len(results) == len(pins):
            return [_ids(result) for result in results]
    except urllib.error.HTTPError as error:
        raise SourceAway(f"{url} answered {error.code}") from error
    except OSError as error:
        raise SourceAway(f"{url} cannot be reached ({getattr(error, 'reason', error)})") from error
    except (http.client.HTTPException, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceAway(f"{url} did not answer as OSV does") from error
    raise SourceAway(f"{url} answered for {len(results)} packages instead of {len(pins)}")


def _ids(result: dict[str, Any]) -> list[str]:
    return [str(one["id"]) for one in result.get("vulns") or []]
