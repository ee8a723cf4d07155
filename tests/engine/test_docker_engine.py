"""What only the real engine can show: the closed profile of a container, floods, and what a cancelled build leaves."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable

import pytest

from releases.engine import DockerEngine
from releases.engine.lines import CUT, LONGEST_LINE
from releases.errors import BuildCancelled, BuildFailed, ContainerMissing, EngineError
from releases.specs import ContainerSpec, ExitStatus, NeverStop
from tests.engine.conftest import BASE, archive
from tests.engine.test_contract import StopWhen, nothing

pytestmark = pytest.mark.engine

Run = Callable[..., tuple[list[str], ExitStatus]]


@pytest.fixture
def run(docker: DockerEngine) -> Run:
    """Run a shell command in a container and give its lines and its end."""

    def runner(command: str, **fields: object) -> tuple[list[str], ExitStatus]:
        name = f"test-{secrets.token_hex(4)}"
        spec = {"name": name, "image": BASE, "labels": {}, "command": ("sh", "-c", command), **fields}
        docker.create(ContainerSpec(**spec))  # type: ignore[arg-type] # open fields
        try:
            docker.start(name)
            lines: list[str] = []
            return lines, docker.follow(name, output=lines.append, stop=NeverStop())
        finally:
            docker.remove(name)

    return runner


# ---- what a container may not do ------------------------------------------------------------------------------


def test_container_has_no_capability_and_gains_none(run: Run) -> None:
    lines, _ = run("grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status")
    assert [line.split()[1] for line in lines] == ["0" * 16, "0" * 16, "1"]


def test_container_with_more_processors_than_there_are_gets_all_of_them(run: Run) -> None:
    assert run("echo works", cpus=4096.0)[0] == ["works"]


def test_container_runs_as_the_user_asked_for(run: Run) -> None:
    assert run("id -u; id -g", user="10001:10001")[0] == ["10001", "10001"]


def test_container_writes_nowhere_but_in_its_volumes_and_tmp(run: Run) -> None:
    lines, _ = run(
        "for f in /etc /usr /shared /tmp /; do touch $f/x 2>/dev/null && echo $f; done", volumes=("/shared",)
    )
    assert lines == ["/shared", "/tmp"]  # noqa: S108 - inside a container


def test_container_can_run_what_it_puts_into_tmp(run: Run) -> None:
    assert run("cp /bin/true /tmp/x && /tmp/x && echo ran")[0] == ["ran"]


def test_container_cannot_fill_tmp_beyond_its_size(run: Run) -> None:
    lines, status = run("head -c 3000000 /dev/zero > /tmp/x", tmpfs_bytes=2_000_000)
    assert status.exit_code != 0
    assert "No space left on device" in lines[-1]


def test_container_is_ended_over_its_memory(run: Run) -> None:
    _, status = run("perl -e '$x = \"x\" x 200_000_000'", memory=64 * 1024 * 1024)
    assert status == ExitStatus(137, oom_killed=True)


def test_container_cannot_start_more_processes_than_allowed(run: Run) -> None:
    lines, _ = run("for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done 2>&1", pids=5)
    assert any("annot fork" in line for line in lines)


def test_container_cannot_write_a_file_over_the_limit(run: Run) -> None:
    lines, _ = run(
        "head -c 2000 /dev/zero > /shared/x; stat -c %s /shared/x; ulimit -c", volumes=("/shared",), file_bytes=1000
    )
    # The shell tells of the limit on the other of its two outputs, which may come before or after.
    assert [line for line in lines if line.isdigit()] == ["1000", "0"]


def test_container_gets_no_variable_that_was_not_given(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid:3128")
    lines, _ = run("env", environment={"COLOUR": "blue"})
    assert "COLOUR=blue" in lines
    assert {line.split("=")[0] for line in lines} <= {
        "COLOUR",
        "PATH",
        "HOSTNAME",
        "HOME",
        "PWD",
        "SHLVL",
        "_",
        "OLDPWD",
    }


def test_removed_container_takes_its_volumes_along(docker: DockerEngine) -> None:
    name = "test-volumes"
    docker.create(ContainerSpec(name, BASE, {}, volumes=("/shared", "/app")))
    mine = {mount["Name"] for mount in docker._inspect(name)["Mounts"]}
    assert len(mine) == 2
    docker.remove(name)
    with docker._asked("list volumes"):
        assert mine.isdisjoint(volume["Name"] for volume in docker._client.volumes()["Volumes"] or ())


def test_container_is_told_the_hosts_that_it_cannot_ask_for(run: Run) -> None:
    lines, _ = run("getent hosts index.internal", hosts={"index.internal": "203.0.113.9"})
    assert [line.split() for line in lines] == [["203.0.113.9", "index.internal"]]


# ---- output ---------------------------------------------------------------------------------------------------


def test_output_of_both_kinds_arrives(run: Run) -> None:
    assert sorted(run("echo out; echo err >&2")[0]) == ["err", "out"]


def test_progress_becomes_its_last_state_and_the_last_line_needs_no_end(run: Run) -> None:
    assert run(r"printf '1%%\r50%%\r100%%\nlast'")[0] == ["100%", "last"]


def test_character_that_comes_in_two_halves_is_whole(run: Run) -> None:
    assert run(r"printf '\303'; sleep 0.3; printf '\251\n'")[0] == ["é"]


def test_very_long_line_is_cut(run: Run) -> None:
    lines, _ = run("head -c 100000 /dev/zero | tr '\\0' x; echo; echo next")
    assert lines == ["x" * LONGEST_LINE + CUT, "next"]


def test_flood_keeps_its_last_line(run: Run) -> None:
    """The engine keeps a part of a log and loses its place in it; the end must be there all the same."""
    lines, status = run("seq 1 600000; echo THE-END")
    assert lines[-1] == "THE-END"
    assert lines[-2] == "600000"
    assert status.exit_code == 0


def test_flood_can_be_stopped(docker: DockerEngine) -> None:
    name = "test-flood"
    docker.create(ContainerSpec(name, BASE, {}, command=("yes",)))
    docker.start(name)
    seen = [0]

    def count(line: str) -> None:
        seen[0] += 1

    with pytest.raises(BuildCancelled):
        docker.follow(name, output=count, stop=StopWhen(lambda: seen[0] > 10_000))
    docker.remove(name)


# ---- images ---------------------------------------------------------------------------------------------------


def build(docker: DockerEngine, dockerfile: str, **options: object) -> list[str]:
    lines: list[str] = []
    settings = {"arguments": {}, "output": lines.append, "stop": NeverStop(), "labels": {}, **options}
    image = docker.build_image(
        archive({"Dockerfile": dockerfile.encode()}),
        tag=f"portal-test/{docker.instance}:x",
        **settings,  # type: ignore[arg-type] # open options
    )
    docker.remove_image(image.image_id)
    return lines


def test_build_takes_arguments_and_stops_at_the_target(docker: DockerEngine) -> None:
    dockerfile = f"FROM {BASE} AS first\nARG COLOUR\nRUN echo it is $COLOUR\nFROM first\nRUN echo never reached\n"
    lines = build(docker, dockerfile, arguments={"COLOUR": "blue"}, target="first")
    assert "it is blue" in lines
    assert "never reached" not in lines


def test_build_of_an_unreadable_dockerfile_is_the_stacks_fault(docker: DockerEngine) -> None:
    with pytest.raises(BuildFailed, match="cannot be used: dockerfile parse error"):
        build(docker, "FRO debian\n")


def test_build_is_held_to_its_memory(docker: DockerEngine) -> None:
    with pytest.raises(BuildFailed, match="137"):
        build(docker, f"FROM {BASE}\nRUN perl -e '$x = \"x\" x 200_000_000'\n", memory=64 * 1024 * 1024)


def test_cancelled_build_leaves_neither_container_nor_layer(docker: DockerEngine) -> None:
    seen: list[str] = []
    dockerfile = f"FROM {BASE}\nRUN echo {secrets.token_hex(8)} > /layer\nRUN echo begun && sleep 600\n"
    with pytest.raises(BuildCancelled):
        build(docker, dockerfile, output=seen.append, stop=StopWhen(lambda: "begun" in seen))
    base, layer = (line.split()[-1] for line in seen if re.fullmatch(r" ---> [0-9a-f]{12}", line))
    assert docker.image(layer) is None
    assert docker.image(base) is not None
    *_, container = (line.split()[-1] for line in seen if line.startswith(" ---> Running in "))
    with docker._asked("list everything"):
        assert container not in [found["Id"][:12] for found in docker._client.containers(all=True)]


def test_build_hands_on_why_the_context_ended_early(docker: DockerEngine) -> None:
    def broken() -> object:
        yield b"x" * 512
        raise OSError("the artifact is gone")

    with pytest.raises(OSError, match="the artifact is gone"):
        docker.build_image(
            broken(),  # type: ignore[arg-type] # a generator of bytes
            tag="portal-test/broken:1",
            labels={},
            arguments={},
            output=nothing,
            stop=NeverStop(),
        )


def test_instances_neither_see_nor_touch_each_other(docker: DockerEngine) -> None:
    stranger = DockerEngine(docker.host, instance=secrets.token_hex(4))
    docker.create(ContainerSpec("b1-a1-builder", BASE, {"portal.build": "1"}, command=("sleep", "600")))
    docker.start("b1-a1-builder")
    assert stranger.containers({"portal.build": "1"}) == []
    stranger.kill("b1-a1-builder")
    stranger.remove("b1-a1-builder")
    with pytest.raises(ContainerMissing):
        stranger.wait("b1-a1-builder", seconds=0)
    (mine,) = docker.containers({"portal.build": "1"})
    assert (mine.name, mine.running) == ("b1-a1-builder", True)
    stranger.create(ContainerSpec("b1-a1-builder", BASE, {}))
    stranger.remove("b1-a1-builder")
    docker.remove("b1-a1-builder")


def test_engine_whose_socket_is_not_there_names_it() -> None:
    with pytest.raises(EngineError, match=re.escape("unix:///nowhere/docker.sock")):
        DockerEngine("unix:///nowhere/docker.sock", instance="0badcafe").info()


def test_engine_that_comes_back_is_found_again(docker: DockerEngine) -> None:
    engine = DockerEngine("unix:///nowhere/docker.sock", instance=docker.instance)
    with pytest.raises(EngineError):
        engine.info()
    engine.host = docker.host
    assert engine.info().version
