"""What has no wheel is compiled in the builder: a package in C++, and numpy, within an application's own limits."""

from __future__ import annotations

import os

import pytest

from tests.e2e.portal import RunningPortal, repository

pytestmark = pytest.mark.engine

SETUP = b"""
from setuptools import Extension, setup

setup(name="plums", version="1.0", ext_modules=[Extension("plums", ["plums.cpp"], language="c++")])
"""
PLUMS = b"""
#include <Python.h>
#include <numeric>
#include <vector>

static PyObject *sum(PyObject *, PyObject *) {
    std::vector<long> plums{1, 2, 3, 36};
    return PyLong_FromLong(std::accumulate(plums.begin(), plums.end(), 0L));
}
static PyMethodDef methods[] = {{"sum", sum, METH_NOARGS, ""}, {nullptr, nullptr, 0, nullptr}};
static PyModuleDef module = {PyModuleDef_HEAD_INIT, "plums", "", -1, methods};
PyMODINIT_FUNC PyInit_plums() { return PyModule_Create(&module); }
"""
SERVE = """
{imports}

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str({says}).encode()]
"""


def test_package_in_cpp_is_compiled_and_runs(portal: RunningPortal) -> None:
    files = {
        "app/app.py": SERVE.format(imports="import plums", says="plums.sum()").encode(),
        "requirements.txt": b"./plums\n",
        "plums/setup.py": SETUP,
        "plums/plums.cpp": PLUMS,
    }
    assert portal.register("plums", repository(portal.repositories, "plums", files)).returncode == 0
    status, answer = portal.release("plums", "v1.0.0")
    assert status == 0, (answer["message"], portal.log(portal.build("plums", 1))[-3000:])
    assert (answer["probe"]["status"], portal.build("plums", 1)["probe_body"]) == (200, "42")


@pytest.mark.skipif(
    os.environ.get("PORTAL_TEST_NUMPY") != "1",
    reason="compiling numpy takes eight minutes: PORTAL_TEST_NUMPY=1 ./run test tests/e2e/test_from_source.py -s",
)
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
