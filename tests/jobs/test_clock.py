"""A worker whose clock jumps in a build: leases go by the database's clock, times by one that cannot jump.

The clock is changed for the Python code of this process. tests/e2e/test_clock_jumps.py has a whole portal under
libfaketime.
"""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from releases.jobs import sweeper
from releases.jobs.build import run_build
from releases.jobs.sweeper import Sweeper
from releases.models import Build, Outcome
from releases.storage import Blobs
from tests.fakes.engine import FakeContainer, FakeEngine, Script
from tests.jobs.conftest import Start, assert_ended, in_state, wait_until
from tests.pipeline import shop

HOUR, DAY = 3600, 86400


@pytest.mark.parametrize("jump", [-DAY, -HOUR, HOUR, DAY])
def test_clock_that_jumps_ends_no_build(
    jump: int, build: Build, engine: FakeEngine, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()

    def waiting(container: FakeContainer) -> Script:
        good = shop.good_builder(container)
        return Script(lines=good.lines, files=good.files, usage=good.usage, until=go_on)

    engine.on_run(shop.BUILDER, waiting)
    work = start(lambda: run_build(build.pk))
    wait_until(in_state(build, "producing"))
    wait_until(lambda: bool(engine.containers({})))
    clock, now = time.time, timezone.now
    monkeypatch.setattr(time, "time", lambda: clock() + jump)
    monkeypatch.setattr(timezone, "now", lambda: now() + timedelta(seconds=jump))

    until = Build.objects.get(pk=build.pk).lease_until
    wait_until(lambda: Build.objects.filter(pk=build.pk, lease_until__gt=until).exists())
    Sweeper().tick()
    assert Sweeper().sweep() == 0
    go_on.set()
    work.join()
    assert_ended(build, Outcome.SUCCEEDED)
    assert all(0 <= (step.seconds or 0) < HOUR for step in build.steps.all())
    assert 0 <= (build.seconds or 0) < HOUR


def test_clock_that_jumps_makes_no_file_old(engine: FakeEngine, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file may be on its way to its row just then; what is really left over goes a day later."""
    monkeypatch.setattr(sweeper, "ORPHANS_EVERY", 0.0)
    one = Sweeper()
    published = Blobs(home / "blobs").path(Blobs(home / "blobs").put([b"it will be recorded"]).sha256)
    half = home / "blobs/tmp/half"
    half.write_bytes(b"it will be published")
    clock, steady = time.time, time.monotonic
    monkeypatch.setattr(time, "time", lambda: clock() + 2 * DAY)
    for _ in range(2):
        assert one.sweep() == 0
    assert published.exists()
    assert half.exists()
    monkeypatch.setattr(time, "time", lambda: clock() + 3 * DAY)
    monkeypatch.setattr(time, "monotonic", lambda: steady() + DAY)
    assert one.sweep() == 2
    assert not published.exists()
    assert not half.exists()
