"""What has no wheel is compiled in the builder: a package in C++ here, numpy in numpy_from_source.py."""

from __future__ import annotations

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
