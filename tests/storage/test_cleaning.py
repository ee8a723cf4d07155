"""Lines made fit to be kept and shown."""

from __future__ import annotations

import base64
import json
import random
import re
from urllib.parse import quote, quote_plus

import pytest

from releases.storage import Mask, clean
from releases.storage.cleaning import LONGEST_LINE, MASKED, cut, without_colours

SECRET = "s3cr3t-Tok.en+42"


@pytest.mark.parametrize(
    ("printed", "kept"),
    [
        ("Collecting flask", "Collecting flask"),
        ("ñandú 🍐 日本\ttab", "ñandú 🍐 日本\ttab"),
        ("\x1b[31mred\x1b[0m \x1b[1;38;5;200mpink\x1b[m", "\x1b[31mred\x1b[0m \x1b[1;38;5;200mpink\x1b[m"),
        ("a\x1b[2Kb\x1b[10;5Hc\x1b[?25ld", "abcd"),
        ("a\x1b]0;title\x07b", "ab"),
        ("a\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\b", "alinkb"),
        ("a\x1bPq#0;2;0;0;0\x1b\\b", "ab"),
        ("a\x1b_payload\x1b\\b\x1b^x\x1b\\c\x1bXy\x1b\\d", "abcd"),
        ("a\x9b31mb\x9d0;t\x9cc", "abc"),
        ("a\x1b]never ended", "anever ended"),
        ("a\x1bcb\x1b(Bd\x1b", "abd"),
        ("nul\0 bell\x07 del\x7f c1\x85 vt\x0b ff\x0c", "nul\ufffd bell\ufffd del\ufffd c1\ufffd vt\ufffd ff\ufffd"),
        ("\x1eproduce", "\ufffdproduce"),
        ("user\u202eexe.txt \u2066x\u2069 \u200e\u200f\u061c", "user\ufffdexe.txt \ufffdx\ufffd \ufffd\ufffd\ufffd"),
        ("two\u2028lines\u2029", "two\ufffdlines\ufffd"),
        ("lone \ud800 and \udcff", "lone \ufffd and \ufffd"),
        ("10%\r50%\r100%", "100%"),
        ("100%\r", "100%"),
        ("windows line\r", "windows line"),
        ("\r\r", ""),
        ("", ""),
    ],
)
def test_clean_keeps_text_and_colours_alone(printed: str, kept: str) -> None:
    assert clean(printed) == kept
    assert clean(kept) == kept


def test_clean_lets_nothing_through_whatever_is_printed() -> None:
    pieces = [
        "\x1b",
        "[",
        "]",
        "31m",
        "0;",
        "\x07",
        "\\",
        "P",
        "\x9b",
        "\x9c",
        "\x9d",
        "a",
        "é",
        "\0",
        "\r",
        "\u202e",
        "\udc80",
    ]
    chance = random.Random(5)  # noqa: S311 - the same lines every time, not a secret
    for _ in range(10_000):
        kept = clean("".join(chance.choices(pieces, k=chance.randint(1, 30))))
        bare = without_colours(kept)
        assert "\x1b" not in bare
        assert not re.search("[\x00-\x08\x0a-\x1f\x7f-\x9f\u202e]", bare)
        assert kept.encode().decode() == kept


