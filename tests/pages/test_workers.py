"""The workshop's page and `/healthz`: real queues, real workers' registrations, and each trouble with what mends it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import django_rq
import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings
from rq import Queue, Worker

from releases.models import Build, Outcome, Pause, Workshop, priority_of
from tests import factories
from tests.pages.reading import body, see, words
from tests.pages.workshop import away, busy, register, seen


def health(client: Client) -> tuple[int, dict[str, Any]]:
    response = client.get("/healthz")
    return response.status_code, json.loads(body(response))


@pytest.mark.django_db
def test_healthz_is_well_when_all_are_at_work(client: Client, redis: Any) -> None:
    register("builds")
    register("desk")
    seen()
    assert health(client) == (200, {"ok": True, "problems": [], "warnings": []})
    assert client.get("/healthz").headers["Cache-Control"].find("no-store") >= 0


@pytest.mark.django_db
def test_healthz_names_a_queue_without_a_worker(client: Client, redis: Any) -> None:
    register("builds")
    seen()
    status, answer = health(client)
    assert (status, answer["ok"]) == (503, False)
    assert answer["problems"] == ["No worker listens on the queue desk, so nothing in it is begun."]


@pytest.mark.django_db
def test_healthz_does_not_count_a_worker_that_was_killed(client: Client, redis: Any) -> None:
    register("builds")
    register("desk")
    redis.delete("rq:worker:forge-desk")  # what Redis does when a killed worker's key runs out
    seen()
    assert health(client)[0] == 503


@pytest.mark.django_db
def test_healthz_says_engine_and_sweeper(client: Client, redis: Any) -> None:
    register("builds")
    register("desk")
    assert health(client)[1]["problems"] == [
        "The sweeper has never been seen: the state of engine and disk is unknown."
    ]
    seen(engine_answers=False, engine_problem="The engine does not answer at unix:///var/run/docker.sock.")
    assert health(client)[1]["problems"] == ["The engine does not answer at unix:///var/run/docker.sock."]
    Workshop.objects.update(seen_at=timezone.now() - timedelta(minutes=10))
    assert "The sweeper has not been seen since" in health(client)[1]["problems"][0]


@pytest.mark.django_db
def test_healthz_without_redis(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    away(monkeypatch)
    seen()
    status, answer = health(client)
    assert status == 503
    assert answer["problems"] == ["Redis does not answer, so no worker can be rung for."]


def test_healthz_without_a_database(client: Client, redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may touch the database here, and a real one that is away raises the same family of errors."""

    def refuse(*_arguments: object) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(Workshop.objects, "seen", refuse)
    status, answer = health(client)
    assert status == 503
    assert answer["problems"] == ["The database does not answer: start it, or correct DATABASE_URL."]


@pytest.mark.django_db
def test_healthz_low_disk_is_no_reason_to_send_work_elsewhere(client: Client, redis: Any) -> None:
    register("builds")
    register("desk")
    seen(disk_free=1_000_000)
    assert health(client)[0] == 200


@pytest.mark.django_db
def test_healthz_warns_of_an_open_network_and_is_ill_where_it_must_be_closed(
    client: Client, redis: Any, settings: Settings
) -> None:
    register("builds")
    register("desk")
    seen(cage_problem="Only root can close it.")
    status, answer = health(client)
    assert (status, answer["warnings"]) == (200, ["The network of builds is not closed. Only root can close it."])
    settings.CAGE_REQUIRED = True
    status, answer = health(client)
    assert (status, answer["problems"]) == (503, ["The network of builds is not closed."])


@pytest.mark.django_db
def test_healthz_is_ill_without_the_runtime_that_is_asked_for(client: Client, redis: Any) -> None:
    register("builds")
    register("desk")
    seen(runtime_problem="The container engine has no runtime runsc.")
    assert health(client) == (
        503,
        {"ok": False, "problems": ["The container engine has no runtime runsc."], "warnings": []},
    )


