"""Rebasing on the pages: where the button is, what it says, and how a rebase is marked everywhere."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from releases.jobs import doorbell
from releases.models import Build
from releases.storage import Blobs
from tests import factories
from tests.pages.test_build import address, text, words

ARCHIVE = b"the archive of a release"


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: Path) -> None:
    monkeypatch.setattr(doorbell, "ring", lambda *_: True)
    monkeypatch.setattr(doorbell, "answers", lambda: True)
    settings.BLOBS_DIR = tmp_path
    Blobs(tmp_path).put([ARCHIVE])


@pytest.fixture
def release() -> Build:
    made = factories.succeeded_build(factories.application("shop"), artifact_bytes=ARCHIVE, runner="old")
    factories.prepared("new")
    return made


def page(client: Client, build: Build) -> str:
    return client.get(address(build)).content.decode()


def test_release_on_an_older_runtime_has_the_button_and_its_sentence(manager: Client, release: Build) -> None:
    html = page(manager, release)
    assert address(release, "build-rebase") in html
    assert (
        "A new build puts the app.tar.gz of #1, as it is, on the newest runtime of python3.13-uwsgi, and asks it "
        "whether it serves. Nothing is checked out or installed. #1 stays as it is."
    ) in html
    assert "its stack has a newer one" in words(html)


def test_release_is_not_offered_for_a_rebase_without_need_or_right(
    manager: Client, viewer: Client, release: Build
) -> None:
    assert address(release, "build-rebase") not in page(viewer, release)
    assert viewer.post(address(release, "build-rebase")).status_code == 403
    factories.prepared("old")  # the newest is the one that it stands on
    failed = factories.finished_build(release.application)
    for build in (release, failed):
        assert address(build, "build-rebase") not in page(manager, build)
        assert "its stack has a newer one" not in text(manager, build)


def test_rebase_leads_to_the_new_build_and_both_name_each_other(manager: Client, release: Build) -> None:
    answer = manager.post(address(release, "build-rebase"))
    rebased = release.rebases.get()
    assert answer["Location"] == address(rebased)
    assert "Rebased from #1" in text(manager, rebased)
    assert "Rebased as #2" in text(manager, release)
    again = manager.post(address(release, "build-rebase"), follow=True)
    assert again.redirect_chain == [(address(rebased), 302)]
    assert "is being built already, as #2" in words(again.content.decode())


def test_rebase_that_cannot_be_says_why(manager: Client, release: Build) -> None:
    factories.prepared("old")
    answer = manager.post(address(release, "build-rebase"), follow=True)
    assert answer.redirect_chain == [(address(release), 302)]
    assert "shop #1 stands on the newest runtime of python3.13-uwsgi" in words(answer.content.decode())


def test_history_marks_a_rebase_and_the_files_name_what_it_is_of(manager: Client, release: Build) -> None:
    manager.post(address(release, "build-rebase"))
    again = factories.queued_build(release.application, ref="main", retry_of=release)
    history = reverse("history")
    assert "v1.0.0 rebased from #1" in words(manager.get(history).content.decode())
    data = b"".join(manager.get(f"{history}?format=json")).decode()
    found = {row["number"]: (row["rebase_of"], row["rebuild_of"]) for row in json.loads(data)["builds"]}
    assert found == {1: (None, None), 2: (1, None), again.number: (None, 1)}
    rows = csv.DictReader(io.StringIO(b"".join(manager.get(f"{history}?format=csv")).decode()))
    assert {row["number"]: row["rebase_of"] for row in rows} == {"1": "", "2": "1", "3": ""}
