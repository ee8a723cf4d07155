"""The pages that are measured: each with the address that is asked for, on the rows that were invented."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.bench.commands import BenchFailed


@dataclass(frozen=True, slots=True)
class Page:
    name: str
    address: str
    first_row: bool = False
    """A file that is sent while it is read: only the time to its first row is promised."""


NEWEST_RELEASE = """
SELECT a.name, b.number, b.commit, t.sha256 AS archive, i.image_id, p.sha256 AS file, p.version
FROM releases_build b JOIN releases_application a ON a.id = b.application_id
  JOIN releases_artifact t ON t.id = b.artifact_id JOIN releases_image i ON i.id = b.image_id
  JOIN releases_package p ON p.build_id = b.id AND p.name = 'flask'
WHERE b.application_id = (
  SELECT c.application_id FROM releases_build c JOIN releases_package q ON q.build_id = c.id AND q.name = 'flask'
  WHERE c.outcome = 'succeeded' GROUP BY c.application_id ORDER BY count(*) DESC LIMIT 1)
ORDER BY b.id DESC LIMIT 1
"""
NEWEST_OTHER = """
SELECT a.name, b.number FROM releases_build b JOIN releases_application a ON a.id = b.application_id
WHERE {} ORDER BY b.id DESC LIMIT 1
"""


Ask = Callable[[str], Sequence[Mapping[str, Any]]]
"""Puts a query to the database of the portal whose pages they are."""


def pages(ask: Ask) -> list[Page]:
    """Raises `BenchFailed` when the rows that they are about are not there."""
    release = _one(ask, NEWEST_RELEASE)
    failed = _one(ask, NEWEST_OTHER.format("b.outcome = 'failed'"))
    active = ask(NEWEST_OTHER.format("b.state <> 'finished'"))
    return [*_of_home(), *_of_builds(release, failed, active[0] if active else None), *_of_history(release), *_others()]


def _one(ask: Ask, query: str) -> Mapping[str, Any]:
    found = ask(query)
    if not found:
        raise BenchFailed("The invented rows hold no release with flask, or no failed build: invent more builds.")
    return found[0]


def _of_home() -> Iterator[Page]:
    yield Page("home", "/")
    yield Page("home, page 20", "/?page=20")
    yield Page("home, what moves", "/now/")
    yield Page("home, by name", "/?name=quince")
    for which in ("failing", "unbuilt", "unreleased", "unread"):
        yield Page(f"home, {which}", f"/?show={which}")


def _of_builds(
    release: Mapping[str, Any], failed: Mapping[str, Any], active: Mapping[str, Any] | None
) -> Iterator[Page]:
    application = f"/applications/{release['name']}/"
    yield Page("application", application)
    yield Page("application, all tags", f"{application}?kind=tag&page=1")
    yield Page("application, branches", f"{application}?kind=branch")
    yield Page("application, settings", f"{application}settings/")
    build = f"{application}builds/{release['number']}/"
    yield Page("build, succeeded", build)
    yield Page("build, failed", f"/applications/{failed['name']}/builds/{failed['number']}/")
    if active:  # the sweeper has closed them when a day is over
        at_work = f"/applications/{active['name']}/builds/{active['number']}/"
        yield Page("build, at work", at_work)
        yield Page("build, what moves", f"{at_work}live/?standing=producing")
    yield Page("build, log", f"{build}log")
    yield Page("build, evidence", f"{build}evidence.json")
    yield Page("image", f"{build}image/")


def _of_history(release: Mapping[str, Any]) -> Iterator[Page]:
    last = 10**6
    filters = {
        "all": "",
        "page 2": "page=2",
        "page 1,000": "page=1000",
        "last page": f"page={last}",
        "one application": f"application={release['name']}",
        "ref": "ref=v0.7.0",
        "ref v0.*": "ref=v0.*",
        "ref *.7.0": "ref=*.7.0",
        "of a tag": "kind=tag",
        "of a tag, last page": f"kind=tag&page={last}",
        "rebases": "kind=rebase",
        "neither rebuild nor rebase": "kind=first",
        "succeeded": "outcome=succeeded",
        "failed": "outcome=failed",
        "unsuccessful": "outcome=unsuccessful",
        "at work": "outcome=active",
        "person": "by=invented-ana",
        "the portal itself": "by=(portal)",
        "stack": "stack=python3.13-asgi",
        "one month": "from=2025-03-01&to=2025-03-31",
        "package": "package=flask",
        "package, last page": f"package=flask&page={last}",
        "package ==2.*": "package=flask%3D%3D2.*",
        "package >=2,<3, failed": "package=flask%3E%3D2%2C%3C3&outcome=failed",
        "search: commit": f"q={release['commit']}",
        "search: short commit": f"q={release['commit'][:7]}",
        "search: archive": f"q={release['archive']}",
        "search: sha256:…": f"q=sha256:{release['archive'][:16]}",
        "search: image": f"q={release['image_id']}",
        "search: wheel": f"q={release['file']}",
        "search: package": "q=flask",
        "search: package, last page": f"q=flask&page={last}",
        "search: package version": f"q=flask%3D%3D{release['version']}",
        "search: ref": "q=v0.7",
        "search: number": f"q=%23{release['number']}",
        "search: application": f"q={release['name']}",
        "search: nothing": "q=nothing-is-called-so",
        "refused": "outcome=fine",
    }
    for name, query in filters.items():
        yield Page(f"history, {name}", f"/history/?{query}")
    yield Page("history, names offered", "/history/applications/?application=que")
    for form in ("csv", "json"):
        yield Page(f"history, {form}: first row", f"/history/?format={form}", first_row=True)
    yield Page("history, csv of a package: first row", "/history/?format=csv&package=flask", first_row=True)


def _others() -> Iterator[Page]:
    yield Page("stacks", "/stacks/")
    yield Page("stack", "/stacks/python3.13-uwsgi/")
    yield Page("workers", "/workers/")
    yield Page("help", "/help/")
    yield Page("register", "/applications/new/")
