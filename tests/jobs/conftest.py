"""A whole portal but for its processes: a folder, a database, a queue, a repository, and the engine in memory."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import django_rq
import pytest
from django.db import connection
from pytest_django.fixtures import Settings
from rq.job import Job

from releases.jobs import doorbell, lease, workbench
from releases.jobs.build import run_build
from releases.models import Application, Build, Outcome
from releases.specs import Limits
from releases.storage import Blobs, BuildLog, log_path
from tests import factories
from tests.fakes.cage import FakeCage
from tests.fakes.engine import FakeEngine
from tests.git.conftest import Origin
from tests.pipeline import shop

PATIENCE = 30.0
"""Seconds after which a test gives up waiting for what should come at once."""


@pytest.fixture(autouse=True)
def home(settings: Settings, tmp_path: Path, transactional_db: None) -> Path:
    """The portal's folder. The database is one whose rows other threads and processes see."""
    settings.PORTAL_HOME = tmp_path
    settings.BLOBS_DIR, settings.LOGS_DIR = tmp_path / "blobs", tmp_path / "logs"
    settings.MIRRORS_DIR, settings.TEMP_DIR = tmp_path / "mirrors", tmp_path / "tmp"
    settings.LOCAL_REPOSITORIES = tmp_path / "local"
    settings.SECRETS_KEY = tmp_path / "secrets_key"
    settings.REFS_EVERY = 0  # tests that want readings by themselves say so
    settings.BUILD_CA_BUNDLE, settings.BUILD_INDEX_URL, settings.BUILD_PROXY = "", "", {}
    return tmp_path


@pytest.fixture(autouse=True)
def quick_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "LOOK_SECONDS", 0.05)


@pytest.fixture(autouse=True)
def empty_queues() -> Iterator[None]:
    empty()
    yield
    empty()


def empty() -> None:
    for name in ("builds", "desk"):
        django_rq.get_queue(name).empty()  # type: ignore[no-untyped-call]  # RQ left it so


def rung(queue: doorbell.QueueName = "builds") -> list[tuple[str, int]]:
    """What waits in a queue: function and key."""
    jobs: list[Job] = django_rq.get_queue(queue).jobs
    return [(str(job.func_name).rpartition(".")[2], job.args[0]) for job in jobs]


@pytest.fixture
def engine(home: Path, monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    engine = shop.workshop()
    shop.keep_runner(Blobs(home / "blobs"))
    monkeypatch.setattr(workbench, "connect", lambda: engine)
    monkeypatch.setattr(workbench, "make_cage", FakeCage)
    return engine


@pytest.fixture(scope="session")
def first_shop(tmp_path_factory: pytest.TempPathFactory) -> Origin:
    return shop.repository(tmp_path_factory.mktemp("origin"))


@pytest.fixture
def origin(first_shop: Origin, home: Path) -> Origin:
    return shop.copy_of(first_shop, home / "local")


@pytest.fixture
def app(origin: Origin) -> Application:
    return factories.application("fruit-shop", repository=origin.url)


@pytest.fixture
def build(app: Application) -> Build:
    """v1.0.0, typed by hand, waiting for a worker."""
    return typed(app)


def typed(app: Application, ref: str = "v1.0.0", **limits: int) -> Build:
    """A build of a ref that was typed by hand: its commit is not known yet."""
    return Build.objects.request(app, by=None, ref=ref, limits={**Limits().as_json(), **limits})


def run(build: Build) -> Build:
    """The job, here and now."""
    run_build(build.pk)
    build.refresh_from_db()
    return build


def lines(build: Build) -> list[str]:
    return [line.text for line in BuildLog(log_path(build.pk)).lines()]


def results(build: Build) -> dict[str, str]:
    """The steps and how each ended."""
    return dict(build.steps.values_list("name", "result"))


def assert_ended(build: Build, outcome: Outcome, *words: str) -> None:
    """As a person sees it: the outcome, the sentence, and the same sentence at the end of the log."""
    build.refresh_from_db()
    assert build.outcome == outcome, build.message
    for word in words:
        assert word in build.message
    assert lines(build)[-1] == f"{outcome.label}: {build.message}"
    assert "Traceback" not in build.message
    event = build.events.get(verb="build.finished")
    assert event.data == {"outcome": outcome.value, "message": build.message}


def assert_nothing_left(engine: FakeEngine) -> None:
    assert [container.name for container in engine.containers({})] == []


def kept_files(home: Path) -> list[Path]:
    """What lies in the store, published or half written, beside the stack's runner."""
    runner = hashlib.sha256(shop.RUNNER).hexdigest()
    return [path for path in (home / "blobs").rglob("*") if path.is_file() and path.name != runner]


def wait_until(met: Callable[[], bool]) -> None:
    """Until something has come about; it is an error when it does not."""
    until = time.monotonic() + PATIENCE
    while not met():
        assert time.monotonic() < until, "it never came about"
        time.sleep(0.01)


def in_state(build: Build, state: str) -> Callable[[], bool]:
    return lambda: Build.objects.filter(pk=build.pk, state=state).exists()


Start = Callable[[Callable[[], object]], threading.Thread]


@pytest.fixture
def start() -> Iterator[Start]:
    """Do something in a thread with a database connection of its own; all are waited for at the end."""
    threads: list[threading.Thread] = []

    def begin(work: Callable[[], object]) -> threading.Thread:
        def whole() -> None:
            try:
                work()
            finally:
                connection.close()

        thread = threading.Thread(target=whole, daemon=True)
        threads.append(thread)
        thread.start()
        return thread

    yield begin
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


@pytest.fixture
def git_that_waits(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`git fetch` never ends; the file that is given tells, as soon as it is there, that one was begun."""
    real, folder, begun = shutil.which("git"), home / "bin", home / "fetch-begun"
    folder.mkdir()
    script = folder / "git"
    script.write_text(
        "#!/bin/sh\n"
        f'for word; do if [ "$word" = fetch ]; then echo $$ >{begun}; exec sleep 600; fi; done\n'
        f'exec {real} "$@"\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return begun
