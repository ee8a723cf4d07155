"""Every way in which a build can end otherwise than well: its outcome, its sentence, and nothing half-published."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
from django.db import connection
from pytest_django.fixtures import Settings

from releases.jobs import build as building
from releases.jobs.environments import LARGEST_FILE
from releases.models import Application, Build, Outcome
from releases.pipeline import probe as probing
from releases.pipeline.bench import Bench
from releases.pipeline.prepare import prepare
from releases.specs import StackImages
from releases.stacks import stack as stacks
from releases.stacks.stack import Stack
from releases.storage import Blobs
from tests import factories
from tests.fakes.engine import Answer, BuildScript, FakeContainer, FakeEngine, Script, Special
from tests.git.conftest import Origin
from tests.jobs.conftest import assert_ended, assert_nothing_left, kept_files, results, run, typed
from tests.pipeline import shop

# ---- the application's fault ---------------------------------------------------------------------------------


def test_build_with_a_requirements_file_too_large_to_be_looked_at(
    app: Application, engine: FakeEngine, origin: Origin
) -> None:
    origin.commit("Require", {"requirements.txt": b"#" * (LARGEST_FILE + 1)})
    origin.push()
    build = run(typed(app, "main"))
    assert_ended(build, Outcome.FAILED, "requirements.txt holds 8,388,609 bytes: at most 8,388,608 are read")
    assert engine.runs == []


@pytest.mark.parametrize(
    ("script", "outcome", "words"),
    [
        (
            Script(
                lines=[
                    "ERROR: Could not find a version that satisfies the requirement nosuch==9 (from versions: none)",
                    "ERROR: No matching distribution found for nosuch==9",
                    "The requirements in requirements.txt cannot be met: No matching distribution found for nosuch==9",
                ],
                exit_code=11,
            ),
            Outcome.FAILED,
            "The requirements in requirements.txt cannot be met: No matching distribution found for nosuch==9",
        ),
        (
            Script(
                lines=["error: command 'gcc' failed", "A package could not be built from its source."], exit_code=12
            ),
            Outcome.FAILED,
            "A package could not be built from its source. pip said: error: command 'gcc' failed",
        ),
        (Script(lines=["Killed"], exit_code=137, oom_killed=True), Outcome.OUT_OF_MEMORY, "memory limit of 1024 MiB"),
        (
            Script(lines=["can't start new thread"], exit_code=19, files=shop.left_behind(pids_limit_hits=9)),
            Outcome.FAILED,
            "more than 256 processes",
        ),
        (Script(exit_code=125), Outcome.FAILED, "The builder ended without a word"),
        (Script(lines=["bad \0 \ud800 news"], exit_code=1), Outcome.FAILED, "bad � � news"),
    ],
)
def test_build_whose_builder_fails_says_why(
    script: Script, outcome: Outcome, words: str, build: Build, engine: FakeEngine, home: Path
) -> None:
    engine.on_run(shop.BUILDER, script)
    run(build)
    assert_ended(build, outcome, words)
    assert results(build) == {"checkout": "succeeded", "produce": "failed"}
    assert kept_files(home) == []
    assert_nothing_left(engine)


def odd_archive() -> bytes:
    return shop.part({"app/env/../../etc/cron.d/evil": b"* * * * * root true\n"})


@pytest.mark.parametrize(
    ("artifact", "words"),
    [
        (Special.SYMLINK, "a symbolic link, not a regular file"),
        (Special.FIFO, "a special file, not a regular file"),
        (Special.FOLDER, "a folder, not a regular file"),
        (odd_archive(), "a member outside app/env/"),
        (shop.part({"app/env/a\nb": b""}), "a name with control characters"),
        (b"no archive", "not a whole gzip tar archive"),
        (b"", "not a whole gzip tar archive"),
    ],
)
def test_build_takes_nothing_but_one_good_archive(
    artifact: bytes | Special, words: str, build: Build, engine: FakeEngine, home: Path
) -> None:
    engine.on_run(shop.BUILDER, Script(files=shop.left_behind({"environment.tar.gz": artifact})))
    run(build)
    assert_ended(build, Outcome.FAILED, words)
    assert results(build) == {"checkout": "succeeded", "produce": "failed"}
    assert (build.artifact, build.image) == (None, None)
    assert kept_files(home) == []
    assert_nothing_left(engine)


def test_build_that_leaves_nothing(build: Build, engine: FakeEngine) -> None:
    engine.on_run(shop.BUILDER, Script(lines=["all is well"]))
    assert_ended(run(build), Outcome.FAILED, "The builder left no readable environment.json")
    assert build.packages.count() == 0


def test_build_whose_artifact_is_too_large_keeps_nothing_of_it(
    app: Application, engine: FakeEngine, home: Path
) -> None:
    build = typed(app, artifact_bytes=1000)
    engine.on_run(shop.BUILDER, Script(files=shop.left_behind({"environment.tar.gz": bytes(1001)})))
    assert_ended(run(build), Outcome.FAILED, "1,001 bytes", "raise the limit")
    assert kept_files(home) == []


def test_build_whose_image_cannot_be_made(build: Build, engine: FakeEngine) -> None:
    engine.on_build("fruit-shop", BuildScript(error="ADD failed: no space left on device"))
    run(build)
    assert_ended(build, Outcome.ENGINE_UNAVAILABLE, "ADD failed: no space left on device")
    assert results(build)["package"] == "failed"
    assert build.artifact is not None  # it is good, and stays
    assert build.image is None


@pytest.mark.parametrize(
    ("policy", "outcome", "result"),
    [("record", Outcome.SUCCEEDED, "succeeded"), ("required", Outcome.FAILED, "failed")],
)
def test_build_whose_application_answers_badly(
    policy: str, outcome: Outcome, result: str, app: Application, engine: FakeEngine
) -> None:
    engine.on_run(shop.PROBE, Script(forever=True, answer=Answer(500, b"no database")))
    app.probe_policy = policy
    build = run(typed(app))
    assert_ended(build, outcome)
    assert results(build)["probe"] == result
    assert (build.probe_status, build.probe_body) == (500, "no database")
    assert "GET / answered 500" in (build.message if policy == "required" else build.probe_message)
    assert build.image is not None
    assert_nothing_left(engine)


@pytest.mark.parametrize("policy", ["record", "required"])
def test_build_whose_application_never_answers(
    policy: str, app: Application, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "PATIENCE", 0.2)
    engine.on_run(shop.PROBE, Script(lines=["waiting for the database"], forever=True))
    app.probe_policy = policy
    build = run(typed(app))
    assert_ended(build, Outcome.FAILED if policy == "required" else Outcome.SUCCEEDED)
    assert (build.probe_status, build.probe_seconds) == (None, None)
    assert "had no answer within" in build.probe_message
    assert "waiting for the database" in build.probe_message


def test_build_out_of_time(app: Application, engine: FakeEngine) -> None:
    engine.on_run(shop.BUILDER, Script(lines=["still at it"], forever=True))
    build = run(typed(app, seconds=1))
    assert_ended(build, Outcome.TIMED_OUT, "longer than its limit of 1 s", "raise “time limit of a build”")
    assert_nothing_left(engine)


def test_build_time_is_not_spent_on_the_stacks_images(
    app: Application, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first build that has to make them gets its whole time afterwards."""
    stack = stacks.load(shop.STACK)
    engine.remove_image(stack.builder_tag)

    def slow(stack: Stack, bench: Bench) -> StackImages:
        time.sleep(1.1)  # longer than the whole build may take
        bench.stop.check()
        return prepare(stack, bench)

    monkeypatch.setattr(building, "prepare", slow)
    build = run(typed(app, seconds=1))
    assert_ended(build, Outcome.SUCCEEDED)
    assert results(build)["prepare"] == "succeeded"


