"""One whole portal for all end-to-end tests: starting it is what `./run` does."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.canaries import CANARIES
from tests.e2e.portal import RunningPortal


@pytest.fixture(scope="session")
def portal() -> Iterator[RunningPortal]:
    with tempfile.TemporaryDirectory(prefix="portal-e2e-") as folder:
        running = RunningPortal(Path(folder) / "home", **CANARIES)
        try:
            running.start()
            yield running
            assert running.stop() == 0
        finally:
            if running.process is not None and running.process.poll() is None:
                running.process.kill()
