"""The build's page in each of its standings, its moving parts, and the doors to cancel it and to build it again."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from releases.jobs import doorbell
from releases.models import Build, Outcome, State, Step
from tests import factories

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(autouse=True)
def no_doorbell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody needs to come for these builds."""
    monkeypatch.setattr(doorbell, "ring", lambda *_: True)
    monkeypatch.setattr(doorbell, "answers", lambda: True)


def address(build: Build, name: str = "build") -> str:
    return reverse(name, args=[build.application.name, build.number])


def text(client: Client, build: Build) -> str:
    """What a person reads on the build's page, with single blanks."""
    return words(client.get(address(build)).content.decode())


def words(html: str) -> str:
    html = re.sub(r"<(script|style|svg)\b.*?</\1>", " ", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html))).replace("\xa0", " ")


def title(html: str) -> str:
    found = re.search(r"<title>(.*?)</title>", html, re.DOTALL)
    assert found is not None
    return unescape(" ".join(found[1].split()))


def begin_step(
    build: Build, name: str, position: int, *, ago: float, seconds: float | None = None, result: str = "succeeded"
) -> None:
    """A step that began so many seconds ago; without `seconds` it still runs."""
    began = timezone.now() - timedelta(seconds=ago)
    over = {} if seconds is None else {"result": result, "finished_at": began + timedelta(seconds=seconds)}
    Step.objects.create(build=build, position=position, name=name, started_at=began, seconds=seconds, **over)


# ---- each standing ---------------------------------------------------------------------------------------


def test_build_that_succeeded_shows_what_was_made(manager: Client) -> None:
    build = factories.succeeded_build()
    assert build.artifact is not None
    assert build.image is not None
    html = manager.get(address(build)).content.decode()
    assert title(html) == f"#{build.number} succeeded · {build.application.name} · Release Portal"
    assert build.artifact.sha256 in html
    assert build.image.image_id in html
    shown = words(html)
    assert "3.4 MB" in shown
    assert "43.2 MB" in shown
    assert "89 % stays behind." in shown
    assert "GET / answered 200 in 0.96 s, 34.0 MB memory" in shown
    assert "Welcome to the fruit shop" in shown
    for name in ("build-artifact", "build-image", "build-packages", "preview-create", "build-rebuild"):
        assert address(build, name) in html
    assert address(build, "build-cancel") not in html


def test_build_that_failed_says_why_and_where(manager: Client) -> None:
    build = factories.running_build()
    begin_step(build, "checkout", 1, ago=7, seconds=0.4)
    begin_step(build, "produce", 3, ago=6, seconds=5.5, result="failed")
    build.mark_ended(Outcome.FAILED, "psycopg2 could not be compiled: put psycopg2-binary into requirements.txt.")
    html = manager.get(address(build)).content.decode()
    assert title(html).startswith(f"#{build.number} failed · ")
    assert "psycopg2 could not be compiled: put psycopg2-binary into requirements.txt." in unescape(html)
    assert "Failed in produce" in words(html)
    assert "not run: collect, package, probe" in words(html)
    assert 'class="bad"' in html
    assert address(build, "build-rebuild") in html
    assert address(build, "preview-create") not in html
    assert "btn-primary" not in html


def test_build_that_is_queued_says_its_place(manager: Client) -> None:
    application = factories.application()
    first = factories.queued_build(application)
    second = factories.queued_build(application)
    assert "Next in the queue" in text(manager, first)
    shown = text(manager, second)
    assert "Waiting for a worker" in shown
    assert "Number 2 in the queue" in shown
    assert reverse("workers") in manager.get(address(second)).content.decode()


