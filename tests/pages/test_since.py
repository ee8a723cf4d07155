"""A failed build explained on its page: its first error, what changed since the last good build, and the suspect."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from releases.models import Application, Build, Outcome, Package, Step
from releases.specs import CommitFacts, FileChange, Limits, LinesChanged
from tests import factories
from tests.pages.reading import body, see

pytestmark = pytest.mark.django_db


@pytest.fixture
def app() -> Application:
    return factories.application("shop")


@pytest.fixture
def good(app: Application) -> Build:
    return factories.succeeded_build(app, packages={"flask": "3.1.3", "pytz": "2025.2"})


def failed(
    app: Application, error: str = "", step: str = "produce", packages: dict[str, str] | None = None, **frozen: Any
) -> Build:
    """A build whose log has this first error, in line 31."""
    build = factories.running_build(app, **frozen)
    now = build.created_at
    Step.objects.create(build=build, position=2, name=step, result="failed", started_at=now, finished_at=now, seconds=2)
    for name, version in (packages or {}).items():
        Package.objects.create(build=build, name=name, version=version, sha256=factories.sha256(f"{name} {version}"))
    if error:
        build.note(error_line=31, error_text=error)
    build.mark_ended(Outcome.FAILED, "A package could not be built from its source.")
    return build


def suspects(page: str) -> list[str]:
    """What is marked, as it stands in the page."""
    points = re.findall(r"<li>(.*?)</li>", page.partition('id="build-since"')[2].partition("</section>")[0], re.DOTALL)
    marked = [point for point in points if "suspect" in point]
    return [re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", point)).replace("suspect", "").strip() for point in marked]


def address(build: Build) -> str:
    return f"/applications/shop/builds/{build.number}/"


def test_first_error_is_named_with_its_line(manager: Client, app: Application) -> None:
    build = failed(app, "Error: pg_config executable not found.")
    page = body(manager.get(address(build)))
    assert '<a href="#L31">First error, line 31</a>' in page
    assert "Error: pg_config executable not found." in page
    assert 'data-error-line="31"' in page
    home = body(manager.get("/"))
    assert f'href="{address(build)}#L31"' in home
    assert "Error: pg_config executable not found." in home


def test_build_without_a_first_error_leaves_the_place_to_the_script(manager: Client, app: Application) -> None:
    page = body(manager.get(address(failed(app))))
    assert "data-error-line" not in page
    assert "data-first-error hidden" in page


def test_first_build_of_all_says_so(manager: Client, app: Application) -> None:
    assert "This is the first build of the application" in see(manager, address(failed(app)))
    assert "No build of the application succeeded before this one" in see(manager, address(failed(app)))


def test_requirement_that_the_error_names_is_the_suspect(manager: Client, app: Application, good: Build) -> None:
    build = failed(app, "error: Failed to build `psycopg2==2.9.11`")
    lines = LinesChanged("requirements.txt", ("psycopg2-binary==2.9.11",), ("gunicorn==23", "psycopg2==2.9.11"))
    files = (FileChange("requirements.txt", "changed", 10, 20),)
    factories.comparison(good, build, factories.difference(files=files, changed=1, requirements=(lines,)))
    page = see(manager, address(build))
    assert f"Since #{good.number} , the last good one" in page
    assert "psycopg2-binary==2.9.11" in page
    assert "Commits + " not in page
    assert "By Ana Gil" in page
    assert f"The whole comparison with #{good.number}" in page
    assert suspects(body(manager.get(address(build)))) == ["added: psycopg2==2.9.11"]


def test_what_is_newly_required_is_the_suspect_when_the_error_names_nothing(
    manager: Client, app: Application, good: Build
) -> None:
    build = failed(app, "Error: pg_config executable not found.")
    lines = LinesChanged("requirements.txt", ("pytz==1",), ("psycopg2==2.9.11",))
    factories.comparison(good, build, factories.difference(requirements=(lines,)))
    assert suspects(body(manager.get(address(build)))) == ["added: psycopg2==2.9.11"]


def test_file_that_the_error_names_is_the_suspect(manager: Client, app: Application, good: Build) -> None:
    build = failed(app, "KeyError: 'A' (app/basket.py, line 7)", step="probe", packages={"flask": "3.1.3", "pytz": "1"})
    files = tuple(FileChange(path, "changed", 1, 2) for path in ("app/a.py", "app/basket.py", "app/zones.py"))
    factories.comparison(good, build, factories.difference(5, files=files, changed=3))
    page = body(manager.get(address(build)))
    assert suspects(page) == ["changed: app/basket.py"]
    assert "pytz 2025.2 → 1" in page


def test_removed_package_that_is_missed_is_the_suspect(manager: Client, app: Application, good: Build) -> None:
    build = failed(app, "ModuleNotFoundError: No module named 'pytz'", step="probe", packages={"flask": "3.1.3"})
    factories.comparison(good, build)
    assert suspects(body(manager.get(address(build)))) == ["removed: pytz 2025.2"]


def test_same_commit_makes_the_surroundings_the_suspect(manager: Client, app: Application, good: Build) -> None:
    limits = {**Limits().as_json(), "memory": 128 * 1024**2}
    build = failed(app, "Killed", packages={"flask": "3.1.3", "pytz": "2025.2"}, commit=good.commit, limits=limits)
    page = see(manager, address(build))
    assert f"It is the same commit as #{good.number}: not the source, but what surrounds it is the suspect." in page
    [suspect] = suspects(body(manager.get(address(build))))
    assert suspect.startswith("changed: memory of the builder: 1")


def test_nothing_changed_at_all(manager: Client, app: Application, good: Build) -> None:
    build = failed(app, "Killed", commit=good.commit)
    page = see(manager, address(build))
    assert f"Nothing that the portal knows of changed since #{good.number}" in page
    assert "the package index" in page


def test_only_commit_is_the_suspect(manager: Client, app: Application, good: Build) -> None:
    build = failed(app, "strange", step="probe", packages={"flask": "3.1.3", "pytz": "2025.2"})
    come = (CommitFacts("c" * 40, "Iker Sanz", 1_790_000_000, "Close the shop"),)
    factories.comparison(good, build, factories.difference(come=come, come_count=1))
    assert suspects(body(manager.get(address(build)))) == ["added: ccccccc Close the shop"]


def test_what_is_not_read_yet_fills_itself(manager: Client, app: Application, good: Build) -> None:
    build = failed(app)
    page = body(manager.get(address(build)))
    assert f'hx-get="{address(build)}" hx-trigger="every 1s" hx-select="#build-since"' in re.sub(r"\s+", " ", page)
    assert "being read" in page


@pytest.mark.parametrize("outcome", [Outcome.CANCELLED, None])
def test_build_that_needs_no_explanation_has_none(
    outcome: Outcome | None, manager: Client, app: Application, good: Build
) -> None:
    build = factories.finished_build(app, outcome) if outcome else factories.succeeded_build(app)
    assert "build-since" not in body(manager.get(address(build)))


def test_few_of_many_are_named_and_suspects_come_first(manager: Client, app: Application, good: Build) -> None:
    build = failed(app, "SyntaxError: x (app/file0099.py, line 7)", step="probe", packages={"flask": "3.1.3"})
    factories.comparison(good, build, factories.difference(40, 100))
    page = see(manager, address(build))
    assert "and 35 more" in page
    assert "and 95 more" in page
    assert suspects(body(manager.get(address(build)))) == ["changed: app/file0099.py"]
