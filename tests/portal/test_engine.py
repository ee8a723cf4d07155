"""Finding the engine, and the traps on the way to starting one."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

import docker
import pytest

from portal.setup import SetupFailed, base_image, engine


def test_engine_elsewhere_that_is_away_is_not_replaced_by_one_here() -> None:
    with pytest.raises(SetupFailed) as refusal:
        engine.ensure("tcp://127.0.0.1:1", may_install=True)
    assert str(refusal.value).startswith("No container engine answers at tcp://127.0.0.1:1 (nothing listens there):")
    assert "DOCKER_HOST" in str(refusal.value)


def test_engine_address_that_is_nonsense_is_one_sentence() -> None:
    with pytest.raises(SetupFailed, match="correct DOCKER_HOST"):
        engine.ensure("gopher://engine", may_install=False)


@pytest.mark.parametrize("content", ["", "nonsense", str(2**22 + 1), str(os.getpid())])
def test_engine_pid_that_is_no_living_dockerd_is_forgotten(tmp_path: Path, content: str) -> None:
    file = tmp_path / "docker.pid"
    file.write_text(content)
    engine.forget_stale_pid(file)
    assert not file.exists()


def test_engine_pid_of_a_living_dockerd_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "docker.pid"
    namesake = tmp_path / "dockerd"
    shutil.copy(str(shutil.which("sleep")), namesake)
    with subprocess.Popen([namesake, "600"]) as living:
        file.write_text(str(living.pid))
        engine.forget_stale_pid(file)
        assert file.exists()
        living.kill()
        os.waitid(os.P_PID, living.pid, os.WEXITED | os.WNOWAIT)  # dead, not yet buried
        engine.forget_stale_pid(file)
        assert not file.exists()


@pytest.mark.engine
def test_engine_takes_an_image_from_a_tar_of_files(tmp_path: Path) -> None:
    archive, reference = tmp_path / "base.tar", "release-portal-test-import:latest"
    with tarfile.open(archive, "w") as tar:
        member = tarfile.TarInfo("hello")
        member.size = 3 * engine.MIB  # more than one piece
        tar.addfile(member, BytesIO(b"x" * member.size))
    client = docker.from_env()
    try:
        assert not engine.has_image("", reference)
        engine.import_image("", archive, reference, {"release-portal.base": "test"})
        image = client.images.get(reference)
        assert image.labels == {"release-portal.base": "test"}
        assert image.attrs["Size"] >= 3 * engine.MIB
    finally:
        client.images.remove(reference, force=True)
        client.close()


@pytest.mark.engine
def test_base_image_that_is_there_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    base_image.ensure("", may_install=False)
    assert capsys.readouterr().out == ""
