"""The image is booted and asked once; whatever happens, its container goes."""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn

import pytest

from releases.errors import BuildCancelled, EngineError, EngineUnavailable
from releases.pipeline import probe as probing
from releases.pipeline.bench import Bench
from releases.pipeline.probe import ProbeFailed, probe
from releases.specs import BuildSpec, BuiltImage, ProbeResult
from releases.stacks import stack as stacks
from tests.fakes.cage import FakeCage
from tests.fakes.engine import Answer, FakeContainer, FakeEngine, Script
from tests.pipeline import shop


def ask(bench: Bench, engine: FakeEngine, script: Script | None = None, spec: BuildSpec | None = None) -> ProbeResult:
    image = engine.add_image("release-portal-0badcafe/shop:v1.0.0-7")
    if script is not None:
        engine.on_run(shop.PROBE, script)
    return probe(
        spec or shop.spec(),
        BuiltImage(image.image_id, image.tags[0], image.size, 1),
        bench,
        stack=stacks.load(shop.STACK),
    )


def serving(status: int, body: bytes = b"hello") -> Script:
    return Script(lines=["a worker was spawned"], forever=True, answer=Answer(status, body), usage=shop.USAGE)


def test_probe_keeps_the_answer_and_removes_the_container(bench: Bench, engine: FakeEngine, said: list[str]) -> None:
    result = ask(bench, engine, serving(200, b"Welcome"), shop.spec(environment={"SHOP_NAME": "Plums"}))
    assert (result.status, result.body, result.memory, result.answered) == (200, "Welcome", 50_000_000, True)
    assert result.message.startswith("GET / answered 200 OK after ")
    assert engine.containers({}) == []
    (asked,) = engine.runs
    assert (asked.environment, asked.publish, asked.read_only) == ({"SHOP_NAME": "Plums"}, 8080, True)
    assert asked.labels["release-portal.role"] == "probe"
    assert asked.memory > 0
    assert "  a worker was spawned" in said
    assert said[-1] == result.message


@pytest.mark.parametrize(("status", "good"), [(204, True), (302, True), (404, False), (500, False)])
def test_probe_takes_below_400_for_a_good_answer(status: int, good: bool, bench: Bench, engine: FakeEngine) -> None:
    result = ask(bench, engine, serving(status, b""))
    assert (result.status, result.answered) == (status, good)


def test_probe_runs_in_a_network_that_only_answers(bench: Bench, engine: FakeEngine) -> None:
    ask(bench, engine, serving(200))
    assert bench.cage == FakeCage(closed=["run"])
    assert [asked.network for asked in engine.runs] == ["run"]


def test_probe_that_is_required_fails_with_what_was_answered(bench: Bench, engine: FakeEngine) -> None:
    with pytest.raises(ProbeFailed) as caught:
        ask(bench, engine, serving(500, b"Traceback"), shop.spec(policy="required"))
    assert "The image was made, but its probe failed: GET / answered 500" in str(caught.value)
    assert "set the probe to “record”" in str(caught.value)
    assert (caught.value.result.status, caught.value.result.body) == (500, "Traceback")
    assert engine.containers({}) == []


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            Script(lines=["loading", "\x1b[31mKeyError: \0'SECRET_KEY'\x1b[0m", ""], exit_code=22),
            "The container ended with exit code 22 before it answered: it ended with “KeyError: �'SECRET_KEY'”.",
        ),
        (
            Script(lines=["ModuleNotFoundError: No module named 'flask'", "*** no app loaded ***"], exit_code=22),
            (
                "The container ended with exit code 22 before it answered: "
                "it ended with “ModuleNotFoundError: No module named 'flask'”."
            ),
        ),
        (Script(exit_code=1), "The container ended with exit code 1 before it answered: it printed nothing."),
        (
            Script(lines=["importing"], exit_code=137, oom_killed=True),
            "The container ran out of memory before it answered: its last words were “importing”.",
        ),
    ],
)
def test_probe_tells_how_a_container_ended(script: Script, message: str, bench: Bench, engine: FakeEngine) -> None:
    result = ask(bench, engine, script)
    assert (result.status, result.answered, result.message) == (0, False, message)
    assert engine.containers({}) == []


GL = "ImportError: libGL.so.1: cannot open shared object file: No such file or directory"
MUSL = "Error loading shared library libodd.so.9: No such file or directory (needed by /app/env/x.so)"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (GL, "The runtime image has no libGL.so.1; the package libgl1 has it: add it to the runner of the stack"),
        (MUSL, "The runtime image has no libodd.so.9; look for the package of the distribution that has it: add it"),
    ],
)
def test_probe_names_a_missing_library_and_its_package(line: str, says: str, bench: Bench, engine: FakeEngine) -> None:
    ended = ask(bench, engine, Script(lines=["Traceback", f"\x1b[31m{line}\x1b[0m", "no app loaded"], exit_code=22))
    assert f"exit code 22 before it answered: {says}" in ended.message
    answered = ask(bench, engine, replace(serving(500), lines=[line]))
    assert answered.message.startswith("GET / answered 500")
    assert says in answered.message
    assert says not in ask(bench, engine, replace(serving(200), lines=[line])).message


def test_probe_loses_patience_with_a_container_that_never_answers(
    bench: Bench, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "PATIENCE", 0.3)
    result = ask(bench, engine, Script(lines=["waiting for the database"], forever=True))
    assert result.status == 0
    assert "GET / had no answer within" in result.message
    assert "“waiting for the database”" in result.message
    assert result.body == "waiting for the database\n"
    assert engine.containers({}) == []


def test_probe_keeps_the_beginning_of_a_long_answer_as_text(bench: Bench, engine: FakeEngine) -> None:
    result = ask(bench, engine, serving(200, b"\0\xff" + b"x" * 100_000))
    assert result.body == "��" + "x" * 1998


def test_probe_tells_the_exit_of_a_container_that_ended_between_two_looks(
    bench: Bench, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ran when it was looked at and was over when its address was asked for."""

    def vanishing(name: str, port: int) -> str:
        engine.kill(name)
        raise EngineError(f"The container {name} does not publish its port {port} at the moment.")

    monkeypatch.setattr(engine, "address", vanishing)
    assert "ended with exit code 137" in ask(bench, engine, serving(200)).message


def test_probe_stops_when_asked_and_removes_the_container(stopped: Bench, engine: FakeEngine) -> None:
    with pytest.raises(BuildCancelled):
        ask(stopped, engine, Script(forever=True))
    assert engine.containers({}) == []


def test_probe_tells_that_the_engine_went_away(bench: Bench, engine: FakeEngine) -> None:
    def leave(container: FakeContainer) -> Script:
        engine.away = True
        return serving(200)

    engine.on_run(shop.PROBE, leave)
    with pytest.raises(EngineUnavailable):
        ask(bench, engine)


def test_probe_goes_on_when_the_engine_does_not_say_how_much_memory(
    bench: Bench, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unwilling(name: str) -> NoReturn:
        raise EngineError("The container engine does not measure.")

    monkeypatch.setattr(engine, "usage", unwilling)
    result = ask(bench, engine, serving(200))
    assert (result.status, result.memory) == (200, 0)