def test_build_that_runs_says_what_is_left(manager: Client) -> None:
    application = factories.application()
    before = factories.succeeded_build(application)  # its steps took 24.02 s in all
    build = factories.running_build(application)
    Build.objects.filter(pk=build.pk).update(started_at=timezone.now() - timedelta(seconds=10.4))
    begin_step(build, "checkout", 1, ago=10.4, seconds=0.36)
    begin_step(build, "produce", 3, ago=10)
    html = manager.get(address(build)).content.decode()
    assert title(html).startswith(f"#{build.number} producing · ")
    assert re.search(r"About 1[34] s left", words(html))
    assert f"#{before.number} took" in words(html)
    assert 'class="live"' in html
    assert 'class="due"' in html
    assert "Cancel build" in html
    assert address(build, "build-rebuild") not in html


def test_build_without_one_before_it_guesses_nothing(manager: Client) -> None:
    build = factories.running_build()
    begin_step(build, "checkout", 1, ago=2)
    shown = text(manager, build)
    assert "Working" in shown
    assert " left" not in shown


def test_build_shows_all_five_steps_and_preparing_only_where_it_was(manager: Client) -> None:
    build = factories.running_build()
    shown = text(manager, build)
    assert re.search(r"checkout not yet – produce not yet – collect not yet – package not yet – probe not yet", shown)
    begin_step(build, "prepare", 2, ago=1)
    assert "prepare running" in text(manager, build)


def test_build_that_took_longer_than_the_last_says_so(manager: Client) -> None:
    application = factories.application()
    before = factories.succeeded_build(application)
    build = factories.running_build(application)
    Build.objects.filter(pk=build.pk).update(started_at=timezone.now() - timedelta(seconds=90))
    begin_step(build, "checkout", 1, ago=90, seconds=1)
    begin_step(build, "produce", 3, ago=89)
    assert f"Longer than #{before.number} took" in text(manager, build)


def test_build_shows_which_packages_changed(manager: Client) -> None:
    application = factories.application()
    factories.succeeded_build(application, packages={"flask": "3.1.2", "pytz": "2025.2", "click": "8.3.1"})
    build = factories.succeeded_build(application, packages={"flask": "3.1.3", "slugify": "8.0.4", "click": "8.3.1"})
    shown = text(manager, build)
    assert "flask 3.1.2 3.1.3 changed" in shown
    assert "pytz 2025.2 – removed" in shown
    assert "slugify – 8.0.4 added" in shown
    assert "click 8.3.1 8.3.1" not in shown
    assert factories.sha256("click 8.3.1") in manager.get(address(build)).content.decode()


def test_build_says_that_a_limit_was_hit(manager: Client) -> None:
    build = factories.running_build()
    build.note(limits_hit=["processes"], memory_peak=214_000_000)
    shown = text(manager, build)
    assert "Limit hit: processes." in shown
    assert "214 MB of 1 GiB" in shown


def test_build_freezes_its_inputs_on_the_page(manager: Client) -> None:
    build = factories.succeeded_build()
    shown = text(manager, build)
    for part in ("git.example.org/shop", build.commit, "python3.13-uwsgi", "app:app", "requirements.txt"):
        assert part in shown
    assert (
        "2 CPUs, 1 GiB memory, 256 processes, 15 min, app.tar.gz at most 1 GiB, 10 GiB of disk, 500,000 files" in shown
    )
    assert "forge-1, attempt 1" in shown


def test_build_tells_who_did_what(manager: Client) -> None:
    marta = factories.user(username="marta.ruiz")
    build = factories.running_build(by=marta)
    build.mark_cancelling(by=marta)
    build.mark_ended(Outcome.CANCELLED, "Cancelled by marta.ruiz; nothing of it was released.")
    shown = text(manager, build)
    assert "marta.ruiz asked for the build" in shown
    assert "The portal took it up: forge-1, attempt 1" in shown
    assert "marta.ruiz asked to cancel it" in shown
    assert "The portal ended it: Cancelled" in shown


def test_build_environment_shows_values_to_those_who_release_alone(manager: Client, viewer: Client) -> None:
    application = factories.application(environment={"GREETING": "sesame-opens"})
    build = factories.succeeded_build(application)
    assert "GREETING=sesame-opens" in text(manager, build)
    assert "GREETING" in text(viewer, build)
    assert "sesame-opens" not in viewer.get(address(build)).content.decode()


