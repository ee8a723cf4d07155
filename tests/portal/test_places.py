"""One portal to a data folder, one to a port, and sockets that nobody else can reach."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from portal.setup import SetupFailed, places


def test_home_in_use_is_refused_with_its_process(tmp_path: Path) -> None:
    with places.locked(tmp_path), pytest.raises(SetupFailed) as refusal, places.locked(tmp_path):
        pass
    assert str(refusal.value) == (
        f"A portal already runs with the data folder {tmp_path} (process {os.getpid()}):"
        " stop it, or set PORTAL_HOME and PORT for a second one."
    )


def test_home_is_free_again_afterwards(tmp_path: Path) -> None:
    for _ in range(2):
        with places.locked(tmp_path):
            assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_run_dir_is_closed_to_others(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir(mode=0o777)
    places.make_run_dir(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_run_dir_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SetupFailed, match="belongs to somebody else"):
        places.make_run_dir(tmp_path / "run")


def test_port_in_use_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(SetupFailed) as refusal:
            places.check_port("127.0.0.1", port, patience=0)
    assert str(refusal.value).startswith(f"The portal cannot listen on 127.0.0.1:{port} (Address already in use):")
    places.check_port("127.0.0.1", port)
