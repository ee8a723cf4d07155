"""What is asked of a release, and what its steps hand back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from releases.specs.engine import ImageConfig

# ---- what a person may set -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Limits:
    """What one builder may use."""

    memory: int = 1024 * 1024 * 1024
    """Bytes of memory; swap is not added to it."""
    cpus: float = 2.0
    pids: int = 256
    seconds: int = 900
    """Wall clock of the whole build, measured outside the container."""
    artifact_bytes: int = 1024 * 1024 * 1024
    """The largest `app.tar.gz` that is accepted, and the largest single file a builder may write."""
    disk_bytes: int = 10 * 1024 * 1024 * 1024
    """What a builder may write to the disk in all."""
    files: int = 500_000
    """How many files, folders and links it may leave there."""

    def as_json(self) -> dict[str, int | float]:
        return {
            "memory": self.memory,
            "cpus": self.cpus,
            "pids": self.pids,
            "seconds": self.seconds,
            "artifact_bytes": self.artifact_bytes,
            "disk_bytes": self.disk_bytes,
            "files": self.files,
        }


@dataclass(frozen=True, slots=True)
class Layout:
    """Where in a repository the application lies: the origin's contract, or what the application sets instead."""

    directory: str = "app"
    """The working folder, relative to the root of the repository."""
    module: str = "app"
    """The dotted module, importable from the working folder."""
    callable: str = "app"
    requirements: str = "requirements.txt"
    """The requirements file, relative to the root of the repository."""

    @property
    def entry_point(self) -> str:
        """As application servers write it: `module:callable`."""
        return f"{self.module}:{self.callable}"


ProbePolicy = Literal["off", "record", "required"]
RefKind = Literal["tag", "branch", "commit"]
Anew = Literal["", "runner", "both"]
"""Which halves of a stack are made again although they are there, with the distribution's packages of today."""


@dataclass(frozen=True, slots=True)
class BuildSpec:
    """Everything that the pipeline needs to know of one build; it never sees a model."""

    build_id: int
    attempt: int
    application: str
    number: int
    repository: str
    mirror: str
    """The name of the application's bare mirror, below the folder of mirrors."""
    ref: str
    """As the person chose it, for messages and labels."""
    ref_full: str
    """`refs/tags/…` or `refs/heads/…`; empty when the ref was typed by hand."""
    commit: str
    """40 hex digits; empty when the ref is still to be resolved at checkout."""
    layout: Layout
    limits: Limits
    stack: str
    probe_path: str
    probe_policy: ProbePolicy
    environment: Mapping[str, str] = field(default_factory=dict)
    without_cache: bool = False
    """Resolve and make everything anew, whatever is kept."""

    @property
    def container(self) -> str:
        """The base of the names of this attempt's containers: `b42-a1`."""
        return f"b{self.build_id}-a{self.attempt}"


EPOCH = datetime.fromtimestamp(0, UTC)

# ---- what steps hand back ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CheckedOut:
    commit: str
    ref_full: str
    files: int
    size: int
    """Bytes of the files, uncompressed."""
    committed_at: datetime = EPOCH
    """When the commit was made, as it says itself: the date of the image, because it is the same every time."""


@dataclass(frozen=True, slots=True)
class Locked:
    """One package of a lock. `sha256` is of the file it came from (wheel or sdist); empty when there was none."""

    name: str
    version: str
    sha256: str
    filename: str = ""
    source: str = "wheel"
    """`wheel`, `sdist` (compiled or packed here), `vcs` or `local`."""


@dataclass(frozen=True, slots=True)
class Part:
    """A kept piece of an environment: one gzip member with the tar entries of a package, without an end of archive."""

    name: str
    wheel: str
    """sha256 of the wheel that this part is made from alone; empty for a part that is not of one wheel."""
    sha256: str
    """Of the gzip member, under which it is kept."""
    size: int
    """Bytes of the gzip member."""
    layer: str
    """sha256 of its entries with an end of archive: its diff id as a layer of an image."""
    unpacked: int
    """Bytes of its entries, without the end of archive."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """How members become one layer: which of them, by their places, and the layer's diff id and size in bytes."""

    diff_id: str
    size: int
    members: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class KeptEnvironment:
    """An environment: what was resolved, and the parts that it is put together from."""

    inputs: str
    """Digest of all requirement files; empty when they name something that may change without them."""
    python: str
    installer: str
    packages: tuple[Locked, ...]
    parts: tuple[Part, ...]
    """In the order in which they stand in `app.tar.gz`."""
    sheets: tuple[Sheet, ...]
    """The layers that the parts make, lowest first."""

    @property
    def key(self) -> str:
        """The digest of what it holds."""
        return hashlib.sha256(" ".join(part.sha256 for part in self.parts).encode()).hexdigest()

    @property
    def is_reproducible(self) -> bool:
        """Wheels alone give the same bytes each time; what is compiled or packed here does not."""
        return all(package.source == "wheel" for package in self.packages)


@dataclass(frozen=True, slots=True)
class Member:
    """One gzip member of a kept `app.tar.gz`; its place is behind the members before it."""

    name: str
    size: int
    """Bytes of the gzip member."""
    unpacked: int


@dataclass(frozen=True, slots=True)
class BuiltFile:
    """One file in the content-addressed store."""

    name: str
    sha256: str
    size: int
    members: tuple[Member, ...] = ()
    """What an `app.tar.gz` is put together from, the application's source last; empty for any other file."""
    sheets: tuple[Sheet, ...] = ()
    """The layers that its members make, lowest first."""


@dataclass(frozen=True, slots=True)
class BuiltImage:
    image_id: str
    tag: str
    size: int
    builder_size: int
    runner_size: int = 0
    """Bytes of the runtime before the application."""
    config_digest: str = ""
    """`sha256:…`: the same on every engine."""
    manifest_digest: str = ""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What the booted image answered. `status` is 0 when it never answered."""

    status: int
    seconds: float
    """From the start of the container to the end of the first answer."""
    memory: int
    """Bytes in use after the first answer; 0 when the engine did not say."""
    body: str
    """The first 2,000 characters of the answer, or of the container's output when it never answered."""
    message: str
    exit_code: int | None = None
    """Of a container that ended before it answered."""

    @property
    def answered(self) -> bool:
        return 200 <= self.status < 400


@dataclass(frozen=True, slots=True)
class StackImages:
    """A stack's prepared images: the builder, and the runner without an application."""

    builder_id: str
    builder_size: int
    runner_id: str
    runner_size: int
    base_id: str
    digest: str
    runner_layer: str = ""
    """The diff id of the runner's one layer, under which its bytes are kept."""
    runner_config: ImageConfig = field(default_factory=ImageConfig)
    """How its containers start. With the layer it is all that a release needs of the runner, so that the engine may
    lose the image, and the tag may move on to a newer one, while a build goes on."""


# ---- git ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RemoteRef:
    kind: Literal["tag", "branch"]
    name: str
    full_name: str
    commit: str
    committed_at: datetime
    subject: str
    annotated: bool
    tagger: str = ""
    """As `Name <address>`; this and what follows is of an annotated tag alone."""
    tagged_at: datetime | None = None
    message: str = ""
    """The first line of the tag's own message."""
    signature: Literal["", "openpgp", "ssh", "x509"] = ""
    """What it is signed with. That is not checked."""


@dataclass(frozen=True, slots=True)
class TreeEntry:
    path: str
    size: int
    mode: str
