"""`FakeEngine`: the container engine in memory, for tests of what is built on it.

    engine = FakeEngine()
    engine.add_image("release-portal/python-builder:1")
    engine.on_run("release-portal/python-builder:1", Script(lines=("hello",), files={"/shared/app.tar.gz": b"…"}))
    engine.on_build("shop", BuildScript(error="The command '/bin/sh -c exit 1' returned a non-zero code: 1"))
    engine.away = True

A container does what its script says at the moment it is started; one with `forever` or `until` goes on until it is
killed or the event is set. One that publishes a port answers HTTP there, really, as its script says. What was asked
of the engine can be looked up in `runs` and `builds`. `tests/engine/test_contract.py` holds this class and the real
engine to the same behaviour.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import math
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from releases.engine.archive import archive, describe
from releases.engine.loading import shared
from releases.engine.networks import interface
from releases.errors import BuildFailed, ContainerMissing, EngineError, EngineUnavailable, LimitExceeded
from releases.specs import (
    AssembledImage,
    ContainerInfo,
    ContainerSpec,
    Disk,
    EngineInfo,
    ExitStatus,
    ImageInfo,
    ImagePlan,
    Network,
    Output,
    Stop,
    Usage,
)

TICK = 0.02


class Special(Enum):
    """What can stand at a path instead of a regular file."""

    SYMLINK = "a symbolic link"
    FOLDER = "a folder"
    FIFO = "a special file"


@dataclass(frozen=True)
class Answer:
    """What a container says to every HTTP GET."""

    status: int = 200
    body: bytes = b"hello"


@dataclass(frozen=True)
class Script:
    """What a container does."""

    lines: Sequence[str] = ()
    exit_code: int = 0
    oom_killed: bool = False
    files: Mapping[str, bytes | Special] = field(default_factory=dict)
    """What it leaves, by absolute path."""
    forever: bool = False
    """It runs until it is killed."""
    until: threading.Event | None = None
    """It runs until this is set, or it is killed."""
    answer: Answer | None = None
    """What it answers at its published port while it runs; None refuses the connection."""
    usage: Usage = field(default_factory=lambda: Usage(50_000_000, 60_000_000, 0, 3))
    wrote: Disk = field(default_factory=lambda: Disk(50_000_000, 2_000))
    """What lies in its volumes as long as it is there."""


@dataclass(frozen=True)
class BuildScript:
    """How the build of an image goes."""

    lines: Sequence[str] = ("Step 1/1 : FROM base",)
    error: str = ""
    """The engine's last line when the Dockerfile fails; empty succeeds."""
    size: int = 60_000_000
    forever: bool = False
    """It goes on until `stop` ends it."""


@dataclass(frozen=True)
class Built:
    """One build that was asked for."""

    tag: str
    labels: Mapping[str, str]
    arguments: Mapping[str, str]
    target: str
    memory: int
    files: Mapping[str, bytes]
    """The context."""


@dataclass
class FakeContainer:
    """One container, as the fake keeps it; a script that is a function gets it to look at."""

    spec: ContainerSpec
    labels: Mapping[str, str]
    created: float
    files: dict[str, bytes | Special] = field(default_factory=dict)
    script: Script = field(default_factory=Script)
    started: bool = False
    ended: ExitStatus | None = None
    lines: list[tuple[float, str]] = field(default_factory=list)
    server: ThreadingHTTPServer | None = None

    @property
    def running(self) -> bool:
        if self.started and self.ended is None and self.script.until is not None and self.script.until.is_set():
            self.end(ExitStatus(self.script.exit_code, self.script.oom_killed))
        return self.started and self.ended is None

    def end(self, status: ExitStatus) -> None:
        self.ended = status
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None


Behaviour = Script | Callable[[FakeContainer], Script]


