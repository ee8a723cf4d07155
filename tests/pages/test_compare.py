"""Two builds compared, as a person reads the page: what differs, what is the same, and what cannot be known."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from releases import actions
from releases.models import Application, Build, Comparison, Outcome
from releases.specs import CommitFacts, FileChange, Limits
from tests import factories
from tests.pages.reading import body, filled_buttons, see, words

pytestmark = pytest.mark.django_db
PAGE = "/applications/shop/compare/1...2/"


@pytest.fixture
def app() -> Application:
    return factories.application("shop", repository="https://github.com/team/shop.git")


@pytest.fixture
def pair(app: Application) -> tuple[Build, Build]:
    """Two releases with packages, sizes and limits that differ."""
    old = factories.succeeded_build(
        app, ref="v1.0.0", size=43_000_000, packages={"flask": "3.1.2", "pytz": "2025.2", "jinja2": "3.1.6"}
    )
    new = factories.succeeded_build(
        app,
        ref="v1.1.0",
        size=43_200_000,
        packages={"flask": "3.1.3", "slugify": "8.0", "jinja2": "3.1.6"},
        limits={**Limits().as_json(), "memory": 2 * 1024**3},
    )
    return old, new


def test_page_shows_all_that_differs(manager: Client, pair: tuple[Build, Build]) -> None:
    factories.comparison(*pair)
    page = see(manager, PAGE)
    assert "v1.0.0 → v1.1.0" in page
    assert "Commits 2 by 1 person, 1 day" in page
    assert "Packages 3 1 changed, 1 added, 1 removed" in page
    assert "Files 3 3 changed" in page
    assert "Image +0.2\xa0MB 43.0\xa0MB → 43.2\xa0MB" in page or "Image +0.2 MB 43.0 MB → 43.2 MB" in page
    assert "flask 3.1.2 3.1.3 patch" in page
    assert "pytz 2025.2 – removed" in page
    assert "slugify – 8.0 added" in page
    assert "app/file0000.py changed 100 112 +12" in page
    assert "Change 0 Ana Gil" in page
    assert re.search(r"Memory of the builder 1.GiB 2.GiB", page)
    assert "The same: repository github.com/team/shop, entry point app:app" in page
    assert "produce 20.1" in page
    assert filled_buttons(body(manager.get(PAGE))) == []


def test_commits_lead_to_the_host(manager: Client, pair: tuple[Build, Build]) -> None:
    factories.comparison(*pair)
    page = body(manager.get(PAGE))
    assert f'href="https://github.com/team/shop/commit/{factories.commit("commit 0")}"' in page
    assert f'href="https://github.com/team/shop/compare/{pair[0].commit}...{pair[1].commit}"' in page


def test_other_way_is_the_same_turned(manager: Client, pair: tuple[Build, Build]) -> None:
    factories.comparison(*pair)
    page = see(manager, "/applications/shop/compare/2...1/")
    assert "v1.1.0 → v1.0.0" in page
    assert "Commits −2" in page
    assert "#2 is the newer one: these commits are not in #1." in page
    assert "flask 3.1.3 3.1.2 older" in page
    assert "pytz – 2025.2 added" in page
    assert "app/file0000.py changed 112 100 −12" in page
    assert f"compare/{pair[0].commit}...{pair[1].commit}" in body(manager.get("/applications/shop/compare/2...1/"))


def test_what_is_not_read_yet_is_asked_for_and_fills_itself(manager: Client, pair: tuple[Build, Build]) -> None:
    first = body(manager.get(PAGE))
    assert 'hx-trigger="every 1s"' in first
    page = see(manager, PAGE)
    assert "Commits – being read" in page
    assert "A worker is reading the repository: this fills itself, or reload the page." in page
    assert "flask 3.1.2 3.1.3 patch" in page  # what rows know is there at once
    assert Comparison.objects.count() == 1
    factories.comparison(*pair)
    assert "hx-trigger" not in body(manager.get(PAGE)).partition('id="compared"')[2].partition(">")[0]


def test_what_could_not_be_read_says_why_and_is_asked_again(viewer: Client, pair: tuple[Build, Build]) -> None:
    row, _ = Comparison.objects.ask(pair[0].application, pair[0].commit, pair[1].commit)
    row.mark_failed("The commit abc1234 is no longer in the repository.")
    page = see(viewer, PAGE)
    assert "The commit abc1234 is no longer in the repository." in page
    assert "Read again" in page
    assert "Not read: the reason stands beside the commits." in page
    answer = viewer.post(f"{PAGE}again/")
    assert answer["Location"] == PAGE
    row.refresh_from_db()
    assert row.is_waiting


def test_histories_that_parted_or_have_nothing_in_common(manager: Client, pair: tuple[Build, Build]) -> None:
    gone = (CommitFacts(factories.commit("gone"), "Iker Sanz", 1_790_000_000, "Only in the old one"),)
    factories.comparison(*pair, found=factories.difference(gone=gone, gone_count=1, come_count=700))
    page = see(manager, PAGE)
    assert f"Neither follows the other: they parted at {factories.commit('base')[:7]}." in page
    assert "700 only in #2" in page
    assert "and 698 more" in page
    assert "1 only in #1" in page
    assert "Only in the old one" in page

    new = factories.succeeded_build(pair[0].application, ref="v3")
    factories.comparison(pair[0], new, found=factories.difference(base="", come=(), come_count=9, gone_count=9))
    page = see(manager, "/applications/shop/compare/1...3/")
    assert "Commits – no history in common" in page
    assert "The two commits have no history in common" in page


def test_same_commit_needs_no_worker(manager: Client, app: Application) -> None:
    old = factories.succeeded_build(app, artifact_bytes=b"same", runner="old")
    rebased = factories.succeeded_build(app, artifact_bytes=b"same", runner="new", commit=old.commit, rebase_of=old)
    page = see(manager, PAGE)
    assert f"Both are of the same commit {old.commit[:7]}" in page
    assert "Commits 0 the same commit" in page
    assert "the same bytes" in page
    assert re.search(r"Runtime \w{12} \w{12}", page)
    assert not Comparison.objects.exists()
    assert rebased.rebase_of == old


def test_build_that_ended_early_says_what_is_not_known(manager: Client, app: Application) -> None:
    factories.succeeded_build(app)
    factories.finished_build(app, commit="", ref="nowhere")
    page = see(manager, PAGE)
    assert "#2 ended before its commit was known." in page
    assert "#2 ended before its packages were known." in page
    assert "Packages – not known of #2" in page


def test_values_of_variables_are_never_shown(manager: Client, app: Application) -> None:
    app.environment = {"TOKEN": "s3cret-1", "OLD": "s3cret-2"}
    app.save()
    factories.succeeded_build(app)
    app.environment = {"TOKEN": "s3cret-3", "NEW": "s3cret-4"}
    app.save()
    factories.succeeded_build(app)
    for address in (PAGE, f"{PAGE}?format=json"):
        assert "s3cret" not in body(manager.get(address))
    page = see(manager, PAGE)
    assert "Variable TOKEN set another value" in page
    assert "Variable OLD set not set" in page
    assert "Variable NEW not set set" in page


def test_who_changed_a_setting_is_named(manager: Client, app: Application) -> None:
    old = factories.succeeded_build(app)
    app.memory_mb = 2048
    actions.change_application(app, by=factories.user(username="ana"))
    new = factories.queued_build(app, limits={**Limits().as_json(), "memory": 2 * 1024**3})
    Build.objects.filter(pk=new.pk).update(created_at=timezone.now() + timedelta(hours=1))
    page = see(manager, f"/applications/shop/compare/{old.number}...{new.number}/")
    assert re.search(r"Memory of the builder 1.GiB 2.GiB ana,", page)


def test_hostile_words_are_text(manager: Client, pair: tuple[Build, Build]) -> None:
    bad = "<script>alert(1)</script>"
    come = (CommitFacts("c" * 40, bad, 0, bad),)
    files = (FileChange(f"app/{bad}", "added", 0, 5),)
    factories.comparison(*pair, found=factories.difference(come=come, come_count=1, files=files, changed=0, added=1))
    page = manager.get(PAGE)
    assert bad not in body(page)
    assert bad in words(page)


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("old=1&new=x", 422, "Write the number of a build, such as 42."),
        ("old=1&new=-2", 422, "Write the number of a build"),
        ("old=1&new=99", 422, "shop has no build #99; its last is #2."),
        ("old=1&new=99999999999999999999", 422, "shop has no build #99999999999999999999"),
        ("old=1&new=1", 422, "Choose another build than #1 here"),
        ("old=1&new=", 422, "This field is required."),
        ("old=1&new=%00", 422, ""),
        ("old=²&new=1", 422, "Write the number"),
    ],
)
def test_number_that_cannot_be_stands_beside_its_field(
    manager: Client, pair: tuple[Build, Build], query: str, status: int, said: str
) -> None:
    page = manager.get(f"/applications/shop/compare/?{query}")
    assert page.status_code == status
    assert said in words(page)
    assert 'aria-invalid="true"' in body(page)


def test_form_leads_to_the_address_of_the_two(manager: Client, pair: tuple[Build, Build]) -> None:
    assert manager.get("/applications/shop/compare/?old=%231&new=2")["Location"] == PAGE
    page = body(manager.get("/applications/shop/compare/"))
    assert 'value="1"' in page
    assert '<option value="2">#2 v1.1.0</option>' in page


@pytest.mark.parametrize("address", ["1...99", "99...1", "1...1", "1...99999999999999999999999", "0...1"])
def test_address_of_no_two_builds_is_no_fault(manager: Client, pair: tuple[Build, Build], address: str) -> None:
    page = manager.get(f"/applications/shop/compare/{address}/")
    assert page.status_code in (404, 422)
    assert "Compare two builds" in words(page)
    assert manager.get("/applications/none/compare/1...2/").status_code == 404


def test_json_has_all_of_it(manager: Client, pair: tuple[Build, Build]) -> None:
    factories.comparison(*pair)
    answer = manager.get(f"{PAGE}?format=json")
    assert answer["Content-Type"] == "application/json"
    facts: dict[str, Any] = json.loads(body(answer))
    assert facts["source"] == "read"
    assert facts["difference"]["come_count"] == 2
    assert facts["packages"]["changed"][0] == {"name": "flask", "was": "3.1.2", "now": "3.1.3", "change": "changed"}
    assert facts["sizes"]["image"] == [43_000_000, 43_200_000]
    assert list(facts["settings"]) == ["memory"]


def test_comparison_asks_the_same_number_of_questions_however_large(
    manager: Client, app: Application, pair: tuple[Build, Build]
) -> None:
    factories.comparison(*pair)
    manager.get(PAGE)
    with CaptureQueriesContext(connection) as small:
        manager.get(PAGE)
    many = {f"package-{number}": f"1.{number}" for number in range(300)}
    factories.succeeded_build(app, ref="v2", packages=many)
    large = factories.succeeded_build(app, ref="v3", packages=dict.fromkeys(many, "2.0"))
    factories.comparison(pair[0], large, found=factories.difference(500, 2000))
    with CaptureQueriesContext(connection) as big:
        page = see(manager, f"/applications/shop/compare/1...{large.number}/")
    assert len(big) == len(small), [query["sql"] for query in big]
    assert len(big) <= 14
    assert "180 more files" in page
    assert "and 1800 more" in page
    assert "and 450 more" in page


def test_pages_lead_to_the_comparison(viewer: Client, pair: tuple[Build, Build]) -> None:
    assert "Compare with #1" in see(viewer, "/applications/shop/builds/2/")
    assert "Compare with" not in see(viewer, "/applications/shop/builds/1/")
    page = see(viewer, "/applications/shop/")
    assert "Compare #2 with the last successful, #1" in page
    failed = factories.finished_build(pair[0].application, Outcome.FAILED)
    assert f"Compare #{failed.number} with the last successful, #2" in see(viewer, "/applications/shop/")


def test_strangers_are_kept_out(client: Client, pair: tuple[Build, Build]) -> None:
    for address in (PAGE, "/applications/shop/compare/"):
        assert client.get(address).status_code == 302
    client.force_login(factories.user(role=""))
    assert client.get(PAGE).status_code == 403
    assert client.post(f"{PAGE}again/").status_code == 403