# ---- the repository's ----------------------------------------------------------------------------------------


def test_build_of_a_broken_contract_never_asks_for_a_container(engine: FakeEngine, home: Path) -> None:
    origin = shop.repository(home / "local", "other", {"deps/prod.txt": b"", "web/main.py": b"application = 1\n"})
    build = run(typed(factories.application(repository=origin.url)))
    assert_ended(
        build,
        Outcome.FAILED,
        "does not keep the contract",
        "“Requirements file” (found: deps/prod.txt)",
        "(found: web)",
    )
    assert results(build) == {"checkout": "failed"}
    assert (engine.runs, engine.builds) == ([], [])


def test_build_of_an_unknown_ref(app: Application, engine: FakeEngine) -> None:
    assert_ended(run(typed(app, "v9.9.9")), Outcome.FAILED, "no tag, branch or commit “v9.9.9”")


def test_build_of_a_repository_that_is_away(build: Build, engine: FakeEngine, origin: Origin) -> None:
    shop.remove(origin)
    assert_ended(run(build), Outcome.SOURCE_UNAVAILABLE, origin.url)
    assert results(build) == {"checkout": "failed"}


def test_build_of_a_commit_that_is_gone(app: Application, engine: FakeEngine, origin: Origin) -> None:
    build = run(factories.queued_build(app, commit="ab" * 20))
    assert_ended(build, Outcome.FAILED, f"no longer has commit {'ab' * 20}", "read the refs again")


