"""`/metrics`, read as Prometheus reads it: what it says, how often it asks the database, and whom it answers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families
from pytest_django.fixtures import Settings

from releases.models import Build, Outcome, Pause, Tally, Workshop
from tests import factories
from tests.pages.reading import body
from tests.pages.workshop import away, busy, register, seen

pytestmark = pytest.mark.django_db
TOKEN = "plum-pear-quince-medlar"


@pytest.fixture(autouse=True)
def no_token(settings: Settings) -> None:
    settings.METRICS_TOKEN = ""


def scrape(client: Client) -> dict[str, float]:
    """Each sample by its name and labels, such as `workers{queue="desk",state="idle"}`."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    return dict(samples(body(answer)))


def samples(text: str) -> Iterator[tuple[str, float]]:
    for family in text_string_to_metric_families(text):
        assert family.documentation
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            yield sample.name.removeprefix("release_portal_") + (f"{{{labels}}}" if labels else ""), sample.value


def test_metrics_of_an_empty_portal(client: Client, redis: Any) -> None:
    found = scrape(client)
    assert found['builds{state="queued"}'] == 0
    assert found['builds_finished_total{outcome="succeeded"}'] == 0
    assert found['queue_oldest_seconds{kind="build"}'] == 0
    assert found["paused"] == 0
    assert found["redis_up"] == 1
    assert "sweep_age_seconds" not in found  # nobody knows


def test_metrics_count_builds_by_state_and_outcome(client: Client, redis: Any) -> None:
    shop = factories.application("shop")
    factories.succeeded_build(shop)
    factories.finished_build(shop)
    factories.finished_build(shop, Outcome.TIMED_OUT, "It took longer than it may.")
    waiting = factories.queued_build(shop)
    factories.queued_build(shop).mark_cancelling(by=None)
    factories.running_build(shop)
    Build.objects.filter(pk=waiting.pk).update(created_at=timezone.now() - timedelta(minutes=5))
    found = scrape(client)
    ended = {outcome: found[f'builds_finished_total{{outcome="{outcome}"}}'] for outcome in Outcome.values}
    assert {outcome: count for outcome, count in ended.items() if count} == {
        "succeeded": 1,
        "failed": 1,
        "timed_out": 1,
        "cancelled": 1,
    }
    assert found['builds{state="producing"}'] == found['builds{state="queued"}'] == 1
    assert found['queue_length{kind="build"}'] == 1
    assert found['queue_oldest_seconds{kind="build"}'] >= 300
    assert found['build_duration_seconds_count{outcome="succeeded"}'] == 1
    assert found['build_duration_seconds_count{outcome="cancelled"}'] == 0  # it never ran
    assert found["applications"] == 1


def test_metrics_histogram_is_cumulative(client: Client, redis: Any) -> None:
    for seconds in (0.05, 0.1, 0.3, 20.1, 4000.0):
        Tally.objects.add("step", "produce", seconds)
    found = scrape(client)
    name = 'step_duration_seconds_bucket{le="%s",step="produce"}'
    assert [found[name % bound] for bound in ("0.1", "0.25", "0.5", "30.0", "1800.0", "+Inf")] == [2, 2, 3, 4, 4, 5]
    assert found['step_duration_seconds_sum{step="produce"}'] == pytest.approx(4020.55)
    assert found['step_duration_seconds_count{step="probe"}'] == 0


def test_metrics_of_workers_and_workshop(client: Client, redis: Any) -> None:
    busy(register("builds"), redis)
    register("desk")
    place = {"names": ["data", "engine"], "path": "/srv", "free": 7, "total": 9}
    seen(
        places=[place], holds={"artifacts": 3, "artifact_bytes": 50, "images": 2, "image_bytes": 70}, round_seconds=0.2
    )
    Pause.objects.begin("Lunch", by=None)
    found = scrape(client)
    assert found['workers{queue="builds",state="busy"}'] == found['workers{queue="desk",state="idle"}'] == 1
    assert found['workers{queue="builds",state="idle"}'] == 0
    assert found['disk_free_bytes{place="data+engine"}'] == 7
    assert (found['kept{what="artifact"}'], found['kept_bytes{what="image"}']) == (3, 70)
    assert (found["engine_up"], found["paused"], found["repairs_total"]) == (1, 1, 2)
    assert 0 <= found["sweep_age_seconds"] < 60


def test_metrics_without_redis_still_tell_the_rest(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    away(monkeypatch)
    found = scrape(client)
    assert found["redis_up"] == 0
    assert not [name for name in found if name.startswith("workers")]


def test_metrics_speak_openmetrics_where_it_is_asked_for(client: Client, redis: Any) -> None:
    answer = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    families = open_metrics(body(answer))  # type: ignore[no-untyped-call] # it has no types
    assert {family.name for family in families} >= {"release_portal_builds_finished"}


def test_metrics_ask_as_often_for_many_builds_as_for_none(client: Client, redis: Any) -> None:
    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            scrape(client)
        return len(queries)

    few = asked()
    for number in range(5):
        factories.succeeded_build(factories.application(f"shop-{number}"))
        factories.queued_build(factories.application(f"stall-{number}"))
    assert asked() == few


# ---- whom it answers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["192.0.2.7", "10.0.0.1", ""])
def test_metrics_without_a_token_are_for_this_machine(client: Client, address: str) -> None:
    answer = client.get("/metrics", REMOTE_ADDR=address)
    assert answer.status_code == 403
    assert "PORTAL_METRICS_TOKEN" in body(answer)
    assert "release_portal_" not in body(answer)


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "X-Real-IP"])
def test_metrics_without_a_token_are_not_for_whom_a_proxy_asks(client: Client, header: str) -> None:
    assert client.get("/metrics", headers={header: "192.0.2.7"}).status_code == 403


@pytest.mark.parametrize(
    "given", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, "Bearer ñ", f"Bearer {TOKEN}x"]
)
def test_metrics_with_a_wrong_token_are_refused(client: Client, settings: Settings, given: str) -> None:
    settings.METRICS_TOKEN = TOKEN
    answer = client.get("/metrics", headers={"Authorization": given} if given else {})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert TOKEN not in body(answer)


def test_metrics_with_the_token_are_for_everybody_who_has_it(client: Client, settings: Settings, redis: Any) -> None:
    settings.METRICS_TOKEN = TOKEN
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}, REMOTE_ADDR="192.0.2.7")
    assert answer.status_code == 200


def test_metrics_hold_no_name_of_an_application_and_no_secret(client: Client, redis: Any) -> None:
    app = factories.application("very-own-shop", environment={"TOKEN": "s3cret"})
    factories.succeeded_build(app)
    seen(engine_answers=False, engine_problem="The engine at tcp://user:s3cret@host does not answer.")
    text = body(client.get("/metrics"))
    assert "very-own-shop" not in text
    assert "s3cret" not in text
    assert Workshop.objects.exists()
