"""What `./run` hands over to: `python -m portal [--no-install] [restore|check|audit-dependencies|words|test] …`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from releases.errors import PortalError


def main(arguments: Sequence[str]) -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    may_install = "--no-install" not in arguments[:1]
    command, *rest = (arguments if may_install else arguments[1:]) or ["serve"]
    try:
        return run(command, rest, may_install=may_install)
    except (PortalError, ImproperlyConfigured) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130


def run(command: str, rest: Sequence[str], *, may_install: bool) -> int:
    """Carry out one sub-command. Imports wait until then: settings are read by them, and may be wrong."""
    if command == "serve" and not rest:
        from portal.serve import serve

        return serve(may_install=may_install)
    if command == "restore" and len(rest) == 1:
        from portal.serve import restore

        return restore(Path(rest[0]).absolute())
    if command in ("check", "test"):
        from portal import checks

        return checks.check() if command == "check" else checks.test(rest, may_install=may_install)
    if command == "audit-dependencies" and not rest:
        from portal import advisories

        return advisories.audit()
    if command == "words":
        from portal import words

        return words.main(rest)
    print(f"“{' '.join([command, *rest])}” is no command of ./run: see ./run --help.", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
