"""What a builder writes to the disk has an end, also where each of its files is small enough."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from releases.errors import BuildCancelled, LimitExceeded
from releases.pipeline.watch import DiskWatch
from releases.specs import ContainerSpec, Disk, Limits, NeverStop
from tests.fakes.engine import FakeEngine, Script

LIMITS = replace(Limits(), disk_bytes=300 * 1024**2, files=10_000)
PART = Disk(200 * 1024**2, 9_000)


@pytest.fixture
def engine() -> FakeEngine:
    engine = FakeEngine()
    engine.add_image("image")
    return engine


def builder(engine: FakeEngine, name: str, **script: object) -> None:
    engine.on_run("image", Script(forever=True, **script))  # type: ignore[arg-type]  # as Script has them
    engine.create(ContainerSpec(name, "image", {}))
    engine.start(name)


@pytest.fixture
def watch(engine: FakeEngine) -> Iterator[DiskWatch]:
    """Of a builder that has written nothing so far."""
    builder(engine, "builder", wrote=Disk(0, 0))
    watch = DiskWatch(engine, "builder", LIMITS, NeverStop(), every=0.01)
    with watch:
        assert looked(engine)
        yield watch


def looked(engine: FakeEngine) -> bool:
    """Wait until the watch has asked again, and again, so that it has judged what it heard."""
    asks = threading.Semaphore(0)
    asked = FakeEngine.disk

    def disk() -> Disk | None:
        asks.release()
        return asked(engine)

    engine.disk = disk  # type: ignore[method-assign]  # to see that it is asked
    return all(asks.acquire(timeout=10) for _ in range(3))


def wrote(engine: FakeEngine, name: str, what: Disk) -> None:
    container = engine._containers[name]
    container.script = replace(container.script, wrote=what)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (Disk(301 * 1024**2, 5), "more than the 300 MiB that it may write to the disk"),
        (Disk(4096, 10_001), "more than the 10000 files that it may have on the disk"),
    ],
)
def test_builder_that_writes_too_much_is_told(engine: FakeEngine, watch: DiskWatch, what: Disk, words: str) -> None:
    watch.check()
    wrote(engine, "builder", what)
    watch._thread.join(timeout=10)  # there is nothing more to see
    with pytest.raises(LimitExceeded, match=words):
        watch.check()


def test_others_who_fill_the_disk_are_not_blamed_on_it(engine: FakeEngine, watch: DiskWatch) -> None:
    wrote(engine, "builder", PART)
    builder(engine, "other", wrote=Disk(10**11, 10**8))
    assert looked(engine)
    watch.check()


def test_disk_that_cannot_be_seen_is_not_watched(engine: FakeEngine) -> None:
    engine.room = None
    builder(engine, "builder", wrote=Disk(10**11, 10**8))
    with DiskWatch(engine, "builder", LIMITS, NeverStop(), every=0.01) as watch:
        watch._thread.join(timeout=10)
        assert not watch._thread.is_alive()
        watch.check()


def test_watch_passes_on_what_stops_a_build(engine: FakeEngine) -> None:
    class Cancelled:
        def check(self) -> None:
            raise BuildCancelled("Cancelled by vera.")

    with pytest.raises(BuildCancelled):
        DiskWatch(engine, "builder", LIMITS, Cancelled()).check()
