"""What the engine hands out, in our words: statistics of both kinds, tar streams, records of a build, addresses."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterator

import pytest
import requests
from docker.errors import DockerException

from releases.engine import containers
from releases.engine.building import BuildReader
from releases.engine.client import loopback, translated
from releases.engine.files import only_file
from releases.errors import BuildFailed, EngineError, EngineUnavailable, LimitExceeded
from releases.specs import Usage


def test_usage_reads_the_first_kind_of_control_groups() -> None:
    record = {
        "memory_stats": {"usage": 500, "max_usage": 900, "failcnt": 3, "stats": {"total_inactive_file": 200}},
        "pids_stats": {"current": 7},
    }
    assert containers.usage(record) == Usage(memory=300, memory_peak=900, memory_limit_hits=3, pids=7)


def test_usage_reads_the_second_kind_of_control_groups() -> None:
    record = {"memory_stats": {"usage": 500, "stats": {"inactive_file": 100}}, "pids_stats": {"current": 2}}
    assert containers.usage(record) == Usage(memory=400, memory_peak=0, memory_limit_hits=0, pids=2)


def test_usage_of_a_container_that_ended_is_nothing() -> None:
    assert containers.usage({"memory_stats": {}, "pids_stats": {}}) == Usage(0, 0, 0, 0)


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("1970-01-01T00:00:01Z", (1, 0)),
        ("1970-01-01T00:00:01.5Z", (1, 500_000_000)),
        ("1970-01-02T00:00:00.000000001Z", (86400, 1)),
    ],
)
def test_moment_keeps_nanoseconds(written: str, moment: tuple[int, int]) -> None:
    assert containers.moment(written) == moment


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("unix:///var/run/docker.sock", "127.0.0.1"),
        ("tcp://localhost:2375", "127.0.0.1"),
        ("tcp://10.1.2.3:2375", "10.1.2.3"),
        ("https://10.1.2.3:2376", "10.1.2.3"),
    ],
)
def test_loopback_is_where_the_engine_is(host: str, address: str) -> None:
    assert loopback(host) == address


@pytest.mark.parametrize(
    ("host", "error", "sentence"),
    [
        (
            "unix:///run/docker.sock",
            DockerException("Error while fetching server API version: PermissionError(13, 'Permission denied')"),
            "at unix:///run/docker.sock does not let this user in: add the user to the group docker",
        ),
        ("tcp://10.1.2.3:1", requests.ConnectionError("refused"), "does not answer at tcp://10.1.2.3:1: start it"),
        ("tcp://10.1.2.3:1", ConnectionResetError("reset"), "does not answer at tcp://10.1.2.3:1: start it"),
        ("nonsense", DockerException("Invalid bind address"), "address nonsense cannot be used (Invalid bind address)"),
    ],
)
def test_engine_that_cannot_be_reached_is_told_with_a_cure(host: str, error: Exception, sentence: str) -> None:
    with pytest.raises(EngineUnavailable, match=re.escape(sentence)), translated(host, "try"):
        raise error


def test_error_of_ours_passes_unchanged() -> None:
    with pytest.raises(BuildFailed, match="as it was"), translated("unix:///x", "try"):
        raise BuildFailed("as it was")


# ---- one file out of a tar stream ----------------------------------------------------------------------------


def tar(*members: tuple[str, bytes, bytes]) -> bytes:
    """Members as (name, kind, data)."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        for name, kind, data in members:
            member = tarfile.TarInfo(name)
            member.type, member.size, member.linkname = kind, len(data), "elsewhere" if kind in b"12" else ""
            archive.addfile(member, io.BytesIO(data))
    return whole.getvalue()


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


@pytest.mark.parametrize("size", [1, 100, 512, 1_000_000])
def test_file_comes_out_whole_in_pieces_of_any_size(size: int) -> None:
    data = bytes(range(256)) * 20
    stream = tar(("app.tar.gz", tarfile.REGTYPE, data))
    assert b"".join(only_file(pieces(stream, size), "/shared/app.tar.gz", len(data))) == data


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_file_that_is_something_else_is_refused(kind: bytes) -> None:
    with pytest.raises(BuildFailed, match="not a regular file"):
        list(only_file(pieces(tar(("app.tar.gz", kind, b"")), 512), "/shared/app.tar.gz", 1000))


