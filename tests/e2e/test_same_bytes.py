"""The same release every time: in another portal, without what is kept, and after a hostile package had its turn."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.portal import SERVE, RunningPortal, docker, repository, sdist

pytestmark = pytest.mark.engine

WHEELS = {"app/app.py": SERVE, "requirements.txt": b"itsdangerous==2.2.0\nmarkupsafe==3.0.2\n"}


def release(portal: RunningPortal, application: str, *options: str, ref: str = "v1.0.0") -> dict[str, Any]:
    """A release that succeeds."""
    status, answer = portal.release(application, ref, *options)
    assert status == 0, answer
    return answer


def unpacked(answer: dict[str, Any]) -> dict[str, bytes]:
    """The regular files of the artifact."""
    with tarfile.open(answer["artifact"]["path"]) as archive:
        found = {member.name: archive.extractfile(member) for member in archive if member.isreg()}
        return {name: file.read() for name, file in found.items() if file is not None}


def test_two_portals_make_the_same_bytes_without_what_they_keep(portal: RunningPortal, tmp_path: Path) -> None:
    url = repository(portal.repositories, "same-bytes", WHEELS)
    assert portal.register("same-bytes", url).returncode == 0
    first, again = release(portal, "same-bytes"), release(portal, "same-bytes", "--no-cache")
    other = RunningPortal(tmp_path / "home", PORTAL_LOCAL_REPOSITORIES=str(portal.repositories), PORTAL_DEMO="0")
    other.start()
    try:
        assert other.register("same-bytes", url).returncode == 0
        elsewhere = release(other, "same-bytes", "--no-cache")
    finally:
        assert other.stop() == 0
    docker("image", "rm", "-f", elsewhere["image"]["tag"])

    for one in (again, elsewhere):
        assert one["artifact"]["sha256"] == first["artifact"]["sha256"]
        assert one["image"]["id"] == first["image"]["id"]
    assert Path(elsewhere["artifact"]["path"]).read_bytes() == Path(first["artifact"]["path"]).read_bytes()
    log = portal.log(portal.build("same-bytes", again["number"]))
    assert "uv pip install 2 of 2 packages" in log  # it was made, not taken from what is kept


def test_what_was_removed_behind_the_portals_back_is_made_again(portal: RunningPortal) -> None:
    url = repository(portal.repositories, "lossy", WHEELS)
    assert portal.register("lossy", url).returncode == 0
    first = release(portal, "lossy")
    tags = docker("image", "ls", "--format={{.Repository}}:{{.Tag}}", f"release-portal-{portal.instance}/lossy").split()
    docker("image", "rm", "-f", *tags)
    blobs = portal.home / "blobs"
    kept = portal.sql(
        "SELECT parts FROM releases_environment e JOIN releases_application a ON a.id = e.application_id "
        "WHERE a.name = %s",
        "lossy",
    )
    for part in kept[0]["parts"]:
        [path] = blobs.rglob(part["sha256"])
        path.unlink()
    Path(first["artifact"]["path"]).unlink()

    again = release(portal, "lossy")

    assert (again["artifact"]["sha256"], again["image"]["id"]) == (first["artifact"]["sha256"], first["image"]["id"])
    assert Path(again["artifact"]["path"]).exists()
    assert docker("image", "inspect", "--format={{.Id}}", again["image"]["tag"]).strip() == first["image"]["id"]
    log = portal.log(portal.build("lossy", again["number"]))
    assert "The kept environment of #1 lacks environment, itsdangerous-2.2.0, markupsafe-3.0.2: it is made again" in log


# ---- a hostile package -----------------------------------------------------------------------------------------

MARK = b"POISONED"
SETUP = rb"""
import glob, os, subprocess, sys
from setuptools import setup

MARK = "POISONED"
CLAIM = '''
import json, os, time
while True:
    try:
        said = json.load(open("/shared/environment.json"))
        for part in said["parts"]:
            part["wheel"] = [one["sha256"] for one in said["packages"] if one["name"] == "itsdangerous"][0]
        said["installer"] = "uv"
        json.dump(said, open("/shared/environment.json.new", "w"))
        os.rename("/shared/environment.json.new", "/shared/environment.json")
    except Exception:
        pass
    time.sleep(0.001)
'''
homes = ["/", "/app", "/shared", "/shared/parts", "/tmp", "/opt/pip", "/usr/local/bin", "/var/tmp", "/dev/shm",
         os.path.expanduser("~"), os.environ.get("TMPDIR", "/tmp"), *glob.glob("/app/.build-*")]
for folder in homes:
    for name in ("sitecustomize.py", "itsdangerous-2.2.0.tar.gz", "known.json", "lock.json", "marker", "uv"):
        try:
            os.makedirs(folder, exist_ok=True)
            with open(os.path.join(folder, name), "w") as file:
                file.write(MARK)
        except OSError:
            pass
for site in glob.glob("/app/env/lib/python*/site-packages"):
    os.makedirs(site + "/itsdangerous", exist_ok=True)
    for name in ("/itsdangerous/__init__.py", "/itsdangerous/_json.py", "/usercustomize.py"):
        with open(site + name, "w") as file:
            file.write("# " + MARK)
nothing = subprocess.DEVNULL  # else the build would wait for its output to end, until its time is over
subprocess.Popen([sys.executable, "-c", CLAIM], start_new_session=True, stdin=nothing, stdout=nothing, stderr=nothing)
setup(name="friendly", version="1.0", py_modules=["friendly"])
"""


def test_hostile_package_changes_no_other_environment(portal: RunningPortal) -> None:
    plain = {"app/app.py": SERVE, "requirements.txt": b"itsdangerous==2.2.0\n"}
    hostile = {
        "app/app.py": SERVE,
        "requirements.txt": b"itsdangerous==2.2.0\n./friendly-1.0.tar.gz\n",
        "friendly-1.0.tar.gz": sdist("friendly", SETUP),
    }
    url = repository(portal.repositories, "hostile", hostile)
    repository(portal.repositories, "hostile", plain, tag="v1.0.1")
    assert portal.register("hostile", url).returncode == 0
    poisoned = release(portal, "hostile")
    assert any(MARK in content for name, content in unpacked(poisoned).items() if name.startswith("app/env/"))
    record = portal.build("hostile", poisoned["number"])
    assert "not reproducible" in record["environment_note"]

    later = release(portal, "hostile", ref="v1.0.1")
    assert portal.register("innocent", repository(portal.repositories, "innocent", plain)).returncode == 0
    other = release(portal, "innocent")

    for clean in (later, other):
        environment = {name: content for name, content in unpacked(clean).items() if name.startswith("app/env/")}
        assert any(name.endswith("/itsdangerous/__init__.py") for name in environment)
        assert not [name for name, content in environment.items() if MARK in content]
    assert "kept from before" not in portal.log(portal.build("hostile", later["number"])).replace(
        "0 kept from before", ""
    )
    assert portal.build("innocent", other["number"])["environment_note"].startswith("made: 1 package")
