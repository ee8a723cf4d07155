"""Keeps a handful of processes alive: starts, restarts with back-off, prefixes their output, ends them in order.

One thread, one selector: pipes and signals wake it. Services stand on floors; a higher floor is stopped first, so
that workers still have their database while they drain.
"""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self, TextIO

from portal.logs import PROCESS, told

MARK = "RELEASE_PORTAL_SUPERVISED"
"""The environment variable by which a process is known as ours; its value names whose."""
LINE_LIMIT = 8192
ASK_SECONDS = 0.5
FIRST_DELAY = 0.5
LONGEST_DELAY = 10.0
"""With the lease it must stay below a minute: until the sweeper is back, a lost build says that it is worked on."""
SETTLED_SECONDS = 30.0
"""A process that lived this long has earned a fresh back-off."""
TOP_FLOOR = 2
"""Where the work is done: what stands here is drained, as long as was said."""
LOWER_SECONDS = 20.0
"""The least time that a lower floor has for its end, however short the draining: the sweeper removes what still runs,
databases write their last pages."""


@dataclass(frozen=True, slots=True)
class Service:
    """What is to run. `log` takes the output instead of the terminal; `floor` 0 is stopped last."""

    name: str
    command: tuple[str, ...]
    floor: int = TOP_FLOOR
    stop_signal: signal.Signals = signal.SIGTERM
    log: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


