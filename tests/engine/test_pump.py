"""Reading from what is silent, floods, or breaks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, nullcontext

import pytest

from releases.engine.pump import WAITING, Pump
from releases.errors import BuildCancelled
from releases.specs import NeverStop


class Stream:
    """Gives numbers up to `count`; then, when `silent`, nothing until it is closed."""

    def __init__(self, count: int, *, silent: bool = False) -> None:
        self.count, self.silent = count, silent
        self.given = 0
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[int]:
        while self.given < self.count and not self.closed.is_set():
            self.given += 1
            yield self.given
        if self.silent:
            self.closed.wait()

    def close(self) -> None:
        self.closed.set()


class StopAt:
    """Ends the work when it is asked for the given time."""

    def __init__(self, asked: int) -> None:
        self.left = asked

    def check(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise BuildCancelled("cancelled")


def guard() -> AbstractContextManager[None]:
    return nullcontext()


def test_pump_gives_everything_in_order() -> None:
    stream = Stream(WAITING * 3)
    with closing(Pump(lambda: stream, NeverStop(), guard)) as pump:
        assert list(pump) == list(range(1, WAITING * 3 + 1))


def test_pump_goes_on_asking_while_nothing_comes() -> None:
    stream = Stream(1, silent=True)
    with closing(Pump(lambda: stream, StopAt(4), guard)) as pump, pytest.raises(BuildCancelled):
        list(pump)
    assert stream.closed.is_set()


def test_pump_reads_no_further_ahead_than_it_may() -> None:
    stream = Stream(10_000_000)
    with closing(Pump(lambda: stream, NeverStop(), guard)) as pump:
        numbers = iter(pump)
        assert next(numbers) == 1
    assert stream.given <= WAITING + 3
    assert stream.closed.is_set()


def test_pump_hands_on_what_opening_raises() -> None:
    def refused() -> Stream:
        raise ConnectionRefusedError("refused")

    with closing(Pump(refused, NeverStop(), guard)) as pump, pytest.raises(ConnectionRefusedError):
        list(pump)


def test_pump_closes_a_stream_that_opens_too_late() -> None:
    opened, let = Stream(0, silent=True), threading.Event()

    def late() -> Stream:
        let.wait()
        return opened

    pump = Pump(late, StopAt(2), guard)
    with pytest.raises(BuildCancelled):
        list(pump)
    pump.close(patience=0)
    let.set()
    assert opened.closed.wait(20)
