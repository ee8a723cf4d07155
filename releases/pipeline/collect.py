"""Step 3: `app.tar.gz` is put together from the kept parts of its environment and the files of the commit.

A gzip file may have several members. The environment's were compressed once, when they were made; a release writes
them down again and compresses only its source. Every tool reads the whole as one archive.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from releases.pipeline.bench import Bench
from releases.pipeline.members import END
from releases.specs import BuildSpec, BuiltFile, KeptEnvironment, Member, Sheet

NAME = "app.tar.gz"
SOURCE = "source"
ENDING = gzip.compress(END, mtime=0)
"""The last member: the end of the archive."""


def collect(spec: BuildSpec, commit: str, kept: KeptEnvironment, bench: Bench) -> BuiltFile:
    """Keep the release's archive. Raises `LimitExceeded` above the application's limit, `StorageError`."""
    source = _Source()
    files = bench.git.archive(spec.mirror, commit, uid=0, folder="app", stop=bench.stop)

    def pieces() -> Iterator[bytes]:
        for part in kept.parts:
            with bench.blobs.open(part.sha256) as file:
                yield from iter(lambda: file.read(1024 * 1024), b"")
        yield from source.compressed(files)
        yield ENDING

    made = bench.blobs.put(pieces(), name=NAME, limit=spec.limits.artifact_bytes, stop=bench.stop)
    members = [Member(part.name, part.size, part.unpacked) for part in kept.parts]
    bench.output(
        f"{NAME}: {made.size:,} bytes, of which {sum(member.size for member in members):,} are the kept environment "
        f"and {source.size:,} the source, compressed now"
    )
    bench.output(f"sha256 {made.sha256}")
    own = Sheet(source.digest.hexdigest(), source.unpacked + len(END), (len(members),))
    members.append(Member(SOURCE, source.size, source.unpacked))
    return BuiltFile(NAME, made.sha256, made.size, tuple(members), (*kept.sheets, own))


@dataclass(slots=True)
class _Source:
    """The commit's files as one gzip member without an end of archive, measured on the way."""

    size: int = 0
    unpacked: int = 0
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)

    def compressed(self, archive: Iterator[bytes]) -> Iterator[bytes]:
        # No time and no name in the header, so that the same files give the same bytes.
        pack = zlib.compressobj(6, zlib.DEFLATED, 31)
        for piece in self._entries(archive):
            yield from self._counted(pack.compress(piece))
        yield from self._counted(pack.flush())
        self.digest.update(END)

    def _entries(self, archive: Iterator[bytes]) -> Iterator[bytes]:
        held = b""
        for piece in archive:
            held += piece
            entries, held = held[: -len(END)], held[-len(END) :]
            self.unpacked += len(entries)
            self.digest.update(entries)
            yield entries
        if held != END:
            raise ValueError("git's archive has another end than two empty blocks")

    def _counted(self, data: bytes) -> Iterator[bytes]:
        self.size += len(data)
        if data:
            yield data
