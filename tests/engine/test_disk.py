"""What a container has written, counted from outside on the real engine's disk, in spite of tricks."""

from __future__ import annotations

import os
import secrets

import pytest

from releases.engine import DockerEngine
from releases.errors import ContainerMissing, LimitExceeded
from releases.pipeline.watch import DiskWatch
from releases.specs import ContainerSpec, Disk, Limits, NeverStop
from tests.engine.conftest import BASE

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root sees what lies in a container's volumes: run as root"),
]

MIB = 1024**2
MUCH = Disk(10**15, 10**9)
WRITES = {
    "files": ("for i in $(seq 100); do head -c 65536 /dev/zero > /shared/$i; done", 6.2 * MIB, 100),
    "one of many names": ("cd /shared; head -c 4M /dev/zero > a; for i in $(seq 50); do ln a $i; done", 4 * MIB, 1),
    "a hole": ("truncate -s 5G /shared/hole", 0, 1),
    "a link to this machine": ("ln -s / /shared/machine", 0, 1),
    "names that are no text": ("for i in $(seq 9); do touch \"/shared/$(printf '\\\\377\\\\n')$i\"; done", 0, 9),
    "below folders": ("mkdir -p /shared/a/b/c; head -c 2097152 /dev/zero > /shared/a/b/c/d", 2 * MIB, 4),
}  # fmt: skip


def container(docker: DockerEngine, does: str, *, ends: bool = True) -> str:
    name = f"writes-{secrets.token_hex(4)}"
    docker.create(ContainerSpec(name, BASE, {}, volumes=("/shared", "/app"), command=("bash", "-c", does)))
    docker.start(name)
    if ends:
        assert docker.wait(name, seconds=30) is not None
    return name


@pytest.mark.parametrize("what", WRITES)
def test_what_was_written_is_counted_once_and_links_are_not_followed(docker: DockerEngine, what: str) -> None:
    does, size, files = WRITES[what]
    written = docker.written(container(docker, does), MUCH)
    assert written is not None
    assert written.files == files
    assert size <= written.size <= size + 0.2 * MIB


def test_counting_ends_where_it_is_too_much(docker: DockerEngine) -> None:
    name = container(docker, "cd /shared; touch $(seq 500)")
    written = docker.written(name, Disk(10**15, 20))
    assert written is not None
    assert written.files == 21


def test_folders_too_deep_to_be_counted_are_too_many(docker: DockerEngine) -> None:
    """Deeper than a path may be long: nobody could name what lies there."""
    does = "cd /shared; for i in $(seq 300); do mkdir deep-deep-deep-deep && cd -P deep-deep-deep-deep; done"
    written = docker.written(container(docker, does), Disk(10**15, 1000))
    assert written is not None
    assert written.files == 1001


def test_builder_that_fills_the_disk_with_small_files_is_ended(docker: DockerEngine) -> None:
    """Each is far below what one file may have."""
    name = container(docker, "for i in $(seq 100000); do head -c 1048576 /dev/zero > /shared/$i; done", ends=False)
    limits = Limits(disk_bytes=60 * MIB)
    with (
        DiskWatch(docker, name, limits, NeverStop(), every=0.1) as disk,
        pytest.raises(LimitExceeded, match="60 MiB"),
    ):
        docker.follow(name, output=lambda _line: None, stop=disk)
    docker.remove(name)


def test_engine_elsewhere_is_not_looked_at(docker: DockerEngine) -> None:
    assert docker.disk() is not None
    assert DockerEngine("tcp://127.0.0.1:1", instance="fa4efa4e").disk() is None


def test_container_that_is_gone_is_told(docker: DockerEngine) -> None:
    with pytest.raises(ContainerMissing):
        docker.written("nobody", MUCH)


def test_volume_that_cannot_be_opened_is_not_counted(docker: DockerEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> int:
        raise PermissionError("Permission denied")

    name = container(docker, "true")
    monkeypatch.setattr(os, "open", refuse)
    assert docker.written(name, MUCH) is None
