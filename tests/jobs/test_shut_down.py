"""The end of the portal: nothing that it started goes on in the engine, and nothing keeps it from ending."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
from django.db import connections

from releases import actions
from releases.jobs import desk, sweeper, workbench
from releases.jobs.sweeper import Sweeper
from releases.models import Build, Event, Preview, PreviewState
from releases.specs import ContainerInfo, ContainerSpec
from releases.storage import BuildLog, preview_log_path
from tests.fakes.engine import FakeEngine, Script
from tests.jobs.conftest import PATIENCE, assert_nothing_left, run


def preview_of(build: Build) -> Preview:
    preview = actions.request_preview(build, environment={}, by=None)
    desk.start_preview(preview.pk)
    preview.refresh_from_db()
    assert preview.state == PreviewState.RUNNING
    return preview


def builder(engine: FakeEngine, build: Build) -> str:
    """A builder that goes on, as a killed worker leaves it."""
    image = engine.add_image("leftover-builder:1")
    engine.on_run("leftover-builder:1", Script(forever=True))
    name = f"build-{build.pk}-left"
    labels = {"release-portal.build": str(build.pk), "release-portal.attempt": "1"}
    engine.create(ContainerSpec(name=name, image=image.image_id, labels=labels))
    engine.start(name)
    return name


def test_shut_down_stops_previews_and_says_so(build: Build, engine: FakeEngine) -> None:
    preview = preview_of(run(build))
    engine._containers[preview.container].lines.append((0.5, "last words"))
    Sweeper().shut_down()
    preview.refresh_from_db()
    assert (preview.state, preview.message) == ("stopped", "Stopped with the portal.")
    assert Event.objects.filter(verb="preview.stopped").count() == 1
    assert "last words" in [line.text for line in BuildLog(preview_log_path(preview.pk)).lines()]
    assert_nothing_left(engine)


def test_shut_down_stops_a_preview_that_waits_for_its_worker(build: Build, engine: FakeEngine) -> None:
    preview = actions.request_preview(run(build), environment={}, by=None)
    Sweeper().shut_down()
    desk.start_preview(preview.pk)  # its job is still in the queue, and comes at the next start
    preview.refresh_from_db()
    assert preview.state == PreviewState.STOPPED
    assert_nothing_left(engine)


def test_shut_down_removes_the_builder_of_a_worker_that_was_killed(build: Build, engine: FakeEngine) -> None:
    name = builder(engine, build)
    assert [container.name for container in engine.containers({}) if container.running] == [name]
    Sweeper().shut_down()
    assert_nothing_left(engine)


def test_shut_down_without_an_engine_just_ends(build: Build, engine: FakeEngine) -> None:
    preview = preview_of(run(build))
    engine.away = True
    Sweeper().shut_down()
    preview.refresh_from_db()
    assert preview.state == PreviewState.RUNNING
    engine.away = False
    Sweeper().shut_down()
    assert_nothing_left(engine)


def test_shut_down_without_a_database_just_ends(
    build: Build,
    engine: FakeEngine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setitem(connections.settings["default"], "HOST", str(tmp_path / "nobody"))
    Sweeper().shut_down()
    assert "Not all that runs could be stopped" in caplog.text


class HangingEngine(FakeEngine):
    """One that takes the question and never answers."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.released = threading.Event(), threading.Event()

    def containers(self, labels: Mapping[str, str]) -> list[ContainerInfo]:
        self.asked.set()
        assert self.released.wait(PATIENCE)
        return super().containers(labels)


def test_shut_down_does_not_wait_for_an_engine_that_hangs(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = HangingEngine()
    monkeypatch.setattr(workbench, "connect", lambda: engine)
    monkeypatch.setattr(sweeper, "SHUT_DOWN_SECONDS", 0.2)
    Sweeper().shut_down()
    assert not engine.released.is_set()
    assert engine.asked.wait(PATIENCE)
    hanging = [thread for thread in threading.enumerate() if thread.name == "shutting down"]
    assert len(hanging) == 1
    engine.released.set()
    hanging[0].join(PATIENCE)
    assert not hanging[0].is_alive()
