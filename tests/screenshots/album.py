"""The process that makes the rows, takes the pictures and writes their index; tests.screenshots starts it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import django

from tests.screenshots.__main__ import USUAL, parse

HEAD = """\
# Screenshots

Every page, of invented rows at an invented moment. Made by `./run screenshots`; the other language, the dark theme and
the narrow pages by `./run screenshots --all-looks --into FOLDER`.
"""


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # Playwright's loop runs in the thread that asks the database
    django.setup()
    from portal.setup import SetupFailed
    from portal.words import compile_catalogues
    from tests.screenshots.pages import SHOTS
    from tests.screenshots.taking import ALL_LOOKS, Look, take

    known = [shot.name for shot in SHOTS]
    if unknown := [name for name in options.names if name not in known]:
        print(f"There is no page {unknown[0]}; there are: {', '.join(known)}.", file=sys.stderr)
        return 2
    compile_catalogues()
    shots = [shot for shot in SHOTS if not options.names or shot.name in options.names]
    looks = ALL_LOOKS if options.all_looks else (Look(),)
    try:
        size = take(shots, looks, options.into)
    except SetupFailed as error:
        print(error, file=sys.stderr)
        return 2
    if options.into == USUAL:
        write_index(known, USUAL)
    print(f"{len(shots) * len(looks)} pictures, {size / 1e6:.1f} MB, in {options.into}")
    return 0


def write_index(names: Sequence[str], folder: Path) -> None:
    pictures = "".join(
        f"\n## {name}\n\n![{name}]({name}.webp)\n" for name in names if (folder / f"{name}.webp").exists()
    )
    (folder / "README.md").write_text(HEAD + pictures)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
