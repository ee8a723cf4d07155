"""Trends: what is drawn, what is said beside it, and the same builds as JSON."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from releases.models import Application, Outcome
from releases.specs import Crossing
from tests import factories
from tests.pages.reading import body, see

TRENDS, JSON = "/applications/shop/trends/", "/applications/shop/trend.json"


@pytest.fixture
def shop(db: None) -> Application:
    return factories.application("shop", image_budget_mb=45)


def sizes(shop: Application, *megabytes: float) -> None:
    for size in megabytes:
        factories.succeeded_build(shop, size=round(size * 1e6))


def refused(shop: Application) -> None:
    """#N was not released, because of its size."""
    crossing = Crossing("image", "fail", 50_000_000, 45_000_000, 0)
    factories.finished_build(shop, crossings=[crossing.as_json()])


def test_trends_say_first_last_least_and_most(manager: Client, shop: Application) -> None:
    sizes(shop, 42.5, 41.9, 44.2, 43.1)
    page = see(manager, TRENDS)
    assert "Image size +0.6 MB in 4 releases" in page
    assert "first 42.5 MB #1 last 43.1 MB #4 least 41.9 MB #2 most 44.2 MB #3" in page
    assert "Budget 45 MB" in page
    html = body(manager.get(TRENDS)).replace("\N{NO-BREAK SPACE}", " ")
    assert 'aria-label="#3 v1.0.0: 44.2 MB, 44,200,000 bytes"' in html
    assert html.count('<a href="/applications/shop/builds/3/"') == 6  # in each of three pictures, and in its table
    assert "style=" not in html


def test_trends_that_read_alike_say_one_figure(manager: Client, shop: Application) -> None:
    sizes(shop, 42.51, 42.52, 42.53)
    page = see(manager, TRENDS)
    assert "each of them about 42.5 MB As a table" in page
    assert "first 42.5 MB" not in page


def test_trends_are_one_stop_of_the_keyboard_each(manager: Client, shop: Application) -> None:
    sizes(shop, 42, 43, 44)
    html = body(manager.get(TRENDS))
    charts = re.findall(r'<svg class="pic chart".*?</g>\s*</svg>', html, re.DOTALL)
    assert [len(re.findall('tabindex="0"', chart)) for chart in charts] == [1, 1, 1]


def test_trends_mark_what_is_over_and_what_was_refused(manager: Client, shop: Application) -> None:
    sizes(shop, 42, 43)
    crossing = Crossing("image", "warn", 46_000_000, 45_000_000, 0)
    factories.succeeded_build(shop, size=46_000_000, crossings=[crossing.as_json()])
    refused(shop)
    html, page = body(manager.get(TRENDS)), see(manager, TRENDS)
    assert '<use href="#m-over"' in html
    assert '<use href="#m-refused"' in html
    assert "#4 v1.0.0 50.0 MB refused: over budget #3 v1.0.0 46.0 MB over budget #2" in page
    assert "last 46.0 MB #3" in page  # what was not released is no release


def test_trends_of_time_show_new_environments_and_what_did_not_succeed(manager: Client, shop: Application) -> None:
    made = factories.succeeded_build(shop, runner="old")
    factories.succeeded_build(shop, kept_environment=made.kept_environment)
    factories.finished_build(shop, Outcome.FAILED)
    factories.finished_build(shop, Outcome.CANCELLED)
    html, page = body(manager.get(TRENDS)), see(manager, TRENDS)
    for shape in ('<rect class="cast"', '<rect class="keep"', '<rect class="void"', "#m-fail", "#m-no"):
        assert shape in html
    table = page[page.index("Build time by build") :]
    notes = re.findall(r"#(\d) v\S+ [\d.]+ s (cancelled|failed|environment reused|new environment)", table)
    assert notes == [("4", "cancelled"), ("3", "failed"), ("2", "environment reused"), ("1", "new environment")]


def test_trends_leave_out_what_no_worker_took_up(manager: Client, shop: Application) -> None:
    sizes(shop, 42, 43)
    factories.queued_build(shop).mark_cancelling(by=None)
    factories.running_build(shop)
    assert [build["number"] for build in manager.get(JSON).json()["builds"]] == [1, 2]


