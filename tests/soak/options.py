"""What `./run soak` may be asked."""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

ABOUT = """\
Kills parts of a portal while it builds, and reckons up afterwards. The portal is one of its own, as ./run starts it,
with two build workers and a folder that is gone afterwards. It keeps three to four builds under way, of the demo and of
small applications of its own, and makes so many random kills (SIGKILL) of: a worker, a work-horse, both, the desk's
worker, the sweeper, the web's master, Redis (killed, or emptied), PostgreSQL, a builder's container. Nothing may be
lost, stuck for more than a minute, half-written or left behind. 100 kills take about a quarter of an hour.
"""
ENDS = """\
exit status: 0 when nothing fell short, 1 when something did or not all kills could be made in the time, 2 for wrong
options and when the soak could not be carried out, 130 after Ctrl-C. What fell short is named; the portal's folder
stays then, for whoever looks into it. Of what it had in the engine only the images of the base and the stack stay, as
./run keeps them.
"""


@dataclass(frozen=True, slots=True)
class Options:
    kills: int
    seconds: int
    """The longest that the killing may take; starting, settling and reckoning come on top, some minutes at most."""
    seed: int
    may_install: bool


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One sentence; the usage is in --help."""
        self.exit(2, f"./run soak: {message}. See ./run soak --help.\n")


def parse(arguments: Sequence[str]) -> Options:
    """Exits with 2 and one sentence for what is wrong, with 0 after --help."""
    parser = _Parser(
        prog="./run soak",
        description=ABOUT,
        epilog=ENDS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--kills", type=_number(1, 10_000), default=100, metavar="N", help="how many (default 100)")
    parser.add_argument(
        "--seconds",
        type=_number(10, 86_400),
        default=1800,
        metavar="S",
        help="the longest time for them (default 1800)",
    )
    parser.add_argument(
        "--seed", type=_number(0, 2**32 - 1), metavar="N", help="the same kinds and pauses again (default: any)"
    )
    parser.add_argument("--no-install", action="store_true", help=argparse.SUPPRESS)  # of ./run itself
    given = parser.parse_args(arguments)
    seed = secrets.randbelow(10_000) if given.seed is None else given.seed
    return Options(given.kills, given.seconds, seed, may_install=not given.no_install)


def _number(least: int, most: int) -> Callable[[str], int]:
    def chosen(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"write a number from {least} to {most}, not “{text[:40]}”")
        return int(text)

    return chosen
