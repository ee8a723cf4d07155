"""The evidence of a build: one file that holds what an auditor asks for, and agrees with the bytes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from releases.models import Link, Outcome
from releases.specs.budget import Crossing
from releases.storage import LogWriter, log_path
from tests import factories
from tests.pages.reading import body, source

ADDRESS = "/applications/shop/builds/1/evidence.json"


def evidence(client: Client, address: str = ADDRESS) -> dict[str, Any]:
    response = client.get(address)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    found: dict[str, Any] = json.loads(body(response))
    return found


def test_evidence_of_a_release_holds_inputs_results_and_who_did_what(
    viewer: Client, settings: Settings, tmp_path: Path
) -> None:
    settings.LOGS_DIR = tmp_path
    shop = factories.application("shop", environment={"SECRET": "plum"}, probe_path="/health")
    ana = factories.user(username="ana")
    build = factories.succeeded_build(shop, by=ana, packages={"flask": "3.1.3", "click": "8.1"}, runner="old")
    with LogWriter(log_path(build.pk)) as log:
        log.line("made it")
    found = evidence(viewer)
    assert build.artifact is not None
    assert build.image is not None
    assert found["format"] == "release-portal-evidence/1"
    assert found["is_final"] is True
    assert found["address"] == "http://testserver/applications/shop/builds/1/"
    assert (found["build"]["outcome"], found["build"]["asked_by"]) == ("succeeded", "ana")
    assert (found["inputs"]["commit"], found["inputs"]["ref"]) == (build.commit, "v1.0.0")
    assert found["inputs"]["limits"]["memory"] == 1024**3
    assert found["inputs"]["probe_path"] == "/health"
    assert found["inputs"]["environment_names"] == ["SECRET"]
    assert "plum" not in json.dumps(found)
    assert found["inputs"]["stack_digest"] == build.stack_digest
    assert found["environment"]["made_by"] == 1
    assert [(row["name"], row["version"]) for row in found["packages"]] == [("click", "8.1"), ("flask", "3.1.3")]
    assert found["packages"][1]["sha256"] == factories.sha256("flask 3.1.3")
    assert (found["artifact"]["sha256"], found["artifact"]["size"]) == (build.artifact.sha256, 3_412_880)
    assert found["image"]["image_id"] == build.image.image_id
    assert (found["probe"]["status"], found["probe"]["body"]) == (200, "Welcome to the fruit shop")
    assert [step["name"] for step in found["steps"]] == ["checkout", "produce", "collect", "package", "probe"]
    assert [(event["verb"], event["by"]) for event in found["events"]] == [
        ("build.requested", "ana"),
        ("build.started", None),
        ("build.finished", None),
    ]
    downloaded = body(viewer.get("/applications/shop/builds/1/log.txt")).encode()
    assert found["log"]["sha256"] == hashlib.sha256(downloaded).hexdigest()
    assert found["log"]["size"] == len(downloaded)


def test_evidence_of_what_failed_and_of_what_is_under_way(manager: Client) -> None:
    shop = factories.application("shop")
    failed = factories.finished_build(shop, Outcome.FAILED, "No requirements.")
    factories.queued_build(shop, retry_of=failed)
    found = evidence(manager)
    assert (found["artifact"], found["image"], found["environment"], found["packages"]) == (None, None, None, [])
    assert found["build"]["message"] == "No requirements."
    found = evidence(manager, "/applications/shop/builds/2/evidence.json")
    assert (found["is_final"], found["build"]["rebuild_of"], found["build"]["state"]) == (False, 1, "queued")


@pytest.mark.django_db(transaction=True)
def test_evidence_holds_budgets_the_rule_and_each_events_place_in_the_chain(manager: Client) -> None:
    crossing = Crossing("image", "fail", 50_000_000, 45_000_000, 0)
    build = factories.finished_build(
        factories.application("shop", image_budget_mb=45), rule="v*", crossings=[crossing.as_json()]
    )
    found = evidence(manager)
    assert found["build"]["rule"] == "v*"
    assert found["inputs"]["budgets"] == build.budgets
    assert [(one["budget"], one["size"], one["most"]) for one in found["over_budget"]] == [
        ("image", 50_000_000, 45_000_000)
    ]
    links = {link.event_id: link for link in Link.objects.filter(event__build=build)}
    assert [(event["link"]["position"], event["link"]["hash"]) for event in found["events"]] == [
        (links[event["id"]].position, links[event["id"]].hash) for event in found["events"]
    ]
    assert found["events"][-1]["link"]["record"] == links[found["events"][-1]["id"]].record != ""


def test_evidence_is_a_file_and_stands_on_the_builds_page(manager: Client) -> None:
    factories.finished_build(factories.application("shop"))
    response = manager.get(ADDRESS)
    assert response.headers["Content-Disposition"] == 'attachment; filename="shop-1-evidence.json"'
    assert f'href="{ADDRESS}">Evidence as JSON' in source(manager.get("/applications/shop/builds/1/"))
    assert manager.get("/applications/shop/builds/9/evidence.json").status_code == 404
    manager.logout()
    assert manager.get(ADDRESS).status_code == 302
