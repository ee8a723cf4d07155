"""A gigabyte of output: its beginning and its end are kept, and a line says what was cut."""

from __future__ import annotations

import re

import pytest

from tests.e2e.flooding import BUILD_SH, ENGINE, LINE, application
from tests.e2e.portal import RunningPortal, repository

pytestmark = pytest.mark.engine


@pytest.mark.parametrize(
    ("name", "there", "size"),
    [("flood", BUILD_SH, 1024**3), ("flood-past-the-limit", ENGINE, 128 * 1024**2)],
    ids=["through build.sh", "past it, into the engine's own pipe"],
)
def test_flood_is_cut_and_said(portal: RunningPortal, name: str, there: str, size: int) -> None:
    address = repository(portal.repositories, name, application(there, size))
    assert portal.register(name, address).returncode == 0
    status, answer = portal.release(name, "v1.0.0")
    assert status == 0, answer["message"]
    log = portal.log(portal.build(name, 1))
    assert len(log.encode()) <= 20 * 1024**2
    assert log.count(LINE) > 10_000, "the beginning is kept"
    assert re.search(r"[\d,]{9,} bytes of output were cut here|\([\d,]{9,} bytes\) of the log were cut here", log)
    assert "THE-END" in log
    assert log.rstrip().endswith(answer["message"])
    step = "pip install" if there == BUILD_SH else "contract"
    assert step in log
