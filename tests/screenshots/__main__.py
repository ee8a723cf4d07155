"""`./run screenshots`: a database of its own, invented rows, and a picture of every page."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
USUAL = ROOT / "docs" / "screenshots"
ABOUT = """\
Takes a picture of every page, of invented rows that are the same in each run, with a PostgreSQL and a Redis of its own.
Without an option: in English, light and wide, into docs/screenshots, with an index; these are the ones in git.
"""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "./run screenshots", description=ABOUT, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these pages, such as build or history")
    parser.add_argument(
        "--all-looks", action="store_true", help="both languages, light and dark, wide and narrow (8 each)"
    )
    parser.add_argument("--into", type=Path, help="another folder; needed with --all-looks")
    parser.add_argument("--no-install", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.all_looks and options.into is None:
        parser.error("--all-looks makes some 160 pictures that do not belong into git: say where, with --into FOLDER")
    return options


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    from portal.checks import stores
    from portal.setup import SetupFailed
    from portal.supervisor import Supervisor

    with tempfile.TemporaryDirectory(prefix="portal-pictures-") as folder:
        try:
            with Supervisor(folder, drain_seconds=10) as supervisor:
                os.environ.update(stores(supervisor, Path(folder)), PORTAL_INSTANCE="pictures")
                return _in_own_process(options)
        except SetupFailed as error:
            print(error, file=sys.stderr)
            return 2


def _in_own_process(options: argparse.Namespace) -> int:
    """The settings were read already, with this machine's own stores: another process reads the new ones."""
    import subprocess

    names = [*options.names, *(["--all-looks"] if options.all_looks else [])]
    into = ["--into", str(options.into or USUAL)]
    return subprocess.run(
        [sys.executable, "-m", "tests.screenshots.album", *names, *into], cwd=ROOT, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
