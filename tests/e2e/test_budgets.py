"""Budgets of size on real parts: what is too large never reaches the engine, and after raising the budget it does."""

from __future__ import annotations

import random

import pytest

from tests.e2e.portal import SERVE, RunningPortal, docker, repository

pytestmark = pytest.mark.engine

NOISE = random.Random(4).randbytes(6_000_000)  # noqa: S311 - the same noise each time


def tags(portal: RunningPortal, application: str) -> set[str]:
    """The versions of this application in the engine, without its kept environments."""
    name = f"release-portal-{portal.instance}/{application}"
    found = docker("images", "--format={{.Tag}}", name).split()
    return {tag for tag in found if not tag.startswith("environment-")}


def test_budget_warns_then_fails_then_is_raised(portal: RunningPortal) -> None:
    files = {"requirements.txt": b"", "app/app.py": SERVE}
    address = repository(portal.repositories, "growing", files)
    assert portal.register("growing", address, "--archive-budget", "5").returncode == 0
    status, first = portal.release("growing", "v1.0.0")
    assert (status, first["over_budget"]) == (0, [])

    repository(portal.repositories, "growing", {"app/pictures.bin": NOISE}, tag="v2.0.0")
    status, warned = portal.release("growing", "v2.0.0")
    assert (status, warned["outcome"]) == (0, "succeeded"), warned
    [crossing] = warned["over_budget"]
    assert (crossing["budget"], crossing["policy"], crossing["against"]) == ("archive", "warn", first["number"])
    assert crossing["size"] == warned["artifact"]["size"] > 5_000_000
    assert crossing["message"].endswith(f"Grown most since #{first['number']}: the source by 6.0 MB.")
    assert "Over budget: app.tar.gz over by" in warned["message"]

    visitor = portal.page()
    settings = "/applications/growing/settings/"
    whole = {"repository": address, "stack": "python3.13-uwsgi", "directory": "app", "module": "app", "callable": "app",
             "requirements": "requirements.txt", "probe_path": "/", "probe_policy": "record"}  # fmt: skip
    visitor.post(settings, come_from=settings, **whole, image_budget_mb="40", image_budget_policy="fail")
    status, refused = portal.release("growing", "v2.0.0")
    assert (status, refused["outcome"], refused["image"]) == (1, "failed", None), refused
    assert refused["message"].startswith("Over budget, so nothing was released: The image, ")
    [crossing] = refused["over_budget"]
    assert crossing["size"] == warned["image"]["size"]  # judged before it is made, and right to the byte
    assert tags(portal, "growing") == {f"v1.0.0-{first['number']}", f"v2.0.0-{warned['number']}"}
    assert portal.log(portal.build("growing", refused["number"])).rstrip().endswith(refused["message"])

    visitor.post(settings, come_from=settings, **whole, image_budget_mb="100", image_budget_policy="fail")
    rebuild = f"/applications/growing/builds/{refused['number']}"
    assert visitor.post(f"{rebuild}/rebuild/", come_from=f"{rebuild}/").ok
    status, again = portal.release("growing", "v2.0.0")  # joins the rebuild, or builds once more
    assert (status, again["outcome"], again["over_budget"]) == (0, "succeeded", []), again
    assert f"v2.0.0-{again['number']}" in tags(portal, "growing")