def test_build_with_markup_in_its_words_shows_it_as_text(manager: Client) -> None:
    application = factories.application()
    hostile = factories.ref(application, f"v1{HOSTILE}", subject=f"A {HOSTILE} subject")
    build = factories.finished_build(application, ref=hostile, message=f"It said {HOSTILE}.")
    html = manager.get(address(build)).content.decode()
    assert HOSTILE not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 3


def test_build_page_has_no_style_and_no_script_in_it(manager: Client) -> None:
    for build in (factories.succeeded_build(), factories.finished_build(), factories.running_build()):
        html = manager.get(address(build)).content.decode()
        assert " style=" not in html
        assert not re.search(r"<script(?![^>]*\bsrc=)", html)
        assert not re.search(r"\son[a-z]+=", html)


def test_build_that_is_not_there_is_not_found(manager: Client) -> None:
    build = factories.queued_build()
    name = build.application.name
    answer = manager.get(reverse("build", args=[name, build.number + 1]))
    assert answer.status_code == 404
    assert f"{name} has no build #{build.number + 1}; its newest is #{build.number}." in words(answer.content.decode())
    assert manager.get(reverse("build", args=[name, 10**30])).status_code == 404
    empty = manager.get(reverse("build", args=[factories.application("empty").name, 1]))
    assert "empty has no build #1: nothing of it was built yet." in words(empty.content.decode())
    assert "No application is called nobody." in words(
        manager.get(reverse("build", args=["nobody", 1])).content.decode()
    )


# ---- live --------------------------------------------------------------------------------------------------


def test_live_gives_only_what_moves_while_the_standing_is_the_same(manager: Client) -> None:
    build = factories.running_build()
    html = manager.get(address(build, "build-live"), {"standing": "producing"}).content.decode()
    assert title(html) == f"#{build.number} producing · {build.application.name} · Release Portal"
    assert re.findall(r'id="(build-[a-z]+)"', html) == ["build-steps", "build-run"]
    assert html.count("hx-swap-oob") == 2
    assert "data-log-url" not in html


def test_live_gives_all_but_the_log_when_the_standing_is_another(manager: Client) -> None:
    build = factories.succeeded_build()
    html = manager.get(address(build, "build-live"), {"standing": "probing"}).content.decode()
    assert title(html).startswith(f"#{build.number} succeeded")
    regions = ["title", "pulse", "top", "steps", "packages", "aside", "run"]
    assert re.findall(r'id="(build-[a-z]+)"', html) == [f"build-{name}" for name in regions]
    assert address(build, "build-artifact") in html
    assert "data-log-url" not in html
    assert "hx-get" not in html  # and asks no more


def test_live_page_asks_until_the_build_is_over(manager: Client) -> None:
    running, over = factories.running_build(), factories.finished_build()
    asks = f'hx-get="{address(running, "build-live")}?standing=producing" hx-trigger="every 1s"'
    assert asks in manager.get(address(running)).content.decode()
    assert "hx-get" not in manager.get(address(over)).content.decode()


# ---- acts --------------------------------------------------------------------------------------------------


def test_cancel_of_a_queued_build_ends_it_at_once(manager: Client) -> None:
    build = factories.queued_build()
    answer = manager.post(address(build, "build-cancel"), follow=True)
    assert answer.redirect_chain == [(address(build), 302)]
    build.refresh_from_db()
    assert build.outcome == Outcome.CANCELLED
    assert "Cancelled by marta" in answer.content.decode()


def test_cancel_of_a_working_build_waits_for_its_worker(manager: Client) -> None:
    build = factories.running_build()
    html = manager.post(address(build, "build-cancel"), follow=True).content.decode()
    build.refresh_from_db()
    assert build.state == State.CANCELLING
    assert "The builder is being stopped and removed" in html
    assert address(build, "build-cancel") not in html


