"""What the rest of the portal may rely on, of the fake engine and of the real one alike."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from releases.errors import (
    BuildCancelled,
    BuildFailed,
    ContainerMissing,
    EngineError,
    EngineUnavailable,
    LimitExceeded,
)
from releases.specs import (
    AssembledImage,
    ContainerSpec,
    Engine,
    ExitStatus,
    ImageConfig,
    ImagePlan,
    Layer,
    NeverStop,
    Stop,
)
from tests.engine.conftest import Workshop, archive
from tests.fakes.engine import Answer, BuildScript, FakeEngine, Script, Special


def nothing(line: str) -> None:
    """For output that a test does not look at."""


class StopWhen:
    """Goes on until the condition holds; remembers how often it was asked."""

    def __init__(self, condition: Callable[[], bool]) -> None:
        self.condition = condition
        self.asked = 0

    def check(self) -> None:
        self.asked += 1
        if self.condition():
            raise BuildCancelled("Marta Ruiz cancelled this build.")


def get(address: str) -> tuple[int, str]:
    """The answer of a container that may still be starting."""
    until = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(f"http://{address}/", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


# ---- what a container prints, and how it ends ---------------------------------------------------------------


def test_follow_gives_every_line_and_the_exit_code(workshop: Workshop, never: Stop) -> None:
    lines = [f"line {number} é" for number in range(200)]
    name = workshop.container(Script(lines=lines, exit_code=3))
    workshop.engine.start(name)
    seen: list[str] = []
    assert workshop.engine.follow(name, output=seen.append, stop=never) == ExitStatus(3, oom_killed=False)
    assert seen == lines


def test_follow_of_a_container_that_ended_long_ago_gives_its_lines(workshop: Workshop, never: Stop) -> None:
    name = workshop.container(Script(lines=["early"]))
    workshop.engine.start(name)
    assert workshop.engine.wait(name, seconds=20) == ExitStatus(0, oom_killed=False)
    seen: list[str] = []
    workshop.engine.follow(name, output=seen.append, stop=never)
    assert seen == ["early"]


def test_follow_keeps_colours(workshop: Workshop, never: Stop) -> None:
    name = workshop.container(Script(lines=["\x1b[31mred\x1b[0m"]))
    workshop.engine.start(name)
    seen: list[str] = []
    workshop.engine.follow(name, output=seen.append, stop=never)
    assert seen == ["\x1b[31mred\x1b[0m"]


def test_follow_asks_to_stop_while_the_container_is_silent(workshop: Workshop) -> None:
    name = workshop.container(Script(lines=["begun"], forever=True))
    workshop.engine.start(name)
    seen: list[str] = []
    stop = StopWhen(lambda: bool(seen))
    with pytest.raises(BuildCancelled):
        workshop.engine.follow(name, output=seen.append, stop=stop)
    assert seen == ["begun"]
    # It is left as it is: ending it is the caller's decision.
    assert workshop.engine.wait(name, seconds=0) is None


def test_follow_ends_when_another_hand_kills_the_container(workshop: Workshop, never: Stop) -> None:
    name = workshop.container(Script(lines=["begun"], forever=True))
    workshop.engine.start(name)
    threading.Timer(0.3, workshop.engine.kill, [name]).start()
    assert workshop.engine.follow(name, output=nothing, stop=never).exit_code == 137


def test_follow_hands_on_what_the_output_raises(workshop: Workshop, never: Stop) -> None:
    name = workshop.container(Script(lines=["one"], forever=True))
    workshop.engine.start(name)

    def full(line: str) -> None:
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        workshop.engine.follow(name, output=full, stop=never)


def test_follow_refuses_a_container_that_was_not_started(workshop: Workshop, never: Stop) -> None:
    name = workshop.container(Script())
    with pytest.raises(EngineError, match="was not started"):
        workshop.engine.follow(name, output=nothing, stop=never)


def test_output_gives_the_end_of_what_was_printed(workshop: Workshop) -> None:
    name = workshop.container(Script(lines=["first", "second"]))
    workshop.engine.start(name)
    workshop.engine.wait(name, seconds=20)
    assert workshop.engine.output(name) == "first\nsecond\n"
    assert workshop.engine.output(name, limit=7) == "second\n"
    assert workshop.engine.output(name, since=time.time() + 60) == ""


def test_wait_gives_nothing_while_it_runs(workshop: Workshop) -> None:
    name = workshop.container(Script(forever=True))
    assert workshop.engine.wait(name, seconds=0) is None
    workshop.engine.start(name)
    assert workshop.engine.wait(name, seconds=0.2) is None


def test_start_of_a_running_container_changes_nothing(workshop: Workshop) -> None:
    name = workshop.container(Script(forever=True))
    workshop.engine.start(name)
    workshop.engine.start(name)
    assert workshop.engine.wait(name, seconds=0) is None


def test_kill_and_remove_may_be_said_twice(workshop: Workshop) -> None:
    name = workshop.container(Script(forever=True))
    workshop.engine.start(name)
    workshop.engine.kill(name)
    assert workshop.engine.wait(name, seconds=20) == ExitStatus(137, oom_killed=False)
    workshop.engine.kill(name)
    workshop.engine.remove(name)
    workshop.engine.remove(name)
    workshop.engine.kill(name)
    assert name not in [container.name for container in workshop.engine.containers({})]


def test_remove_ends_a_running_container(workshop: Workshop) -> None:
    name = workshop.container(Script(forever=True))
    workshop.engine.start(name)
    workshop.engine.remove(name)
    with pytest.raises(ContainerMissing):
        workshop.engine.wait(name, seconds=0)


def test_usage_is_nothing_once_it_ended(workshop: Workshop) -> None:
    name = workshop.container(Script(forever=True))
    workshop.engine.start(name)
    assert workshop.engine.usage(name).memory > 0
    workshop.engine.kill(name)
    workshop.engine.wait(name, seconds=20)
    assert workshop.engine.usage(name).memory == 0


# ---- files -------------------------------------------------------------------------------------------------


def test_put_and_take_give_the_same_bytes(workshop: Workshop) -> None:
    data = bytes(range(256)) * 2000
    name = workshop.container(Script(), volumes=("/shared",))
    workshop.engine.put(name, "/shared", archive({"in.bin": data}))
    workshop.engine.start(name)
    workshop.engine.wait(name, seconds=20)
    assert b"".join(workshop.engine.take_file(name, "/shared/in.bin", limit=len(data))) == data


def test_put_refuses_a_folder_that_is_read_only(workshop: Workshop) -> None:
    name = workshop.container(Script(), volumes=("/shared",))
    with pytest.raises(EngineError):
        workshop.engine.put(name, "/etc", archive({"motd": b"hello"}))


def test_put_hands_on_why_the_archive_ended_early(workshop: Workshop) -> None:
    name = workshop.container(Script(), volumes=("/shared",))

    def broken() -> object:
        yield b"x" * 512
        raise OSError("the disk of the mirror is gone")

    with pytest.raises(OSError, match="the disk of the mirror is gone"):
        workshop.engine.put(name, "/shared", broken())  # type: ignore[arg-type] # a generator of bytes


def test_take_gives_a_file_that_the_container_left(workshop: Workshop) -> None:
    name = workshop.container(Script(files={"/shared/out": b"made"}), volumes=("/shared",))
    workshop.engine.start(name)
    workshop.engine.wait(name, seconds=20)
    assert b"".join(workshop.engine.take_file(name, "/shared/out", limit=4)) == b"made"


@pytest.mark.parametrize("kind", list(Special))
def test_take_refuses_what_is_no_regular_file(workshop: Workshop, kind: Special) -> None:
    name = workshop.container(Script(files={"/shared/out": kind}), volumes=("/shared",))
    workshop.engine.start(name)
    workshop.engine.wait(name, seconds=20)
    with pytest.raises(BuildFailed, match=f"/shared/out is {kind.value}, not a regular file"):
        list(workshop.engine.take_file(name, "/shared/out", limit=1000))


def test_take_refuses_a_file_over_the_limit(workshop: Workshop) -> None:
    name = workshop.container(Script(files={"/shared/out": b"12345"}), volumes=("/shared",))
    workshop.engine.start(name)
    workshop.engine.wait(name, seconds=20)
    with pytest.raises(LimitExceeded, match="5 bytes and 4 are allowed"):
        list(workshop.engine.take_file(name, "/shared/out", limit=4))


def test_take_of_a_missing_file_is_the_builds_fault(workshop: Workshop) -> None:
    name = workshop.container(Script(), volumes=("/shared",))
    workshop.engine.start(name)
    workshop.engine.wait(name, seconds=20)
    with pytest.raises(BuildFailed, match="left no file at /shared/out"):
        list(workshop.engine.take_file(name, "/shared/out", limit=1000))


# ---- ports -------------------------------------------------------------------------------------------------


def test_address_answers_what_the_container_serves(workshop: Workshop) -> None:
    name = workshop.container(Script(forever=True, answer=Answer(418, b"tea")), publish=8080)
    workshop.engine.start(name)
    address = workshop.engine.address(name, 8080)
    assert address.startswith("127.0.0.1:")
    assert get(address) == (418, "tea")


def test_address_of_a_port_that_is_not_published_is_an_error(workshop: Workshop) -> None:
    name = workshop.container(Script(forever=True))
    workshop.engine.start(name)
    with pytest.raises(EngineError, match="does not publish its port 8080"):
        workshop.engine.address(name, 8080)


# ---- what is not there ---------------------------------------------------------------------------------------

MISSING: dict[str, Callable[[Engine], object]] = {
    "put": lambda engine: engine.put("nobody", "/tmp", archive({})),  # noqa: S108 - inside a container
    "start": lambda engine: engine.start("nobody"),
    "follow": lambda engine: engine.follow("nobody", output=nothing, stop=StopWhen(lambda: False)),
    "output": lambda engine: engine.output("nobody"),
    "wait": lambda engine: engine.wait("nobody", seconds=1),
    "usage": lambda engine: engine.usage("nobody"),
    "take_file": lambda engine: list(engine.take_file("nobody", "/x", limit=1)),
    "address": lambda engine: engine.address("nobody", 8080),
}


@pytest.mark.parametrize("verb", MISSING)
def test_container_that_is_not_there_is_named(workshop: Workshop, verb: str) -> None:
    with pytest.raises(ContainerMissing, match="nobody"):
        MISSING[verb](workshop.engine)


AWAY: dict[str, Callable[[Engine], object]] = {
    **MISSING,
    "info": lambda engine: engine.info(),
    "image": lambda engine: engine.image("x:1"),
    "images": lambda engine: engine.images({}),
    "tagged": lambda engine: engine.tagged("x"),
    "export": lambda engine: list(engine.export("x:1")),
    "assemble": lambda engine: engine.assemble(plan(), tag="x:1", output=nothing, stop=StopWhen(lambda: False)),
    "pull": lambda engine: engine.pull("x:1", output=nothing, stop=StopWhen(lambda: False)),
    "import_image": lambda engine: engine.import_image(archive({}), tag="x:1", labels={}, stop=NeverStop()),
    "remove_image": lambda engine: engine.remove_image("x:1"),
    "build_image": lambda engine: engine.build_image(
        archive({"Dockerfile": b"FROM x"}),
        tag="x:1",
        labels={},
        arguments={},
        output=nothing,
        stop=StopWhen(lambda: False),
    ),
    "create": lambda engine: engine.create(ContainerSpec("x", "x:1", {})),
    "containers": lambda engine: engine.containers({}),
    "kill": lambda engine: engine.kill("x"),
    "remove": lambda engine: engine.remove("x"),
}


@pytest.mark.parametrize("verb", AWAY)
def test_engine_that_is_away_says_where_and_what_to_do(workshop: Workshop, verb: str) -> None:
    engine = workshop.away()
    with pytest.raises(EngineUnavailable, match=r"does not answer at .+: start it .+ or set DOCKER_HOST\.$"):
        AWAY[verb](engine)


def test_create_refuses_a_name_in_use_and_a_missing_image(workshop: Workshop) -> None:
    name = workshop.container(Script())
    with pytest.raises(EngineError, match=name):
        workshop.engine.create(ContainerSpec(name, workshop.image, {}))
    with pytest.raises(EngineError, match="no-such-image:1"):
        workshop.engine.create(ContainerSpec("other", "no-such-image:1", {}))


def test_network_is_made_with_the_first_container_and_goes_when_none_stands_on_it(workshop: Workshop) -> None:
    name = workshop.container(Script(forever=True), network="build")
    bridge = workshop.engine.network("build")
    assert bridge.startswith("rp")
    assert len({bridge, workshop.engine.network("run"), workshop.engine.network("")}) == 3
    workshop.engine.start(name)
    with pytest.raises(EngineError):
        workshop.engine.remove_networks()
    workshop.engine.remove(name)
    workshop.engine.remove_networks()
    workshop.engine.remove_networks()
    assert workshop.engine.network("build") == bridge


def test_runtime_that_the_engine_lacks_is_refused(workshop: Workshop) -> None:
    assert "runc" in workshop.engine.info().runtimes
    workshop.engine.remove(workshop.container(Script(), runtime="runc"))
    with pytest.raises(EngineError, match="sandbox"):
        workshop.container(Script(), runtime="sandbox")


def test_containers_are_found_by_label(workshop: Workshop) -> None:
    name = workshop.container(Script(), labels={"portal.build": "42", "portal.attempt": "1"})
    other = workshop.container(Script(), labels={"portal.build": "43"})

    def found(labels: dict[str, str]) -> set[str]:
        return {container.name for container in workshop.engine.containers(labels)}

    assert found({"portal.build": "42"}) == {name}
    assert found({"portal.build": "42", "portal.attempt": "2"}) == set()
    assert found({"portal.build": ""}) >= {name, other}
    (container,) = workshop.engine.containers({"portal.build": "42"})
    assert container.labels["release-portal.instance"]
    assert not container.running
    assert abs(container.created - time.time()) < 600


# ---- images --------------------------------------------------------------------------------------------------


def test_build_gives_lines_and_an_image_with_its_labels(workshop: Workshop, never: Stop) -> None:
    seen: list[str] = []
    image = workshop.build(BuildScript(lines=["hello"]), tag="portal-test/a:1", output=seen.append, stop=never)
    assert "hello" in seen
    assert image.tags == ("portal-test/a:1",)
    assert image.labels["test"] == "portal-test/a:1"
    assert image.labels["release-portal.instance"]
    assert image.size > 1_000_000
    assert workshop.engine.image("portal-test/a:1") == image
    assert image in workshop.engine.images({"test": "portal-test/a:1"})
    workshop.engine.remove_image(image.image_id)


def test_build_that_fails_says_so_in_lines_and_message(workshop: Workshop, never: Stop) -> None:
    seen: list[str] = []
    script = BuildScript(error="The command '/bin/sh -c exit 7' returned a non-zero code: 7", lines=())
    with pytest.raises(BuildFailed, match=r"portal-test/bad:1 failed.*returned a non-zero code: 7"):
        workshop.build(script, tag="portal-test/bad:1", output=seen.append, stop=never)
    assert "returned a non-zero code: 7" in seen[-1]
    assert workshop.engine.image("portal-test/bad:1") is None


def test_build_ends_when_told_to_stop(workshop: Workshop) -> None:
    seen: list[str] = []
    stop = StopWhen(lambda: "begun" in seen)
    with pytest.raises(BuildCancelled):
        workshop.build(BuildScript(lines=["begun"], forever=True), tag="portal-test/c:1", output=seen.append, stop=stop)
    assert workshop.engine.image("portal-test/c:1") is None


# ---- images that are put together ------------------------------------------------------------------------


def layer(name: str, content: bytes) -> Layer:
    head = tarfile.TarInfo(name)
    head.size = len(content)
    data = head.tobuf() + content + bytes(-len(content) % 512) + bytes(1024)
    return Layer(hashlib.sha256(data).hexdigest(), len(data), lambda: iter([data]), name)


def plan(*more: Layer) -> ImagePlan:
    config = ImageConfig(entrypoint=("/serve",), environment={"A": "b=c"}, user="10001:10001", ports=("8080/tcp",))
    layers = (layer("app/env", b"environment" * 1000), *more)
    return ImagePlan(layers, replace(config, architecture="amd64"), {"portal-test": "x"}, "2020-01-02T03:04:05Z")


@pytest.fixture
def put_together(workshop: Workshop, never: Stop) -> Iterator[Callable[..., AssembledImage]]:
    tags: set[str] = set()

    def assemble(given: ImagePlan, tag: str, **options: Any) -> AssembledImage:
        tags.add(tag)
        return workshop.engine.assemble(given, tag=tag, output=nothing, stop=never, **options)

    yield assemble
    for tag in tags:
        workshop.engine.remove_image(tag)


ENVIRONMENT, RELEASE = "portal-test/a:environment", "portal-test/a:v1"


def test_assembled_image_is_what_was_planned(workshop: Workshop, put_together: Callable[..., AssembledImage]) -> None:
    wanted = plan(layer("app/app.py", b"app"))
    made = put_together(wanted, RELEASE)
    seen = workshop.engine.image(RELEASE)
    assert seen is not None
    assert seen.image_id == made.image_id
    assert seen.layers == tuple(one.diff_id for one in wanted.layers)
    assert (seen.config, seen.labels, seen.created) == (wanted.config, {"portal-test": "x"}, "2020-01-02T03:04:05Z")
    assert made.size == sum(one.size for one in wanted.layers)


def test_same_plan_has_the_same_id_sent_sparsely_or_as_a_whole(
    workshop: Workshop, put_together: Callable[..., AssembledImage]
) -> None:
    put_together(plan(), ENVIRONMENT)
    wanted = plan(layer("app/app.py", b"app"))
    sparse = put_together(wanted, RELEASE, below=ENVIRONMENT)
    assert sparse.sparse
    workshop.engine.remove_image(RELEASE)
    whole = put_together(wanted, RELEASE, below=ENVIRONMENT, whole=True)
    assert not whole.sparse
    assert replace(whole, sparse=True) == sparse
    assert put_together(wanted, RELEASE) == sparse  # it is there: nothing is sent


def test_layer_that_the_engine_has_lost_is_sent_again(
    workshop: Workshop, put_together: Callable[..., AssembledImage]
) -> None:
    first = put_together(plan(), ENVIRONMENT)
    workshop.engine.remove_image(ENVIRONMENT)
    wanted = plan(layer("app/app.py", b"app"))
    made = put_together(wanted, RELEASE, below=ENVIRONMENT)
    assert (made.sparse, made.image_id == first.image_id) == (False, False)
    seen = workshop.engine.image(RELEASE)
    assert seen is not None
    assert len(seen.layers) == 2


def test_wrong_bytes_of_a_layer_leave_no_tag(workshop: Workshop, put_together: Callable[..., AssembledImage]) -> None:
    wrong = Layer("0" * 64, 5, lambda: iter([b"other"]), "app")
    with pytest.raises(EngineError, match="is not what was recorded of it"):
        put_together(plan(wrong), RELEASE)
    assert workshop.engine.image(RELEASE) is None


def test_two_tags_of_one_image_go_one_by_one(workshop: Workshop, put_together: Callable[..., AssembledImage]) -> None:
    one, other = put_together(plan(), RELEASE), put_together(plan(), "portal-test/a:v2")
    assert one.image_id == other.image_id
    tagged = [tag for image in workshop.engine.tagged("portal-test/a:") for tag in image.tags]
    assert sorted(tagged) == [RELEASE, "portal-test/a:v2"]
    workshop.engine.remove_image(RELEASE)
    assert workshop.engine.image(RELEASE) is None
    assert workshop.engine.image("portal-test/a:v2") is not None
    workshop.engine.remove_image("portal-test/a:v2")
    workshop.engine.remove_image("portal-test/a:v2")
    assert workshop.engine.tagged("portal-test/a:") == []


def test_pull_of_what_no_registry_has_is_an_error(workshop: Workshop, never: Stop) -> None:
    nowhere = "127.0.0.1:1/team/nothing:1"
    if isinstance(workshop.engine, FakeEngine):
        workshop.engine.unknown.add(nowhere)
    with pytest.raises(EngineError, match=r"pull 127\.0\.0\.1:1/team/nothing"):
        workshop.engine.pull(nowhere, output=nothing, stop=never)
    assert workshop.engine.image(nowhere) is None


def test_imported_image_has_its_labels_and_no_more(workshop: Workshop, never: Stop) -> None:
    files = archive({"hello": b"x" * 3_000_000})
    workshop.engine.import_image(files, tag="portal-test/base:1", labels={"portal-test.base": "made"}, stop=never)
    image = workshop.engine.image("portal-test/base:1")
    assert image is not None
    assert image.labels == {"portal-test.base": "made"}
    assert image.size >= 3_000_000
    workshop.engine.remove_image("portal-test/base:1")


def test_import_that_is_ended_makes_no_image(workshop: Workshop) -> None:
    with pytest.raises(BuildCancelled):
        workshop.engine.import_image(
            archive({"hello": b"x"}), tag="portal-test/base:2", labels={}, stop=StopWhen(lambda: True)
        )
    assert workshop.engine.image("portal-test/base:2") is None


def test_export_gives_the_files_of_an_image(workshop: Workshop, never: Stop) -> None:
    image = workshop.build(BuildScript(), tag="portal-test/t:1", output=nothing, stop=never)
    with tarfile.open(fileobj=io.BytesIO(b"".join(workshop.engine.export(image.image_id)))) as files:
        assert any(name.startswith("usr") for name in files.getnames())
    assert [one.name for one in workshop.engine.containers({}) if one.name.startswith("export")] == []


def test_export_of_a_missing_image_is_an_error(workshop: Workshop) -> None:
    with pytest.raises(EngineError, match="no-such-image:1"):
        list(workshop.engine.export("no-such-image:1"))


def test_info_names_the_engine(workshop: Workshop) -> None:
    info = workshop.engine.info()
    assert info.version
    assert info.api_version.count(".") == 1
    assert info.root.startswith("/")
