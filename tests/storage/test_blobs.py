"""Files by their digest: whole or not at all, and never handed out wrong."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from releases.errors import BuildCancelled, BuildFailed, LimitExceeded, StorageError, StorageFull
from releases.storage import Blobs
from releases.storage.blobs import CHUNK

CONTENT = os.urandom(3 * CHUNK + 17)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


def pieces(content: bytes = CONTENT, size: int = 100_000) -> Iterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


def left_overs(blobs: Blobs) -> list[Path]:
    return [path for path in blobs.root.rglob("*") if path.is_file()]


def test_put_keeps_the_bytes_under_their_digest(blobs: Blobs) -> None:
    kept = blobs.put(pieces(), name="app.tar.gz")
    assert (kept.name, kept.sha256, kept.size) == ("app.tar.gz", DIGEST, len(CONTENT))
    assert blobs.path(DIGEST) == blobs.root / "sha256" / DIGEST[:2] / DIGEST
    assert blobs.path(DIGEST).read_bytes() == CONTENT
    assert blobs.path(DIGEST).stat().st_mode & 0o777 == 0o444
    assert (blobs.exists(DIGEST), blobs.size(DIGEST)) == (True, len(CONTENT))
    assert left_overs(blobs) == [blobs.path(DIGEST)]


def test_put_of_nothing_is_a_file_too(blobs: Blobs) -> None:
    kept = blobs.put(iter(()))
    assert kept.size == 0
    assert list(blobs.verified_chunks(kept.sha256, 0)) == []


def test_put_of_the_same_bytes_again_changes_nothing(blobs: Blobs) -> None:
    blobs.put(pieces())
    before = blobs.path(DIGEST).stat()
    assert blobs.put(pieces(size=7777)).sha256 == DIGEST
    assert blobs.path(DIGEST).stat().st_ino == before.st_ino
    assert left_overs(blobs) == [blobs.path(DIGEST)]


def test_put_by_many_at_once_keeps_one(blobs: Blobs) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert {kept.sha256 for kept in pool.map(lambda _: blobs.put(pieces()), range(16))} == {DIGEST}
    assert left_overs(blobs) == [blobs.path(DIGEST)]


def test_put_mends_a_file_of_the_wrong_size(blobs: Blobs) -> None:
    blobs.put(pieces())
    damage(blobs, CONTENT[:-1])
    blobs.put(pieces())
    assert b"".join(blobs.verified_chunks(DIGEST, len(CONTENT))) == CONTENT


def test_put_above_the_limit_leaves_nothing(blobs: Blobs) -> None:
    with pytest.raises(LimitExceeded, match="larger than"):
        blobs.put(pieces(), limit=len(CONTENT) - 1)
    assert left_overs(blobs) == []
    assert blobs.put(pieces(), limit=len(CONTENT)).size == len(CONTENT)


def test_put_that_is_cancelled_or_broken_off_leaves_nothing(blobs: Blobs) -> None:
    class Ended:
        def check(self) -> None:
            raise BuildCancelled("Ana cancelled the build.")

    def broken() -> Iterator[bytes]:
        yield b"half"
        raise BuildFailed("The builder is gone.")

    with pytest.raises(BuildCancelled):
        blobs.put(pieces(), stop=Ended())
    with pytest.raises(BuildFailed):
        blobs.put(broken())
    assert left_overs(blobs) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("call", ["write", "fsync", "link"])
def test_put_on_a_full_disk_says_where_and_leaves_nothing(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    def full(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(StorageFull) as fault:
            blobs.put(pieces())
    assert str(blobs.root) in fault.value.message
    assert left_overs(blobs) == []
    assert blobs.put(pieces()).sha256 == DIGEST


def test_put_goes_on_after_short_writes(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, data: write(descriptor, bytes(data[:1000])))
        assert blobs.put(pieces()).sha256 == DIGEST
    assert blobs.path(DIGEST).read_bytes() == CONTENT


def test_put_where_nothing_may_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match=r"cannot be kept in .*owner and rights"):
        Blobs(tmp_path / "file").put(pieces())


def test_put_that_is_killed_publishes_nothing_and_is_swept(blobs: Blobs) -> None:
    program = (
        "import sys; from pathlib import Path; from releases.storage import Blobs\n"
        "def endless():\n"
        "    while True:\n"
        "        yield b'x' * 100_000\n"
        "        print('written', flush=True)\n"
        "Blobs(Path(sys.argv[1])).put(endless())\n"
    )
    command = [sys.executable, "-c", program, str(blobs.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"written\n"
        writer.send_signal(signal.SIGKILL)
    assert [path.parent.name for path in left_overs(blobs)] == ["tmp"]
    assert blobs.sweep_temporary(older_than=3600) == 0
    assert blobs.sweep_temporary(older_than=-1) == 1
    assert left_overs(blobs) == []


def test_sweep_touches_no_kept_file(blobs: Blobs) -> None:
    assert blobs.sweep_temporary(older_than=0) == 0
    blobs.put(pieces())
    assert blobs.sweep_temporary(older_than=-1) == 0
    assert blobs.exists(DIGEST)


@pytest.mark.parametrize(
    "digest", ["", "../../etc/passwd", "A" * 64, "a" * 63, "a" * 65, "a" * 64 + "\n", "/" + "a" * 63]
)
def test_only_a_digest_becomes_a_path(blobs: Blobs, digest: str) -> None:
    for ask in (blobs.path, blobs.exists, blobs.open, blobs.size):
        with pytest.raises(StorageError, match="64 lower-case"):
            ask(digest)
    with pytest.raises(StorageError, match="64 lower-case"):
        blobs.verified_chunks(digest, 1)


# ---- handing out -----------------------------------------------------------------------------------


def damage(blobs: Blobs, content: bytes) -> None:
    path = blobs.path(DIGEST)
    path.chmod(0o644)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("start", "stop"),
    [(0, None), (0, 1), (1, None), (5, 5), (CHUNK - 1, CHUNK + 1), (len(CONTENT) - 1, None), (0, 10**9)],
)
def test_verified_chunks_are_the_bytes_asked_for(blobs: Blobs, start: int, stop: int | None) -> None:
    blobs.put(pieces())
    assert b"".join(blobs.verified_chunks(DIGEST, len(CONTENT), start=start, stop=stop)) == CONTENT[start:stop]


@pytest.mark.parametrize("place", [0, CHUNK, len(CONTENT) // 2, len(CONTENT) - 1])
def test_one_wrong_bit_never_completes_a_download(blobs: Blobs, place: int) -> None:
    blobs.put(pieces())
    wrong = bytearray(CONTENT)
    wrong[place] ^= 1
    damage(blobs, bytes(wrong))
    sent: list[bytes] = []
    with pytest.raises(StorageError, match="differs from its record"):
        sent.extend(blobs.verified_chunks(DIGEST, len(CONTENT)))
    assert len(b"".join(sent)) < len(CONTENT)


def test_one_wrong_bit_sends_no_byte_of_a_range(blobs: Blobs) -> None:
    blobs.put(pieces())
    damage(blobs, CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))
    with pytest.raises(StorageError, match="differs from its record"):
        blobs.verified_chunks(DIGEST, len(CONTENT), start=0, stop=10)


@pytest.mark.parametrize("content", [b"", CONTENT[:-1], CONTENT + b"x"])
def test_another_size_is_refused_before_the_first_byte(blobs: Blobs, content: bytes) -> None:
    blobs.put(pieces())
    damage(blobs, content)
    with pytest.raises(StorageError, match="differs from its record"):
        blobs.verified_chunks(DIGEST, len(CONTENT))


def test_a_missing_file_is_said_before_the_first_byte(blobs: Blobs) -> None:
    with pytest.raises(StorageError, match="not in the store"):
        blobs.verified_chunks(DIGEST, len(CONTENT))
    with pytest.raises(StorageError, match="not in the store"):
        blobs.open(DIGEST)


def test_chunks_that_nobody_reads_close_their_file(blobs: Blobs) -> None:
    blobs.put(pieces())
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir()))
    for start in (0, 1):
        chunks = blobs.verified_chunks(DIGEST, len(CONTENT), start=start)
        assert len(list(descriptors.iterdir())) == before + 1
        chunks.close()
        assert len(list(descriptors.iterdir())) == before


# ---- what was published and never recorded -------------------------------------------------------------------


def age(blobs: Blobs, digest: str = DIGEST) -> None:
    os.utime(blobs.path(digest), (1_000_000_000, 1_000_000_000))


def test_sweep_removes_what_no_record_names_when_it_is_old(blobs: Blobs) -> None:
    blobs.put(pieces())
    assert blobs.sweep_unrecorded(set(), older_than=3600) == 0
    age(blobs)
    assert blobs.sweep_unrecorded({DIGEST}, older_than=3600) == 0
    assert blobs.sweep_unrecorded(set(), older_than=3600) == 1
    assert left_overs(blobs) == []


@pytest.mark.parametrize("use", ["put", "hold"])
def test_file_that_is_wanted_again_counts_as_new(use: str, blobs: Blobs) -> None:
    blobs.put(pieces())
    age(blobs)
    assert blobs.put(pieces()) if use == "put" else blobs.hold(DIGEST)
    assert blobs.sweep_unrecorded(set(), older_than=3600) == 0
    assert blobs.exists(DIGEST)


def test_hold_says_what_is_not_there(blobs: Blobs) -> None:
    assert not blobs.hold(DIGEST)
    blobs.put([b"another"])
    assert not blobs.hold(DIGEST)


def test_file_that_is_published_while_it_is_swept_is_there_afterwards(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its publisher finds the old file and would be content with it, had it not to wait until that is gone."""
    blobs.put(pieces())
    age(blobs)
    unlink = Path.unlink
    with ThreadPoolExecutor(1) as pool:
        put = []

        def late(path: Path, missing_ok: bool = False) -> None:
            if path == blobs.path(DIGEST):
                put.append(pool.submit(blobs.put, pieces()))
                time.sleep(0.2)  # as long as the other may take to come to the place
            unlink(path, missing_ok)

        monkeypatch.setattr(Path, "unlink", late)
        assert blobs.sweep_unrecorded(set(), older_than=3600) == 1
        assert put[0].result().sha256 == DIGEST
    assert blobs.path(DIGEST).read_bytes() == CONTENT
