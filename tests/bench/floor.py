"""The machine's own limit for a release that changes only source: the same work done bare, by nothing of the portal.

A fetch into a mirror, an archive of the commit, the archive put together from the kept environment's bytes and the
compressed source, and one layer loaded on those that the engine has. No queue, no record, no check, no flush to disk.
"""

from __future__ import annotations

import hashlib
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import docker
from docker.utils import kwargs_from_env

from releases.engine.archive import archive, describe
from releases.specs import ImageConfig, ImagePlan, Layer
from tests.bench import commands
from tests.bench.commands import BenchFailed
from tests.bench.figures import Side

CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Kept:
    """What the last release left: its archive, how much of it is the environment, and the image's layers below the
    source, each with its size."""

    archive: Path
    environment_bytes: int
    layers: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, blobs: Path, facts: Mapping[str, Any]) -> Kept:
        members, sheets = facts["members"], facts["sheets"]
        sizes = [facts["runner_size"], *(sheet["size"] for sheet in sheets[:-1])]
        below = commands.layers_of(facts["image_id"])[:-1]
        path = blobs / "sha256" / facts["sha256"][:2] / facts["sha256"]
        kept = sum(member["size"] for member in members if member["name"] != "source")
        return cls(path, kept, tuple(zip(below, sizes, strict=True)))


@dataclass(slots=True)
class _Watch:
    parts: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.parts[name] = time.perf_counter() - began


class Floor:
    """`folder` is for its mirror and its archive; the image that it loads is called `tag`, and is removed each time."""

    def __init__(self, folder: Path, tag: str) -> None:
        self.folder, self.tag = folder, tag
        self._engine = docker.APIClient(**kwargs_from_env(environment=commands.environment()))
        self._engine.trust_env = False
        self._architecture = self._engine.version()["Arch"]  # and so it is connected before anything is timed

    def mirror(self, repository: str) -> Path:
        """Bring the mirror of this address up to date, as it is before a release."""
        path = self.folder / f"{Path(repository).stem}.git"
        if not path.exists():
            commands.run("git", "init", "--quiet", "--bare", str(path))
        self._fetch(path, repository)
        return path

    def measure(self, repository: str, ref: str, kept: Kept) -> Side:
        """One release's work; `mirror` was called before the commit came."""
        watch, path = _Watch(), self.folder / f"{Path(repository).stem}.git"
        with watch.part("git fetch"):
            self._fetch(path, repository)
        source = self.folder / "source.tar"
        with watch.part("git archive"):
            commands.run("git", f"--git-dir={path}", "archive", "--prefix=app/", f"--output={source}", ref)
        with watch.part("app.tar.gz"):
            _put_together(self.folder / "app.tar.gz", kept, source.read_bytes())
        image = self._image(source.read_bytes(), kept)
        try:
            with watch.part("docker load"):
                self._load(image)
        finally:
            commands.quietly("docker", "rmi", "--force", self.tag)
        return Side(sum(watch.parts.values()), watch.parts)

    def _fetch(self, path: Path, repository: str) -> None:
        wanted = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
        commands.run("git", f"--git-dir={path}", "fetch", "--quiet", "--no-tags", repository, *wanted)

    def _image(self, source: bytes, kept: Kept) -> bytes:
        """What is sent to the engine, made before the watch runs."""
        below = [Layer(diff_id, size, _nothing, "below") for diff_id, size in kept.layers]
        own = Layer(hashlib.sha256(source).hexdigest(), len(source), lambda: iter([source]), "source")
        created = datetime.now(UTC).isoformat()  # so that the engine has not had this very image before
        plan = ImagePlan((*below, own), ImageConfig(architecture=self._architecture), {}, created)
        return b"".join(archive(describe(plan), self.tag, leave_out=frozenset(layer.diff_id for layer in below)))

    def _load(self, image: bytes) -> None:
        for record in self._engine.load_image(image):  # type: ignore[no-untyped-call] # the stubs forgot it
            if "error" in record:
                raise BenchFailed(f"The engine could not load one layer alone: {record['error']}")


def _put_together(target: Path, kept: Kept, source: bytes) -> str:
    """The kept environment's bytes, then the source as a gzip member; the sha256 of all."""
    digest = hashlib.sha256()
    with kept.archive.open("rb") as old, target.open("wb") as new:
        for piece in (*_pieces(old.read, kept.environment_bytes), _gzip(source)):
            digest.update(piece)
            new.write(piece)
    return digest.hexdigest()


def _pieces(read: Any, left: int) -> Iterator[bytes]:
    while left > 0 and (piece := read(min(CHUNK, left))):
        left -= len(piece)
        yield piece


def _gzip(data: bytes) -> bytes:
    pack = zlib.compressobj(6, zlib.DEFLATED, 31)
    return pack.compress(data) + pack.flush()


def _nothing() -> Iterator[bytes]:
    return iter(())
