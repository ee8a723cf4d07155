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
from contextlib import suppress

TAIL = 128 * 1024
AT_ONCE = 2_000_000
PERIOD = 5.0
"""No more than so much is handed on within so many seconds until there is a pause: a flood's build waits for it."""
LINE = 64
"""A line costs engine and portal as much as so many bytes more: a flood of short ones is a flood sooner."""
PIECE = 1 << 16
PIPE = 1 << 20
"""The most that a pipe may hold for an ordinary user."""
SET_PIPE_SIZE = 1031
NAP = 0.0003
"""Seconds in which a flood fills its pipe: a look at every line of it costs the flood half of its time."""
LEFT_OVER = 1.0
"""Seconds that may be spent on what is still printed when the command has ended."""


def main(command: list[str]) -> int:
    room = os.environ.pop("LOG_BYTES", "")
    if not room.isdigit():
        os.execvp(command[0], command)  # noqa: S606 - the image's own
    source, outlet = os.pipe()
    with suppress(OSError):
        fcntl.fcntl(source, SET_PIPE_SIZE, PIPE)
    child = subprocess.Popen(command, stdout=outlet, stderr=outlet)
    os.close(outlet)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: child.send_signal(number))
    hand_on(Printed(child, source), int(room))
    status = child.wait()
    return status if status >= 0 else 128 - status


def hand_on(printed: Printed, room: int) -> None:
    held = b""
    came = at_once = 0
    began = float("-inf")
    while (piece := printed.read(PIECE if came <= TAIL else PIPE)) is not None:
        if time.monotonic() - began >= PERIOD:
            began, at_once = time.monotonic(), AT_ONCE
        came += len(piece)
        if len(piece) > TAIL:
            held, piece = b"", piece[-TAIL:]
        held += piece
        if room > 0 and (at_once > 0 or not piece):
            whole = ended(held, came - len(held))
            held, came = b"", 0
            cost = len(whole) + LINE * whole.count(b"\n")
            room, at_once = room - cost, at_once - cost
            write(whole)
        elif came > TAIL:
            held = held[-TAIL:]
            time.sleep(NAP)
    write(ended(held, came - len(held)))


class Printed:
    """What a command prints, until its end: what it left running may hold the pipe for ever."""

    def __init__(self, child: subprocess.Popen[bytes], source: int) -> None:
        self._child = child
        self._source = source
        self._buffer = memoryview(bytearray(PIPE))
        self._over = 0.0

    def read(self, size: int) -> memoryview | None:
        """At most so many bytes, until the next reading; none when nothing comes at the moment, and None at the end."""
        if self._over and time.monotonic() >= self._over:
            return None
        if self._child.poll() is not None and not self._over:
            self._over = time.monotonic() + LEFT_OVER
        if not select.select([self._source], [], [], 0.05)[0]:
            return None if self._over else self._buffer[:0]
        size = os.readv(self._source, [self._buffer[:size]])
        return self._buffer[:size] if size else None


def ended(rest: bytes, cut: int) -> bytes:
    """What is handed on: as it is, or whole lines after a line about those that are not."""
    if not cut:
        return rest
    start = rest.find(b"\n") + 1
    return b"\n... %s bytes of output were cut here ...\n" % f"{cut + start:,}".encode() + rest[start:]


def write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
