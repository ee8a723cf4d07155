"""Two workshops, one behaviour: the fake engine and the real one, steered by the same scripts."""

from __future__ import annotations

import io
import secrets
import shlex
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import pytest

from releases.engine import DockerEngine, connect
from releases.errors import EngineError
from releases.specs import ContainerSpec, Engine, ImageInfo, NeverStop, Output, Stop
from tests.fakes.engine import BuildScript, FakeEngine, Script, Special

BASE = "debian:trixie-slim"


def archive(files: Mapping[str, bytes]) -> Iterator[bytes]:
    """A tar stream in small pieces, as they come from git or a stack."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    data = whole.getvalue()
    return (data[at : at + 1000] for at in range(0, len(data), 1000))


class Workshop(Protocol):
    """An engine, and how to make its containers do what a script says."""

    @property
    def engine(self) -> Engine: ...

    @property
    def image(self) -> str: ...

    def container(self, script: Script, **fields: object) -> str:
        """Create one that will do this; its name."""

    def build(self, script: BuildScript, *, tag: str, output: Output, stop: Stop) -> ImageInfo: ...

    def away(self) -> Engine:
        """An engine that does not answer."""


@dataclass
class FakeWorkshop:
    engine: FakeEngine = field(default_factory=FakeEngine)
    image: str = BASE

    def __post_init__(self) -> None:
        self.engine.add_image(self.image)

    def container(self, script: Script, **fields: object) -> str:
        name = f"fake-{secrets.token_hex(4)}"
        self.engine.on_run(name, script)
        self.engine.create(ContainerSpec(**{"name": name, "image": self.image, "labels": {}, **fields}))  # type: ignore[arg-type] # open fields
        return name

    def build(self, script: BuildScript, *, tag: str, output: Output, stop: Stop) -> ImageInfo:
        self.engine.on_build(tag, script)
        context = archive({"Dockerfile": b"FROM " + self.image.encode()})
        return self.engine.build_image(context, tag=tag, labels={"test": tag}, arguments={}, output=output, stop=stop)

    def away(self) -> Engine:
        self.engine.away = True
        return self.engine


@dataclass
class RealWorkshop:
    engine: DockerEngine
    image: str = BASE

    def container(self, script: Script, **fields: object) -> str:
        name = f"test-{secrets.token_hex(4)}"
        spec = {"name": name, "image": self.image, "labels": {}, "command": ("sh", "-c", _shell(script)), **fields}
        self.engine.create(ContainerSpec(**spec))  # type: ignore[arg-type] # open fields
        return name

    def build(self, script: BuildScript, *, tag: str, output: Output, stop: Stop) -> ImageInfo:
        said = " && ".join(["true", *(f"echo {shlex.quote(line)}" for line in script.lines)])
        ends = "sleep 600" if script.forever else "exit 7" if script.error else "true"
        # The label is in a step, so that nothing of an earlier run is taken from the cache.
        dockerfile = f"FROM {self.image}\nRUN echo {secrets.token_hex(8)} > /only-here\nRUN {said} && {ends}\n"
        context = archive({"Dockerfile": dockerfile.encode()})
        return self.engine.build_image(context, tag=tag, labels={"test": tag}, arguments={}, output=output, stop=stop)

    def away(self) -> Engine:
        return DockerEngine("tcp://127.0.0.1:9", instance=self.engine.instance)


def _shell(script: Script) -> str:
    """The script as a command for the real engine."""
    steps = [f"printf '%s\\n' {shlex.quote(line)}" for line in script.lines]
    for path, data in script.files.items():
        if isinstance(data, bytes):
            steps.append(f"printf %s {shlex.quote(data.decode())} > {path}")
        else:
            makes = {Special.SYMLINK: "ln -s /etc/passwd", Special.FOLDER: "mkdir", Special.FIFO: "mkfifo"}
            steps.append(f"{makes[data]} {path}")
    if script.answer is not None:
        steps.append(_server(script.answer.status, script.answer.body.decode()))
    steps.append("sleep 600" if script.forever else f"exit {script.exit_code}")
    return "\n".join(steps)


def _server(status: int, body: str) -> str:
    """Perl, because the base image holds it and no Python."""
    answer = f"HTTP/1.0 {status} x\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n{body}"
    perl = (
        "my $s = IO::Socket::INET->new(LocalPort => 8080, Listen => 5, ReuseAddr => 1) or die;"
        f'while (my $c = $s->accept) {{ while (<$c>) {{ last if /^\\r?$/ }} print $c "{answer}"; close $c }}'
    )
    return f"perl -MIO::Socket::INET -e {shlex.quote(perl)}"


@pytest.fixture(scope="session")
def docker() -> Iterator[DockerEngine]:
    """The real engine, as an instance of its own; all that it made is gone afterwards."""
    engine = DockerEngine(connect().host, instance=secrets.token_hex(4))
    try:
        ready = engine.image(BASE) is not None
    except EngineError as error:
        pytest.fail(str(error), pytrace=False)
    if not ready:
        pytest.fail(f"The engine has no image {BASE}: start ./run once, which makes it.", pytrace=False)
    yield engine
    for container in engine.containers({}):
        engine.remove(container.name)
    engine.remove_networks()
    for image in engine.images({}):
        engine.remove_image(image.image_id)


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.engine)])
def workshop(request: pytest.FixtureRequest) -> Workshop:
    """First the fake, then the real one."""
    if request.param == "fake":
        return FakeWorkshop()
    return RealWorkshop(request.getfixturevalue("docker"))


@pytest.fixture
def never() -> Stop:
    return NeverStop()
