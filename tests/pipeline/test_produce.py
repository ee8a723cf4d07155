"""The builder's container: what goes in, what comes out, and what is said when nothing does."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from releases.errors import BuildCancelled, BuildFailed, BuildOutOfMemory, EngineError, EngineUnavailable, LimitExceeded
from releases.pipeline.bench import Bench, Surroundings
from releases.pipeline.checkout import check_out
from releases.pipeline.prepare import known
from releases.pipeline.produce import Produced, produce
from releases.specs import BuildSpec, Layout, Limits, Part, Usage
from releases.stacks import stack as stacks
from tests.fakes.cage import FakeCage
from tests.fakes.engine import FakeContainer, FakeEngine, Script
from tests.git.conftest import Origin
from tests.pipeline import shop

INPUTS = "1" * 64


def make(
    bench: Bench,
    spec: BuildSpec,
    kept: Mapping[str, Part] | None = None,
    installers: Sequence[str] = ("uv", "pip"),
) -> Produced:
    images = known(stacks.load(shop.STACK), bench)
    assert images is not None
    commit = check_out(spec, bench).commit
    return produce(spec, commit, images, installers, inputs=INPUTS, known=kept or {}, bench=bench)


def failure(bench: Bench, engine: FakeEngine, origin: Origin, script: Script) -> BuildFailed:
    engine.on_run(shop.BUILDER, script)
    with pytest.raises(BuildFailed) as caught:
        make(bench, shop.spec(origin))
    return caught.value


def test_produce_puts_the_commit_in_and_takes_the_parts_out(
    bench: Bench, engine: FakeEngine, origin: Origin, said: list[str]
) -> None:
    seen: list[object] = []

    def builder(container: FakeContainer) -> Script:
        seen.extend(container.files[path] for path in ("/app/app/app.py", "/shared/known.json"))
        return shop.good_builder(container)

    engine.on_run(shop.BUILDER, builder)
    produced = make(bench, shop.spec(origin))
    assert seen == [shop.FILES["app/app.py"], b"[]"]
    flask, dangerous = produced.environment.packages
    assert (flask.name, flask.version, flask.sha256) == ("flask", "3.1.3", shop.FLASK_SHA256)
    assert flask.filename == "flask-3.1.3-py3-none-any.whl"
    assert (dangerous.name, dangerous.source) == ("its-dangerous", "wheel")
    assert produced.environment == replace(shop.environment(bench.blobs), inputs=INPUTS)
    assert produced.environment.is_reproducible
    assert set(shop.LINES) <= set(said)
    assert (produced.limits_hit, produced.reused) == ((), 0)
    assert engine.containers({}) == []


def test_produce_asks_only_for_what_is_not_kept(bench: Bench, origin: Origin) -> None:
    first = make(bench, shop.spec(origin)).environment
    kept = {part.wheel: part for part in first.parts if part.wheel == shop.FLASK_SHA256}
    again = make(bench, shop.spec(origin), kept)
    assert (again.environment, again.reused) == (first, 1)


def test_produce_leaves_to_pip_what_uv_declines(
    bench: Bench, engine: FakeEngine, origin: Origin, said: list[str]
) -> None:
    packages = [{"name": "old", "version": "1.0", "sha256": "ab" * 32, "filename": "old-1.0.tar.gz", "source": "sdist"}]
    parts = [{"file": "environment.tar.gz", "name": "environment", "wheel": "cd" * 32}]
    result = {"installer": "pip", "python": "3.13.5", "packages": packages, "parts": parts}

    def builder(container: FakeContainer) -> Script:
        if container.spec.environment["MODE"] == "uv":
            return Script(lines=["old has no wheel that fits this interpreter."], exit_code=20)
        return Script(files=shop.left_behind(result=result))

    engine.on_run(shop.BUILDER, builder)
    made = make(bench, shop.spec(origin)).environment
    assert (made.installer, made.is_reproducible) == ("pip", False)
    assert [part.wheel for part in made.parts] == [""]  # code has run there: nothing of it serves another lock
    assert "uv leaves this to the next installer: old has no wheel that fits this interpreter." in said


def test_produce_says_that_no_installer_can(bench: Bench, engine: FakeEngine, origin: Origin) -> None:
    error = failure(bench, engine, origin, Script(lines=["It cannot."], exit_code=20))
    assert str(error) == "None of the stack's installers (uv, pip) could make this environment."


def test_produce_sees_how_much_memory_was_used(
    bench: Bench, engine: FakeEngine, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, measure = threading.Event(), engine.usage

    def usage(name: str) -> Usage:
        found = measure(name)
        looked.set()  # only now may the builder end
        return found

    monkeypatch.setattr(engine, "usage", usage)
    engine.on_run(shop.BUILDER, Script(until=looked, files=shop.left_behind(), usage=shop.USAGE))
    assert make(bench, shop.spec(origin)).memory_peak == 60_000_000


def test_produce_gives_the_builder_as_little_as_it_needs(bench: Bench, engine: FakeEngine, origin: Origin) -> None:
    limits = Limits(memory=300_000_000, cpus=0.5, pids=64, seconds=60, artifact_bytes=5_000_000)
    make(bench, shop.spec(origin, limits=limits, environment={"SECRET_KEY": "for the application alone"}))
    (asked,) = engine.runs
    assert (asked.user, asked.read_only, asked.volumes) == ("10001:10001", True, ("/app", "/shared"))
    assert (asked.memory, asked.cpus, asked.pids, asked.file_bytes) == (300_000_000, 0.5, 64, 5_000_000)
    assert (asked.publish, asked.command, asked.entrypoint) == (0, (), ())
    assert asked.labels == {
        "release-portal.build": "42",
        "release-portal.attempt": "1",
        "release-portal.role": "builder",
    }
    assert asked.environment == {
        "MODE": "uv",
        "REQUIREMENTS": "requirements.txt",
        "DIRECTORY": "app",
        "HOME": "/tmp",  # noqa: S108 - the builder's own
    }


def test_produce_runs_in_a_closed_network(bench: Bench, engine: FakeEngine, origin: Origin) -> None:
    make(bench, shop.spec(origin))
    assert bench.cage == FakeCage(closed=["build"])
    assert [asked.network for asked in engine.runs] == ["build"]


def test_produce_warns_where_the_network_is_open(
    bench: Bench, engine: FakeEngine, origin: Origin, said: list[str]
) -> None:
    make(replace(bench, cage=FakeCage("Only root can close it.")), shop.spec(origin))
    assert "Warning: Only root can close it." in said


def test_produce_is_refused_where_the_network_must_be_closed_and_is_not(
    bench: Bench, engine: FakeEngine, origin: Origin
) -> None:
    with pytest.raises(EngineError, match=r"Only root can close it\. Until then nothing is built"):
        make(replace(bench, cage=FakeCage("Only root can close it.", required=True)), shop.spec(origin))
    assert engine.runs == []


def test_produce_asks_a_container_whether_it_runs_in_gvisor(bench: Bench, engine: FakeEngine, origin: Origin) -> None:
    engine.runtimes = ("runc", "runsc")
    engine.on_run("release-portal.role=kernel", Script(lines=["[   0.000000] Starting gVisor..."]))
    make(replace(bench, cage=FakeCage(runtime="runsc")), shop.spec(origin))
    kernel, builder = engine.runs
    assert (kernel.runtime, kernel.entrypoint, kernel.image) == ("runsc", ("dmesg",), builder.image)
    assert (builder.runtime, builder.hosts) == ("runsc", {"index.example.org": "203.0.113.9"})
    assert engine.containers({}) == []


def test_produce_builds_nothing_in_a_runtime_that_is_not_what_it_says(
    bench: Bench, engine: FakeEngine, origin: Origin
) -> None:
    engine.runtimes = ("runc", "runsc")
    engine.on_run("release-portal.role=kernel", Script(lines=["[   0.000000] Linux version 6.12.0"]))
    with pytest.raises(EngineError, match="runsc was asked for, but the kernel that a container sees is not gVisor's"):
        make(replace(bench, cage=FakeCage(runtime="runsc")), shop.spec(origin))
    assert len(engine.runs) == 1


def test_produce_in_a_runtime_that_the_engine_lacks_is_refused(
    bench: Bench, engine: FakeEngine, origin: Origin
) -> None:
    with pytest.raises(EngineError, match="runsc"):
        make(replace(bench, cage=FakeCage(runtime="runsc")), shop.spec(origin))


def test_produce_hands_on_layout_index_proxy_and_certificates(
    around: Callable[[Surroundings], Bench], engine: FakeEngine, tmp_path: Path
) -> None:
    origin = shop.repository(
        tmp_path / "local", "other", {"deps/prod.txt": b"Flask\n", "web/main.py": b"application = 1\n"}
    )
    authority = tmp_path / "company.pem"
    authority.write_text("the company's own authority")
    bench = around(
        Surroundings(
            ca_bundle=str(authority),
            index_url="https://packages.example.org/simple",
            proxy={"https_proxy": "http://proxy.example.org:3128", "no_proxy": "localhost"},
        )
    )
    seen: dict[str, object] = {}

    def builder(container: FakeContainer) -> Script:
        seen.update(container.files)
        return shop.good_builder(container)

    engine.on_run(shop.BUILDER, builder)
    make(bench, shop.spec(origin, layout=Layout("web", "main", "application", "deps/prod.txt")))
    given = engine.runs[0].environment
    assert (given["REQUIREMENTS"], given["DIRECTORY"]) == ("deps/prod.txt", "web")
    assert given["PIP_INDEX_URL"] == "https://packages.example.org/simple"
    assert given["https_proxy"] == given["HTTPS_PROXY"] == "http://proxy.example.org:3128"
    assert given["no_proxy"] == given["NO_PROXY"] == "localhost"
    for name in ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "GIT_SSL_CAINFO"):
        assert seen[given[name]] == b"the company's own authority"


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (
            ["Collecting nosuch", "ERROR: No matching distribution found for nosuch==9", "Requirements cannot be met."],
            "Requirements cannot be met. pip said: No matching distribution found for nosuch==9",
        ),
        (
            ["ERROR: No matching distribution found for a", "It cannot: No matching distribution found for a"],
            "It cannot: No matching distribution found for a",
        ),
        (
            ["fast.c:3:1: error: unknown type name", "error: command 'gcc' failed", "A package could not be built."],
            "A package could not be built. pip said: error: command 'gcc' failed",
        ),
        (["\x1b[31mThe folder is missing.\x1b[0m", "", "  "], "The folder is missing."),
        (["It went \0 wrong \x1b[2K\x1b[1m\ud800here"], "It went � wrong �here"),
        ([], "The builder ended without a word: look whether its image can run at all, by the stack's page."),
    ],
)
def test_produce_tells_the_builders_last_line_and_pips_reason(
    lines: list[str], sentence: str, bench: Bench, engine: FakeEngine, origin: Origin
) -> None:
    error = failure(bench, engine, origin, Script(lines=lines, exit_code=11))
    assert type(error) is BuildFailed
    assert str(error) == sentence


@pytest.mark.parametrize(
    "script",
    [
        Script(lines=["Killed"], exit_code=137, oom_killed=True),
        Script(lines=["x86_64-linux-gnu-gcc: fatal error: Killed signal 9"], exit_code=12, oom_killed=True),
        Script(lines=["MemoryError"], exit_code=18, files=shop.left_behind(oom_kills=1)),
    ],
)
def test_produce_tells_that_memory_ran_out(script: Script, bench: Bench, engine: FakeEngine, origin: Origin) -> None:
    error = failure(bench, engine, origin, script)
    assert isinstance(error, BuildOutOfMemory)
    assert "hit its memory limit of 1024 MiB" in str(error)
    assert "raise “memory of the builder”" in str(error)


def test_produce_blames_no_limit_for_a_kill_from_elsewhere(bench: Bench, engine: FakeEngine, origin: Origin) -> None:
    error = failure(bench, engine, origin, Script(lines=["pip was ended by signal 9."], exit_code=137))
    assert type(error) is BuildFailed
    assert str(error) == "pip was ended by signal 9."


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (Script(["RuntimeError: can't start new thread", "pip failed."], 12), "more than 256 processes"),
        (Script(["fork: Resource temporarily unavailable"], 12), "more than 256 processes"),
        (Script(["pip failed."], 19, files=shop.left_behind(pids_limit_hits=3)), "more than 256 processes"),
        (Script(["tar: File too large", "app.tar.gz could not be written."], 14), "a file of more than 1024 MiB"),
        (Script(["File size limit exceeded"], 153), "a file of more than 1024 MiB"),
    ],
)
def test_produce_names_the_limit_that_was_hit(
    script: Script, words: str, bench: Bench, engine: FakeEngine, origin: Origin
) -> None:
    error = failure(bench, engine, origin, script)
    assert isinstance(error, LimitExceeded)
    assert words in str(error)
    assert "“" in str(error)  # what to raise


def test_produce_warns_when_a_limit_was_hit_and_the_build_went_on(
    bench: Bench, engine: FakeEngine, origin: Origin, said: list[str]
) -> None:
    engine.on_run(shop.BUILDER, Script(files=shop.left_behind(pids_limit_hits=2, oom_kills=1)))
    assert make(bench, shop.spec(origin)).limits_hit == ("memory", "processes")
    assert "Warning: the limit of processes was hit during this build; what was made may lack optional parts" in said


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ("nonsense", "no readable environment.json"),
        (None, "no readable environment.json"),
        ({"packages": "all", "parts": []}, "names no packages and parts"),
        ({"packages": [], "parts": []}, "does not begin with the part environment"),
        ({"packages": [], "parts": [{"file": "../../etc/passwd", "name": "environment"}]}, "does not begin with"),
        ({**shop.RESULT, "parts": [{"file": "environment.tar.gz", "name": "environment"}]}, "left out flask"),
        ({"packages": [], "parts": [{"file": "gone.tar.gz", "name": "environment"}]}, "left no file at /shared/parts"),
    ],
)  # fmt: skip
def test_produce_refuses_a_result_that_makes_no_sense(
    result: object, words: str, bench: Bench, engine: FakeEngine, origin: Origin
) -> None:
    assert words in str(failure(bench, engine, origin, Script(files=shop.left_behind(result=result))))


def test_produce_tells_the_builder_how_much_of_its_output_is_kept(
    around: Callable[[Surroundings], Bench], engine: FakeEngine, origin: Origin
) -> None:
    make(around(Surroundings(log_bytes=20_000_000)), shop.spec(origin))
    assert engine.runs[0].environment["LOG_BYTES"] == "10000000"


def test_produce_keeps_no_more_than_the_archive_may_hold_however_many_parts_there_are(
    bench: Bench, engine: FakeEngine, origin: Origin
) -> None:
    noise = {f"part-{number}.tar.gz": shop.part({f"app/env/{number}": os.urandom(40_000)}) for number in range(5)}
    bare = {"environment.tar.gz": shop.part({shop.PYTHON: b""})}
    parts = [{"file": name, "name": name.split(".")[0]} for name in (*bare, *noise)]
    left = shop.left_behind({**bare, **noise}, {"packages": [], "parts": parts})
    engine.on_run(shop.BUILDER, Script(files=left))
    with pytest.raises(LimitExceeded):
        make(bench, shop.spec(origin, limits=Limits(artifact_bytes=100_000)), installers=["pip"])


def test_produce_blames_the_engine_for_a_result_that_it_did_not_hand_out(
    bench: Bench, engine: FakeEngine, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one did that had too much else to do. Of the counters of limits, asked for before, nothing depends."""

    def busy(name: str, path: str, *, limit: int) -> NoReturn:
        raise EngineUnavailable(f"The container engine does not answer: it was asked for {path}.")

    monkeypatch.setattr(engine, "take_file", busy)
    with pytest.raises(EngineUnavailable, match=r"asked for /shared/environment\.json"):
        make(bench, shop.spec(origin))
    engine.on_run(shop.BUILDER, Script(lines=["The requirements cannot be met."], exit_code=11))
    with pytest.raises(BuildFailed, match="cannot be met"):
        make(bench, shop.spec(origin))