def test_build_typed_twice_by_other_names_is_built_once(app: Application, engine: FakeEngine, origin: Origin) -> None:
    commit = origin.git("rev-parse", "HEAD")
    factories.queued_build(app, commit=commit)
    build = run(typed(app, "main"))
    assert_ended(build, Outcome.FAILED, f"main is commit {commit[:7]}, which is being built already")
    assert engine.runs == []


# ---- our workshop's ------------------------------------------------------------------------------------------


def test_build_without_an_engine_says_so_at_once(build: Build, engine: FakeEngine) -> None:
    engine.away = True
    assert_ended(run(build), Outcome.ENGINE_UNAVAILABLE, "The container engine does not answer")
    assert results(build) == {"checkout": "failed"}


@pytest.mark.parametrize("role", [shop.BUILDER, shop.PROBE])
def test_build_whose_engine_goes_away_in_the_middle(role: str, build: Build, engine: FakeEngine) -> None:
    def leave(container: FakeContainer) -> Script:
        engine.away = True
        return Script(forever=True)

    engine.on_run(role, leave)
    assert_ended(run(build), Outcome.ENGINE_UNAVAILABLE, "The container engine does not answer")


def test_build_whose_container_is_removed_by_a_stranger(build: Build, engine: FakeEngine) -> None:
    def vanish(container: FakeContainer) -> Script:
        engine.remove(container.spec.name)
        return Script(forever=True)

    engine.on_run(shop.BUILDER, vanish)
    assert_ended(run(build), Outcome.ENGINE_UNAVAILABLE, "is no longer there")


def test_build_whose_stack_cannot_be_made(build: Build, engine: FakeEngine) -> None:
    stack = stacks.load(build.stack)
    engine.remove_image(stack.builder_tag)
    engine.on_build(stack.builder_tag, BuildScript(error="The command apt-get returned a non-zero code: 100"))
    run(build)
    assert_ended(build, Outcome.INTERNAL_ERROR, "The builder image of stack", "press Prepare")
    assert results(build) == {"checkout": "succeeded", "prepare": "failed"}


def test_build_whose_stack_is_gone(app: Application, engine: FakeEngine) -> None:
    app.stack = "python2-mod-python"
    assert_ended(run(typed(app)), Outcome.INTERNAL_ERROR, "There is no stack python2-mod-python")


@pytest.fixture
def small_disk(home: Path, settings: Settings) -> Iterator[Path]:
    """A store with room for one megabyte."""
    if os.getuid() != 0:
        pytest.skip("A small disk can only be mounted by root: run the tests as root.")
    folder = home / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=True)
    settings.BLOBS_DIR = folder
    shop.keep_runner(Blobs(folder))
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_build_on_a_full_disk_publishes_nothing(build: Build, engine: FakeEngine, small_disk: Path) -> None:
    engine.on_run(shop.BUILDER, Script(files=shop.left_behind({"environment.tar.gz": bytes(3_000_000)})))
    run(build)
    assert_ended(build, Outcome.INTERNAL_ERROR, f"No space is left in {small_disk}", "free some")
    (runner,) = [path for path in small_disk.rglob("*") if path.is_file()]
    assert runner.name == hashlib.sha256(shop.RUNNER).hexdigest()
    assert build.artifact is None
    assert_nothing_left(engine)


def test_build_that_meets_a_defect_says_so_without_a_traceback(
    build: Build, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_given: object, **_named: object) -> NoReturn:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr(building, "collect", broken)
    run(build)
    assert_ended(build, Outcome.INTERNAL_ERROR, "The portal itself failed (RuntimeError)", "Rebuild")
    assert "a secret detail" not in build.message
    assert "a secret detail" in caplog.text  # for the operator
    assert results(build)["collect"] == "failed"
    assert_nothing_left(engine)


def test_build_whose_connection_to_the_database_breaks_says_so(
    build: Build, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*_given: object, **_named: object) -> NoReturn:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        raise AssertionError("the connection held")

    monkeypatch.setattr(building, "collect", cut_off)
    run(build)
    assert_ended(build, Outcome.INTERNAL_ERROR, "The database went away", "press Rebuild")
    assert results(build)["collect"] == "failed"
    assert_nothing_left(engine)


def test_build_whose_stack_changes_while_it_goes_on_is_not_packaged(
    build: Build, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = building._stack_images
    monkeypatch.setattr(building, "_stack_images", lambda *given: replace(real(*given), digest="0" * 64))
    assert_ended(run(build), Outcome.INTERNAL_ERROR, "changed while this build went on", "press Rebuild")
    assert build.image is None
    assert_nothing_left(engine)