@pytest.mark.parametrize(
    ("count", "sentence"),
    [
        (0, "Nothing to draw yet: from the second release on, it is drawn here."),
        (1, "One release so far: from the second on, a line shows how it grows."),
    ],
)
def test_trends_say_what_will_be_here(manager: Client, shop: Application, count: int, sentence: str) -> None:
    sizes(shop, *[42] * count)
    for address in (TRENDS, "/applications/shop/"):
        page = see(manager, address)
        assert sentence in page
        assert '<svg class="pic chart"' not in body(manager.get(address))


def test_trends_of_equal_sizes_and_far_budgets_are_drawn(manager: Client, shop: Application) -> None:
    Application.objects.update(image_budget_mb=20_000)
    shop.refresh_from_db()
    sizes(shop, 42, 42, 42)
    page = see(manager, TRENDS)
    assert "±0 bytes in 3 releases" in page
    assert "Budget 20,000 MB, far above" in page


def test_range_is_in_the_address(manager: Client, shop: Application) -> None:
    sizes(shop, *[42 + number / 100 for number in range(33)])
    assert "The last 30 builds of 33" in see(manager, TRENDS)
    assert "The last 33 builds of 33" in see(manager, f"{TRENDS}?last=100")
    assert "in 33 releases" in see(manager, f"{TRENDS}?last=all")
    assert 'href="?last=all" aria-current="page"' in " ".join(body(manager.get(f"{TRENDS}?last=all")).split())
    assert len(manager.get(f"{JSON}?last=30").json()["builds"]) == 30
    refused = see(manager, f"{TRENDS}?last=<b>9")
    assert "“<b>9” is no range; known are: 30, 100, all." in refused
    assert "The last 30 builds of 33" in refused


def test_json_has_the_same_builds_for_programs(manager: Client, shop: Application) -> None:
    sizes(shop, 42)
    refused(shop)
    said = manager.get(JSON).json()
    assert (said["application"], said["last"]) == ("shop", "30")
    first, second = said["builds"]
    assert first == {
        "number": 1,
        "ref": "v1.0.0",
        "outcome": "succeeded",
        "finished_at": first["finished_at"],
        "seconds": first["seconds"],
        "environment": "",
        "image_size": 42_000_000,
        "archive_size": 3_412_880,
        "budgets": {"image": {"most": 45_000_000, "policy": "warn"}},
        "over_budget": [],
        "address": "http://testserver/applications/shop/builds/1/",
    }
    assert (second["outcome"], second["image_size"], second["over_budget"]) == ("failed", 50_000_000, ["image"])


def test_json_refuses_an_unknown_range_and_an_unknown_application(manager: Client, shop: Application) -> None:
    answer = manager.get(f"{JSON}?last=7")
    assert (answer.status_code, answer.json()["known"]) == (400, ["30", "100", "all"])
    assert manager.get("/applications/nowhere/trend.json").status_code == 404
    assert manager.get("/applications/nowhere/trends/").status_code == 404


def test_trends_are_for_those_who_may_see(client: Client, viewer: Client, shop: Application) -> None:
    assert client.get(TRENDS).status_code == 302
    assert client.get(JSON).status_code == 302
    assert viewer.get(TRENDS).status_code == 200


def test_trends_ask_as_often_for_forty_builds_as_for_four(manager: Client, shop: Application) -> None:
    def queries(address: str) -> int:
        manager.get(address)
        with CaptureQueriesContext(connection) as asked:
            manager.get(address)
        return len(asked)

    sizes(shop, *[42] * 4)
    few = [queries(address) for address in (f"{TRENDS}?last=all", JSON)]
    sizes(shop, *[43] * 36)
    assert [queries(address) for address in (f"{TRENDS}?last=all", JSON)] == few
    assert max(few) <= 8


# ---- the layers of one build ----------------------------------------------------------------------------------------