def test_produce_believes_no_hostile_result(bench: Bench, engine: FakeEngine, origin: Origin) -> None:
    entry = {
        "name": "Evil\0\ud800" + "x" * 300,
        "version": "1\0\ud800.0" + "1" * 200,
        "filename": "../\0evil\u202e.whl",
        "sha256": "' OR 1=1",
        "source": "<b>",
    }
    result = {"packages": [entry, None, 1], "parts": [{"file": "environment.tar.gz", "name": "environment"}]}
    engine.on_run(shop.BUILDER, Script(files=shop.left_behind(result=result)))
    (package,) = make(bench, shop.spec(origin), installers=["pip"]).environment.packages
    assert package.name == "evil" + "x" * 196
    assert package.version == ("1.0" + "1" * 200)[:100]
    assert (package.sha256, package.filename, package.source) == ("", "..evil.whl", "local")


def test_produce_stops_when_asked(stopped: Bench, bench: Bench, engine: FakeEngine, origin: Origin) -> None:
    bench.git.refresh("1.git", origin.url)
    engine.on_run(shop.BUILDER, Script(forever=True))
    with pytest.raises(BuildCancelled):
        make(stopped, shop.spec(origin, commit=origin.git("rev-parse", "v1.0.0")))


def test_produce_tells_that_the_engine_went_away(bench: Bench, engine: FakeEngine, origin: Origin) -> None:
    def leave(container: FakeContainer) -> Script:
        engine.away = True
        return Script(forever=True)

    engine.on_run(shop.BUILDER, leave)
    with pytest.raises(EngineUnavailable):
        make(bench, shop.spec(origin))
