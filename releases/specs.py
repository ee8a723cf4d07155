"""The values that cross rooms: frozen, typed, free of Django, Docker and git.

Sizes are bytes, durations seconds, digests 64 lower-case hexadecimal digits without a prefix, image ids as the
engine writes them (`sha256:` and 64 hex digits).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

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

    def as_json(self) -> dict[str, int | float]:
        return {
            "memory": self.memory,
            "cpus": self.cpus,
            "pids": self.pids,
            "seconds": self.seconds,
            "artifact_bytes": self.artifact_bytes,
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

    @property
    def container(self) -> str:
        """The base of the names of this attempt's containers: `b42-a1`."""
        return f"b{self.build_id}-a{self.attempt}"


# ---- what steps hand back ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CheckedOut:
    commit: str
    ref_full: str
    files: int
    size: int
    """Bytes of the files, uncompressed."""


@dataclass(frozen=True, slots=True)
class Package:
    """One resolved package. `sha256` is of the file it came from (wheel or sdist); empty when pip did not say."""

    name: str
    version: str
    sha256: str
    filename: str = ""


@dataclass(frozen=True, slots=True)
class BuiltFile:
    """One file in the content-addressed store."""

    name: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class BuiltImage:
    image_id: str
    tag: str
    size: int
    builder_size: int


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


@dataclass(frozen=True, slots=True)
class TreeEntry:
    path: str
    size: int
    mode: str


# ---- the engine --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EngineInfo:
    version: str
    api_version: str
    storage_driver: str
    root: str


@dataclass(frozen=True, slots=True)
class ImageInfo:
    image_id: str
    tags: tuple[str, ...]
    size: int
    labels: Mapping[str, str]
    created: str


@dataclass(frozen=True, slots=True)
class ContainerInfo:
    name: str
    running: bool
    labels: Mapping[str, str]
    created: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """What is asked of the engine for one container. Everything not named here is closed: no capability, no
    new privilege, no host folder, no host namespace."""

    name: str
    image: str
    labels: Mapping[str, str]
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    """`uid:gid`; empty leaves the image's own."""
    memory: int = 0
    cpus: float = 0.0
    pids: int = 0
    file_bytes: int = 0
    """The largest file that a process inside may write; 0 is no limit."""
    volumes: tuple[str, ...] = ()
    """Anonymous, writable folders; they go with the container."""
    read_only: bool = True
    tmpfs_bytes: int = 512 * 1024 * 1024
    publish: int = 0
    """A port inside that is bound to a free port on the engine's loopback; 0 publishes nothing."""
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExitStatus:
    exit_code: int
    oom_killed: bool


@dataclass(frozen=True, slots=True)
class Usage:
    """What a running container uses at this moment. Zero where the engine does not say."""

    memory: int
    memory_peak: int
    memory_limit_hits: int
    pids: int


class Stop(Protocol):
    """Asked between pieces of work: may we go on? Raises `BuildCancelled`, `BuildTimedOut` or `LeaseLost`."""

    def check(self) -> None: ...


class NeverStop:
    """For work that nobody cancels."""

    def check(self) -> None:
        return None


Output = Callable[[str], None]
"""Takes one line (without its line end) for the log."""


class Engine(Protocol):
    """The workshop, in our words. Raises `EngineUnavailable` when it does not answer, `EngineError` when it
    refuses, `ContainerMissing` for a container that is not there; nothing of the engine's own crosses this line."""

    def info(self) -> EngineInfo: ...

    def image(self, reference: str) -> ImageInfo | None:
        """The image of that id or tag; None when the engine has none."""

    def images(self, labels: Mapping[str, str]) -> list[ImageInfo]:
        """Images that carry all these labels (an empty value asks only for the name)."""

    def tag(self, image_id: str, tag: str) -> None: ...

    def build_image(
        self,
        context: Iterator[bytes],
        *,
        tag: str,
        labels: Mapping[str, str],
        arguments: Mapping[str, str],
        target: str = "",
        memory: int = 0,
        output: Output,
        stop: Stop,
    ) -> ImageInfo:
        """Build from a context given as an uncompressed tar stream with a `Dockerfile` at its root.

        `output` gets each line as it comes. `stop` is asked at least twice a second; when it raises, the build
        is ended in the engine and the exception goes on. A failing Dockerfile raises `BuildFailed` whose
        message ends with the last line that the engine printed."""

    def remove_image(self, reference: str) -> None:
        """Remove a tag or an id; one that is not there is no error."""

    def create(self, spec: ContainerSpec) -> None:
        """Create, not start. The name must be free."""

    def put(self, name: str, folder: str, archive: Iterator[bytes]) -> None:
        """Unpack a tar stream into a folder of a container."""

    def start(self, name: str) -> None: ...

    def follow(self, name: str, *, output: Output, stop: Stop) -> ExitStatus:
        """Give each line of output as it comes until the container ends; `stop` is asked at least twice a
        second and what it raises goes on (the container is left as it is: kill it). Colour codes are kept."""

    def output(self, name: str, *, since: float = 0.0, until: float = 0.0, limit: int = 64 * 1024) -> str:
        """What a container has printed after `since` and up to `until` (seconds since the epoch; 0 is no bound), at
        most the last `limit` bytes."""

    def wait(self, name: str, *, seconds: float) -> ExitStatus | None:
        """How it ended; None when it still runs after that time."""

    def usage(self, name: str) -> Usage: ...

    def take_file(self, name: str, path: str, *, limit: int) -> Iterator[bytes]:
        """The bytes of one regular file of a container. Anything that is not one regular file raises
        `BuildFailed`; more than `limit` bytes raise `LimitExceeded`."""

    def address(self, name: str, port: int) -> str:
        """`host:port` at which the published port answers from here."""

    def containers(self, labels: Mapping[str, str]) -> list[ContainerInfo]:
        """All containers, running or not, that carry all these labels."""

    def kill(self, name: str) -> None:
        """End it at once; one that is not there or not running is no error."""

    def remove(self, name: str) -> None:
        """Kill and remove it with its anonymous volumes; one that is not there is no error."""
