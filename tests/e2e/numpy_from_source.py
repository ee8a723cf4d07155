"""numpy is compiled in the builder, within an application's own limits. It takes eight minutes, so it is not among the
tests that `./run test` collects: `./run test tests/e2e/numpy_from_source.py -s` runs it and prints what it took."""

from __future__ import annotations

import pytest

from tests.e2e.portal import RunningPortal, repository
from tests.e2e.test_from_source import SERVE

pytestmark = pytest.mark.engine


def test_numpy_is_compiled_within_the_limits_of_its_application(portal: RunningPortal) -> None:
    """Three compilers at once want more than the 1 GiB that builders have by default."""
    requirements = b"--no-binary numpy\nnumpy==2.3.5\n"
    serve = SERVE.format(imports="import numpy", says="numpy.linalg.norm(numpy.array([3.0, 4.0]))").encode()
    url = repository(portal.repositories, "numbers", {"app/app.py": serve, "requirements.txt": requirements})
    assert portal.register("numbers", url).returncode == 0
    portal.sql("UPDATE releases_application SET memory_mb = 2048, seconds = 1800 WHERE name = 'numbers'")
    status, answer = portal.release("numbers", "v1.0.0")
    build = portal.build("numbers", 1)
    assert status == 0, (answer["message"], portal.log(build)[-3000:])
    seconds = (build["finished_at"] - build["started_at"]).total_seconds()
    print(f"\nnumpy from its source: {seconds:.0f} s, at most {build['memory_peak'] / 1024**2:.0f} of 2048 MiB")
    assert "numpy-2.3.5.tar.gz" in portal.log(build)
    assert build["limits_hit"] == []
    assert (answer["probe"]["status"], build["probe_body"]) == (200, "5.0")
