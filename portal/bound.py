"""Take a port while we may, and become a program that may not: `python -m portal.bound ADDRESS PORT COMMAND…`.

The program is told the listening socket as gunicorn reads it: `--bind fd://N`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from portal.setup import SetupFailed, places


def main(arguments: Sequence[str]) -> NoReturn:
    address, port, *command = arguments
    try:
        listener = places.listening(address, int(port))
    except SetupFailed as error:
        sys.exit(str(error))
    descriptor = listener.detach()
    os.set_inheritable(descriptor, True)
    os.execvp(command[0], [*command, "--bind", f"fd://{descriptor}"])  # noqa: S606 (no shell is wanted)


if __name__ == "__main__":
    main(sys.argv[1:])
