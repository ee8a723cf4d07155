"""Two build workers: different applications side by side, the same environment once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.portal import SERVE, RunningPortal, eventually, repository, sdist

pytestmark = pytest.mark.engine

SLOW = b"""
import time
from setuptools import setup

time.sleep(8)
setup(name="slow", version="1.0", py_modules=["slow"])
"""


def ended(portal: RunningPortal, application: str, number: int) -> dict[str, Any]:
    return eventually(
        lambda: (row := portal.build(application, number))["state"] == "finished" and row,
        seconds=180,
        what=f"{application} #{number} ends",
    )


def test_two_workers_share_what_is_the_same_and_wait_for_nothing_else(tmp_path: Path) -> None:
    portal = RunningPortal(tmp_path / "home", PORTAL_DEMO="0", PORTAL_BUILD_WORKERS="2")
    portal.start()
    try:
        slow = {"app/app.py": SERVE, "requirements.txt": b"./slow-1.0.tar.gz\n", "slow-1.0.tar.gz": sdist("slow", SLOW)}
        quick = {"app/app.py": SERVE, "requirements.txt": b"itsdangerous==2.2.0\n"}
        assert portal.register("quick", repository(portal.repositories, "quick", quick)).returncode == 0
        assert portal.register("slow", repository(portal.repositories, "slow", slow)).returncode == 0
        assert portal.release("quick", "v1.0.0")[0] == 0  # the stack's images are there now

        assert portal.manage("release", "slow", "v1.0.0").returncode == 0
        eventually(lambda: "$ pip install" in portal.log(portal.build("slow", 1)), seconds=120, what="slow is made")
        assert portal.release("quick", "v1.0.0", "--no-cache")[0] == 0
        assert portal.build("slow", 1)["state"] == "producing"  # a whole release went by meanwhile
        assert ended(portal, "slow", 1)["outcome"] == "succeeded"

        url = repository(portal.repositories, "same", quick)
        repository(portal.repositories, "same", {"app/app.py": SERVE + b"\n"}, tag="v1.0.1")
        assert portal.register("same", url).returncode == 0
        for ref in ("v1.0.0", "v1.0.1"):
            assert portal.manage("release", "same", ref).returncode == 0
        both = [ended(portal, "same", number) for number in (1, 2)]
        assert [build["outcome"] for build in both] == ["succeeded", "succeeded"]
        assert sorted(build["environment_note"].split()[0] for build in both) == ["environment", "made:"]
    finally:
        assert portal.stop() == 0
