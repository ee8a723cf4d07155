"""`manage.py rebase` and `manage.py prepare`: what they ask for, what they say, and how they end."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection
from pytest_django import Settings

from releases.management import following
from releases.models import Build, Preparation, State
from releases.specs import StackImages
from releases.storage import Blobs, LogWriter, preparation_log_path
from tests import factories
from tests.commands.conftest import Run

pytestmark = pytest.mark.django_db

STACK = "python3.13-uwsgi"
ARCHIVE = b"the archive of a release"


@pytest.fixture(autouse=True)
def home(settings: Settings, tmp_path: Path) -> None:
    settings.LOGS_DIR, settings.BLOBS_DIR = tmp_path / "logs", tmp_path / "blobs"
    Blobs(settings.BLOBS_DIR).put([ARCHIVE])


@pytest.fixture
def release() -> Build:
    app = factories.application("shop")
    made = factories.succeeded_build(app, artifact_bytes=ARCHIVE, runner="old")
    factories.finished_build(app)
    factories.prepared("new")
    return made


def test_rebase_takes_the_last_release(run: Run, release: Build) -> None:
    said = run("rebase", "shop", "--json")
    assert said.code == 0, said.err
    facts = json.loads(said.out)
    assert (facts["number"], facts["rebase_of"], facts["state"]) == (3, 1, "queued")
    assert run("rebase", "shop", "1").code == 2  # it is under way


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("shop", "2"), "shop #2 did not succeed, so there is no release to rebase: press Rebuild."),
        (("shop", "9"), "shop has no build #9; its last is #2."),
        (("shop", "99999999999"), "shop has no build #99999999999; its last is #2."),
        (("no-such",), "No application is named “no-such”. Registered: empty, shop."),
        (("empty",), "empty has no release yet, so there is nothing to rebase."),
    ],
)
def test_rebase_of_what_is_no_release_says_so(run: Run, release: Build, arguments: tuple[str, ...], words: str) -> None:
    factories.application("empty")
    said = run("rebase", *arguments)
    assert (said.code, said.out, said.err) == (2, "", f"{words}\n")


def test_rebase_on_the_newest_runtime_says_how_to_get_a_newer_one(run: Run, release: Build) -> None:
    factories.prepared("old")
    said = run("rebase", "shop")
    assert said.code == 2
    assert "there is nothing to rebase" in said.err
    assert Build.objects.queued().count() == 0


@pytest.mark.parametrize(("flags", "anew"), [((), ""), (("--runtime-anew",), "runner"), (("--anew",), "both")])
def test_prepare_asks_for_what_is_wanted(run: Run, flags: tuple[str, ...], anew: str) -> None:
    said = run("prepare", STACK, *flags, "--json")
    assert said.code == 0, said.err
    facts = json.loads(said.out)
    assert (facts["stack"], facts["anew"], facts["state"], facts["runner"]) == (STACK, anew, "queued", None)
    again = run("prepare", STACK)
    assert (again.code, again.err) == (2, f"The stack {STACK} is being prepared already.\n")


def test_prepare_of_no_stack_says_which_there_are(run: Run) -> None:
    said = run("prepare", "no-such")
    assert said.code == 2
    assert "There is no stack no-such (there are:" in said.err


@contextmanager
def worker(work: Callable[[Preparation], None]) -> Iterator[None]:
    """Somebody who takes up the preparation that is asked for, as another process would."""
    over = threading.Event()

    def wait_and_work() -> None:
        try:
            while not over.wait(0.05):
                made = Preparation.objects.filter(state=State.QUEUED).first()
                if made is not None and made.take_up():
                    with LogWriter(preparation_log_path(made.pk)) as log:
                        log.line("Step 1/9 : FROM debian:trixie-slim")
                    work(made)
                    return
        finally:
            connection.close()

    thread = threading.Thread(target=wait_and_work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.django_db(transaction=True)
def test_prepare_follows_to_the_end(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "POLL_SECONDS", 0.02)
    images = StackImages(factories.image_id("b"), 5, factories.image_id("r"), 3, "", "d" * 64)
    with worker(lambda made: made.mark_succeeded(images, "Builder 5 MB, runner 3 MB.")):
        said = run("prepare", STACK, "--anew", "--wait", "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["runner"] == {"id": factories.image_id("r"), "size": 3}
    assert "Step 1/9" in said.err
    with worker(lambda made: made.mark_failed("No space is left.")):
        failed = run("prepare", STACK, "--wait")
    assert failed.code == 1
    assert failed.out.strip().endswith("failed: No space is left.")
