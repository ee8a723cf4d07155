"""The builds whose logs `./run bench --log` looks at. `seed` runs inside the measured portal's own manage.py."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from releases.storage import LogWriter

LINES = 100_000
STEPS = ("checkout", "produce", "package")
WORDS = (
    "Collecting Downloading Installing Building wheel gcc -pthread -Wall -O2 src/core/module.c build/temp/module.o "
    "Requirement already satisfied: in /app/env/lib/python3.13/site-packages numpy flask sqlalchemy warning: note:"
)


def seed() -> None:
    """A finished build with the long log, and one that runs for ever; prints their addresses and the logs' paths."""
    from django.utils import timezone

    from releases.models import Build
    from releases.storage import log_path
    from tests import factories

    application = factories.application("long-log")
    finished, running = factories.succeeded_build(application), factories.running_build(application)
    Build.objects.filter(pk=running.pk).update(lease_until=timezone.now() + timedelta(days=1))
    log_path(finished.pk).parent.mkdir(parents=True, exist_ok=True)
    log_path(finished.pk).write_text("".join(as_kept()), encoding="utf-8")
    told = {
        name: {"page": build.get_absolute_url(), "log": str(log_path(build.pk))}
        for name, build in (("finished", finished), ("running", running))
    }
    print(json.dumps(told))


def as_kept() -> Iterator[str]:
    """The long log as it lies on the disk: as long as lines of compilers and installers are, some coloured."""
    words = WORDS.split()
    chance = random.Random(7)  # noqa: S311 - the same lines every time, not a secret
    starts = {1: STEPS[0], LINES // 100 + 1: STEPS[1], LINES * 9 // 10 + 1: STEPS[2]}
    for number in range(1, LINES + 1):
        text = " ".join(chance.choices(words, k=chance.randint(3, 14)))
        coloured = f"\x1b[33mwarning:\x1b[0m {text}" if number % 20 == 0 else text
        yield f"{number / 200:.2f}\t" + (f"\x1e{starts[number]}\n" if number in starts else f"{coloured} #{number}\n")


def grow(path: Path, *, a_second: int, seconds: float) -> int:
    """Write to a log as a build does, so many lines a second, each with the time at which it was written. How many."""
    began, written = time.monotonic(), 0
    with LogWriter(path) as log:
        log.step("produce")
        while (passed := time.monotonic() - began) < seconds:
            for number in range(written + 1, int(passed * a_second) + 1):
                log.line(f"gcc -pthread -Wall -O2 -c src/core/module_{number}.c -o build/temp/module.o at {_now()}")
                written = number
            time.sleep(0.01)
    return written


def _now() -> int:
    return int(time.time() * 1000)
