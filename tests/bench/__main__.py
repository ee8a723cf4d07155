"""`./run bench`: read what is asked, set up what is missing, measure, tell."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "benchmarks.md"


def main(arguments: Sequence[str]) -> int:
    """The exit status; options.ENDS says what it means."""
    from tests.bench.options import parse

    options = parse(arguments)  # wrong ones end here, before settings are read or anything is started
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    from django.core.exceptions import ImproperlyConfigured

    try:
        from portal.setup import SetupFailed
        from tests.bench import flood, measuring, viewer
        from tests.bench.commands import BenchFailed
    except ImproperlyConfigured as error:
        print(error, file=sys.stderr)
        return 2
    try:
        carry_out = viewer.bench if options.log else flood.bench if options.flood else measuring.bench
        return carry_out(options, DOCUMENT)
    except (BenchFailed, SetupFailed, ImproperlyConfigured) as error:
        print(error, file=sys.stderr)
        return 2
    except AssertionError as error:  # of the parts that the bench shares with the tests: a portal that did not start
        print(f"The bench could not be carried out: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
