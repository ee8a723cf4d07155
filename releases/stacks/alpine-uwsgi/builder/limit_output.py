"""Runs a command and hands its output on; of a flood only the beginning and the end, and a line about what was cut.

    limit_output.py COMMAND…        the environment variable LOG_BYTES says how much is handed on; without it, all

An engine takes a minute and a processor for a gigabyte of output, and the build waits for it; here it is a second. The
same file lies in every stack's builder.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress

TAIL = 128 * 1024
LINE = 64
"""A line costs engine and portal as much as so many bytes more: a flood of short ones is a flood sooner."""
PIECE = 1 << 18
SET_PIPE_SIZE = 1031
LEFT_OVER = 1.0
"""Seconds that may be spent on what is still printed when the command has ended."""


def main(command: list[str]) -> int:
    room = os.environ.pop("LOG_BYTES", "")
    if not room.isdigit():
        os.execvp(command[0], command)  # noqa: S606 - the image's own
    source, outlet = os.pipe()
    with suppress(OSError):
        fcntl.fcntl(source, SET_PIPE_SIZE, PIECE)
    child = subprocess.Popen(command, stdout=outlet, stderr=outlet)
    os.close(outlet)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: child.send_signal(number))
    hand_on(child, source, int(room))
    status = child.wait()
    return status if status >= 0 else 128 - status


def hand_on(child: subprocess.Popen[bytes], source: int, room: int) -> None:
    held: deque[bytes] = deque()
    size = cut = 0
    for piece in pieces(child, source):
        if room > 0:
            room -= len(piece) + LINE * piece.count(b"\n")
            write(piece)
            continue
        held.append(piece)
        size += len(piece)
        while size - len(held[0]) >= TAIL:
            size -= len(held[0])
            cut += len(held.popleft())
    write(ended(b"".join(held), cut))


def pieces(child: subprocess.Popen[bytes], source: int) -> Iterator[bytes]:
    """What comes, until its end or that of the command: what it left running may hold the pipe for ever."""
    over = 0.0
    while not over or time.monotonic() < over:
        if child.poll() is not None and not over:
            over = time.monotonic() + LEFT_OVER
        if select.select([source], [], [], 0.05)[0]:
            piece = os.read(source, PIECE)
            if not piece:
                return
            yield piece
        elif over:
            return


def ended(rest: bytes, cut: int) -> bytes:
    """What is handed on at the end: whole lines, after a line about those that are not."""
    if len(rest) > TAIL:
        start = rest.find(b"\n", len(rest) - TAIL) + 1 or len(rest) - TAIL
        rest, cut = rest[start:], cut + start
    return b"\n... %s bytes of output were cut here ...\n" % f"{cut:,}".encode() + rest if cut else rest


def write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
