"""Files by their sha256, below one folder: `sha256/ab/<digest>`.

A file gets its name only when all of it is on the disk: it is written beside, flushed, and then linked into place, so
a name never stands for half a file. What a killed process leaves lies in `tmp/` and is swept; so is, when it is old, a
file that was published and never recorded. Who publishes or holds a file makes it new, under a lock that the sweep
waits for: what is about to be recorded is never taken away.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import tempfile
import time
from collections.abc import Callable, Container, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from releases.errors import LimitExceeded, Sentence, StorageError, StorageFull, grouped, say
from releases.specs import BuiltFile, NeverStop, Stop

CHUNK = 256 * 1024
STEP = 0.2
"""Seconds between two questions to `stop`."""

_DIGEST = re.compile(r"[0-9a-f]{64}")


class Blobs:
    """A content-addressed store in a local folder. Safe to use from several processes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._temporary = root / "tmp"

    def put(
        self,
        chunks: Iterable[bytes],
        *,
        limit: int | None = None,
        stop: Stop | None = None,
        name: str = "",
        judge: Callable[[BinaryIO, int], None] | None = None,
    ) -> BuiltFile:
        """Keep these bytes under their digest; `name` is carried into the answer and into sentences.

        `judge` is given the whole file and its size before it gets its name, and refuses it by raising. Raises
        `LimitExceeded` above `limit` bytes, `StorageFull`, `StorageError`; what `chunks`, `stop` and `judge` raise
        goes on. Nothing is left behind then."""
        with self._beside() as (descriptor, temporary):
            sha256, size = self._copy(chunks, descriptor, name, limit, stop or NeverStop())
            if judge is not None:
                with temporary.open("rb") as file:
                    judge(file, size)
            with _told(self.root):
                os.fchmod(descriptor, 0o444)
                os.fsync(descriptor)
                self._publish(temporary, sha256, size)
        return BuiltFile(name=name, sha256=sha256, size=size)

    def path(self, sha256: str) -> Path:
        """Where the file of this digest lies, or would. Raises `StorageError` for what is no digest."""
        if not _DIGEST.fullmatch(sha256):
            raise StorageError(
                say("A kept file is named by a sha256 of 64 lower-case hexadecimal digits; this is none.")
            )
        return self.root / "sha256" / sha256[:2] / sha256

    def exists(self, sha256: str) -> bool:
        return self.path(sha256).is_file()

    def has(self, sha256: str, size: int) -> bool:
        """Whether the file is there with this size: a quick look, for a page; `is_intact` is sure."""
        try:
            return self.path(sha256).stat().st_size == size
        except OSError:
            return False

    def hold(self, sha256: str) -> bool:
        """Whether the file is there; from now on it counts as new, and is not swept before it can be recorded."""
        if not self.root.is_dir():
            return False
        with _told(self.root), self._locked(fcntl.LOCK_SH):
            try:
                os.utime(self.path(sha256))
            except FileNotFoundError:
                return False
        return True

    def is_intact(self, sha256: str) -> bool:
        """Whether the file is there and is what its name says. A damaged one is removed, to be made again."""
        try:
            with self.open(sha256) as file:
                if hashlib.file_digest(file, "sha256").hexdigest() == sha256:
                    return True
        except (StorageError, OSError):
            return False
        with suppress(OSError):
            self.path(sha256).unlink()
        return False

    def digests(self, after: str = "") -> Iterator[str]:
        """The names of all kept files, in their order, from `after` (not included) on."""
        for folder in sorted((self.root / "sha256").glob("[0-9a-f][0-9a-f]")):
            if folder.name >= after[:2]:
                names = sorted(path.name for path in folder.iterdir() if _DIGEST.fullmatch(path.name))
                yield from (name for name in names if name > after)

    def inspect(self, sha256: str) -> int | None:
        """Read the whole file: its bytes, or None when it is not what its name says, or cannot be read."""
        try:
            with self.open(sha256) as file:
                if hashlib.file_digest(file, "sha256").hexdigest() == sha256:
                    return os.fstat(file.fileno()).st_size
        except (StorageError, OSError):
            return None
        return None

    def set_aside(self, sha256: str) -> bool:
        """Move a damaged file to `damaged/`, so that the right bytes can be kept again. False when it is gone."""
        aside = self.root / "damaged"
        try:
            aside.mkdir(parents=True, exist_ok=True)
            self.path(sha256).replace(aside / sha256)
        except OSError:
            return False
        return True

    def size(self, sha256: str) -> int:
        """Bytes on the disk. Raises `StorageError` when there is no such file."""
        with self.open(sha256) as file:
            return os.fstat(file.fileno()).st_size

    def open(self, sha256: str) -> BufferedReader:
        """The file for reading, unverified. Raises `StorageError` when there is none."""
        path = self.path(sha256)
        try:
            return path.open("rb")
        except OSError as error:
            raise _unreadable(sha256, error) from error

    def verified_chunks(
        self, sha256: str, size: int, *, start: int = 0, stop: int | None = None
    ) -> Generator[bytes, None, None]:
        """The bytes from `start` up to (not including) `stop`, such that no wrong byte completes a download.

        The whole file is hashed while it is sent, and its last chunk is held back until the digest is the recorded
        one; for a part of it, all is hashed before the first byte, and the part again while it is sent. Raises
        `StorageError` at once when the file is missing, has another size, or differs and is a part or small; later,
        when it differs."""
        file = self.open(sha256)
        end = size if stop is None else min(stop, size)
        chunks = _held_back(file, sha256, size) if (start, end) == (0, size) else _part(file, sha256, size, start, end)
        next(chunks)  # both begin with an empty chunk: the checks before it are made now, and `close()` closes the file
        return chunks

    def sweep_temporary(self, older_than: float) -> int:
        """Remove what was left half-written more than so many seconds ago; says how many files went."""
        before, swept = time.time() - older_than, 0
        for left_over in self._temporary.glob("*"):
            with suppress(FileNotFoundError):
                if left_over.lstat().st_mtime < before:
                    left_over.unlink()
                    swept += 1
        return swept

    def sweep_unrecorded(self, recorded: Container[str], older_than: float) -> int:
        """Remove kept files that are not `recorded` and were published, or held, more than so many seconds ago; says
        how many went. `recorded` must not be older than that itself."""
        before, swept = time.time() - older_than, 0
        for digest in self.digests():
            if digest in recorded:
                continue
            with suppress(FileNotFoundError), self._locked(fcntl.LOCK_EX):
                if (path := self.path(digest)).stat().st_mtime < before:
                    path.unlink()
                    swept += 1
        return swept

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        """Shared by those who publish and hold, had alone by the sweep while it takes one file away."""
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, how)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def _beside(self) -> Iterator[tuple[int, Path]]:
        """A temporary file on the same file system: its descriptor and path. Gone at the end."""
        with _told(self.root):
            self._temporary.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=self._temporary)
        try:
            yield descriptor, Path(name)
        finally:
            os.close(descriptor)
            Path(name).unlink(missing_ok=True)

    def _copy(
        self, chunks: Iterable[bytes], descriptor: int, name: str, limit: int | None, stop: Stop
    ) -> tuple[str, int]:
        digest, size, asked = hashlib.sha256(), 0, 0.0
        for chunk in chunks:
            if time.monotonic() - asked >= STEP:
                stop.check()
                asked = time.monotonic()
            size += len(chunk)
            if limit is not None and size > limit:
                raise LimitExceeded(_too_large(name, limit))
            digest.update(chunk)
            with _told(self.root):
                _write(descriptor, chunk)
        return digest.hexdigest(), size

    def _publish(self, temporary: Path, sha256: str, size: int) -> None:
        target = self.path(sha256)
        if not target.parent.is_dir():
            target.parent.mkdir(parents=True, exist_ok=True)
            _flush_folder(target.parent.parent)
        with self._locked(fcntl.LOCK_SH):
            try:
                os.link(temporary, target)
            except FileExistsError:
                if target.stat().st_size == size:
                    os.utime(target)
                    return
                temporary.replace(target)  # what stood there was damaged; these bytes have just been counted
        _flush_folder(target.parent)


