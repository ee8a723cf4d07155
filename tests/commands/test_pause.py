"""`pause` and `resume`, and what `release` says of both, and of priorities."""

from __future__ import annotations

import threading

import pytest
from django.test import Client

from releases import actions
from releases.management import following
from releases.management.commands import release
from releases.models import Build, Pause, priority_of
from tests import factories
from tests.commands.conftest import Run
from tests.commands.test_release import fail, worker
from tests.pages.reading import see

pytestmark = pytest.mark.django_db


def test_pause_and_resume(run: Run) -> None:
    factories.running_build()
    said = run("pause", "The engine is brought up to date")
    assert (said.code, said.err) == (0, "")
    assert said.out == "No new builds are taken; 1 still runs. `manage.py resume` ends this.\n"
    again = run("pause", "Once more")
    assert (again.code, again.err) == (2, "Builds are paused already: end that pause first.\n")
    factories.queued_build()
    said = run("resume")
    assert (said.code, said.out) == (0, "Builds are taken again; 1 waited.\n")
    assert Pause.objects.current() is None
    said = run("resume")
    assert (said.code, said.err) == (2, "There is no pause to end: builds are taken.\n")


def test_pause_wants_a_reason(run: Run) -> None:
    said = run("pause", "  ")
    assert (said.code, said.err) == (2, "Say in 1 to 200 characters why nothing new is begun.\n")


def test_pause_from_the_shell_is_the_portals_own(run: Run) -> None:
    run("pause", "The engine is brought up to date")
    client = Client()
    client.force_login(factories.user("viewers"))
    factories.application("shop")
    assert "The engine is brought up to date Said by the portal now" in see(client, "/")


@pytest.mark.parametrize("priority", ["low", "normal", "high"])
def test_release_with_a_priority(run: Run, priority: str) -> None:
    factories.application("fruit-shop")
    assert run("release", "fruit-shop", "main", "--priority", priority).code == 0
    assert priority_of(Build.objects.get()) == priority


@pytest.mark.django_db(transaction=True)
def test_release_that_waits_says_why_nothing_begins(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    factories.application("fruit-shop")
    monkeypatch.setattr(following, "PATIENCE_SECONDS", 0.0)
    actions.pause_builds("The engine is brought up to date.", by=None)
    said_so = threading.Event()
    tell = release.Command.tell

    def remember(command: release.Command, sentence: str) -> None:
        tell(command, sentence)
        said_so.set()

    def come_late() -> None:
        said_so.wait(30)
        with worker(fail):
            pass

    monkeypatch.setattr(release.Command, "tell", remember)
    helper = threading.Thread(target=come_late)
    helper.start()
    said = run("release", "fruit-shop", "main", "--wait")
    helper.join()
    assert said.code == 1
    assert said.err.splitlines()[0] == (
        "fruit-shop #1 is queued, and no new builds are taken: The engine is brought up to date. Waiting …"
    )
