"""What is sent to the engine in pieces: whose fault it is when they end early."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from releases.engine.client import Source


def test_pieces_that_nobody_takes_any_more_are_not_at_fault() -> None:
    source = Source([b"one", b"two"])
    pieces = iter(source)
    assert next(pieces) == b"one"
    pieces.close()  # type: ignore[attr-defined] # as the SDK does when the engine is gone
    assert source.error is None


def test_pieces_that_cannot_be_had_are_remembered() -> None:
    def broken() -> Iterator[bytes]:
        yield b"one"
        raise OSError("the disk is gone")

    source = Source(broken())
    with pytest.raises(OSError, match="the disk is gone"):
        list(source)
    assert isinstance(source.error, OSError)