def _too_large(name: str, limit: int) -> Sentence:
    return say(
        "%(name)s is larger than %(limit)s MiB, the most that is kept: make it smaller or "
        "raise “largest app.tar.gz” of the application.",
        name=name or say("The file"),
        limit=grouped(round(limit / 1024**2)),
    )


def _write(descriptor: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(descriptor, view) :]


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _told(root: Path) -> Iterator[None]:
    """Turn what the operating system says about our folder into our words."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(say("No space is left in %(root)s: free some, then build again.", root=root)) from error
        raise StorageError(
            say(
                "A file cannot be kept in %(root)s: %(strerror)s; check the folder's owner and rights.",
                root=root,
                strerror=error.strerror,
            )
        ) from error


def _unreadable(sha256: str, error: OSError) -> StorageError:
    if isinstance(error, FileNotFoundError):
        return StorageError(
            say("The file %(sha256)s… is not in the store any more: build the release again.", sha256=sha256[:12])
        )
    return StorageError(
        say(
            "The file %(sha256)s… cannot be read from the store: %(strerror)s.",
            sha256=sha256[:12],
            strerror=error.strerror,
        )
    )


def _damaged(sha256: str) -> StorageError:
    return StorageError(
        say(
            "The stored file %(sha256)s… differs from its record, so it is not handed out: build the release again.",
            sha256=sha256[:12],
        )
    )


def _read(file: BufferedReader, sha256: str, size: int = CHUNK) -> bytes:
    try:
        return file.read(size)
    except OSError as error:
        raise _unreadable(sha256, error) from error


def _held_back(file: BufferedReader, sha256: str, size: int) -> Generator[bytes, None, None]:
    """All of the file; the last chunk only when everything before it and itself has the recorded digest."""
    with file:
        _check_size(file, sha256, size)
        yield from _begun(_checked(file, sha256, size, sha256))


def _part(file: BufferedReader, sha256: str, size: int, start: int, end: int) -> Generator[bytes, None, None]:
    """The bytes from `start` to `end` of a file that has been hashed whole. They are read a second time for that, and
    somebody may write into the file meanwhile: so they are held against what they were at the first."""
    with file:
        _check_size(file, sha256, size)
        wanted = _digest_of_part(file, sha256, start, end)
        file.seek(start)
        yield from _begun(_checked(file, sha256, end - start, wanted))


def _begun(chunks: Generator[bytes, None, None]) -> Generator[bytes, None, None]:
    """An empty chunk first, before which all is found that can be known without giving a byte away: of what fits into
    one chunk, everything."""
    first = next(chunks, b"")
    yield b""
    if first:
        yield first
    yield from chunks


def _check_size(file: BufferedReader, sha256: str, size: int) -> None:
    if os.fstat(file.fileno()).st_size != size:
        raise _damaged(sha256)


def _digest_of_part(file: BufferedReader, sha256: str, start: int, end: int) -> str:
    """The digest of these bytes, read in one go with the whole file, which must be what its name says."""
    whole, part, place = hashlib.sha256(), hashlib.sha256(), 0
    while chunk := _read(file, sha256):
        whole.update(chunk)
        part.update(memoryview(chunk)[max(0, start - place) : max(0, end - place)])
        place += len(chunk)
    if whole.hexdigest() != sha256:
        raise _damaged(sha256)
    return part.hexdigest()


def _checked(file: BufferedReader, sha256: str, size: int, wanted: str) -> Generator[bytes, None, None]:
    """So many bytes from where the file stands; the last chunk only when all of them have the digest `wanted`."""
    digest, last, left = hashlib.sha256(), b"", size
    while left > 0 and (chunk := _read(file, sha256, min(CHUNK, left))):
        digest.update(chunk)
        left -= len(chunk)
        if last:
            yield last
        last = chunk
    if digest.hexdigest() != wanted:
        raise _damaged(sha256)
    if last:
        yield last
