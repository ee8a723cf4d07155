"""Each step that a container did says what the container ended with, and the build's page shows it."""

from __future__ import annotations

import pytest
from django.test import Client

from releases.models import Build, Outcome
from tests import factories
from tests.fakes.engine import FakeEngine, Script
from tests.jobs.conftest import run
from tests.pages.reading import body, see
from tests.pipeline import shop


def codes(build: Build) -> dict[str, int | None]:
    return dict(build.steps.values_list("name", "exit_code"))


@pytest.fixture
def reader() -> Client:
    client = Client()
    client.force_login(factories.user("viewers"))
    return client


def test_step_of_a_builder_that_did_well(build: Build, engine: FakeEngine, reader: Client) -> None:
    run(build)
    assert codes(build) == {"checkout": None, "produce": 0, "collect": None, "package": None, "probe": None}
    assert "exit 0" not in see(reader, build.get_absolute_url())
    assert "The container ended with exit code 0" in body(reader.get(build.get_absolute_url()))


def test_step_of_a_builder_that_failed(build: Build, engine: FakeEngine, reader: Client) -> None:
    engine.on_run(shop.BUILDER, Script(lines=["gcc is not there."], exit_code=12))
    assert run(build).outcome == Outcome.FAILED
    assert codes(build) == {"checkout": None, "produce": 12}
    assert "produce failed exit 12" in see(reader, build.get_absolute_url())


@pytest.mark.parametrize(("policy", "outcome"), [("required", Outcome.FAILED), ("record", Outcome.SUCCEEDED)])
def test_step_of_a_probe_whose_container_ended(
    build: Build, engine: FakeEngine, reader: Client, policy: str, outcome: Outcome
) -> None:
    Build.objects.filter(pk=build.pk).update(probe_policy=policy)
    build.refresh_from_db()
    engine.on_run(shop.PROBE, Script(lines=["KeyError: 'SHOP_NAME'"], exit_code=22))
    assert run(build).outcome == outcome
    assert codes(build)["probe"] == 22
    assert "exit 22" in see(reader, build.get_absolute_url())