def test_workers_says_why_the_network_of_builds_is_open(viewer: Client, redis: Any) -> None:
    register("builds")
    register("desk")
    seen(cage_problem="Only root can close it.")
    page = see(viewer, "/workers/")
    assert "The network of builds is not closed. Only root can close it." in page


def test_workers_all_well(viewer: Client, redis: Any) -> None:
    register("builds")
    register("desk")
    seen()
    page = see(viewer, "/workers/")
    assert "Everything that a build needs is at work." in page
    assert "Queue builds 0 waiting, 1 alive, 0 busy" in page
    assert "forge-builds waits for work" in page
    assert "Docker 20.10.24" in page
    assert "90.0 GB free of 100 GB" in page
    assert "Repairs 2" in page


def test_workers_says_what_a_busy_one_does(manager: Client, redis: Any) -> None:
    busy(register("builds"), redis)
    factories.running_build(factories.application("shop"), worker="forge-builds")
    Queue("desk", connection=redis).enqueue_call("releases.jobs.desk.refresh_refs", args=(1,))
    page = see(manager, "/workers/")
    assert "Queue builds 0 waiting, 1 alive, 1 busy" in page
    assert "forge-builds shop #1 producing, since now nothing yet alive now" in page
    assert "Queue desk 1 waiting, 0 alive, 0 busy" in page
    assert 'href="/applications/shop/builds/1/"' in body(manager.get("/workers/"))


def test_workers_lists_builds_that_wait_in_order(manager: Client, redis: Any) -> None:
    shop = factories.application("shop")
    factories.queued_build(shop)
    factories.queued_build(shop)
    page = see(manager, "/workers/")
    assert "Builds that wait 2" in page
    assert page.index("shop #1") < page.index("shop #2")


def test_workers_each_trouble_comes_with_what_mends_it(manager: Client, redis: Any) -> None:
    seen(engine_answers=False, engine_problem="The engine does not answer.", disk_free=1_000_000)
    page = see(manager, "/workers/")
    assert "./run manage work builds" in page
    assert "The engine does not answer. Start the engine, or set DOCKER_HOST" in page
    assert "Little room is left on the disk" in page
    assert "docker image prune" in page


