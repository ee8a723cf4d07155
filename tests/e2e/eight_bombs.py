"""Eight builds at once that take whatever they can get, and a good one among them: each meets its limit, the good one
succeeds, the pages go on, and the disk is as free as before.

    ./run test tests/e2e/eight_bombs.py -s

It is not among the tests that run by themselves: those beside it would have too little left of the machine."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.flooding import BUILD_SH, application
from tests.e2e.portal import SERVE, RunningPortal, docker, eventually, repository

pytestmark = pytest.mark.engine

MIB = 1024 * 1024
SECONDS = 45
"""How long a bomb may take; what ends well may take as long as usual."""
BOMBS = {
    "forks": "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass",
    "memory": "kept = []\nwhile True:\n    kept.append(bytearray(1 << 20))",
    "a large file": "with open('/app/large', 'wb') as file:\n    while True:\n        file.write(bytes(1 << 20))",
    "large files": "for number in range(1 << 20):\n    with open(f'/app/large-{number}', 'wb') as file:\n"
    "        file.write(bytes(100 << 20))",
    "small files": "for number in range(1 << 30):\n    open(f'/app/small-{number}', 'w').close()",
    "sleep": "import time\ntime.sleep(3600)",
    "processors": "import os\nfor _ in range(4):\n    os.fork()\nwhile True:\n    pass",
}
ENDS = {
    "forks": {"failed", "timed_out", "out_of_memory"},  # which of the limits it meets first is the kernel's choice
    "memory": {"out_of_memory"},
    "a large file": {"failed"},
    "large files": {"failed"},
    "small files": {"failed"},
    "sleep": {"timed_out"},
    "processors": {"timed_out"},
    "output": {"succeeded"},  # it is cut, and that is all
}


def setup(program: str) -> dict[str, bytes]:
    code = f"{program}\nfrom setuptools import setup\nsetup(name='bomb', version='1')\n".encode()
    return {"app/app.py": SERVE, "bomb/setup.py": code, "requirements.txt": b"./bomb\n"}


class Reader(threading.Thread):
    """Somebody who looks at pages all the while."""

    def __init__(self, portal: RunningPortal) -> None:
        super().__init__(daemon=True)
        self._page, self._over = portal.page(), threading.Event()
        self.seen: list[tuple[str, int, float]] = []
        """Page, status, seconds."""

    def run(self) -> None:
        pages = ["/", "/history/", "/workers/", "/applications/good/", "/applications/output/builds/1/", "/healthz"]
        while not self._over.is_set():
            for page in pages:
                began = time.monotonic()
                status = self._page.get(page).status_code
                self.seen.append((page, status, time.monotonic() - began))

    def close(self) -> None:
        self._over.set()
        self.join()


def free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


@pytest.fixture
def crowded(tmp_path: Path) -> Any:
    portal = RunningPortal(
        tmp_path / "home",
        PORTAL_DEMO="0",
        PORTAL_BUILD_WORKERS=str(len(ENDS) + 1),
        PORTAL_BUILD_DISK_MB="400",
        PORTAL_BUILD_FILES="20000",
    )
    portal.start()
    try:
        yield portal
        assert portal.stop() == 0
    finally:
        if portal.process is not None and portal.process.poll() is None:
            portal.process.kill()


def test_eight_bombs_at_once_stop_neither_the_portal_nor_a_good_build(crowded: RunningPortal) -> None:
    good = {"app/app.py": SERVE, "requirements.txt": b"itsdangerous==2.2.0\n"}
    assert crowded.register("good", repository(crowded.repositories, "good", good)).returncode == 0
    assert crowded.release("good", "v1.0.0")[0] == 0  # the stack's images are there now
    names = {what: what.replace(" ", "-") for what in ENDS}
    for what, name in names.items():
        files = setup(BOMBS[what]) if what in BOMBS else application(BUILD_SH, 512 * MIB)
        assert crowded.register(name, repository(crowded.repositories, name, files)).returncode == 0
        if what in BOMBS:
            crowded.sql("UPDATE releases_application SET seconds = %s, memory_mb = 512 WHERE name = %s", SECONDS, name)
    engine = Path(docker("info", "--format", "{{.DockerRootDir}}").strip())
    before = free(engine)

    for name in names.values():
        assert crowded.manage("release", name, "v1.0.0").returncode == 0
    reader = Reader(crowded)
    reader.start()
    working = "SELECT count(*) FROM releases_build WHERE state = 'producing'"
    eventually(lambda: crowded.sql(working)[0]["count"] >= 4, seconds=60, what="bombs are at work")
    status, answer = crowded.release("good", "v1.0.0", "--no-cache")
    assert (status, answer["outcome"]) == (0, "succeeded"), answer["message"]
    ends = {}
    for what, name in names.items():
        eventually(lambda name=name: crowded.build(name, 1)["state"] == "finished", seconds=240, what=f"{what} ends")  # type: ignore[misc]
        ends[what] = crowded.build(name, 1)
    reader.close()

    for what, build in ends.items():
        assert build["outcome"] in ENDS[what], (what, build["outcome"], build["message"])
    assert {status for _, status, _ in reader.seen} == {200}
    ours = f"label=release-portal.instance={crowded.instance}"
    eventually(lambda: not docker("ps", "--all", "--quiet", "--filter", ours), seconds=60, what="no container is left")
    eventually(lambda: free(engine) > before - 200 * MIB, seconds=60, what="the disk is free again")
    times = sorted(seconds for _, _, seconds in reader.seen)
    print(f"{len(times)} pages, 95 of 100 within {times[len(times) * 95 // 100]:.2f} s, the slowest {times[-1]:.2f} s")
