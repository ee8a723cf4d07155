"""Eight results that a hostile build may leave where one regular file should be, on the real engine: none is taken, and
not a byte of this machine comes with it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from releases.engine import DockerEngine
from releases.errors import BuildFailed
from releases.specs import ContainerSpec
from tests.engine.conftest import BASE

pytestmark = pytest.mark.engine

RESULT = "/shared/parts/environment.tar.gz"
LEFT = {
    "a link to a file of this machine": "ln -s {canary} {result}",
    "a link out of the folder": "ln -s ../../../../../../../../{canary} {result}",
    "a folder": "mkdir {result} && cp /etc/passwd {result}/environment.tar.gz",
    "a pipe": "mkfifo {result}",
    "a socket": "perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local => \"{result}\", Listen => 1)'",
    "a device": "mknod {result} b 8 0",
    "a sparse file": "truncate -s 900G {result} || truncate -s 2G {result}",
    "a link in place of its folder": "rmdir /shared/parts && ln -s {folder} /shared/parts",
}


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A file of this machine, which has the name of the result."""
    path = tmp_path / "environment.tar.gz"
    path.write_text("canary")
    yield path
    assert path.read_text() == "canary"


@pytest.mark.parametrize("what", LEFT)
def test_result_that_is_not_one_regular_file_is_never_taken(docker: DockerEngine, canary: Path, what: str) -> None:
    name = f"hostile-{secrets.token_hex(4)}"
    does = LEFT[what].format(canary=canary, result=RESULT, folder=canary.parent)
    command = ("sh", "-c", f"mkdir /shared/parts; {does}")
    docker.create(ContainerSpec(name, BASE, {}, volumes=("/shared",), command=command))
    docker.start(name)
    assert docker.wait(name, seconds=30) is not None
    taken: list[bytes] = []
    with pytest.raises(BuildFailed):  # also of a limit that was hit
        taken.extend(islice(docker.take_file(name, RESULT, limit=1_000_000), 10))
    assert taken == []
    docker.remove(name)


def test_regular_file_at_the_same_place_is_taken(docker: DockerEngine) -> None:
    """The control."""
    docker.create(ContainerSpec("friendly", BASE, {}, volumes=("/shared",),
                                command=("sh", "-c", f"mkdir /shared/parts; printf made > {RESULT}")))  # fmt: skip
    docker.start("friendly")
    docker.wait("friendly", seconds=30)
    assert b"".join(docker.take_file("friendly", RESULT, limit=4)) == b"made"
    docker.remove("friendly")
