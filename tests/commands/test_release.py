"""`manage.py release`: queueing, following to the end, and every way in which it may not go."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import django_rq
import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings
from rq import Worker

from releases.management import following
from releases.management.commands import release
from releases.models import Build, Outcome, State
from releases.specs import Crossing
from releases.storage import BuildLog, LogWriter, log_path
from tests import factories
from tests.commands.conftest import Run

pytestmark = pytest.mark.django_db

FACTS = {"number", "state", "outcome", "message", "commit", "rebase_of", "steps", "artifact", "image", "probe",
         "budgets", "over_budget"}  # fmt: skip


@pytest.fixture(autouse=True)
def home(settings: Settings, tmp_path: Path) -> Path:
    settings.LOGS_DIR, settings.BLOBS_DIR = tmp_path / "logs", tmp_path / "blobs"
    return tmp_path


@contextmanager
def worker(work: Callable[[Build], None]) -> Iterator[None]:
    """Somebody who takes up the first queued build that appears, as another process would."""

    def wait_and_work() -> None:
        try:
            until = time.monotonic() + 30
            while time.monotonic() < until:
                build = Build.objects.queued().first()
                if build is not None and build.take_up(worker="forge-1"):
                    try:
                        work(build)
                    finally:  # whatever went wrong here, the command must not wait for ever
                        if not Build.objects.get(pk=build.pk).is_finished:
                            build.mark_ended(Outcome.INTERNAL_ERROR, "The worker of this test failed.")
                    return
                time.sleep(0.05)
        finally:
            connection.close()

    thread = threading.Thread(target=wait_and_work)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def fail(build: Build) -> None:
    with LogWriter(log_path(build.pk)) as log:
        log.step("checkout")
        log.line("fetching …")
        log.line("There is no requirements.txt at the root.")
    build.mark_ended(Outcome.FAILED, "There is no requirements.txt at the root: add one.")


def succeed(build: Build) -> None:
    donor = factories.succeeded_build(artifact_bytes=b"bytes")
    with LogWriter(log_path(build.pk)) as log:
        log.line("pip is at work")
    row = Build.objects.get(pk=donor.pk)
    assert row.image is not None
    row.image.pk = None
    row.image.save()
    build.note(
        artifact=row.artifact,
        image=row.image,
        probe_status=200,
        probe_seconds=0.4,
        probe_memory=9,
        probe_message="GET / answered 200.",
    )
    build.steps.create(
        position=0,
        name="checkout",
        result="succeeded",
        started_at=timezone.now(),
        finished_at=timezone.now(),
        seconds=0.36,
    )
    for verb in (build.mark_producing, build.mark_packaging, build.mark_probing):
        verb()
    build.mark_succeeded("Released.")


def resolve_and_succeed(build: Build) -> None:
    build.note(commit="1" * 40)
    succeed(build)


# ---- without waiting ---------------------------------------------------------------------------------------


def test_release_is_queued(run: Run) -> None:
    app = factories.application("fruit-shop")
    factories.ref(app, "v1.0.0")
    said = run("release", "fruit-shop", "v1.0.0")
    assert (said.code, said.out, said.err) == (0, "fruit-shop #1 is queued: v1.0.0.\n", "")
    build = Build.objects.get()
    assert (build.state, build.requested_by, build.ref_full) == (State.QUEUED, None, "")


def test_release_as_json(run: Run) -> None:
    factories.application("fruit-shop")
    told = json.loads(run("release", "fruit-shop", "main", "--json").out)
    assert told.keys() >= FACTS
    assert (told["number"], told["state"], told["outcome"], told["commit"]) == (1, "queued", "", "")
    assert (told["steps"], told["artifact"], told["image"], told["probe"]) == ({}, None, None, None)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nobody", "v1.0.0"], "No application is named “nobody”. Registered: a, b, c, d, e, …."),
        (["\udcff", "v1.0.0"], "No application is named"),
        (["a", "v1..2"], "The ref holds what git does not allow"),
        (["a", ""], "No ref was given"),
    ],
)
def test_bad_input_is_one_sentence_and_2(run: Run, arguments: list[str], sentence: str) -> None:
    for name in "fabcde":
        factories.application(name)
    said = run("release", *arguments)
    assert said.code == 2
    assert sentence in said.err
    assert said.err.count("\n") == 1
    assert not Build.objects.exists()


def test_without_any_application_the_sentence_says_how_to_register_one(run: Run) -> None:
    said = run("release", "nobody", "v1.0.0")
    assert said.code == 2
    assert "manage.py register" in said.err


def test_a_build_under_way_is_named(run: Run) -> None:
    factories.application("fruit-shop")
    run("release", "fruit-shop", "main")
    said = run("release", "fruit-shop", "main")
    assert (said.code, said.out, said.err) == (2, "", "main of fruit-shop is being built already, as #1.\n")


def test_redis_away_is_said_and_the_build_stands(run: Run, settings: Settings) -> None:
    factories.application("fruit-shop")
    away = {"URL": "unix:///nowhere/redis.sock"}
    settings.RQ_QUEUES = {"builds": away, "desk": away}
    said = run("release", "fruit-shop", "main")
    assert said.code == 0
    assert "fruit-shop #1 stands; Redis does not answer, so it starts when it is back." in said.err
    assert Build.objects.get().state == State.QUEUED


# ---- waiting ----------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_wait_follows_a_failure_to_its_end(run: Run) -> None:
    factories.application("fruit-shop")
    with worker(fail):
        said = run("release", "fruit-shop", "main", "--wait")
    assert said.code == 1
    assert said.err.splitlines()[-3:] == ["== checkout ==", "fetching …", "There is no requirements.txt at the root."]
    assert said.out == "fruit-shop #1: There is no requirements.txt at the root: add one.\n"


@pytest.mark.django_db(transaction=True)
def test_wait_joins_the_build_that_makes_the_same_release(run: Run) -> None:
    factories.application("fruit-shop")
    run("release", "fruit-shop", "main")
    with worker(fail):
        said = run("release", "fruit-shop", "main", "--wait")
    assert said.code == 1
    assert said.err.startswith("main of fruit-shop is being built already, as #1. Following it.\n")
    assert "There is no requirements.txt" in said.out
    assert Build.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_wait_for_a_success_tells_everything_as_json(run: Run, home: Path) -> None:
    app = factories.application("fruit-shop")
    with worker(resolve_and_succeed):
        said = run("release", "fruit-shop", "v1.0.0", "--wait", "--json")
    assert said.code == 0
    assert "pip is at work" in said.err
    told = json.loads(said.out)
    build = app.builds.get()
    assert build.artifact is not None
    assert build.image is not None
    assert build.commit
    digest = build.artifact.sha256
    assert (told["number"], told["state"], told["outcome"], told["message"]) == (
        1,
        "finished",
        "succeeded",
        "Released.",
    )
    assert (told["commit"], told["steps"]) == (build.commit, {"checkout": 0.36})
    assert told["artifact"] == {
        "path": str(home / "blobs" / "sha256" / digest[:2] / digest),
        "sha256": digest,
        "size": 5,
    }
    assert told["image"] == {
        "id": build.image.image_id,
        "tag": build.image.tag,
        "size": build.image.size,
        "builder_size": build.image.builder_size,
    }
    assert told["probe"] == {"status": 200, "seconds": 0.4, "memory": 9, "message": "GET / answered 200."}


@pytest.mark.django_db(transaction=True)
def test_wait_for_a_success_tells_it_to_a_person(run: Run) -> None:
    app = factories.application("fruit-shop")
    with worker(resolve_and_succeed):
        said = run("release", "fruit-shop", "main", "--wait")
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[0] == "fruit-shop #1: Released."
    assert lines[1] == f"  commit    {'1' * 40}"
    artifact = app.builds.get().artifact
    assert artifact is not None
    assert artifact.sha256 in lines[2]
    assert "43.2 MB, its builder 388.0 MB" in lines[3]
    assert "GET / answered 200." in lines[4]


@pytest.mark.django_db(transaction=True)
def test_wait_says_when_nobody_works(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    factories.application("fruit-shop")
    monkeypatch.setattr(following, "PATIENCE_SECONDS", 0.0)
    assert Worker.all(queue=django_rq.get_queue("builds")) == []
    said_so = threading.Event()
    tell = release.Command.tell

    def remember(command: release.Command, sentence: str) -> None:
        tell(command, sentence)
        said_so.set()

    monkeypatch.setattr(release.Command, "tell", remember)

    def come_late() -> None:
        said_so.wait(30)
        with worker(fail):
            pass

    helper = threading.Thread(target=come_late)
    helper.start()
    said = run("release", "fruit-shop", "main", "--wait")
    helper.join()
    assert said.err.splitlines()[0] == (
        "fruit-shop #1 is queued, but nobody builds at this moment: start the portal with ./run. Waiting …"
    )
    assert said.code == 1


@pytest.mark.django_db(transaction=True)
def test_ctrl_c_leaves_the_build_going_and_says_how_to_cancel(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    factories.application("fruit-shop")

    def interrupted(_command: release.Command, _build: Build, _log: BuildLog) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(release.Command, "_follow", interrupted)
    said = run("release", "fruit-shop", "main", "--wait")
    build = Build.objects.get()
    assert said.code == 130
    assert f"goes on without this terminal; to end it, press Cancel on {build.get_absolute_url()}." in said.err
    assert build.state == State.QUEUED


def test_release_over_budget_is_told_to_people_and_programs() -> None:
    crossing = Crossing("image", "warn", 48_100_000, 45_000_000, 0, 1, 44_000_000)
    app = factories.application("shop", image_budget_mb=45)
    build = factories.succeeded_build(app, size=48_100_000, crossings=[crossing.as_json()])
    told = json.loads(json.dumps(following.facts(build)))
    assert told["budgets"] == {"image": {"most": 45_000_000, "policy": "warn"}}
    [over] = told["over_budget"]
    assert (over["budget"], over["over"], over["policy"]) == ("image", 3_100_000, "warn")
    assert over["message"] == "The image, 48.1 MB, is 3.1 MB over its budget of 45 MB. It is the first that is over it."
    assert f"  budget    {over['message']}" in following.summary(build)