def test_workers_without_redis_is_a_page_with_a_sentence(manager: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    away(monkeypatch)
    page = see(manager, "/workers/")
    assert "Redis does not answer, so no worker can be rung for." in page
    assert "Unknown: Redis does not answer." in page


def test_workers_unknown_is_said_to_be_unknown(manager: Client, redis: Any) -> None:
    seen()
    Workshop.objects.update(seen_at=timezone.now() - timedelta(minutes=10))
    page = see(manager, "/workers/")
    assert "unknown since 10 min ago" in page
    assert "./run manage sweep" in page


# ---- what each worker does and did ----------------------------------------------------------------------------


def test_workers_says_what_each_did_last(manager: Client, redis: Any) -> None:
    register("builds")
    shop = factories.application("shop")
    factories.succeeded_build(shop, worker="forge-builds")
    factories.finished_build(shop, worker="forge-builds")
    factories.succeeded_build(shop, worker="another")
    page = see(manager, "/workers/")
    assert "forge-builds waits for work shop #2 Failed now alive now" in page


def test_workers_says_which_was_not_heard_for_long(manager: Client, redis: Any) -> None:
    worker = register("builds")
    redis.hset(worker.key, "last_heartbeat", (timezone.now() - timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
    assert "forge-builds waits for work nothing yet not heard 1 min ago" in see(manager, "/workers/")


def test_workers_names_a_build_whose_worker_is_gone(manager: Client, redis: Any) -> None:
    register("builds")
    factories.running_build(factories.application("shop"), worker="killed-1")
    page = see(manager, "/workers/")
    assert "Queue builds 0 waiting, 1 alive, 0 busy" in page
    assert "killed-1 shop #1 producing, since now nothing yet gone its build is closed in" in page


# ---- the line ------------------------------------------------------------------------------------------------


def measured(name: str) -> Any:
    """An application whose last release took 24 s."""
    app = factories.application(name)
    factories.succeeded_build(app)
    return app


def test_line_tells_begin_and_end_by_the_last_release(manager: Client, redis: Any) -> None:
    register("builds")
    shop, billing = measured("shop"), measured("billing")
    factories.queued_build(shop)
    factories.queued_build(billing)
    page = see(manager, "/workers/")
    assert "1 shop #2 v1.0.0 the portal now begins at once ends in about 24 s" in page
    assert "2 billing #2 v1.0.0 the portal now begins in about 24 s ends in about 48 s Build next" in page


def test_line_with_two_workers_begins_two_at_once(manager: Client, redis: Any) -> None:
    register("builds")
    Worker([django_rq.get_queue("builds")], name="second").register_birth()  # type: ignore[no-untyped-call]
    for name in ("shop", "billing", "intranet"):
        factories.queued_build(measured(name))
    page = see(manager, "/workers/")
    assert "2 billing #2 v1.0.0 the portal now begins at once ends in about 24 s" in page
    assert "3 intranet #2 v1.0.0 the portal now begins in about 24 s ends in about 48 s" in page


def test_line_says_unknown_behind_an_application_that_never_was_released(manager: Client, redis: Any) -> None:
    register("builds")
    factories.queued_build(factories.application("new"))
    factories.queued_build(measured("shop"))
    page = see(manager, "/workers/")
    assert "1 new #1 v1.0.0 the portal now begins at once end unknown" in page
    assert "2 shop #2 v1.0.0 the portal now begin unknown end unknown" in page


def test_line_waits_for_the_rest_of_what_runs(manager: Client, redis: Any) -> None:
    busy(register("builds"), redis)
    shop = measured("shop")
    running = factories.running_build(shop, worker="forge-builds")
    factories.queued_build(measured("billing"))
    page = see(manager, "/workers/")
    assert "1 billing #2 v1.0.0 the portal now begins in about 24 s ends in about 48 s" in page
    Build.objects.filter(pk=running.pk).update(started_at=timezone.now() - timedelta(minutes=5))
    assert "1 billing #2 v1.0.0 the portal now begin unknown end unknown" in see(manager, "/workers/")


def test_line_of_a_rebase_counts_only_its_own_steps(manager: Client, redis: Any) -> None:
    register("builds")
    release = factories.succeeded_build(factories.application("shop"))
    factories.queued_build(release.application, rebase_of=release, commit=release.commit)
    assert "ends in about 3 s" in see(manager, "/workers/")


def test_line_without_a_worker_is_unknown(manager: Client, redis: Any) -> None:
    factories.queued_build(measured("shop"))
    assert "begin unknown end unknown" in see(manager, "/workers/")


def test_line_asks_as_often_for_many_as_for_one(manager: Client, redis: Any) -> None:
    register("builds")

    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            see(manager, "/workers/")
        return len(queries)

    factories.running_build(measured("shop"), worker="forge-builds")
    factories.queued_build(measured("billing"))
    few = asked()
    for number in range(8):
        app = measured(f"app-{number}")
        factories.running_build(app, worker=f"worker-{number}")
        factories.queued_build(app)
    assert asked() == few


def test_build_next_moves_it_to_the_front(manager: Client, redis: Any) -> None:
    shop = factories.application("shop")
    register("builds")
    first, second = factories.queued_build(shop), factories.queued_build(shop)
    assert "Number 2 in the queue" in see(manager, second.get_absolute_url())
    answer = manager.post(f"{second.get_absolute_url()}first/", {"workers": ""}, follow=True)
    assert answer.redirect_chain[-1][0] == "/workers/"
    page = see(manager, "/workers/")
    assert page.index(str(second)) < page.index(f"{first} ")
    assert "moved to the front" in page
    page = see(manager, second.get_absolute_url())
    assert "Next in the queue · moved to the front · begins at once" in page
    assert "moved it to the front of the queue" in page
    assert "Build next" not in page


def test_build_next_is_for_those_who_may_act(viewer: Client, redis: Any) -> None:
    shop = factories.application("shop")
    factories.queued_build(shop)
    second = factories.queued_build(shop)
    assert "Build next" not in see(viewer, "/workers/")
    assert "Build next" not in see(viewer, second.get_absolute_url())
    assert viewer.post(f"{second.get_absolute_url()}first/").status_code == 403
    second.refresh_from_db()
    assert priority_of(second) == "normal"


def test_build_next_comes_too_late_for_one_that_is_at_work(manager: Client, redis: Any) -> None:
    build = factories.running_build(factories.application("shop"))
    answer = manager.post(f"{build.get_absolute_url()}first/", follow=True)
    assert "waits no more" in words(answer)


# ---- the pause -----------------------------------------------------------------------------------------------


def operator() -> Client:
    client = Client()
    client.force_login(factories.user("operators", "olga", first_name="Olga"))
    return client


def test_pause_is_seen_where_people_look(manager: Client, redis: Any) -> None:
    register("builds")
    shop = measured("shop")
    build = factories.queued_build(shop)
    answer = operator().post("/workers/pause/", {"why": "The engine is brought up to date"}, follow=True)
    assert "No new builds are taken from now on" in words(answer)
    said = "No new builds are taken. The engine is brought up to date Said by Olga now"
    for address in ("/", "/workers/"):
        page = see(manager, address)
        assert said in page
        assert "held by the pause" in page
        assert "Take builds again" not in page
    page = see(manager, build.get_absolute_url())
    assert "Held: no new builds are taken" in page
    assert "The engine is brought up to date Olga now" in page
    assert "<title> Paused" in " ".join(body(manager.get("/workers/")).split())
    factories.ref(shop, "v9.0.0")
    asked = manager.post("/applications/shop/builds/new/", {"ref": "refs/tags/v9.0.0"}, follow=True)
    assert "What you asked for waits, because no new builds are taken: The engine is brought up to date" in words(asked)


@pytest.mark.django_db
def test_pause_ends_where_it_is_shown(redis: Any) -> None:
    client = operator()
    client.post("/workers/pause/", {"why": "Lunch"})
    assert "Take builds again" in see(client, "/workers/")
    assert "Why no new builds are taken" not in see(client, "/workers/")
    assert "Builds are taken again." in words(client.post("/workers/resume/", follow=True))
    assert Pause.objects.current() is None
    assert "There is no pause to end" in words(client.post("/workers/resume/", follow=True))


@pytest.mark.django_db
def test_pause_without_a_reason_is_an_error_beside_the_field(redis: Any) -> None:
    answer = operator().post("/workers/pause/", {"why": " "})
    assert answer.status_code == 422
    assert "Say in 1 to 200 characters why nothing new is begun." in words(answer)
    assert 'aria-invalid="true"' in body(answer)
    assert Pause.objects.current() is None


def test_pause_is_for_operators(manager: Client, redis: Any) -> None:
    assert "Take no new builds" not in see(manager, "/workers/")
    assert manager.post("/workers/pause/", {"why": "Lunch"}).status_code == 403
    assert manager.post("/workers/resume/").status_code == 403
    assert Pause.objects.current() is None


@pytest.mark.django_db
def test_pause_is_no_failure_of_the_portal(client: Client, redis: Any) -> None:
    register("builds")
    register("desk")
    seen()
    Pause.objects.begin("Lunch", by=None)
    assert health(client)[0] == 200
    assert ready(client)[1]["paused"] is True


# ---- engine, disks, sweeper, statistics ----------------------------------------------------------------------


def test_workers_shows_what_the_engine_holds_and_what_was_mended(manager: Client, redis: Any) -> None:
    kept = {"artifacts": 2, "artifact_bytes": 5_000_000, "engine_images": 12, "engine_containers": 1}
    seen(holds=kept, mended={"builds": 1, "containers": 3}, round_seconds=0.25)
    page = see(manager, "/workers/")
    assert "It holds 12 images, 1 container at work" in page
    assert "Kept 2 archives, 5.0 MB" in page
    assert "Last round now , took 0.25 s" in page
    assert "Mended last now : 1 lost build closed, 3 containers removed" in page


def test_workers_shows_each_disk(manager: Client, redis: Any) -> None:
    data = {"names": ["data", "logs"], "path": "/srv/portal", "free": 90 * 10**9, "total": 10**11}
    engine = {"names": ["engine"], "path": "/var/lib/docker", "free": 10**9, "total": 10**11}
    seen(places=[data, engine])
    page = see(manager, "/workers/")
    assert "The data folder 90.0 GB free of 100 GB The engine 1.0 GB free of 100 GB little room" in page
    assert "Little room is left on the disk of the engine." in page
    assert 'aria-label="99 per cent taken"' in body(manager.get("/workers/"))


def test_workers_tells_how_builds_went_by_application(manager: Client, redis: Any) -> None:
    shop, billing = factories.application("shop"), factories.application("billing")
    for _ in range(3):
        factories.succeeded_build(shop)
    factories.finished_build(shop)
    factories.finished_build(shop, Outcome.CANCELLED, "Cancelled.")
    factories.finished_build(billing)
    page = see(manager, "/workers/")
    table = page[page.index("Builds of the last 30 days") :]
    assert "shop 4 75 % " in table
    assert "billing 1 0 % –" in table
    assert table.index("shop") < table.index("billing")


# ---- for machines --------------------------------------------------------------------------------------------


def ready(client: Client) -> tuple[int, dict[str, Any]]:
    response = client.get("/readyz")
    return response.status_code, json.loads(body(response))


@pytest.mark.django_db
def test_readyz_check_by_check(client: Client, redis: Any) -> None:
    register("builds")
    register("desk")
    seen()
    fine = {"ok": True}
    names = ("database", "redis", "workers", "sweeper", "engine", "cage", "disk", "web")
    assert ready(client) == (200, {"ok": True, "paused": False, "checks": dict.fromkeys(names, fine)})
    assert "no-store" in client.get("/readyz").headers["Cache-Control"]


@pytest.mark.django_db
def test_readyz_says_what_stops_work_and_what_only_warns(client: Client, redis: Any) -> None:
    register("builds")
    seen(disk_free=1_000_000)
    status, answer = ready(client)
    assert (status, answer["ok"]) == (503, False)
    assert answer["checks"]["workers"] == {
        "ok": False,
        "stops_work": True,
        "problems": ["No worker listens on the queue desk, so nothing in it is begun."],
    }
    assert answer["checks"]["disk"]["stops_work"] is False
    assert answer["checks"]["engine"] == {"ok": True}


@pytest.mark.django_db
def test_readyz_says_unknown_where_what_would_know_is_away(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    away(monkeypatch)
    status, answer = ready(client)
    assert status == 503
    found = {name: check["ok"] for name, check in answer["checks"].items()}
    assert found == {
        "database": True,
        "redis": False,
        "workers": None,
        "sweeper": False,
        "engine": None,
        "cage": None,
        "disk": None,
        "web": True,
    }


def test_readyz_and_livez_without_a_database(client: Client, redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(Workshop.objects, "seen", refuse)
    status, answer = ready(client)
    assert (status, answer["paused"]) == (503, None)
    assert {name for name, check in answer["checks"].items() if check["ok"] is None} == {
        "redis",
        "workers",
        "sweeper",
        "engine",
        "cage",
        "disk",
        "web",
    }
    assert client.get("/livez").json() == {"ok": True}