class Child:
    """One service as it lives: its process, and when it may be started again."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.process: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0
        self.failures = 0
        self.due_at = 0.0

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def back_off(self, now: float) -> float:
        """Seconds until the next start, doubled at each early death."""
        self.failures = 0 if now - self.started_at >= SETTLED_SECONDS else self.failures + 1
        delay = min(FIRST_DELAY * 2.0 ** max(self.failures - 1, 0), LONGEST_DELAY)
        self.due_at = now + delay
        return delay


class Supervisor:
    """Use as a context: leaving it stops everything, whatever the reason."""

    def __init__(self, mark: str, *, drain_seconds: float, output: TextIO | None = None, as_json: bool = False) -> None:
        self.mark = mark
        self.drain_seconds = drain_seconds
        self.output = output or sys.stdout
        self.as_json = as_json
        self.children: list[Child] = []
        self.signals = 0
        self._selector = selectors.DefaultSelector()
        self._partial: dict[int, bytes] = {}
        self._wake_reader, self._wake_writer = os.pipe()

    def __enter__(self) -> Self:
        for end in (self._wake_reader, self._wake_writer):
            os.set_blocking(end, False)
        self._selector.register(self._wake_reader, selectors.EVENT_READ)
        self._wakeup_before = signal.set_wakeup_fd(self._wake_writer, warn_on_full_buffer=False)
        self._handlers_before = {
            number: signal.signal(number, handler)
            for number, handler in (
                (signal.SIGINT, self._asked_to_stop),
                (signal.SIGTERM, self._asked_to_stop),
                (signal.SIGHUP, self._asked_to_stop),
                (signal.SIGCHLD, lambda _number, _frame: None),  # only wakes the selector
            )
        }
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        finally:
            signal.set_wakeup_fd(self._wakeup_before)
            for number, handler in self._handlers_before.items():
                signal.signal(number, handler)
            self._selector.close()
            for end in (self._wake_reader, self._wake_writer):
                os.close(end)

    @property
    def stopping(self) -> bool:
        return self.signals > 0

    def _asked_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        self.signals += 1

    # ---- life ----------------------------------------------------------------------------------------

    def add(self, service: Service) -> Child:
        """Start a service and keep it alive from now on."""
        child = Child(service)
        self.children.append(child)
        self._start(child)
        return child

    def run(self, until: Callable[[], bool] | None = None) -> None:
        """Watch over the children until somebody asks for the end, or `until` says so (asked twice a second, however
        much there is to listen to)."""
        asked_at = float("-inf")
        while not self.stopping:
            if until is not None and time.monotonic() - asked_at >= ASK_SECONDS:
                asked_at = time.monotonic()
                if until():
                    return
            self._listen(ASK_SECONDS)
            self._restart_the_dead()

    def stop(self) -> None:
        """End everything, the highest floor first: politely, then, when its time is over or at one more signal,
        by force."""
        for floor in sorted({child.service.floor for child in self.children}, reverse=True):
            patience = self.drain_seconds if floor >= TOP_FLOOR else max(self.drain_seconds, LOWER_SECONDS)
            self._stop_floor([child for child in self.children if child.service.floor == floor], patience)
        self._listen(0)
        self.children.clear()

    def _start(self, child: Child) -> None:
        service = child.service
        child.started_at, child.due_at = time.monotonic(), 0.0
        environment = {
            **os.environ,
            **service.environment,
            MARK: self.mark,
            PROCESS: service.name,
            "PYTHONUNBUFFERED": "1",
        }
        command = dying_with_us(service.command, service.stop_signal)
        if service.log is not None:
            with service.log.open("ab") as log:
                child.process = _spawn(command, log.fileno(), environment)
            return
        reader, writer = os.pipe()
        try:
            child.process = _spawn(command, writer, environment)
        finally:
            os.close(writer)
        os.set_blocking(reader, False)
        self._partial[reader] = b""
        self._selector.register(reader, selectors.EVENT_READ, service.name)

    def _restart_the_dead(self) -> None:
        for child in self.children:
            if child.alive or child.process is None:
                continue
            now = time.monotonic()
            if child.due_at == 0.0:
                delay = child.back_off(now)
                self._tell("portal", f"{child.service.name} ended ({_ending(child.process)}): again in {delay:g} s.")
            if now >= child.due_at:
                self._start(child)

    def _stop_floor(self, children: Sequence[Child], patience: float) -> None:
        for child in children:
            if child.alive and child.process is not None:
                child.process.send_signal(child.service.stop_signal)
        deadline = time.monotonic() + patience
        signals = self.signals
        while any(child.alive for child in children) and time.monotonic() < deadline and self.signals == signals:
            self._listen(0.2)
        for child in children:
            if child.alive and child.process is not None:
                self._tell("portal", f"{child.service.name} did not end in time and is killed.")
                os.killpg(child.process.pid, signal.SIGKILL)
                child.process.wait()
        kill_marked(self.mark, spared={child.process.pid for child in self.children if child.alive and child.process})

    # ---- output --------------------------------------------------------------------------------------

    def _listen(self, seconds: float) -> None:
        """Wait for output or a signal, and pass the output on, line by line."""
        for key, _events in self._selector.select(seconds):
            reader = key.fd
            try:
                data = os.read(reader, 65536)
            except BlockingIOError:
                continue
            if reader == self._wake_reader:
                continue
            *lines, rest = (self._partial[reader] + data).split(b"\n")
            if rest and (not data or len(rest) > LINE_LIMIT):
                lines, rest = [*lines, rest], b""
            for line in lines:
                self._tell(str(key.data), line[:LINE_LIMIT].decode(errors="replace").rstrip("\r"))
            self._partial[reader] = rest
            if not data:
                self._selector.unregister(reader)
                del self._partial[reader]
                os.close(reader)

    def _tell(self, name: str, line: str) -> None:
        try:
            print(told(name, line, as_json=self.as_json), file=self.output, flush=True)
        except OSError:
            return  # the terminal is gone; the work goes on


def _spawn(command: Sequence[str], output: int, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C in the terminal reaches only us, and we pass it on once.
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=dict(environment), start_new_session=True
    )


def _ending(process: subprocess.Popen[bytes]) -> str:
    code = process.returncode or 0
    return f"exit status {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


def dying_with_us(command: Sequence[str], stop_signal: signal.Signals) -> list[str]:
    """The command, told by the kernel when we are gone, be it by kill -9."""
    if command[0] == "setpriv" or not shutil.which("setpriv"):
        return list(command)
    return ["setpriv", f"--pdeathsig={stop_signal.name.removeprefix('SIG')}", *command]


def marked(mark: str) -> list[int]:
    """The processes that a supervisor with this mark started, and theirs; never ourselves."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue  # it ended meanwhile, or is somebody else's
    return found


def kill_marked(mark: str, *, spared: Collection[int] = (), patience: float = 0.0) -> int:
    """Kill what is left of a supervisor's processes (an RQ work-horse outlives its worker), after `patience` seconds
    to end by themselves, and without those in the `spared` sessions; how many had to be killed."""
    deadline = time.monotonic() + patience
    while (found := marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.1)
    killed = 0
    for pid in found:
        with suppress(ProcessLookupError):
            if os.getsid(pid) not in spared:
                os.kill(pid, signal.SIGKILL)
                killed += 1
    return killed
