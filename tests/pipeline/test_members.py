"""A part is read as a stream, with bounds, and never extracted."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile

import pytest

from releases.errors import BuildFailed, LimitExceeded
from releases.pipeline import members
from releases.pipeline.members import END, Examined, examine
from releases.specs import NeverStop


def member(name: str, *, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


PYTHON = member("app/env/bin/python", kind=tarfile.SYMTYPE, link="/usr/bin/python3")


def archive(*members: tarfile.TarInfo) -> bytes:
    """Entries without an end of archive, as one gzip member."""
    return gzip.compress(b"".join(info.tobuf() + bytes(-(-info.size // 512) * 512) for info in members), mtime=0)


def look(data: bytes) -> Examined:
    return examine(
        io.BytesIO(data).read,
        name="part.tar.gz",
        compressed=len(data),
        below="app/env",
        look_for=frozenset({PYTHON.name}),
        stop=NeverStop(),
    )


def test_examine_counts_members_and_bytes_and_names_the_layer() -> None:
    data = archive(member("app", kind=tarfile.DIRTYPE), PYTHON, member("app/env/app.py", size=700))
    found = look(data)
    assert (found.members, found.unpacked) == (3, 3 * 512 + 1024)
    assert found.layer == hashlib.sha256(gzip.decompress(data) + END).hexdigest()
    assert found.names == {"app/env/bin/python"}


def test_examine_refuses_an_end_behind_which_something_hides() -> None:
    hidden = gzip.compress(gzip.decompress(archive(PYTHON)) + END + gzip.decompress(archive(member("app/env/x"))))
    with pytest.raises(BuildFailed, match="ends before its last byte"):
        look(hidden)


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        (member("/etc/passwd"), "outside app/env/: “/etc/passwd”"),
        (member("app/env/../../etc/passwd"), "outside app/env/"),
        (member("app/other"), "outside app/env/"),
        (member("app/env/a\nb"), "control characters: “app/env/a\\nb”"),
        (member("app/env/\x1b[31mred"), "control characters: “app/env/\\x1b[31mred”"),
        (member("app/env/pipe", kind=tarfile.FIFOTYPE), "a device or a pipe"),
        (member("app/env/disk", kind=tarfile.BLKTYPE), "a device or a pipe"),
        (member("app/env/tty", kind=tarfile.CHRTYPE), "a device or a pipe"),
        (member("app/env/hard", kind=tarfile.LNKTYPE, link="/etc/passwd"), "a hard link that leads outside app/env/"),
        (
            member("app/env/hard", kind=tarfile.LNKTYPE, link="app/env/../etc/passwd"),
            "a hard link that leads outside app/env/",
        ),
    ],
)
def test_examine_refuses_odd_members_by_name(odd: tarfile.TarInfo, said: str) -> None:
    with pytest.raises(BuildFailed, match=r"part\.tar\.gz holds") as caught:
        look(archive(PYTHON, odd))
    assert said in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"no gzip at all", archive(PYTHON)[:40], gzip.compress(b"no tar at all" * 99)])
def test_examine_refuses_what_is_no_whole_archive(data: bytes) -> None:
    with pytest.raises(BuildFailed, match="not a whole gzip tar archive"):
        look(data)


def test_examine_refuses_a_bomb_before_it_is_unpacked() -> None:
    bomb = archive(PYTHON, member("app/env/zeros", size=256 * 1024 * 1024))
    with pytest.raises(LimitExceeded, match="remove the file that swells"):
        look(bomb)


def test_examine_refuses_more_members_than_are_ever_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "MAX_MEMBERS", 2)
    files = [member(f"app/env/{number}") for number in range(2)]
    assert look(archive(*files)).members == 2
    with pytest.raises(LimitExceeded, match="holds more than 2 members: package fewer files"):
        look(archive(PYTHON, *files))
