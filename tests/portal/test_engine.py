"""Finding the engine, and the traps on the way to starting one."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from django.conf import settings
from pytest_django.fixtures import Settings

from portal.setup import SetupFailed, base_image, engine, packages, redis_server


@pytest.fixture
def settings_of_portal(settings: Settings) -> Settings:
    """For changes; the name `settings` is here what the portal itself imports by it."""
    return settings


def test_engine_elsewhere_that_is_away_is_not_replaced_by_one_here() -> None:
    with pytest.raises(SetupFailed) as refusal:
        engine.ensure("tcp://127.0.0.1:1", may_install=True)
    assert str(refusal.value).startswith("No container engine answers at tcp://127.0.0.1:1 (nothing listens there):")
    assert "DOCKER_HOST" in str(refusal.value)


def test_engine_address_that_is_nonsense_is_one_sentence() -> None:
    with pytest.raises(SetupFailed, match="correct DOCKER_HOST"):
        engine.ensure("gopher://engine", may_install=False)


@pytest.mark.parametrize(
    "content", ["", "nonsense", str(2**22 + 1), str(os.getpid())], ids=["empty", "nonsense", "nobody", "other"]
)
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
        try:
            wait_for_name(living.pid, "dockerd")
            file.write_text(str(living.pid))
            engine.forget_stale_pid(file)
            assert file.exists()
        finally:
            living.kill()
        os.waitid(os.P_PID, living.pid, os.WEXITED | os.WNOWAIT)  # dead, not yet buried
        engine.forget_stale_pid(file)
        assert not file.exists()


def wait_for_name(pid: int, name: str) -> None:
    """A process gets its program's name a moment after its start."""
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}/comm").read_text().strip() != name:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.engine
def test_base_image_that_is_there_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    base_image.ensure("", may_install=False)
    assert capsys.readouterr().out == ""


def own_stack(root: Path, base: str) -> None:
    """A site's stack, own, that starts from that base."""
    shutil.copytree(settings.STACK_DIRS[0] / settings.DEFAULT_STACK, root / "own")
    for file in ("stack.toml", "builder/Dockerfile", "runner/Dockerfile"):
        text = (root / "own" / file).read_text()
        text = text.replace("debian:trixie-slim", base).replace('suite = "trixie"', 'suite = ""')
        (root / "own" / file).write_text(text)


@pytest.mark.engine
def test_base_of_the_default_stack_is_wanted_and_broken_stacks_are_told(
    tmp_path: Path, settings_of_portal: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    base = "127.0.0.1:1/team/nothing:1"
    own_stack(tmp_path, base)
    (tmp_path / "broken" / "builder").mkdir(parents=True)
    settings_of_portal.STACK_DIRS = (*settings.STACK_DIRS, tmp_path)
    settings_of_portal.DEFAULT_STACK = "own"
    with pytest.raises(SetupFailed) as refusal:
        base_image.ensure("", may_install=False)
    assert str(refusal.value) == (
        f"The stack broken has no file stack.toml: add it to {tmp_path / 'broken'}. "
        f"The base image {base} is missing, and cannot be made of Debian's packages"
        f" (the stack own names no suite of them): run “docker pull {base}” where a registry answers."
    )
    assert f"Pulling the base image {base}." in capsys.readouterr().out


@pytest.mark.engine
def test_base_of_another_stack_holds_up_nothing(
    tmp_path: Path, settings_of_portal: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    own_stack(tmp_path, "127.0.0.1:1/team/nothing:1")
    settings_of_portal.STACK_DIRS = (*settings.STACK_DIRS, tmp_path)
    base_image.ensure("", may_install=False)
    assert capsys.readouterr().out == ""


def test_program_that_is_missing_is_one_sentence_with_its_cure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupFailed) as refusal:
        packages.need("git", "to read repositories", may_install=False)
    assert str(refusal.value) == (
        "git is not on this machine, which the portal needs to read repositories:"
        " install it (Debian, Ubuntu: sudo apt-get install git)."
    )


def test_program_that_is_missing_is_installed_by_root(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def script(name: str, text: str) -> None:
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)

    script("apt-cache", "echo 'Candidate: 1'")
    script(
        "apt-get", f'case "$*" in *install*git*) echo "#!/bin/sh" >{tmp_path}/git; /bin/chmod +x {tmp_path}/git ;; esac'
    )
    monkeypatch.setattr(packages, "POLICY", tmp_path / "policy-rc.d")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    packages.need("git", "to read repositories", may_install=True)
    assert "Installing from the distribution's packages: git (--no-install" in capsys.readouterr().out
    packages.need("git", "to read repositories", may_install=False)


def test_redis_of_the_wheel_needs_no_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    redis_server.ensure(may_install=False)