WEIGHED: dict[str, Any] = {
    "members": [
        {"name": "environment", "size": 20_000, "unpacked": 60_000},
        {"name": "numpy-2.3.4", "size": 10_000_000, "unpacked": 30_000_000},
        {"name": "its-dangerous-2.2.0", "size": 20_000, "unpacked": 100_000},
        {"name": "source", "size": 900_000, "unpacked": 2_000_000},
    ],
    "sheets": [
        {"diff_id": factories.sha256("environment"), "size": 30_161_024, "members": [0, 1, 2]},
        {"diff_id": factories.sha256("own"), "size": 2_001_024, "members": [3]},
    ],
}


def heavier() -> dict[str, Any]:
    """The same with a newer, larger numpy and one package more."""
    _numpy, *rest = WEIGHED["members"][1:]
    numpy = {"name": "numpy-2.4.0", "size": 12_000_000, "unpacked": 33_000_000}
    new = {"name": "click-8.3.1", "size": 300_000, "unpacked": 1_000_000}
    environment, own = WEIGHED["sheets"]
    return {
        "members": [WEIGHED["members"][0], new, numpy, *rest],
        "sheets": [environment | {"size": 34_161_024, "members": [0, 1, 2, 3]}, own | {"members": [4]}],
    }


def test_build_shows_its_layers_and_largest_packages(manager: Client, shop: Application) -> None:
    first = factories.succeeded_build(shop, size=68_362_048, weighed=WEIGHED)
    page = see(manager, first.get_absolute_url())
    assert "What the image holds 68.4 MB By layer Runtime 36.2 MB Environment 30.2 MB Source 2.0 MB" in page
    assert "Largest packages, as installed numpy 2.3.4 30.0 MB its-dangerous 2.2.0 0.1 MB" in page
    assert "numpy 2.3.4 30.0 MB 10.0 MB source – 2.0 MB 0.9 MB" in page
    second = factories.succeeded_build(shop, size=72_362_048, weighed=heavier())
    page = see(manager, second.get_absolute_url())
    assert "Runtime 36.2 MB ±0 Environment 34.2 MB +4.0 MB Source 2.0 MB ±0" in page
    assert "numpy 2.4.0 33.0 MB +3.0 MB click 8.3.1 1.0 MB +1.0 MB" in page


def test_refused_image_is_shown_as_it_would_have_been(manager: Client, shop: Application) -> None:
    release = factories.succeeded_build(shop, size=68_362_048, weighed=WEIGHED)
    crossing = Crossing("image", "fail", 68_362_048, 45_000_000, 0)
    build = factories.finished_build(shop, artifact=release.artifact, crossings=[crossing.as_json()])
    assert "What the image would have held 68.4 MB · against #1" in see(manager, build.get_absolute_url())


def test_environment_that_is_packed_as_one_says_so(manager: Client, shop: Application) -> None:
    members = [WEIGHED["members"][0], WEIGHED["members"][3]]
    sheets = [WEIGHED["sheets"][0], WEIGHED["sheets"][1] | {"members": [1]}]
    build = factories.succeeded_build(shop, size=68_362_048, weighed={"members": members, "sheets": sheets})
    assert "how much each package takes is not known" in see(manager, build.get_absolute_url())


def test_build_whose_parts_were_not_recorded_has_no_layers(manager: Client, shop: Application) -> None:
    build = factories.succeeded_build(shop)
    assert "What the image holds" not in see(manager, build.get_absolute_url())


def test_steps_are_measured_by_a_release_with_the_same_kind_of_environment(manager: Client, shop: Application) -> None:
    made = factories.succeeded_build(shop, runner="old")
    factories.succeeded_build(shop, kept_environment=made.kept_environment)
    factories.succeeded_build(shop, runner="old")
    last = factories.succeeded_build(shop, kept_environment=made.kept_environment)
    assert "end of the step in #2" in see(manager, last.get_absolute_url())
    assert "end of the step in #1" in see(manager, "/applications/shop/builds/3/")
    assert "against #3, v1.0.0" in see(manager, last.get_absolute_url())  # packages: what changed since the last
