"""Previews: their logs are copied once, they stop when asked and by themselves, and their containers go."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.utils import timezone

from releases import actions
from releases.jobs import desk, sweeper
from releases.jobs.sweeper import Sweeper
from releases.models import Build, Event, Preview, PreviewState
from releases.storage import BuildLog, preview_log_path
from tests.fakes.engine import FakeEngine
from tests.jobs.conftest import assert_nothing_left, empty, run, rung


@pytest.fixture
def preview(build: Build, engine: FakeEngine) -> Preview:
    """One that runs."""
    preview = actions.request_preview(run(build), environment={}, by=None)
    desk.start_preview(preview.pk)
    preview.refresh_from_db()
    assert preview.state == PreviewState.RUNNING
    return preview


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine in memory writes a line down as soon as it is printed."""
    monkeypatch.setattr(sweeper, "LOG_DELAY", 0.0)


def log_of(preview: Preview) -> list[str]:
    return [line.text for line in BuildLog(preview_log_path(preview.pk)).lines()]


def say(engine: FakeEngine, preview: Preview, *lines: str) -> None:
    """The application prints something now."""
    engine._containers[preview.container].lines += [(time.time(), line) for line in lines]


def test_tick_stops_a_preview_when_asked(preview: Preview, engine: FakeEngine) -> None:
    actions.stop_preview(preview, by=None)
    Sweeper().tick()
    preview.refresh_from_db()
    assert (preview.state, preview.message) == ("stopped", "Stopped as asked.")
    assert preview.stopped_at is not None
    assert Event.objects.filter(verb="preview.stopped").count() == 1
    assert_nothing_left(engine)


def test_tick_stops_a_preview_when_its_time_is_over(preview: Preview, engine: FakeEngine) -> None:
    Sweeper().tick()
    preview.refresh_from_db()
    assert preview.state == PreviewState.RUNNING
    Preview.objects.filter(pk=preview.pk).update(ends_at=timezone.now() - timedelta(seconds=1))
    Sweeper().tick()
    preview.refresh_from_db()
    assert (preview.state, preview.message) == ("stopped", "Stopped by itself after 30 minutes.")
    assert_nothing_left(engine)


def test_tick_without_an_engine_stops_the_preview_later(preview: Preview, engine: FakeEngine) -> None:
    actions.stop_preview(preview, by=None)
    engine.away = True
    Sweeper().tick()
    preview.refresh_from_db()
    assert preview.state == PreviewState.STOPPING
    engine.away = False
    Sweeper().tick()
    preview.refresh_from_db()
    assert preview.state == PreviewState.STOPPED
    assert_nothing_left(engine)


def test_tick_copies_each_line_of_a_preview_once(preview: Preview, engine: FakeEngine) -> None:
    hand = Sweeper()
    hand.tick()
    hand.tick()
    assert log_of(preview) == ["spawned uWSGI worker 1"]
    say(engine, preview, "GET / 200", "GET / 200")
    hand.tick()
    hand.tick()
    say(engine, preview, "GET /about 404")
    hand.tick()
    assert log_of(preview) == ["spawned uWSGI worker 1", "GET / 200", "GET / 200", "GET /about 404"]


def test_tick_hides_in_the_log_what_the_environment_keeps_from_viewers(build: Build, engine: FakeEngine) -> None:
    preview = actions.request_preview(run(build), environment={"API_TOKEN": "not-to-be-seen"}, by=None)
    desk.start_preview(preview.pk)
    say(engine, preview, "the token is not-to-be-seen")
    Sweeper().tick()
    assert "the token is ********" in log_of(preview)


def test_tick_copies_a_line_once_that_is_printed_while_it_looks(
    preview: Preview, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand, output = Sweeper(), engine.output
    hand.tick()

    def at_that_moment(name: str, *, since: float = 0.0, until: float = 0.0, limit: int = 64 * 1024) -> str:
        say(engine, preview, "GET / 200")
        return output(name, since=since, until=until, limit=limit)

    with monkeypatch.context() as moment:
        moment.setattr(engine, "output", at_that_moment)
        hand.tick()
    hand.tick()
    hand.tick()
    assert log_of(preview) == ["spawned uWSGI worker 1", "GET / 200"]


def test_tick_of_a_new_sweeper_goes_on_without_repeating(preview: Preview, engine: FakeEngine) -> None:
    Sweeper().tick()
    say(engine, preview, "GET / 200")
    Sweeper().tick()
    Sweeper().tick()
    assert log_of(preview) == ["spawned uWSGI worker 1", "GET / 200"]


def test_tick_copies_the_last_words_before_it_stops(
    preview: Preview, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand = Sweeper()
    hand.tick()
    monkeypatch.setattr(sweeper, "LOG_DELAY", 600.0)  # what is newer may not be written down whole
    say(engine, preview, "goodbye")
    hand.tick()
    assert log_of(preview) == ["spawned uWSGI worker 1"]
    monkeypatch.setattr(sweeper, "LOG_DELAY", 0.0)
    hand.tick()
    monkeypatch.setattr(sweeper, "LOG_DELAY", 600.0)
    say(engine, preview, "farewell")
    actions.stop_preview(preview, by=None)
    hand.tick()
    assert log_of(preview)[-1] == "farewell"


def test_tick_of_a_new_sweeper_keeps_the_log_when_the_container_is_gone(preview: Preview, engine: FakeEngine) -> None:
    Sweeper().tick()
    engine.remove(preview.container)
    Sweeper().tick()
    assert log_of(preview) == ["spawned uWSGI worker 1"]


def test_sweep_keeps_containers_of_live_previews_alone(preview: Preview, engine: FakeEngine) -> None:
    assert Sweeper().sweep() == 0
    assert [found.running for found in engine.containers({})] == [True]
    preview.mark_failed("It was taken away.")
    assert Sweeper().sweep() == 1
    assert_nothing_left(engine)


def test_sweep_rings_for_a_preview_whose_job_vanished(preview: Preview, engine: FakeEngine) -> None:
    asked = actions.request_preview(preview.build, environment={}, by=None)
    empty()
    assert Sweeper().sweep() == 0
    Preview.objects.update(created_at=timezone.now() - timedelta(minutes=1))
    assert Sweeper().sweep() == 1
    assert Sweeper().sweep() == 0
    assert rung("desk") == [("start_preview", asked.pk)]