@pytest.mark.parametrize("piece", ["\x1b]", "\x1b[", "\x90", "\x9b", "\x1b[1;", "\x1bP\x1b", "\r", "\x1b[3", "\x1b "])
def test_clean_takes_a_long_hostile_line_without_slowing_down(piece: str) -> None:
    """Quadratic work on so many characters would not end within the whole suite's time."""
    assert "\x1b" not in without_colours(clean(piece * (1_000_000 // len(piece))))


@pytest.mark.parametrize("character", ["x", "é", "🍐"])
def test_cut_keeps_whole_characters_and_says_so(character: str) -> None:
    assert cut("short") == "short"
    exact = "x" * LONGEST_LINE
    assert cut(exact) == exact
    kept = cut(character * LONGEST_LINE + "yy")
    assert kept.endswith("(the line is cut here, after 8,192 bytes)")
    assert "\ufffd" not in kept
    assert len(kept.encode()) < LONGEST_LINE + 100


def test_cut_never_leaves_half_a_colour_or_a_colour_open() -> None:
    for shift in range(12):
        kept = cut("x" * (LONGEST_LINE - shift) + "\x1b[1;31mred" + "y" * 50)
        assert "\x1b" not in without_colours(kept)
        assert "\x1b[1;31m" not in kept or "\x1b[0m …" in kept


# ---- masking ---------------------------------------------------------------------------------------


def test_mask_hides_secrets_wherever_they_stand() -> None:
    mask = Mask([SECRET, "other-value"])
    assert mask(f"a{SECRET}b {SECRET}") == f"a{MASKED}b {MASKED}"
    assert mask("other-value") == MASKED
    assert mask("nothing here") == "nothing here"


def test_mask_hides_the_longer_of_two_secrets_whole() -> None:
    assert Mask(["abcd", "abcdefgh"])("x abcdefgh y") == f"x {MASKED} y"


def test_mask_hides_each_line_of_a_key() -> None:
    mask = Mask(["-----BEGIN KEY-----\nMIIabc123\n-----END KEY-----\n"])
    assert mask("MIIabc123") == MASKED


ODD = 'p@ss/w ö:rd+%42"q'


@pytest.mark.parametrize(
    ("printed", "kept"),
    [
        (f"https://me:{quote(ODD, safe='')}@git.example.org", f"https://me:{MASKED}@git.example.org"),
        (f"https://git.example.org/{quote(ODD)}", f"https://git.example.org/{MASKED}"),
        (f"?password={quote_plus(ODD)}&a=b", f"?password={MASKED}&a=b"),
        (json.dumps({"password": ODD}), f'{{"password": "{MASKED}"}}'),
        (json.dumps({"password": ODD}, ensure_ascii=False), f'{{"password": "{MASKED}"}}'),
        (base64.b64encode(ODD.encode()).decode(), MASKED),
        (base64.urlsafe_b64encode(ODD.encode()).decode(), MASKED),
    ],
)
def test_mask_hides_a_secret_as_others_write_it(printed: str, kept: str) -> None:
    assert Mask([ODD])(f"a {printed} b") == f"a {kept} b"


@pytest.mark.parametrize("before", ["", "u", "us", "user", "user:"])
@pytest.mark.parametrize("after", ["", "a", "and more"])
def test_mask_leaves_no_readable_part_in_base64(before: str, after: str) -> None:
    printed = base64.b64encode(f"{before}{SECRET}{after}".encode()).decode()
    kept = Mask([SECRET])(f"Authorization: Basic {printed}")
    assert MASKED in kept
    left = kept.removeprefix("Authorization: Basic ").split(MASKED)
    assert sum(len(part.rstrip("=")) for part in left) <= len(printed.rstrip("=")) - 8 * (len(SECRET) - 2) // 6


def test_mask_hides_a_key_of_several_lines_that_was_written_in_one() -> None:
    key = "-----BEGIN KEY-----\nMIIabc123\n-----END KEY-----\n"
    mask = Mask([key])
    assert mask(json.dumps({"key": key})) == f'{{"key": "{MASKED}"}}'
    assert mask(base64.b64encode(key.encode()).decode()) == MASKED


def test_mask_leaves_words_that_are_too_short_to_be_secrets() -> None:
    assert Mask(["", "a", "on", "1.0"])("version 1.0 is on") == "version 1.0 is on"


@pytest.mark.parametrize("place", range(1, len(SECRET)))
def test_mask_hides_a_secret_with_a_colour_in_the_middle(place: int) -> None:
    coloured = f"{SECRET[:place]}\x1b[1;31m\x1b[0m{SECRET[place:]}"
    assert SECRET not in without_colours(Mask([SECRET])(f"x {coloured} y"))


@pytest.mark.parametrize("place", range(1, len(SECRET)))
def test_mask_hides_both_halves_of_a_secret_that_was_cut_off(place: int) -> None:
    mask = Mask([SECRET])
    first = mask("x " + SECRET[:place], unfinished=True)
    second = mask(SECRET[place:] + " y")
    assert (first, second) == (f"x {MASKED}", f"{MASKED} y")
    assert mask("clean again: 42") == "clean again: 42"