def test_second_file_is_refused() -> None:
    stream = tar(("a", tarfile.REGTYPE, b"1"), ("b", tarfile.REGTYPE, b"2"))
    with pytest.raises(BuildFailed, match="more than one file"):
        list(only_file(pieces(stream, 512), "/shared/a", 1000))


def test_file_over_the_limit_is_refused_before_its_first_byte() -> None:
    stream = tar(("a", tarfile.REGTYPE, b"12345"))
    with pytest.raises(LimitExceeded, match="/shared/a has 5 bytes and 4 are allowed"):
        next(only_file(pieces(stream, 512), "/shared/a", 4))


def test_stream_that_ends_early_is_the_engines_fault() -> None:
    stream = tar(("a", tarfile.REGTYPE, bytes(100_000)))[:50_000]
    with pytest.raises(EngineError, match="stopped in the middle of /shared/a"):
        list(only_file(pieces(stream, 512), "/shared/a", 100_000))


# ---- the records of a build --------------------------------------------------------------------------------


def read(*records: dict[str, object]) -> tuple[BuildReader, list[str]]:
    lines: list[str] = []
    reader = BuildReader("shop:1", lines.append)
    for record in records:
        reader.read(record)
    reader.flush()
    return reader, lines


def test_build_remembers_its_image_layers_and_containers() -> None:
    reader, lines = read(
        {"stream": "Step 1/3 : FROM debian"},
        {"stream": "\n"},
        {"stream": " ---> aaaaaaaaaaaa\n"},
        {"stream": "Step 2/3 : RUN one\n ---> Using cache\n ---> bbbbbbbbbbbb\n"},
        {"stream": "Step 3/3 : RUN two\n ---> Running in cccccccccccc\n"},
        {"stream": "two\n ---> dddddddddddd\n"},
        {"aux": {"ID": "sha256:" + "d" * 64}},
        {"stream": "Successfully built dddddddddddd\n"},
    )
    assert reader.image_id == "sha256:" + "d" * 64
    # Neither the base nor what an earlier build made is this build's to remove.
    assert reader.layers == ["dddddddddddd"]
    assert reader.containers == ["cccccccccccc"]
    assert lines[0] == "Step 1/3 : FROM debian"
    assert "two" in lines


def test_build_without_an_aux_record_is_known_by_its_last_line() -> None:
    reader, _ = read({"stream": "Successfully built dddddddddddd\n"})
    assert reader.image_id == "dddddddddddd"


def test_pull_shows_states_and_not_every_progress() -> None:
    _, lines = read(
        {"status": "Pulling fs layer", "id": "abc", "progressDetail": {}},
        {"status": "Downloading", "id": "abc", "progressDetail": {"current": 1, "total": 2}},
        {"status": "Pull complete", "id": "abc", "progressDetail": {}},
    )
    assert lines == ["abc Pulling fs layer", "abc Pull complete"]


def test_failed_step_is_told_with_the_last_line_that_it_printed() -> None:
    with pytest.raises(BuildFailed) as caught:
        read(
            {"stream": "Step 2/2 : RUN apt-get install foo\n ---> Running in cccccccccccc\n"},
            {"stream": "E: Unable to locate package foo\n"},
            {"stream": "Removing intermediate container cccccccccccc\n"},
            {"error": "The command '/bin/sh -c apt-get install foo' returned a non-zero code: 100"},
        )
    assert "«RUN apt-get install foo»" in str(caught.value)
    assert str(caught.value).endswith("the last line was: E: Unable to locate package foo")


@pytest.mark.parametrize(
    "error",
    [
        "write /app/x: no space left on device",
        "pull access denied for nobody/base, repository does not exist or may require 'docker login'",
        'Get "https://registry.example/v2/": dial tcp: lookup registry.example: no such host',
    ],
)
def test_failure_of_disk_or_registry_is_not_the_applications(error: str) -> None:
    with pytest.raises(EngineError, match="look at the engine's disk and at its way to the registry"):
        read({"error": error})