class FakeEngine:
    """See the module."""

    def __init__(self, instance: str = "fa4efa4e") -> None:
        self.instance = instance
        self.away = False
        """True: nothing answers."""
        self.room: Disk | None = Disk(10**12, 10**9)
        """What is free on its disk when no container has written to it; None: it is another machine's."""
        self.runs: list[ContainerSpec] = []
        """Every container that was started."""
        self.builds: list[Built] = []
        """Every build that was asked for."""
        self.interpreter = b"python"
        """What the file system of every image holds."""
        self.runtimes: tuple[str, ...] = ("runc",)
        self.assembled: list[str] = []
        """The tag of every image that was put together."""
        self.unknown: set[str] = set()
        """What its registry has not; it has everything else."""
        self._behaviours: list[tuple[str, Behaviour]] = []
        self._build_scripts: list[tuple[str, BuildScript]] = []
        self._containers: dict[str, FakeContainer] = {}
        self._images: dict[str, ImageInfo] = {}
        self._networks: set[Network] = set()
        self._numbers = itertools.count(1)

    # ---- steering --------------------------------------------------------------------------------------------

    def add_image(self, tag: str, *, size: int = 100_000_000, labels: Mapping[str, str] | None = None) -> ImageInfo:
        """An image that is there already."""
        digest = hashlib.sha256(f"image {next(self._numbers)}".encode()).hexdigest()
        image = ImageInfo(f"sha256:{digest}", (), size, dict(labels or {}), "2026-01-01T00:00:00Z")
        self._images[image.image_id] = image
        self._move_tag(image.image_id, tag)
        return self._images[image.image_id]

    def on_run(self, match: str, behaviour: Behaviour) -> None:
        """What containers do whose name, image reference or one label (`name=value`) is `match`; `*` is any.

        Of several that match, the one that was said last counts.
        """
        self._behaviours.insert(0, (match, behaviour))

    def on_build(self, match: str, script: BuildScript) -> None:
        """How builds go whose tag contains `match`; of several, the one that was said last counts."""
        self._build_scripts.insert(0, (match, script))

    def content(self, name: str, path: str) -> bytes | Special | None:
        """What lies at a path of a container: what was put there, or what its script left."""
        return self._found(name).files.get(path)

    # ---- images ------------------------------------------------------------------------------------------------

    def info(self) -> EngineInfo:
        self._answer()
        return EngineInfo(
            version="0.0-fake",
            api_version="1.41",
            storage_driver="memory",
            root="/var/lib/fake",
            runtimes=self.runtimes,
        )

    def image(self, reference: str) -> ImageInfo | None:
        self._answer()
        return self._image(reference)

    def images(self, labels: Mapping[str, str]) -> list[ImageInfo]:
        self._answer()
        return [image for image in self._images.values() if self._has(image.labels, labels)]

    def tagged(self, prefix: str) -> list[ImageInfo]:
        self._answer()
        found = [(image, tuple(tag for tag in image.tags if tag.startswith(prefix))) for image in self._images.values()]
        return [replace(image, tags=tags) for image, tags in found if tags]

    def pull(self, reference: str, *, output: Output, stop: Stop) -> None:
        self._answer()
        stop.check()
        if reference in self.unknown:
            raise EngineError(f"The container engine could not pull {reference}: no such image.")
        output(f"Pulling from {reference.partition(':')[0]}")
        self.add_image(reference)

    def import_image(self, archive: Iterator[bytes], *, tag: str, labels: Mapping[str, str], stop: Stop) -> None:
        self._answer()
        stop.check()
        self.add_image(tag, size=sum(map(len, archive)), labels=labels)

    def assemble(
        self, plan: ImagePlan, *, tag: str, below: str = "", whole: bool = False, output: Output, stop: Stop
    ) -> AssembledImage:
        self._answer()
        stop.check()
        image = describe(plan)
        found = self._image(tag)
        if found is None or found.image_id != image.config_digest or whole:
            script = self._script_of_build(tag)
            self._go_through(script, output, stop)
            if script.error:
                raise EngineError(f"The container engine could not load an image: {script.error}")
            lower = self._image(below) if below and not whole else None
            have = shared(image, lower)
            b"".join(archive(image, tag, leave_out=have))  # as the real one, it reads what it is sent
            layers = tuple(layer.diff_id for layer in plan.layers)
            labels = dict(plan.labels)
            made = ImageInfo(image.config_digest, (), image.size, labels, plan.created, layers, plan.config)
            self._images.setdefault(made.image_id, made)
            self._move_tag(made.image_id, tag)
            self.assembled.append(tag)
            sparse = bool(have)
        else:
            sparse = True
        return AssembledImage(image.config_digest, image.config_digest, image.manifest_digest, image.size, sparse)

    def export(self, image: str) -> Iterator[bytes]:
        self._answer()
        if self._image(image) is None:
            raise EngineError(f"The container engine lacks the image ({image}): prepare the stack again.")
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            member = tarfile.TarInfo("usr/bin/python3")
            member.size, member.mode = len(self.interpreter), 0o755
            tar.addfile(member, io.BytesIO(self.interpreter))
        yield buffer.getvalue()

    def remove_image(self, reference: str) -> None:
        self._answer()
        image = self._image(reference)
        if image is None:
            return
        tags = tuple(tag for tag in image.tags if tag != reference)
        if tags and reference != image.image_id:
            self._images[image.image_id] = _with_tags(image, tags)
        else:
            del self._images[image.image_id]

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
        self._answer()
        stop.check()
        files = {name: data for name, data in _unpacked(context).items() if isinstance(data, bytes)}
        if "Dockerfile" not in files:
            raise EngineError(f"The container engine refused to build {tag}: the context holds no Dockerfile.")
        self.builds.append(Built(tag, dict(labels), dict(arguments), target, memory, files))
        script = self._script_of_build(tag)
        self._go_through(script, output, stop)
        if script.error:
            output(script.error)
            raise BuildFailed(f"Building the image {tag} failed: {script.error}")
        return self.add_image(tag, size=script.size, labels=self._labels(labels))

    def _script_of_build(self, tag: str) -> BuildScript:
        return next((script for match, script in self._build_scripts if match in tag), BuildScript())

    def _go_through(self, script: BuildScript, output: Output, stop: Stop) -> None:
        for line in script.lines:
            self._answer()
            stop.check()
            output(line)
        while script.forever:
            self._answer()
            stop.check()
            time.sleep(TICK)

    # ---- containers ----------------------------------------------------------------------------------------------

    def network(self, kind: Network) -> str:
        self._answer()
        if kind:
            self._networks.add(kind)
        return interface(self.instance, kind) if kind else ""

    def remove_networks(self) -> None:
        self._answer()
        for kind in sorted(self._networks):
            if any(container.running and container.spec.network == kind for container in self._containers.values()):
                raise EngineError(f"The container engine refused to remove the network {kind}: it is in use.")
            self._networks.discard(kind)

    def create(self, spec: ContainerSpec) -> None:
        self.network(spec.network)
        if spec.runtime and spec.runtime not in self.info().runtimes:
            raise EngineError(f"The container engine refused to create {spec.name}: unknown runtime {spec.runtime}.")
        if spec.name in self._containers:
            raise EngineError(f"The container engine refused to create the container {spec.name}: the name is in use.")
        if self._image(spec.image) is None:
            raise EngineError(f"The container engine lacks the image ({spec.image}): prepare the stack again.")
        self._containers[spec.name] = FakeContainer(spec, self._labels(spec.labels), created=time.time())

    def put(self, name: str, folder: str, archive: Iterator[bytes]) -> None:
        container = self._found(name)
        inside = [volume.rstrip("/") for volume in container.spec.volumes]
        if container.spec.read_only and not any(f"{folder}/".startswith(f"{volume}/") for volume in inside):
            raise EngineError(f"The container engine refused to put files into {folder} of {name}: it is read-only.")
        for path, data in _unpacked(archive).items():
            container.files[f"{folder.rstrip('/')}/{path}"] = data

    def start(self, name: str) -> None:
        container = self._found(name)
        if container.running:
            return
        self.runs.append(container.spec)
        container.script = self._script(container)
        container.started, container.ended = True, None
        container.lines += [(time.time(), line) for line in container.script.lines]
        container.files.update(container.script.files)
        if container.spec.publish and container.script.answer is not None:
            container.server = _serve(container.script.answer)
        if not container.script.forever and container.script.until is None:
            container.end(ExitStatus(container.script.exit_code, container.script.oom_killed))

    def follow(self, name: str, *, output: Output, stop: Stop) -> ExitStatus:
        container = self._found(name)
        if not container.started:
            raise EngineError(f"The container {name} was not started, so there is nothing to follow.")
        for _, line in list(container.lines):
            self._answer()
            stop.check()
            output(line)
        stop.check()
        while container.running:
            # Removed by somebody else, or the engine went away: as with the real one, this shows at the next look.
            self._found(name)
            stop.check()
            time.sleep(TICK)
        return _certain(container.ended)

    def output(self, name: str, *, since: float = 0.0, until: float = 0.0, limit: int = 64 * 1024) -> str:
        printed = self._found(name).lines
        lines = [line + "\n" for moment, line in printed if since < moment <= (until or math.inf)]
        data = "".join(lines).encode()
        return data[max(len(data) - limit, 0) :].decode("utf-8", "replace")

    def wait(self, name: str, *, seconds: float) -> ExitStatus | None:
        until = time.monotonic() + seconds
        while True:
            container = self._found(name)
            if container.started and not container.running:
                return container.ended
            if time.monotonic() >= until:
                return None
            time.sleep(TICK)

    def usage(self, name: str) -> Usage:
        container = self._found(name)
        return container.script.usage if container.running else Usage(0, 0, 0, 0)

    def disk(self) -> Disk | None:
        self._answer()
        wrote = [container.script.wrote for container in self._containers.values() if container.started]
        if self.room is None:
            return None
        return Disk(self.room.size - sum(one.size for one in wrote), self.room.files - sum(one.files for one in wrote))

    def written(self, name: str, most: Disk) -> Disk | None:
        return self._found(name).script.wrote if self.room is not None else None

    def take_file(self, name: str, path: str, *, limit: int) -> Iterator[bytes]:
        data = self._found(name).files.get(path)
        if data is None:
            raise BuildFailed(f"The container left no file at {path}: its last lines say why.")
        if isinstance(data, Special):
            raise BuildFailed(f"{path} is {data.value}, not a regular file: write one plain file there.")
        if len(data) > limit:
            raise LimitExceeded(f"{path} has {len(data):,} bytes and {limit:,} are allowed: raise the limit.")
        yield from (data[at : at + 65536] for at in range(0, len(data), 65536))

    def address(self, name: str, port: int) -> str:
        container = self._found(name)
        if not container.running or container.spec.publish != port:
            raise EngineError(f"The container {name} does not publish its port {port} at the moment: start it first.")
        # Port 9 (discard) of the loopback refuses, as a container does that does not listen.
        return f"127.0.0.1:{container.server.server_address[1] if container.server else 9}"

    def containers(self, labels: Mapping[str, str]) -> list[ContainerInfo]:
        self._answer()
        return [
            ContainerInfo(container.spec.name, container.running, container.labels, container.created)
            for container in self._containers.values()
            if self._has(container.labels, labels)
        ]

    def kill(self, name: str) -> None:
        self._answer()
        container = self._containers.get(name)
        if container is not None and container.running:
            container.end(ExitStatus(137, oom_killed=False))

    def remove(self, name: str) -> None:
        self.kill(name)
        self._containers.pop(name, None)

    # ---- inside ----------------------------------------------------------------------------------------------------

    def _answer(self) -> None:
        if self.away:
            raise EngineUnavailable(
                "The container engine does not answer at memory: start it (systemctl start docker, or dockerd as root) "
                "or set DOCKER_HOST."
            )

    def _found(self, name: str) -> FakeContainer:
        self._answer()
        if name not in self._containers:
            raise ContainerMissing(f"The container {name} is no longer there: start the work again.")
        return self._containers[name]

    def _script(self, container: FakeContainer) -> Script:
        image = self._image(container.spec.image)
        names = {"*", container.spec.name, container.spec.image}
        names |= {image.image_id, *image.tags} if image else set()
        names |= {f"{label}={value}" for label, value in container.labels.items()}
        behaviour = next((behaviour for match, behaviour in self._behaviours if match in names), Script())
        return behaviour if isinstance(behaviour, Script) else behaviour(container)

    def _image(self, reference: str) -> ImageInfo | None:
        tagged = (image for image in self._images.values() if reference in image.tags)
        return self._images.get(reference) or next(tagged, None)

    def _move_tag(self, image_id: str, tag: str) -> None:
        for other in list(self._images.values()):
            if tag in other.tags:
                self._images[other.image_id] = _with_tags(other, tuple(name for name in other.tags if name != tag))
        image = self._images[image_id]
        self._images[image_id] = _with_tags(image, (*image.tags, tag))

    def _labels(self, labels: Mapping[str, str]) -> dict[str, str]:
        return {**labels, "release-portal.instance": self.instance}

    def _has(self, found: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
        return all(name in found and value in {"", found[name]} for name, value in self._labels(wanted).items())


def _with_tags(image: ImageInfo, tags: tuple[str, ...]) -> ImageInfo:
    return replace(image, tags=tags)


def _certain(status: ExitStatus | None) -> ExitStatus:
    assert status is not None
    return status


def _unpacked(archive: Iterator[bytes]) -> dict[str, bytes | Special]:
    found: dict[str, bytes | Special] = {}
    with tarfile.open(fileobj=io.BytesIO(b"".join(archive))) as tar:
        for member in tar:
            name = member.name.removeprefix("./")
            source = tar.extractfile(member) if member.isreg() else None
            if source is not None:
                found[name] = source.read()
            else:
                found[name] = Special.FOLDER if member.isdir() else Special.SYMLINK
    return found


def _serve(answer: Answer) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": TICK}, daemon=True).start()
    return server
