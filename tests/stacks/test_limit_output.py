"""Of a flood the beginning and the end are handed on; everything else goes through as it is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

PROGRAM = Path(settings.BASE_DIR) / "releases/stacks" / settings.DEFAULT_STACK / "builder/limit_output.py"


def run(script: str, room: str | None) -> subprocess.CompletedProcess[bytes]:
    environment = {"PATH": "/usr/bin:/bin"} | ({} if room is None else {"LOG_BYTES": room})
    command = [sys.executable, "-I", str(PROGRAM), "sh", "-c", script]
    return subprocess.run(command, env=environment, capture_output=True, check=False, timeout=60)


@pytest.mark.parametrize("room", [None, "", "nonsense", "1000000"])
def test_little_is_handed_on_as_it_is(room: str | None) -> None:
    done = run("printf 'one\\ntwo'; exit 7", room)
    assert (done.returncode, done.stdout) == (7, b"one\ntwo")


def test_both_kinds_of_output_keep_their_order() -> None:
    assert run("echo 1; echo 2 >&2; echo 3", "1000").stdout == b"1\n2\n3\n"


def test_flood_keeps_its_beginning_and_its_end_and_says_what_was_cut() -> None:
    done = run("seq 1 3000000; echo THE-END", "2000000")
    lines = done.stdout.decode().splitlines()
    assert lines[:2] == ["1", "2"]
    assert lines[-2:] == ["3000000", "THE-END"]
    assert len(done.stdout) < 2_600_000
    assert parts(done.stdout) == len("".join(f"{number}\n" for number in range(1, 3000001))) + len("THE-END\n")


def test_no_more_than_so_much_is_handed_on_at_once() -> None:
    done = run("seq 1000001 2000000", "900000000")
    assert b"bytes of output were cut here" in done.stdout
    assert parts(done.stdout) == 8_000_000


def test_what_comes_after_a_flood_is_handed_on_before_the_end(tmp_path: Path) -> None:
    """The command ends when that has been seen."""
    seen = tmp_path / "seen"
    script = f"seq 1 3000000; echo AFTER; until [ -e {seen} ]; do sleep 0.05; done; echo THE-END"
    command = [sys.executable, "-I", str(PROGRAM), "timeout", "50", "sh", "-c", script]
    with subprocess.Popen(
        command, env={"PATH": "/usr/bin:/bin", "LOG_BYTES": "10000000"}, stdout=subprocess.PIPE
    ) as one:
        assert one.stdout is not None
        lines = []
        for line in one.stdout:
            lines.append(line)
            if line == b"AFTER\n":
                seen.touch()
    assert one.returncode == 0, "it waited in vain"
    assert lines[-1] == b"THE-END\n"


def parts(output: bytes) -> int:
    """How many bytes were printed, by what is there and by what is said about the rest; between two cuts, each line
    is the number after that of the line before."""
    said = re.split(rb"\n\.\.\. ([\d,]+) bytes of output were cut here \.\.\.\n", output)
    for part in said[::2]:
        numbers = [int(line) for line in part.splitlines() if line.isdigit()]
        # A cut may have gone through the last of them.
        whole = numbers if part.endswith(b"\n") else numbers[:-1]
        if whole:
            assert whole == list(range(whole[0], whole[-1] + 1))
    return sum(map(len, said[::2])) + sum(int(number.replace(b",", b"")) for number in said[1::2])


def test_short_lines_are_a_flood_sooner() -> None:
    """Each is a record of its own for whoever keeps it."""
    short, long = (run(f"yes {line} | head -c 3000000", "1000000").stdout for line in ("x", "x" * 99))
    # What is read at once is not parted, and the end is kept by its bytes.
    a_piece, the_end = 256 * 1024 / 2, 128 * 1024 / 2
    assert short.count(b"x\n") <= 1_000_000 / 66 + a_piece + the_end
    assert len(long) > 4 * len(short) / 3


def test_flood_without_line_ends_is_cut_too() -> None:
    done = run("head -c 5000000 /dev/zero | tr '\\0' x", "1000000")
    assert len(done.stdout) < 1_600_000
    assert b"bytes of output were cut here" in done.stdout


def test_signal_becomes_its_exit_code() -> None:
    assert run("kill -9 $$", "1000").returncode == 137


def test_what_is_left_running_holds_up_nothing() -> None:
    done = run("sleep 30 & echo done", "1000")
    assert done.stdout == b"done\n"


def test_what_is_left_printing_holds_up_nothing() -> None:
    done = run("(timeout 20 yes &); echo done", "1000")
    assert done.returncode == 0


def test_command_does_not_see_the_variable() -> None:
    assert run('echo "${LOG_BYTES-none}"', "1000").stdout == b"none\n"
