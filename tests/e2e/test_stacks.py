"""The portal's stacks with real applications: what wheels need is there, and one with ASGI and a lock answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.conf import settings

from releases.stacks import stack as stacks
from tests.e2e.portal import SERVE, RunningPortal, docker, repository

pytestmark = pytest.mark.engine

IMPORTS = {
    "numpy": "numpy._core._multiarray_umath",
    "pandas": "pandas",
    "pillow": "PIL._imaging",
    "lxml": "lxml.etree",
    "psycopg[binary]": "psycopg",  # fails without a library of its own: the image has no libpq
    "cryptography": "cryptography.hazmat.bindings._rust",
    "sqlalchemy": "sqlalchemy",
    "uvloop": "uvloop",
}
IMPORTING = f"""
import importlib, json

def app(environ, start_response):
    said = {{}}
    for package, module in {IMPORTS!r}.items():
        try:
            importlib.import_module(module)
            said[package] = "there"
        except Exception as error:
            said[package] = repr(error)
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(said).encode()]
"""


def test_wheels_with_compiled_code_import_in_the_smallest_runtime(portal: RunningPortal) -> None:
    files = {"app/app.py": IMPORTING.encode(), "requirements.txt": "\n".join(IMPORTS).encode()}
    assert portal.register("wheels", repository(portal.repositories, "wheels", files)).returncode == 0
    status, answer = portal.release("wheels", "v1.0.0")
    assert status == 0, answer
    assert json.loads(portal.build("wheels", 1)["probe_body"]) == dict.fromkeys(IMPORTS, "there")


def test_runtime_is_small(portal: RunningPortal) -> None:
    """Before the application at most 40 MB, with Flask at most 45; the origin's was 60.75 MB."""
    status, answer = portal.release("fruit-shop", "v1.1.0")  # Flask and what it needs
    assert status == 0, answer
    [image] = portal.sql("SELECT * FROM releases_image WHERE image_id = %s LIMIT 1", answer["image"]["id"])
    assert image["runner_size"] <= 40_000_000
    assert image["size"] <= 45_000_000
    assert image["builder_size"] > image["size"]


FASTAPI = b"""
from fastapi import FastAPI

app = FastAPI()

@app.get("/")
async def fruits() -> dict[str, list[str]]:
    return {"fruits": ["Apple", "Orange", "Pear"]}
"""
PROJECT = b"""
[project]
name = "shop"
version = "1.0"
requires-python = ">=3.13"
dependencies = ["fastapi>=0.115,<1"]
"""


def locked(folder: Path) -> bytes:
    """`uv.lock` of the project, made by the builder's uv: it names addresses of the index, so none is kept here."""
    folder.mkdir()
    (folder / "pyproject.toml").write_bytes(PROJECT)
    options = ["-v", f"{folder}:/project", "-w", "/project", "--entrypoint", "uv"]
    for name, value in (("UV_DEFAULT_INDEX", settings.BUILD_INDEX_URL), *settings.BUILD_PROXY.items()):
        options += ["-e", f"{name}={value}"] if value else []
    if settings.BUILD_CA_BUNDLE:
        options += ["-v", f"{settings.BUILD_CA_BUNDLE}:/ca.pem:ro", "-e", "SSL_CERT_FILE=/ca.pem"]
    docker("run", "--rm", *options, stacks.load("python3.13-asgi").builder_tag, "lock")
    return (folder / "uv.lock").read_bytes()


def test_fastapi_with_a_lock_is_released_with_asgi(portal: RunningPortal, tmp_path: Path) -> None:
    assert portal.release("fruit-shop", "v1.1.0")[0] == 0  # the builder, which both stacks share, is there now
    lock = locked(tmp_path / "project")
    files = {"app/app.py": FASTAPI, "pyproject.toml": PROJECT, "uv.lock": lock}
    url = repository(portal.repositories, "fast", files)
    options = ["--stack", "python3.13-asgi", "--requirements", "pyproject.toml"]
    registered = portal.register("fast", url, *options)
    assert registered.returncode == 0, registered.stderr

    status, answer = portal.release("fast", "v1.0.0")

    assert status == 0, answer
    record = portal.build("fast", answer["number"])
    assert (record["probe_status"], json.loads(record["probe_body"])["fruits"][2]) == (200, "Pear")
    [kept] = portal.sql("SELECT * FROM releases_environment WHERE id = %s", record["kept_environment_id"])
    assert (kept["installer"], kept["is_reproducible"]) == ("uv", True)
    for package in kept["packages"]:
        assert f"sha256:{package['sha256']}" in lock.decode(), package["name"]


def test_application_is_released_on_alpine_where_a_registry_brings_it(portal: RunningPortal) -> None:
    url = repository(portal.repositories, "alpine", {"app/app.py": SERVE, "requirements.txt": b"itsdangerous==2.2.0\n"})
    assert portal.register("alpine", url, "--stack", "alpine-uwsgi", "--probe", "required").returncode == 0
    status, answer = portal.release("alpine", "v1.0.0")
    if "The base image alpine" in answer["message"]:
        pytest.skip(answer["message"])
    assert status == 0, answer
    assert portal.build("alpine", answer["number"])["probe_body"] == "hello"
