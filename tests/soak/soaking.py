"""The soak: a portal, somebody who asks, somebody who looks on, and the kills in between."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from portal.setup import base_image, engine, say
from tests.bench.own_portal import end, interruptible, undisturbed
from tests.e2e.portal import RunningPortal
from tests.soak.asking import Asker, register
from tests.soak.killing import Killer
from tests.soak.options import Options
from tests.soak.processes import work_horses
from tests.soak.reckoning import Reckoning, reckon, settle, told
from tests.soak.watching import Watch

PAUSES = (1.0, 8.0)
"""Seconds between two kills, at the least and at the most."""
VICTIM_SECONDS = 10.0
"""How long a kill waits until there is what it is to kill; then another kind is drawn."""


@dataclass(slots=True)
class Soaked:
    kills: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    """Kinds that were drawn when there was nothing of them to be killed."""
    seconds: float = 0.0


def soak(options: Options) -> int:
    """All of it; the exit status."""
    from django.conf import settings

    engine.ensure(settings.DOCKER_HOST, may_install=options.may_install)
    base_image.ensure(settings.DOCKER_HOST, may_install=options.may_install)
    say(f"Soak with seed {options.seed}: {options.kills} kills in at most {options.seconds} s.")
    with _portal() as portal:
        chance = random.Random(options.seed)  # noqa: S311 (to be drawn again)
        asker, watch = Asker(portal, random.Random(options.seed)), Watch(portal)  # noqa: S311
        register(portal)
        asker.start()
        watch.start()
        done = _kill(Killer(portal, chance), options)
        asker.stop()
        say(f"{done.kills.total()} kills in {done.seconds:.0f} s. Waiting until all builds are over.")
        settle(portal)
        found = reckon(portal, asker, watch, done.kills)
        _tell(portal, asker, done, found)
        is_good = found.is_good and done.kills.total() == options.kills
        if not is_good:
            _keep(portal)
    return 0 if is_good else 1


@contextmanager
def _portal() -> Iterator[RunningPortal]:
    folder = Path(tempfile.mkdtemp(prefix="portal-soak-"))
    portal = RunningPortal(folder / "home", PORTAL_BUILD_WORKERS="2")
    try:
        with interruptible():
            say("Starting a portal of its own; its stack's images are made with the first build.")
            portal.start()
            yield portal
    finally:
        with undisturbed():
            say("Clearing up.")
            end(portal)
            shutil.rmtree(folder, ignore_errors=True)


def _kill(killer: Killer, options: Options) -> Soaked:
    done, began = Soaked(), time.monotonic()
    until = began + options.seconds
    while done.kills.total() < options.kills and time.monotonic() < until:
        time.sleep(killer.chance.uniform(*PAUSES))
        kind = killer.draw()
        if not _await_work(killer.portal, until):
            break
        if not _killed(killer, kind):
            done.missed[kind] += 1
            continue
        done.kills[kind] += 1
        say(f"kill {done.kills.total()} of {options.kills}: {kind}")
    done.seconds = time.monotonic() - began
    return done


def _await_work(portal: RunningPortal, until: float) -> bool:
    """Every kill is made while something is built."""
    while not work_horses(portal):
        if time.monotonic() > until:
            return False
        time.sleep(0.2)
    return True


def _killed(killer: Killer, kind: str) -> bool:
    end = time.monotonic() + VICTIM_SECONDS
    while not killer.kill(kind):
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


def _tell(portal: RunningPortal, asker: Asker, done: Soaked, found: Reckoning) -> None:
    try:
        outcomes = portal.sql("SELECT outcome, count(*) AS n FROM releases_build GROUP BY outcome ORDER BY n DESC")
    except psycopg.Error:
        outcomes = []
    ended = ", ".join(f"{row['n']} {row['outcome'] or 'not over'}" for row in outcomes)
    say(f"Killed: {', '.join(f'{n} {kind}' for kind, n in done.kills.most_common())}.")
    if done.missed:
        say(f"Not there when drawn: {', '.join(f'{n} {kind}' for kind, n in done.missed.most_common())}.")
    say(f"Asked: {len(asker.answers.acknowledged)} builds acknowledged, {asker.answers.refused} asks refused.")
    say(f"Builds: {ended}.\n\n{told(found)}\n")


def _keep(portal: RunningPortal) -> None:
    """For whoever looks into it: all but the database, which goes with its server."""
    kept = Path(tempfile.mkdtemp(prefix="portal-soak-kept-"))
    for name in ("terminal.txt", "logs", "postgres.log", "redis.log"):
        source = portal.home / name
        if source.is_dir():
            shutil.copytree(source, kept / name)
        elif source.exists():
            shutil.copy(source, kept)
    say(f"Something fell short: what the portal said is kept in {kept}.")
