"""The container engine's seam: what is asked of it, and what it answers, in our words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

Network = Literal["", "build", "run"]
"""Where a container stands. `build`: it reaches the world outside, and of this machine and its neighbours only what is
allowed by name. `run`: it answers whoever asks it, and reaches nothing by itself. Empty: the engine's own bridge."""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    version: str
    api_version: str
    storage_driver: str
    root: str
    image_store: str = ""
    """`containerd` where the engine keeps its images there; there, an image's id is the digest of its manifest."""
    images: int = 0
    containers: int = 0
    """How many run, whoever started them."""
    runtimes: tuple[str, ...] = ()
    """What can run containers here, by the engine's names: `runc`, `runsc`, …"""


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """How containers of an image start, as the engine writes it."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    ports: tuple[str, ...] = ()
    """Such as `8080/tcp`."""
    working_dir: str = ""
    architecture: str = ""
    os: str = "linux"
    variant: str = ""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of an image: an uncompressed tar, whose sha256 is its diff id."""

    diff_id: str
    size: int
    open: Callable[[], Iterator[bytes]]
    """Gives the bytes, anew at each call."""
    created_by: str = ""
    """For the image's history."""


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """An image to be put together; the same plan always gives the same id."""

    layers: tuple[Layer, ...]
    """Lowest first."""
    config: ImageConfig
    labels: Mapping[str, str]
    created: str
    """RFC 3339."""


@dataclass(frozen=True, slots=True)
class AssembledImage:
    image_id: str
    """What this engine calls it: the config digest, or the manifest digest where containerd keeps the images."""
    config_digest: str
    """`sha256:…`, the same on every engine."""
    manifest_digest: str
    size: int
    """Bytes of all layers together, as we count them: engines count differently."""
    sparse: bool
    """Whether only what the engine lacked was sent."""


@dataclass(frozen=True, slots=True)
class ImageInfo:
    image_id: str
    tags: tuple[str, ...]
    size: int
    labels: Mapping[str, str]
    created: str
    layers: tuple[str, ...] = ()
    """Diff ids, lowest first."""
    config: ImageConfig = field(default_factory=ImageConfig)


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
    output_bytes: int = 10 * 1024 * 1024
    """What the engine keeps of its output, as it writes it. Of more the oldest is lost, and who follows a container
    that prints fast may miss it without a word."""
    network: Network = ""
    runtime: str = ""
    """Which of the engine's runtimes runs it, such as `runsc`; empty is the engine's default."""
    hosts: Mapping[str, str] = field(default_factory=dict)
    """Names whose address is told to it, so that it need not ask for them."""
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


@dataclass(frozen=True, slots=True)
class Disk:
    """Room on a disk: free, taken, or allowed."""

    size: int
    """Bytes."""
    files: int


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

    def tagged(self, prefix: str) -> list[ImageInfo]:
        """Images with a tag that begins so; `tags` holds these alone."""

    def build_image(
        self,
        context: Iterator[bytes],
        *,
        tag: str,
        labels: Mapping[str, str],
        arguments: Mapping[str, str],
        target: str = "",
        memory: int = 0,
        cache: bool = True,
        output: Output,
        stop: Stop,
    ) -> ImageInfo:
        """Build from a context given as an uncompressed tar stream with a `Dockerfile` at its root.

        `output` gets each line as it comes. `stop` is asked at least twice a second; when it raises, the build
        is ended in the engine and the exception goes on. A failing Dockerfile raises `BuildFailed` whose
        message ends with the last line that the engine printed."""

    def pull(self, reference: str, *, output: Output, stop: Stop) -> None:
        """Get an image from its registry. One that answers nothing for a while, or refuses, is an `EngineError`."""

    def import_image(self, archive: Iterator[bytes], *, tag: str, labels: Mapping[str, str], stop: Stop) -> None:
        """Make an image of one layer from a tar of a file system. It has these labels alone: it belongs to nobody."""

    def assemble(
        self, plan: ImagePlan, *, tag: str, below: str = "", whole: bool = False, output: Output, stop: Stop
    ) -> AssembledImage:
        """Put an image together. Of the layers that it shares with the image `below` (a tag or an id), lowest first,
        nothing is sent, unless `whole` asks for all; when the engine turns out to lack one, all are sent.

        A tag never stands for half an image: when nothing helps it is removed, and `EngineError` is raised."""

    def export(self, image: str) -> Iterator[bytes]:
        """The whole file system of an image as one tar stream."""

    def remove_image(self, reference: str) -> None:
        """Remove a tag, and the image with its last tag; one that is not there is no error."""

    def network(self, kind: Network) -> str:
        """The name that the network of that kind has as an interface of the engine's machine (empty for the engine's
        own bridge). Each portal has its own; it is made when it is not there. No container on it sees another."""

    def remove_networks(self) -> None:
        """Remove this portal's networks; one that a container still stands on raises `EngineError`."""

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

    def disk(self) -> Disk | None:
        """What is free where containers write; None where that cannot be seen from here."""

    def written(self, name: str, most: Disk) -> Disk | None:
        """What lies in a container's volumes, or so much of it that it is more than `most`; None where that cannot be
        seen from here."""

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
