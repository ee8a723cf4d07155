"""`./run check` and `./run test`: one command for each wish; the hooks and CI call the same ones."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from django.conf import settings

from portal import advisories
from portal.setup import SetupFailed, base_image, engine, packages, places, postgres, redis_server, say
from portal.supervisor import Supervisor

PYTHON = sys.executable
CHECKS: dict[str, tuple[str, ...]] = {
    "lint": (PYTHON, "-m", "ruff", "check", "."),
    "layout": (PYTHON, "-m", "ruff", "format", "--check", "."),
    "types": (PYTHON, "-m", "mypy"),
    "templates": (PYTHON, "-m", "djlint", "--quiet", "--lint", "templates"),
    # It warns that no database answers; it compares models with files, and needs none.
    "migrations": (PYTHON, "-W", "ignore::RuntimeWarning", "manage.py", "makemigrations", "--check", "--dry-run"),
    "words": (PYTHON, "-m", "portal.words", "--check"),
    "floors": (PYTHON, "-c", "import importlinter.cli as c; c.lint_imports_command(['--no-cache'])"),
}


def check() -> int:
    """Run every check, and show what a failing one has to say; 1 when one failed."""
    return 1 if [name for name, command in CHECKS.items() if not _passes(name, command)] else 0


def _passes(name: str, command: Sequence[str]) -> bool:
    began = time.monotonic()
    done = subprocess.run(
        command, cwd=settings.BASE_DIR, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    say(f"check {name:<11} {'passed' if done.returncode == 0 else 'FAILED'}  {time.monotonic() - began:.1f} s")
    if done.returncode:
        say(f"{done.stdout}{done.stderr}".rstrip())
    return done.returncode == 0


def test(arguments: Sequence[str], *, may_install: bool) -> int:
    """The checks and every test, or only the tests that `arguments` name; pytest's closing line is the last."""
    failed = 0 if arguments else check() or advisories.audit()
    _workshop(may_install=may_install)
    with tempfile.TemporaryDirectory(prefix="portal-test-") as folder:
        home = Path(folder)
        with Supervisor(folder, drain_seconds=10) as supervisor:
            environment = stores(supervisor, home)
            if failed:
                say("A check FAILED (above): this run fails, whatever the tests say.")
            return _pytest(supervisor, environment, arguments) or failed


def _workshop(*, may_install: bool) -> None:
    """The engine, the base image and a browser. In CI what is missing is a failure, elsewhere pytest says what it
    leaves out for want of it."""
    try:
        engine.ensure(settings.DOCKER_HOST, may_install=may_install)
        base_image.ensure(settings.DOCKER_HOST, may_install=may_install)
        if may_install and packages.can_install():
            packages.install(["git", "ssh", "docker", "chromium", "runsc", "faketime"])
        if not shutil.which("chromium"):
            raise SetupFailed("The tests of the pages need chromium: install it (Debian: apt-get install chromium).")
    except SetupFailed as error:
        if os.environ.get("CI") == "true":
            raise
        say(str(error))


def stores(supervisor: Supervisor, home: Path) -> dict[str, str]:
    """A PostgreSQL and a Redis for this run alone, and the environment that names them."""
    run_dir = home / "run"
    places.make_run_dir(run_dir)
    (home / "portal" / "static").mkdir(parents=True)  # WhiteNoise warns where it finds none
    database = f"postgresql://postgres@/portal?host={run_dir}/postgres"
    queue = f"unix://{run_dir}/redis.sock"
    supervisor.add(postgres.private_server(home, run_dir, durable=False))
    supervisor.add(redis_server.private_server(home, run_dir))

    def nobody_died() -> bool:
        return not supervisor.stopping and all(child.alive for child in supervisor.children)

    postgres.await_answer(database, nobody_died)
    redis_server.await_answer(queue, nobody_died)
    return {"DATABASE_URL": database, "REDIS_URL": queue, "PORTAL_HOME": str(home / "portal")}


END_TO_END = "tests/e2e"


def _pytest(supervisor: Supervisor, environment: dict[str, str], arguments: Sequence[str]) -> int:
    """Run pytest in the foreground: it owns the terminal, and Ctrl-C.

    All tests are two runs at once, because the end-to-end tests mostly wait for builds; what those say comes last."""
    if arguments:
        return _ended(supervisor, [_started(arguments, environment, None)])
    with tempfile.TemporaryFile() as later:
        runs = [
            _started([END_TO_END], environment, later),
            _started([f"--ignore={END_TO_END}"], environment, None),
        ]
        status = _ended(supervisor, runs)
        later.seek(0)
        say(later.read().decode("utf-8", "replace").rstrip())
    return status


def _started(
    arguments: Sequence[str], environment: dict[str, str], output: IO[bytes] | None
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [PYTHON, "-m", "pytest", *arguments],
        cwd=settings.BASE_DIR,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env={**os.environ, **environment},
    )


def _ended(supervisor: Supervisor, runs: Sequence[subprocess.Popen[bytes]]) -> int:
    """Wait for all of them; the worst of their exit statuses."""
    supervisor.run(until=lambda: all(run.poll() is not None for run in runs))
    for run in runs:
        if run.poll() is None:
            run.terminate()
    return max(abs(run.wait()) for run in runs)
