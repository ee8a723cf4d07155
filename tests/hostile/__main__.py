"""`./run hostile`: as many malformed requests, and downloads of a file that is being damaged, as one has time for."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from collections.abc import Sequence

ABOUT = """\
Sends malformed requests to every address, and downloads a file while it is damaged, with a PostgreSQL and a Redis of
its own. The exit status is 0 when no answer was a fault of the portal's and no wrong byte completed. The seed is
printed: the same one makes the same requests.
"""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("./run hostile", description=ABOUT)
    parser.add_argument("--requests", type=int, default=10_000, metavar="N", help="default: 10,000")
    parser.add_argument("--downloads", type=int, default=10_000, metavar="N", help="default: 10,000")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**8), help="default: another each time")
    parser.add_argument("--no-install", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    for name in ("requests", "downloads", "seed"):
        os.environ[f"HOSTILE_{name.upper()}"] = str(getattr(options, name))
    from portal import checks

    rooms = [f"tests/hostile/test_{name}.py" for name in ("malformed", "downloads")]
    return checks.test(["-q", "-s", "--show-capture=no", *rooms], may_install=not options.no_install)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
