"""The main job from the shell, on real parts, and the image by hand."""

from __future__ import annotations

import hashlib
import json
import tarfile
import uuid
from pathlib import Path

import pytest
import requests

from tests.e2e.portal import SERVE, RunningPortal, docker, eventually, repository

pytestmark = pytest.mark.engine


def test_release_of_the_demo_gives_artifact_image_and_record(portal: RunningPortal) -> None:
    status, answer = portal.release("fruit-shop", "v1.1.0")

    assert (status, answer["state"], answer["outcome"]) == (0, "finished", "succeeded"), answer
    path = Path(answer["artifact"]["path"])
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert digest == answer["artifact"]["sha256"]
    assert path.stat().st_size == answer["artifact"]["size"]
    with tarfile.open(path) as archive:
        names = set(archive.getnames())
    assert {"app/env/bin/python", "app/app/app.py", "app/requirements.txt"} <= names
    assert answer["probe"]["status"] == 200
    assert set(answer["steps"]) >= {"checkout", "produce", "collect", "package", "probe"}
    assert answer["image"]["builder_size"] > answer["image"]["size"] > 0

    visitor = portal.page()
    page = f"/applications/fruit-shop/builds/{answer['number']}"
    download = visitor.get(f"{page}/app.tar.gz")
    assert hashlib.sha256(download.content).hexdigest() == digest
    assert download.headers["ETag"] == f'"{digest}"'
    part = visitor.get(f"{page}/app.tar.gz", headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, download.content[10:20])
    packages = visitor.get(f"{page}/packages.txt").text
    assert "flask==" in packages
    assert "--hash=sha256:" in packages
    assert visitor.get(f"{page}/log.txt").text.rstrip().endswith(answer["message"])


def test_image_by_hand_serves_the_variable_it_is_given(portal: RunningPortal) -> None:
    _, answer = portal.release("fruit-shop", "v1.0.0")
    name, value = f"by-hand-{uuid.uuid4().hex[:8]}", f"Quince and Co {uuid.uuid4().hex[:6]}"
    docker("run", "-d", "--name", name, "-p", "127.0.0.1::8080", "-e", f"SHOP_NAME={value}", answer["image"]["tag"])
    try:
        address = docker("port", name, "8080").split()[0]
        assert value in eventually(lambda: _get(f"http://{address}/"), seconds=30, what="the image answers")
    finally:
        docker("rm", "-fv", name)


def _get(address: str) -> str:
    session = requests.Session()
    session.trust_env = False
    try:
        return session.get(address, timeout=5).text
    except (requests.ConnectionError, requests.Timeout):  # the engine's proxy takes it before the server listens
        return ""


def test_image_carries_its_origin_as_labels(portal: RunningPortal) -> None:
    _, answer = portal.release("fruit-shop", "v1.0.1")
    [image] = json.loads(docker("image", "inspect", answer["image"]["id"]))
    labels = image["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == "fruit-shop"
    assert labels["org.opencontainers.image.version"] == "v1.0.1"
    assert labels["org.opencontainers.image.revision"] == answer["commit"]
    assert labels["release-portal.artifact"] == answer["artifact"]["sha256"]
    assert image["Config"]["User"] not in ("", "0", "root")


def test_another_layout_is_released_by_four_fields(portal: RunningPortal) -> None:
    served = SERVE.replace(b"def app", b"def application")
    url = repository(portal.repositories, "elsewhere", {"web/main.py": served, "deps/prod.txt": b""})

    assert portal.register("elsewhere-plain", url).returncode == 0
    status, answer = portal.release("elsewhere-plain", "v1.0.0")
    assert (status, answer["outcome"]) == (1, "failed")
    for field in ("Requirements file", "Working folder", "Module", "Callable"):
        assert f"set “{field}”" in answer["message"]
    assert list(answer["steps"]) == ["checkout"]

    options = ["--entry-point", "main:application", "--directory", "web", "--requirements", "deps/prod.txt"]
    assert portal.register("elsewhere", url, *options, "--env", "GREETING=from the web").returncode == 0
    status, answer = portal.release("elsewhere", "v1.0.0")
    assert status == 0, answer
    assert portal.build("elsewhere", answer["number"])["probe_body"] == "from the web"


def test_wait_follows_the_log_on_stderr(portal: RunningPortal) -> None:
    url = repository(portal.repositories, "talks", {"app/app.py": SERVE, "requirements.txt": b""})
    assert portal.register("talks", url).returncode == 0
    done = portal.manage("release", "talks", "v1.0.0", "--wait")
    assert done.returncode == 0
    assert "The contract is kept" in done.stderr
    assert "sha256" in done.stdout


def test_two_portals_on_one_engine_leave_each_other_alone(portal: RunningPortal, tmp_path: Path) -> None:
    url = repository(portal.repositories, "neighbour", {"app/app.py": SERVE, "requirements.txt": b""})
    assert portal.register("neighbour", url).returncode == 0
    _, first = portal.release("neighbour", "v1.0.0")
    other = RunningPortal(tmp_path / "home", PORTAL_LOCAL_REPOSITORIES=str(portal.repositories), PORTAL_DEMO="0")
    other.start()
    try:
        assert other.instance != portal.instance
        assert other.register("neighbour", url).returncode == 0
        status, second = other.release("neighbour", "v1.0.0")
        assert status == 0, second
        assert second["image"]["tag"] != first["image"]["tag"]
        assert not other.containers()
        before = other.sql("SELECT seen_at FROM releases_workshop")
        eventually(
            lambda: other.sql("SELECT seen_at FROM releases_workshop") != before, seconds=40, what="the other's sweep"
        )
    finally:
        assert other.stop() == 0
    docker("image", "inspect", first["image"]["id"])  # still there after the other's sweeps
    assert Path(first["artifact"]["path"]).exists()
    assert not Path(second["artifact"]["path"]).is_relative_to(portal.home)
    docker("image", "rm", "-f", second["image"]["tag"])


def test_second_start_keeps_what_was_there(tmp_path: Path) -> None:
    again = RunningPortal(tmp_path / "home", PORTAL_DEMO="0")
    again.start()
    again.sql("UPDATE auth_user SET first_name = 'Kept' WHERE username = 'manager'")
    assert again.stop() == 0
    again.start()
    assert again.sql("SELECT first_name FROM auth_user WHERE username = 'manager'") == [{"first_name": "Kept"}]
    assert again.stop() == 0
