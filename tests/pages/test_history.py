"""The history: what a person has in hand finds its builds; files of the same rows; nothing typed breaks it."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import timedelta
from itertools import islice

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.http import urlencode

from releases.models import Application, Build, Image, Outcome
from releases.views import export
from tests import factories
from tests.pages.reading import body, see, source, words

PAGE = "/history/"


def found(client: Client, **filters: str | int) -> list[str]:
    """The builds that a filter shows, as `shop #1`, in the order of the page."""
    page = body(client.get(f"{PAGE}?{urlencode(filters)}"))
    return re.findall(r'<a href="/applications/[a-z0-9-]+/builds/\d+/">([a-z0-9-]+ #\d+)</a>', page)


def test_history_is_empty_at_first(manager: Client) -> None:
    assert "Nothing has been built yet." in see(manager, PAGE)


def test_history_shows_all_newest_first_under_their_day(viewer: Client) -> None:
    shop, billing = factories.application("shop"), factories.application("billing")
    factories.succeeded_build(shop)
    factories.finished_build(billing, Outcome.FAILED)
    factories.running_build(shop)
    assert found(viewer) == ["shop #2", "billing #1", "shop #1"]
    page = see(viewer, PAGE)
    assert "3 builds 1 succeeded, 1 failed, 1 other" in page
    assert f"{timezone.now():%A} {timezone.now().day} {timezone.now():%B %Y}" in page


def test_history_filters_one_by_one(manager: Client) -> None:
    ana = factories.user(username="ana", first_name="Ana", last_name="Gil")
    shop, billing = factories.application("shop"), factories.application("billing")
    factories.succeeded_build(shop, ref=factories.ref(shop, "v1.0.0"), by=ana)
    factories.finished_build(shop, Outcome.TIMED_OUT, ref=factories.ref(shop, "v1.1.0"))
    factories.queued_build(billing, ref=factories.ref(billing, "main", kind="branch"))
    assert found(manager, application="billing") == ["billing #1"]
    assert found(manager, ref="v1.0.0") == ["shop #1"]
    assert found(manager, ref="refs/heads/main") == ["billing #1"]
    assert found(manager, ref="v1.*") == ["shop #2", "shop #1"]
    assert found(manager, ref="v1.(*") == []
    assert found(manager, ref="*.1.0") == ["shop #2"]
    assert found(manager, ref="V*1*0") == ["shop #2", "shop #1"]
    assert found(manager, ref="*1.1*") == ["shop #2"]
    assert found(manager, ref="v1.1*1.1.0") == []
    assert found(manager, ref="*") == ["billing #1", "shop #2", "shop #1"]
    assert found(manager, outcome="succeeded") == ["shop #1"]
    assert found(manager, outcome="timed_out") == ["shop #2"]
    assert found(manager, outcome="unsuccessful") == ["shop #2"]
    assert found(manager, outcome="active") == ["billing #1"]
    assert found(manager, outcome="queued") == ["billing #1"]
    assert found(manager, by="ana") == ["shop #1"]
    assert found(manager, application="shop", outcome="succeeded", by="ana", ref="v1.*") == ["shop #1"]
    assert found(manager, application="billing", by="ana") == []
    assert "No build matches all of these filters" in see(manager, f"{PAGE}?application=billing&by=ana")


def test_history_filters_by_day(manager: Client) -> None:
    shop = factories.application("shop")
    factories.queued_build(shop)
    old = factories.queued_build(shop)
    Build.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=40))
    today, before = f"{timezone.now():%Y-%m-%d}", f"{timezone.now() - timedelta(days=30):%Y-%m-%d}"
    assert found(manager, **{"from": before}) == ["shop #1"]
    assert found(manager, to=before) == ["shop #2"]
    assert found(manager, **{"from": today, "to": today}) == ["shop #1"]
    assert found(manager, to="9999-12-31") == ["shop #2", "shop #1"]


def test_history_filters_by_kind_and_stack(manager: Client) -> None:
    shop = factories.application("shop")
    first = factories.succeeded_build(shop)
    factories.queued_build(shop, ref=factories.ref(shop, "main", kind="branch"), by=factories.user())
    factories.finished_build(shop, retry_of=first, by=factories.user())
    factories.queued_build(shop, rebase_of=first, ref=first.ref, commit=first.commit)
    factories.queued_build(factories.application("feed", stack="python3.13-asgi"))
    assert found(manager, kind="branch") == ["shop #2"]
    assert found(manager, kind="rebuild") == ["shop #3"]
    assert found(manager, kind="rebase") == ["shop #4"]
    assert found(manager, kind="first", application="shop") == ["shop #2", "shop #1"]
    assert found(manager, stack="python3.13-asgi") == ["feed #1"]
    assert found(manager, by="(portal)", kind="rebase") == ["shop #4"]


def test_history_finds_builds_of_a_stack_that_is_gone(manager: Client) -> None:
    factories.queued_build(factories.application("shop", stack="python3.9-uwsgi"))
    Application.objects.update(stack="python3.13-uwsgi")
    assert found(manager, stack="python3.9-uwsgi") == ["shop #1"]


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        ("flask", [4, 3, 2, 1]),
        ("Flask", [4, 3, 2, 1]),
        ("flask==2.*", [2, 1]),
        ("flask==2.0.1", [1]),
        ("flask>=2.1", [4, 3, 2]),
        ("flask>=2,<3", [2, 1]),
        ("flask~=3.0", [4, 3]),
        ("flask!=2.0.1", [4, 3, 2]),
        ("flask 3", [4, 3]),
        ("flask 3.0", [3]),
        ("flask==3.1.0", [4]),
        ("flask==9.*", []),
        ("zope_interface", [1]),
        ("zope.interface == 5.0", [1]),
        ("ask", []),
    ],
)
def test_history_filters_by_package_as_pip_compares_versions(manager: Client, wanted: str, numbers: list[int]) -> None:
    shop = factories.application("shop")
    for packages in ({"Flask": "2.0.1", "zope.interface": "5.0"}, {"flask": "2.10"}, {"flask": "3.0.3"}):
        factories.succeeded_build(shop, packages=packages)
    factories.succeeded_build(shop, packages={"flask": "3.1", "numpy": "2.0.1"})
    assert found(manager, package=wanted) == [f"shop #{number}" for number in numbers]
    if numbers and wanted.lower().startswith("flask"):
        assert re.search(
            r"shop #\d Succeeded v[\d.]+ [0-9a-f]{7} [Ff]lask \d", see(manager, f"{PAGE}?package={wanted}")
        )


def test_history_says_which_applications_are_alike_when_there_are_many(manager: Client) -> None:
    for number in range(30):
        factories.application(f"shop-{number}")
    page = see(manager, f"{PAGE}?application=shop-301")
    assert "“shop-301” is not known here; known are shop-" in page
    assert "and 25 others." in page


def test_history_offers_applications_while_a_name_is_typed(manager: Client) -> None:
    for name in ("fruit-shop", "shopping", "billing"):
        factories.application(name)
    assert re.findall(r'value="([^"]+)"', body(manager.get(f"{PAGE}applications/?application=SHOP"))) == [
        "fruit-shop",
        "shopping",
    ]


def test_history_finds_nothing_but_names_the_applications_that_are_called_so(manager: Client) -> None:
    factories.succeeded_build(factories.application("fruit-shop"))
    assert "Applications that are called so: fruit-shop" in see(manager, f"{PAGE}?q=fruit")


def test_history_says_what_a_checksum_without_a_build_means(manager: Client) -> None:
    build = factories.succeeded_build(factories.application("shop"))
    assert build.artifact is not None
    assert "app.tar.gz" in see(manager, f"{PAGE}?q=sha256:{build.artifact.sha256}")
    assert found(manager, q=f"sha256:{build.artifact.sha256}") == ["shop #1"]
    assert found(manager, q=f"sha256:{build.commit}") == []
    page = see(manager, f"{PAGE}?q={factories.sha256('elsewhere')}")
    assert "No build here made a file with this sha256" in page
    assert "even one byte gives another sha256" in page


def test_history_finds_an_image_by_each_of_its_digests(manager: Client) -> None:
    shop = factories.application("shop")
    build = factories.succeeded_build(shop)
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")  # what is final must have these digests for once
        Image.objects.update(config_digest=factories.image_id("config"), manifest_digest=factories.image_id("manifest"))
        cursor.execute("SET session_replication_role = DEFAULT")
    assert build.image is not None
    for digest in (build.image.image_id, factories.image_id("config"), factories.image_id("manifest")):
        assert found(manager, q=digest) == ["shop #1"]
        assert found(manager, q=digest.removeprefix("sha256:")[:12]) == ["shop #1"]


def test_history_finds_what_has_two_meanings_once(manager: Client) -> None:
    flask = factories.application("flask")
    factories.succeeded_build(flask, packages={"flask": "3.1"})
    factories.queued_build(flask)
    factories.succeeded_build(factories.application("shop"), packages={"flask": "3.1"})
    assert found(manager, q="flask") == ["shop #1", "flask #2", "flask #1"]


def test_history_finds_what_a_person_has_in_hand(manager: Client) -> None:
    shop = factories.application("shop")
    first = factories.succeeded_build(shop, packages={"Flask_Login": "0.6.3", "flask": "3.1.3"})
    second = factories.succeeded_build(shop, packages={"flask": "3.0.1"})
    assert first.artifact is not None
    assert first.image is not None
    for words_ in (
        first.commit, first.commit[:7].upper(), first.artifact.sha256, first.artifact.sha256[:12], first.image.image_id,
        first.image.image_id[7:19], "flask-login", "FLASK.LOGIN==0.6.3", "flask==3.1.3", "flask 3.1", "#1", "shop #1",
        first.packages.get(name="flask").sha256,
    ):  # fmt: skip
        assert found(manager, q=f" {words_} ") == ["shop #1"], words_
    assert found(manager, q="flask") == ["shop #2", "shop #1"]
    assert found(manager, q="flask==3.1") == []
    assert found(manager, q="shop") == ["shop #2", "shop #1"]
    assert found(manager, q="v1.0") == ["shop #2", "shop #1"]
    assert found(manager, q=second.commit[:3]) == []
    assert "flask 3.1.3" in see(manager, f"{PAGE}?q=flask+3.1")


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("application=shap", "Application: “shap” is not known here; known are: shop."),
        ("outcome=fine", "Outcome: “fine” is not known here; known are: active, unsuccessful, succeeded, failed"),
        ("by=nobody", "Asked by: “nobody” is not known here; known are: (portal)."),
        ("kind=bran", "Kind: “bran” is not known here; known are: tag, branch, commit, first, rebuild, rebase."),
        ("stack=python3", "Stack: “python3” is not known here; known are: alpine-uwsgi, python2.7-uwsgi, python3.13-"),
        (
            "package=flask+is+good",
            "With package: “flask is good” names no package: write flask, flask==2.*, flask>=2,<3",
        ),
        ("package=%3D%3D2", "With package: “==2” names no package"),
        ("package=flask%5Basync%5D", "With package: Write the package and its version alone, such as flask==2.*"),
        ("aplication=shop", "“aplication” is no filter here; there are: q, application, ref, outcome, package, kind"),
        ("from=2026-02-02&to=2026-02-01", "To: the last day is before the first: no build can match."),
        ("from=yesterday", "From: write the date as 2026-11-23."),
        ("to=2026-02-31", "To: write the date as 2026-11-23."),
        ("q=a%00b", "Null characters are not allowed"),
        ("q=" + "x" * 300, "at most 200 characters"),
        ("outcome=100%25s%28x%29", "“100%s(x)” is not known here"),
    ],
)
def test_history_says_which_values_are_known_and_shows_nothing(manager: Client, query: str, sentence: str) -> None:
    factories.queued_build(factories.application("shop"))
    page = see(manager, f"{PAGE}?{query}")
    assert sentence in page
    assert "No build is shown" in page
    assert "0 builds" in page
    response = manager.get(f"{PAGE}?{query}&format=csv")
    assert response.status_code == 400
    assert sentence in body(response)


@pytest.mark.parametrize(
    "query", ["page=0", "page=-3", "page=999", "page=x", "top=x", "q=%25", "q=(", "q=\\", "ref=[", "q=%23"]
)
def test_history_takes_odd_addresses(manager: Client, query: str) -> None:
    factories.queued_build(factories.application("shop"))
    assert manager.get(f"{PAGE}?{query}").status_code == 200


def test_history_escapes_what_was_typed(manager: Client) -> None:
    response = manager.get(f"{PAGE}?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
    assert "<script>alert" not in body(response)


def test_history_pages_of_fifty_do_not_shift_when_new_builds_arrive(manager: Client) -> None:
    shop = factories.application("shop")
    for _ in range(120):
        factories.queued_build(shop)
    first = found(manager)
    assert first == [f"shop #{number}" for number in range(120, 70, -1)]
    address = re.search(r'href="\?([^"]*page=2)"', body(manager.get(PAGE)))
    assert address is not None
    factories.queued_build(shop)
    second = body(manager.get(f"{PAGE}?{address[1].replace('&amp;', '&')}"))
    shown = re.findall(r">shop #(\d+)</a>", second)
    assert shown == [str(number) for number in range(70, 20, -1)]
    assert "50 of 120" in " ".join(second.split())
    assert found(manager, page=99)[-1] == "shop #1"


def test_history_asks_as_often_for_many_rows_as_for_few(manager: Client) -> None:
    def queries() -> int:
        manager.get(f"{PAGE}?q=flask")
        with CaptureQueriesContext(connection) as asked:
            manager.get(f"{PAGE}?q=flask")
        return len(asked)

    shop = factories.application("shop")
    for _ in range(2):
        factories.succeeded_build(shop, by=factories.user())
    few = queries()
    for _ in range(20):
        factories.succeeded_build(shop, by=factories.user())
    assert queries() == few


def test_history_links_keep_every_filter(manager: Client) -> None:
    factories.succeeded_build(factories.application("shop"))
    page = source(manager.get(f"{PAGE}?application=shop&q=flask&from=2020-01-01"))
    assert "?q=flask&amp;application=shop&amp;from=2020-01-01&amp;format=csv" in page
    assert 'value="flask"' in page
    assert 'name="application" value="shop"' in page
    assert 'href="?q=flask&amp;from=2020-01-01" aria-label="Remove the filter Application shop"' in page


def test_history_csv_holds_all_matching_rows(viewer: Client) -> None:
    shop = factories.application("shop")
    build = factories.succeeded_build(shop, by=factories.user(username="ana", first_name="Ana", last_name="Gil"))
    for _ in range(60):
        factories.queued_build(shop)
    factories.queued_build(factories.application("billing"))
    response = viewer.get(f"{PAGE}?application=shop&format=csv")
    assert response.streaming
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert response.headers["Content-Disposition"] == 'attachment; filename="builds.csv"'
    rows = list(csv.DictReader(io.StringIO(body(response))))
    assert len(rows) == 61
    assert build.artifact is not None
    last = rows[-1]
    assert (last["number"], last["outcome"], last["asked_by"], last["asked_by_name"]) == (
        "1",
        "succeeded",
        "ana",
        "Ana Gil",
    )
    assert (last["commit"], last["artifact_sha256"]) == (build.commit, build.artifact.sha256)
    assert last["address"] == "http://testserver/applications/shop/builds/1/"


@pytest.mark.parametrize("ref", ["=1+1", "+x", "@SUM(A1)", "-x", "＝x"])
def test_history_csv_starts_no_formula(manager: Client, ref: str) -> None:
    factories.queued_build(factories.application("shop"))
    Build.objects.update(ref=ref)
    (row,) = csv.DictReader(io.StringIO(body(manager.get(f"{PAGE}?format=csv"))))
    assert row["ref"] == f"'{ref}"


@pytest.mark.parametrize("builds", [1, 2, 3, 5, 6])
def test_files_hold_each_row_once_wherever_one_reading_ends(
    manager: Client, builds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "FIRST", 2)
    monkeypatch.setattr(export, "CHUNK", 3)
    app = factories.application("shop")
    for _ in range(builds):
        factories.finished_build(app)
    expected = list(range(builds, 0, -1))
    rows = csv.DictReader(io.StringIO(body(manager.get(f"{PAGE}?format=csv"))))
    assert [int(row["number"]) for row in rows] == expected
    found = json.loads(body(manager.get(f"{PAGE}?format=json")))
    assert [row["number"] for row in found["builds"]] == expected


@pytest.mark.parametrize("form", ["csv", "json"])
def test_file_has_its_first_row_before_the_others_are_asked_for(
    manager: Client, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "FIRST", 1)
    monkeypatch.setattr(export, "CHUNK", 1)
    app = factories.application("shop")
    for _ in range(3):
        factories.finished_build(app)
    pieces = iter(manager.get(f"{PAGE}?format={form}"))
    with CaptureQueriesContext(connection) as before:
        assert b"shop" in b"".join([*islice(pieces, 2)])
    with CaptureQueriesContext(connection) as after:
        assert b"".join(pieces).count(b"shop/builds/") == 2
    assert (len(before), len(after)) == (2, 2)


def test_history_csv_without_rows_has_its_head(manager: Client) -> None:
    (head,) = csv.reader(io.StringIO(body(manager.get(f"{PAGE}?format=csv"))))
    assert head[:3] == ["application", "number", "state"]


def test_history_json_holds_the_same_rows(manager: Client) -> None:
    shop = factories.application("shop")
    factories.finished_build(shop, Outcome.FAILED, "It says “no”, <b>twice</b>.")
    factories.succeeded_build(shop)
    rows = json.loads(body(manager.get(f"{PAGE}?format=json")))["builds"]
    assert [row["number"] for row in rows] == [2, 1]
    assert rows[0]["image_size"] == 43_187_456
    assert rows[1]["message"] == "It says “no”, <b>twice</b>."
    assert rows[1]["image_size"] is None
    assert json.loads(body(manager.get(f"{PAGE}?format=json&outcome=cancelled"))) == {"builds": []}


def test_history_unknown_format_is_refused_in_words(manager: Client) -> None:
    response = manager.get(f"{PAGE}?format=xlsx")
    assert response.status_code == 400
    assert words(response) == "The format is csv or json."
