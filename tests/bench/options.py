"""What `./run bench` may be asked."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

APPLICATIONS = ("tiny", "modern", "heavy")
CASES = ("first", "again", "source", "requirement")
"""In the order in which they are measured: each but the first needs only what the first one leaves."""
MOST_ROUNDS = 50

ABOUT = """\
Measures the origin's procedure (tests/bench/origin, as it was written) against a portal as ./run starts it, in turn,
on applications and cases. It needs the container engine, the Docker command line and a package index, and about 15
minutes for the default of 3 rounds; leave the machine alone meanwhile.

With --log it measures the page of a build's log in a browser (chromium): how soon 100,000 finished lines can be used,
and how far behind a log that grows by 5,000 lines a second is shown. One minute and a half for 3 rounds.

With --flood it measures what a gigabyte of output costs a build, how much of it is kept, and how quick the pages are
meanwhile. One minute and a half for 3 rounds.

applications: tiny         Flask
              modern       Flask, psycopg[binary], numpy, requests, SQLAlchemy
              heavy        Flask, with uwsgi and markupsafe compiled from source
cases:        first        the first release; nothing of the application is known, images are prepared on both sides
              again        the same commit once more
              source       one line of the source changed
              requirement  one requirement changed

With --pages it measures the pages instead: a portal of its own gets 100,000 invented builds of 1,000 applications, and
each page is asked for by a person who is signed in. That takes about ten minutes and needs neither engine nor index.
"""
ENDS = """\
exit status: 0 when all goals that were measured are met, 1 when one is not, 2 for wrong options and when the bench
could not be carried out, 130 after Ctrl-C. Nothing of it stays but the images of the base and the stack, as ./run
keeps them, and the folder of --home.
"""


@dataclass(frozen=True, slots=True)
class Options:
    rounds: int
    applications: tuple[str, ...]
    cases: tuple[str, ...]
    json: str
    """A file, `-` for stdout, empty for none."""
    write_docs: bool
    log: bool
    """The log's page instead of releases."""
    may_install: bool
    flood: bool = False
    """A build that prints a gigabyte instead of releases."""
    pages: bool = False
    """Measure the pages instead of releases."""
    builds: int = 100_000
    requests: int = 40
    home: str = ""
    """A data folder that is kept for the next time; empty for one that is gone afterwards."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One sentence; the usage is in --help."""
        self.exit(2, f"./run bench: {message}. See ./run bench --help.\n")


def parse(arguments: Sequence[str]) -> Options:
    """Exits with 2 and one sentence for what is wrong, with 0 after --help."""
    parser = _Parser(
        prog="./run bench",
        description=ABOUT,
        epilog=ENDS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--rounds", type=_number(1, MOST_ROUNDS), default=3, metavar="N", help="how often each is measured (default 3)"
    )
    for name, known in (("applications", APPLICATIONS), ("cases", CASES)):
        listed = ",".join(known)
        parser.add_argument(f"--{name}", type=_some_of(known), default=known, metavar="A,B", help=f"default {listed}")
    parser.add_argument("--log", action="store_true", help="measure the page of a long and of a growing log instead")
    parser.add_argument("--flood", action="store_true", help="measure a build that prints a gigabyte instead")
    parser.add_argument("--json", type=_place, metavar="FILE", help="write all figures there; - is stdout")
    parser.add_argument("--write-docs", action="store_true", help="put the result into docs/benchmarks.md")
    parser.add_argument("--no-install", action="store_true", help=argparse.SUPPRESS)  # of ./run itself
    looking = parser.add_argument_group("pages", "instead of releases")
    looking.add_argument("--pages", action="store_true", help="measure each page with very many invented builds")
    looking.add_argument("--builds", type=_number(100, 5_000_000), metavar="N", default=100_000, help="default 100000")
    looking.add_argument(
        "--requests", type=_number(1, 10_000), metavar="N", default=40, help="for each page (default 40)"
    )
    looking.add_argument(
        "--home", default="", metavar="FOLDER", help="keep the invented builds there for the next time"
    )
    given = parser.parse_args(arguments)
    chosen = [f"--{name}" for name in ("log", "flood", "pages") if getattr(given, name)]
    if len(chosen) > 1:
        parser.error(f"{' and '.join(chosen)} measure different things: one at a time")
    if chosen and (given.applications, given.cases) != (APPLICATIONS, CASES):
        parser.error(f"{chosen[0]} releases none of them: leave --applications and --cases away")
    return Options(
        rounds=given.rounds,
        applications=given.applications,
        cases=given.cases,
        json=given.json or "",
        write_docs=given.write_docs,
        log=given.log,
        may_install=not given.no_install,
        flood=given.flood,
        pages=given.pages,
        builds=given.builds,
        requests=given.requests,
        home=given.home,
    )


def _number(least: int, most: int) -> Callable[[str], int]:
    def chosen(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"write a number from {least} to {most}, not “{text[:40]}”")
        return int(text)

    return chosen


def _some_of(known: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    def chosen(text: str) -> tuple[str, ...]:
        asked = [part.strip() for part in text.split(",")]
        for part in asked:
            if part not in known:
                raise argparse.ArgumentTypeError(f"“{part[:40]}” is not one of {', '.join(known)}")
        return tuple(name for name in known if name in asked)

    return chosen


def _place(text: str) -> str:
    """Said now, not after a quarter of an hour."""
    if text != "-" and not (Path(text).parent.is_dir() and not Path(text).is_dir() and text):
        raise argparse.ArgumentTypeError(f"“{text}” cannot be written: name a file in a folder that exists, or -")
    return text