def test_cancel_of_a_build_that_is_over_says_so(manager: Client) -> None:
    build = factories.finished_build()
    answer = manager.post(address(build, "build-cancel"), follow=True)
    assert "there is nothing to cancel" in unescape(answer.content.decode())


def test_rebuild_makes_a_new_build_of_the_same_commit(manager: Client) -> None:
    build = factories.finished_build()
    answer = manager.post(address(build, "build-rebuild"))
    again = build.retries.get()
    assert answer["Location"] == address(again)
    assert (again.commit, again.ref, again.state) == (build.commit, build.ref, State.QUEUED)
    assert f"Rebuilt as #{again.number}" in text(manager, build)
    assert f"Rebuild of #{build.number}" in text(manager, again)


def test_rebuild_twice_leads_to_the_one_that_is_under_way(manager: Client) -> None:
    build = factories.finished_build()
    manager.post(address(build, "build-rebuild"))
    answer = manager.post(address(build, "build-rebuild"), follow=True)
    assert build.retries.count() == 1
    assert answer.redirect_chain == [(address(build.retries.get()), 302)]
    assert "is being built already" in answer.content.decode()


def test_rebuild_of_a_build_that_is_not_over_is_refused_with_a_sentence(manager: Client) -> None:
    build = factories.running_build()
    answer = manager.post(address(build, "build-rebuild"), follow=True)
    assert Build.objects.count() == 1
    assert "is not over yet" in answer.content.decode()


def test_rebuild_while_redis_is_away_says_that_it_stands(manager: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorbell, "answers", lambda: False)
    build = factories.finished_build()
    answer = manager.post(address(build, "build-rebuild"), follow=True)
    assert "Redis does not answer" in answer.content.decode()


@pytest.mark.parametrize("name", ["build-cancel", "build-rebuild"])
def test_acts_are_for_release_managers_alone(client: Client, viewer: Client, manager: Client, name: str) -> None:
    build = factories.queued_build() if name == "build-cancel" else factories.finished_build()
    assert client.post(address(build, name))["Location"].startswith(reverse("login"))
    refused = viewer.post(address(build, name))
    assert refused.status_code == 403
    assert "Only release managers may do this" in refused.content.decode()
    assert manager.get(address(build, name)).status_code == 405
    before = build.state
    build.refresh_from_db()
    assert (build.state, Build.objects.count()) == (before, 1)


def test_viewer_sees_the_page_without_buttons(viewer: Client) -> None:
    for build in (factories.succeeded_build(), factories.running_build()):
        html = viewer.get(address(build)).content.decode()
        for name in ("build-cancel", "build-rebuild", "preview-create"):
            assert address(build, name) not in html


@pytest.mark.parametrize("name", ["build", "build-live"])
def test_build_is_for_those_who_may_see(client: Client, db: None, name: str) -> None:
    build = factories.queued_build()
    assert client.get(address(build, name))["Location"].startswith(reverse("login"))
    client.force_login(factories.user(role=""))
    assert client.get(address(build, name)).status_code == 403


# ---- the image ------------------------------------------------------------------------------------------------


def test_image_page_says_what_it_is_and_how_to_run_it(manager: Client) -> None:
    build = factories.succeeded_build(factories.application(environment={"GREETING": "sesame-opens"}))
    assert build.image is not None
    html = manager.get(address(build, "build-image")).content.decode()
    shown = words(html)
    assert build.image.image_id in shown
    assert f"docker run --rm -p 8888:8080 -e GREETING=value {build.image.tag}" in shown
    assert "sesame-opens" not in html
    assert f"org.opencontainers.image.revision {build.commit}" in shown
    assert "89 % stays behind." in shown
    assert address(build) in html


def test_image_page_of_a_build_without_one_is_not_found(manager: Client) -> None:
    answer = manager.get(address(factories.finished_build(), "build-image"))
    assert answer.status_code == 404
    assert "has no runtime image" in answer.content.decode()
