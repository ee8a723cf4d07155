"""The supervisor with real processes: what it prints, what it restarts, what it leaves behind (nothing)."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from portal import supervisor
from portal.supervisor import Child, Service, Supervisor

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 30.0


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def until(condition: Callable[[], bool]) -> Callable[[], bool]:
    """The condition, or a failure when it does not come true within the patience of this file."""
    deadline = time.monotonic() + PATIENCE

    def ask() -> bool:
        assert time.monotonic() < deadline, "it did not happen in time"
        return condition()

    return ask


def wait(condition: Callable[[], bool]) -> None:
    ask = until(condition)
    while not ask():
        time.sleep(0.05)


@pytest.fixture
def screen() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def watch(tmp_path: Path, screen: io.StringIO) -> Iterator[Supervisor]:
    with Supervisor(str(tmp_path), drain_seconds=PATIENCE, output=screen) as watch:
        yield watch


def test_supervisor_prefixes_each_line_with_its_service(watch: Supervisor, screen: io.StringIO) -> None:
    watch.add(Service("web", python("print('one\\ntwo'); import time; time.sleep(60)")))
    watch.add(
        Service("sweep", python("import sys, time; sys.stderr.write('three'); sys.stderr.close(); time.sleep(60)"))
    )
    watch.run(until(lambda: "two" in screen.getvalue()))
    assert "web      | one\nweb      | two\n" in screen.getvalue()


def test_supervisor_shows_a_last_line_without_its_end(watch: Supervisor, screen: io.StringIO) -> None:
    watch.add(Service("web", python("import sys; sys.stdout.write('no newline')")))
    watch.run(until(lambda: "ended" in screen.getvalue() and "no newline" in screen.getvalue()))
    assert "web      | no newline\n" in screen.getvalue()


def test_supervisor_cuts_a_line_that_does_not_end(watch: Supervisor, screen: io.StringIO) -> None:
    watch.add(Service("web", python("import sys, time; print('x' * 300_000); print('!'); time.sleep(60)")))
    watch.run(until(lambda: "!" in screen.getvalue()))
    assert max(len(line) for line in screen.getvalue().splitlines()) <= supervisor.LINE_LIMIT + len("web      | ")


def test_supervisor_writes_a_services_output_to_its_log(watch: Supervisor, screen: io.StringIO, tmp_path: Path) -> None:
    log = tmp_path / "redis.log"
    watch.add(Service("redis", python("print('quiet'); import time; time.sleep(60)"), log=log))
    watch.run(until(lambda: log.exists() and "quiet" in log.read_text()))
    assert "quiet" not in screen.getvalue()


def test_supervisor_restarts_what_ended_and_says_why(watch: Supervisor, screen: io.StringIO) -> None:
    watch.add(Service("web", python("print('up'); raise SystemExit(3)")))
    watch.run(until(lambda: screen.getvalue().count("| up") == 3))
    assert "portal   | web ended (exit status 3): again in 0.5 s.\n" in screen.getvalue()
    assert "portal   | web ended (exit status 3): again in 1 s.\n" in screen.getvalue()


def test_supervisor_names_the_signal_that_ended_a_service(watch: Supervisor, screen: io.StringIO) -> None:
    child = watch.add(Service("web", python("import time; time.sleep(60)")))
    assert child.process is not None
    child.process.kill()
    watch.run(until(lambda: "ended" in screen.getvalue()))
    assert "web ended (signal SIGKILL)" in screen.getvalue()


def test_back_off_doubles_up_to_half_a_minute_and_forgives_a_long_life() -> None:
    child = Child(Service("web", ("true",)))
    assert [child.back_off(0.0) for _ in range(8)] == [0.5, 1, 2, 4, 8, 10, 10, 10]
    assert child.back_off(supervisor.SETTLED_SECONDS) == 0.5


def test_supervisor_stops_workers_before_their_database(tmp_path: Path, screen: io.StringIO) -> None:
    order = tmp_path / "order"
    code = (
        "import signal, sys, time\n"
        f"def end(*_):\n    time.sleep({{}}); open({str(order)!r}, 'a').write('{{}} '); sys.exit()\n"
        "signal.signal({}, end); print('up', flush=True)\nwhile True: time.sleep(60)"
    )
    with Supervisor(str(tmp_path), drain_seconds=PATIENCE, output=screen) as watch:
        watch.add(Service("db", python(code.format(0, "db", 2)), floor=0, stop_signal=signal.SIGINT))
        watch.add(Service("worker", python(code.format(0.5, "worker", 15))))
        watch.run(until(lambda: screen.getvalue().count("| up") == 2))
    assert order.read_text() == "worker db "


def test_supervisor_lets_the_sweeper_finish_however_short_the_draining(tmp_path: Path, screen: io.StringIO) -> None:
    swept = tmp_path / "swept"
    code = (
        "import signal, sys, time\n"
        f"def end(*_):\n    time.sleep(1); open({str(swept)!r}, 'w').write('clean'); sys.exit()\n"
        "signal.signal(15, end); print('up', flush=True)\nwhile True: time.sleep(60)"
    )
    with Supervisor(str(tmp_path), drain_seconds=0, output=screen) as watch:
        watch.add(Service("sweep", python(code), floor=1))
        watch.add(Service("worker", python(STUBBORN)))
        watch.run(until(lambda: screen.getvalue().count("| up") == 2))
    assert swept.read_text() == "clean"
    assert "worker did not end in time and is killed." in screen.getvalue()


STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True)\nwhile True: time.sleep(60)"


def test_supervisor_kills_what_does_not_end_in_its_time(tmp_path: Path, screen: io.StringIO) -> None:
    with Supervisor(str(tmp_path), drain_seconds=0.3, output=screen) as watch:
        child = watch.add(Service("worker", python(STUBBORN)))
        watch.run(until(lambda: "up" in screen.getvalue()))
    assert child.process is not None
    assert child.process.returncode == -signal.SIGKILL
    assert "worker did not end in time and is killed." in screen.getvalue()


def test_supervisor_second_signal_ends_the_waiting(tmp_path: Path, screen: io.StringIO) -> None:
    with Supervisor(str(tmp_path), drain_seconds=3600, output=screen) as watch:
        child = watch.add(Service("worker", python(STUBBORN)))
        watch.run(until(lambda: "up" in screen.getvalue()))
        signal.raise_signal(signal.SIGTERM)
        assert watch.stopping
        again = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
        again.start()
    again.join()
    assert child.process is not None
    assert child.process.returncode == -signal.SIGKILL


def test_supervisor_leaves_no_grandchild_in_a_group_of_its_own(tmp_path: Path, screen: io.StringIO) -> None:
    fork = (
        "import os, time\nif os.fork() == 0: os.setpgrp(); print('horse', flush=True); time.sleep(600)\ntime.sleep(600)"
    )
    with Supervisor(str(tmp_path), drain_seconds=PATIENCE, output=screen) as watch:
        watch.add(Service("worker", python(fork)))
        watch.run(until(lambda: "horse" in screen.getvalue()))
        assert len(supervisor.marked(str(tmp_path))) == 2
    wait(lambda: not supervisor.marked(str(tmp_path)))


def test_supervisor_gives_the_terminals_signals_back(tmp_path: Path, screen: io.StringIO) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Supervisor(str(tmp_path), drain_seconds=1, output=screen):
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_supervisor_killed_takes_its_children_along(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom portal.supervisor import Service, Supervisor\n"
        f"with Supervisor({str(tmp_path)!r}, drain_seconds=1) as watch:\n"
        "    watch.add(Service('web', (sys.executable, '-c', 'import time; print(\"up\"); time.sleep(600)')))\n"
        "    watch.run()"
    )
    process = subprocess.Popen([sys.executable, "-uc", code], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"web      | up\n"
    process.kill()
    process.wait()
    process.stdout.close()
    wait(lambda: not supervisor.marked(str(tmp_path)))


def test_supervisor_asks_at_its_own_pace_however_much_is_said(watch: Supervisor, screen: io.StringIO) -> None:
    watch.add(
        Service("web", python("import time\nfor number in range(100): print(number); time.sleep(0.01)\ntime.sleep(60)"))
    )
    asked = 0

    def ask() -> bool:
        nonlocal asked
        asked += 1
        return "99" in screen.getvalue()

    watch.run(until(ask))
    assert asked < 50
