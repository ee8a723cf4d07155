"""`./run soak`: read what is asked, set up what is missing, kill, reckon, tell."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """The exit status; options.ENDS says what it means."""
    from tests.soak.options import parse

    options = parse(arguments)  # wrong ones end here, before settings are read or anything is started
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    from django.core.exceptions import ImproperlyConfigured

    try:
        from portal.setup import SetupFailed
        from tests.soak import soaking
    except ImproperlyConfigured as error:
        print(error, file=sys.stderr)
        return 2
    try:
        return soaking.soak(options)
    except (SetupFailed, ImproperlyConfigured) as error:
        print(error, file=sys.stderr)
        return 2
    except AssertionError as error:  # of the parts that it shares with the tests: a portal that did not start
        print(f"The soak could not be carried out: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
