"""Output in pieces becomes lines."""

from __future__ import annotations

import pytest

from releases.engine.lines import CUT, LONGEST_LINE, LineSplitter


def split(*pieces: bytes) -> list[str]:
    splitter = LineSplitter()
    return [line for piece in pieces for line in splitter.feed(piece)] + list(splitter.flush())


@pytest.mark.parametrize(
    ("printed", "lines"),
    [
        (b"a\nb\n", ["a", "b"]),
        (b"a\n\nb", ["a", "", "b"]),
        (b"", []),
        (b"\n", [""]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"10%\r50%\r100%\n", ["100%"]),
        (b"10%\r50%\r100%\r\n", ["100%"]),
        (b"10%\r50%", ["50%"]),
        (b"working\r", ["working"]),
        (b"\rclean\n", ["clean"]),
        ("größe 😀\n".encode(), ["größe 😀"]),
        (b"\x1b[31mred\x1b[0m\n", ["\x1b[31mred\x1b[0m"]),
        (b"bad \xff byte\n", ["bad \ufffd byte"]),
    ],
)
def test_lines_are_the_same_wherever_the_output_is_cut(printed: bytes, lines: list[str]) -> None:
    assert split(printed) == lines
    assert split(*(bytes([byte]) for byte in printed)) == lines
    for at in range(len(printed)):
        assert split(printed[:at], printed[at:]) == lines


def test_line_that_is_too_long_keeps_its_beginning() -> None:
    first, second = split(b"x" * (LONGEST_LINE + 1) + b"\nnext\n")
    assert first == "x" * LONGEST_LINE + CUT
    assert second == "next"


def test_line_of_just_the_right_length_is_whole() -> None:
    assert split(b"x" * LONGEST_LINE + b"\n") == ["x" * LONGEST_LINE]


def test_long_line_is_not_cut_through_a_character() -> None:
    (line,) = split(b"x" * (LONGEST_LINE - 1) + "é".encode())
    assert line == "x" * (LONGEST_LINE - 1) + CUT


def test_line_without_an_end_needs_no_more_memory_than_its_limit() -> None:
    splitter = LineSplitter()
    for _ in range(1000):
        assert list(splitter.feed(b"y" * 10_000)) == []
    assert len(splitter._line) == LONGEST_LINE
    assert list(splitter.feed(b"\n")) == ["y" * LONGEST_LINE + CUT]
