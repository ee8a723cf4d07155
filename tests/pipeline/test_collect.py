"""`app.tar.gz` is read as a stream, with bounds, and never extracted."""

from __future__ import annotations

import gzip
import io
import tarfile

import pytest

from releases.errors import BuildFailed, LimitExceeded
from releases.pipeline.collect import inspect
from releases.specs import NeverStop


def member(name: str, *, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


PYTHON = member("app/env/bin/python", kind=tarfile.SYMTYPE, link="/usr/bin/python3")


def archive(*members: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for info in members:
            tar.addfile(info, io.BytesIO(b"\0" * info.size))
    return buffer.getvalue()


def look(data: bytes) -> tuple[int, int]:
    return inspect(io.BytesIO(data).read, compressed=len(data), stop=NeverStop())


def test_inspect_counts_members_and_bytes() -> None:
    members, unpacked = look(archive(PYTHON, member("app/app/app.py", size=700)))
    assert members == 2
    assert unpacked == 10240  # one tar record: two headers, one file of two blocks, the end


def test_inspect_reads_several_gzip_members_as_one_archive() -> None:
    plain = gzip.decompress(archive(PYTHON, member("app/app/app.py", size=700)))
    assert look(gzip.compress(plain[:512]) + gzip.compress(plain[512:])) == (2, 10240)


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        (member("/etc/passwd"), "outside app/: “/etc/passwd”"),
        (member("app/../../etc/passwd"), "outside app/"),
        (member("other/file"), "outside app/"),
        (member("app/a\nb"), "control characters: “app/a\\nb”"),
        (member("app/\x1b[31mred"), "control characters: “app/\\x1b[31mred”"),
        (member("app/pipe", kind=tarfile.FIFOTYPE), "a device or a pipe"),
        (member("app/disk", kind=tarfile.BLKTYPE), "a device or a pipe"),
        (member("app/tty", kind=tarfile.CHRTYPE), "a device or a pipe"),
        (member("app/hard", kind=tarfile.LNKTYPE, link="/etc/passwd"), "a hard link that leads outside app/"),
        (member("app/hard", kind=tarfile.LNKTYPE, link="app/../etc/passwd"), "a hard link that leads outside app/"),
    ],
)
def test_inspect_refuses_odd_members_by_name(odd: tarfile.TarInfo, said: str) -> None:
    with pytest.raises(BuildFailed, match=r"app\.tar\.gz holds") as caught:
        look(archive(PYTHON, odd))
    assert said in str(caught.value)


def test_inspect_refuses_an_archive_without_its_environment() -> None:
    with pytest.raises(BuildFailed, match="lacks app/env/bin/python"):
        look(archive(member("app/app/app.py")))


@pytest.mark.parametrize("data", [b"", b"no gzip at all", archive(PYTHON)[:40], gzip.compress(b"no tar at all" * 99)])
def test_inspect_refuses_what_is_no_whole_archive(data: bytes) -> None:
    with pytest.raises(BuildFailed, match="not a whole gzip tar archive"):
        look(data)


def test_inspect_refuses_a_bomb_before_it_is_unpacked() -> None:
    bomb = archive(PYTHON, member("app/zeros", size=256 * 1024 * 1024))
    with pytest.raises(LimitExceeded, match="remove the file that swells"):
        look(bomb)
