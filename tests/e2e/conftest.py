"""One whole portal for all end-to-end tests: starting it is what `./run` does."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.canaries import CANARIES
from tests.e2e.portal import RunningPortal, gateway, passable_python


@pytest.fixture(scope="session")
def portal() -> Iterator[RunningPortal]:
    with tempfile.TemporaryDirectory(prefix="portal-e2e-") as folder:
        Path(folder).chmod(0o711)  # as root the web server is an account of its own, which has to pass
        python, variables = passable_python(Path(folder) / "python")
        # The database of test_origin.py listens there; the rest of what is near stays closed.
        reach = gateway("bridge")
        running = RunningPortal(Path(folder) / "home", python=python, PORTAL_RUN_REACH=reach, **CANARIES, **variables)
        try:
            running.start()
            yield running
            assert running.stop() == 0
        finally:
            if running.process is not None and running.process.poll() is None:
                running.process.kill()
