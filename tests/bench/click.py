"""The portal's side: a person's click on the form of a whole portal, followed in the database to its end."""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg.rows import dict_row

from releases.stacks import stack as stacks
from tests.bench import commands
from tests.bench.commands import BenchFailed
from tests.bench.figures import Side
from tests.e2e.portal import RunningPortal, eventually

STACK = "python3.13-uwsgi"
POLL = 0.01
"""Seconds between two looks at the row: a tenth of a millisecond of the database each, where a page would cost ten."""
LONGEST = 1200.0
STEPS = ("checkout", "prepare", "produce", "collect", "package", "probe")


class Clicker:
    """One signed-in release manager, and one open connection to look at rows with."""

    def __init__(self, portal: RunningPortal) -> None:
        self.portal, self.visitor = portal, portal.page()
        self._rows = psycopg.connect(portal.database(), row_factory=dict_row, autocommit=True)

    def close(self) -> None:
        self._rows.close()

    def prepare(self) -> None:
        """The stack's images, by the button on its page. Raises `BenchFailed`."""
        self.visitor.post(f"/stacks/{STACK}/prepare/", come_from=f"/stacks/{STACK}/")
        query = "SELECT state, message FROM releases_preparation WHERE finished_at IS NOT NULL ORDER BY id DESC"
        done = eventually(lambda: self._one(query), seconds=LONGEST, what=f"the stack {STACK} is prepared")
        if done["state"] != "succeeded":
            raise BenchFailed(f"The portal could not prepare the stack {STACK}: {done['message']}")

    def register(self, name: str, repository: str) -> None:
        """With the probe off; ready when its refs have been read."""
        done = self.portal.register(name, repository, "--probe", "off", "--stack", STACK)
        if done.returncode:
            raise BenchFailed(f"The portal could not register {name}: {done.stderr.strip()}")
        query = "SELECT 1 FROM releases_application WHERE name = %s AND refs_read_at IS NOT NULL"
        eventually(lambda: self._one(query, name), seconds=60, what=f"the refs of {name} are read")

    def with_probe(self, name: str) -> None:
        """From the next release on."""
        self._rows.execute("UPDATE releases_application SET probe_policy = 'record' WHERE name = %s", [name])

    def release(self, name: str, ref: str) -> Side:
        """Type a ref, press *Build release*, wait until the row says that it succeeded. Raises `BenchFailed`."""
        fields = {"csrfmiddlewaretoken": self._token(f"/applications/{name}/"), "ref": ref}
        address = f"{self.portal.address}/applications/{name}/builds/new/"
        headers = {"Referer": f"{self.portal.address}/applications/{name}/"}
        clicked, began = time.time(), time.perf_counter()
        answer = self.visitor.session.post(address, fields, headers=headers, timeout=60, allow_redirects=False)
        answered = time.perf_counter()
        place = urlsplit(answer.headers.get("Location", "")).path
        if answer.status_code != 302 or not (found := re.fullmatch(rf"/applications/{name}/builds/(\d+)/", place)):
            raise BenchFailed(f"The portal did not take the click on {name} {ref}: it answered {answer.status_code}.")
        build = self._finished(name, int(found[1]))
        ended = time.perf_counter()
        if build["outcome"] != "succeeded":
            raise BenchFailed(f"The portal's release of {name} {ref} ended as {build['outcome']}: {build['message']}")
        parts = {"POST answered": answered - began, **self._parts(build, clicked, ended - began)}
        return Side(ended - began, parts, self._sizes(build))

    def artifact(self, name: str) -> dict[str, Any]:
        """Of the newest release: sha256, members, sheets, and the image's id, tag and size."""
        return self._one(
            "SELECT a.sha256, a.members, a.sheets, i.image_id, i.tag, i.runner_size FROM releases_build b "
            "JOIN releases_artifact a ON a.id = b.artifact_id JOIN releases_image i ON i.id = b.image_id "
            "JOIN releases_application p ON p.id = b.application_id WHERE p.name = %s ORDER BY b.id DESC LIMIT 1",
            name,
        )

    def _token(self, path: str) -> str:
        page = self.visitor.get(path).text
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        if found is None:
            raise BenchFailed(f"The page {path} has no form to build a release with.")
        return found[1]

    def _finished(self, name: str, number: int) -> dict[str, Any]:
        query = (
            "SELECT b.* FROM releases_build b JOIN releases_application a ON a.id = b.application_id "
            "WHERE a.name = %s AND b.number = %s AND b.state = 'finished'"
        )
        until = time.monotonic() + LONGEST
        while not (build := self._one(query, name, number)):
            if time.monotonic() > until:
                raise BenchFailed(f"The portal's build {name} #{number} was not over within {LONGEST:.0f} s.")
            time.sleep(POLL)
        return build

    def _parts(self, build: dict[str, Any], clicked: float, whole: float) -> dict[str, float]:
        """The whole time, cut where the rows say: everything but the steps is what a portal adds to them."""
        steps = {
            row["name"]: row["seconds"] or 0.0
            for row in self._rows.execute("SELECT name, seconds FROM releases_step WHERE build_id = %s", [build["id"]])
        }
        asked, taken, over = (_moment(build[name]) for name in ("created_at", "started_at", "finished_at"))
        return {
            "click to row": asked - clicked,
            "queue": taken - asked,
            **{name: steps[name] for name in STEPS if name in steps},
            "between steps": over - taken - sum(steps.values()),
            "seen": clicked + whole - over,
        }

    def _sizes(self, build: dict[str, Any]) -> dict[str, int]:
        query = "SELECT size FROM releases_artifact WHERE id = %s"
        image = self._one("SELECT image_id FROM releases_image WHERE id = %s", build["image_id"])
        return {
            "builder": commands.size_of(build["builder_image"]),
            "runtime": commands.size_of(stacks.load(STACK).runner_tag),
            "image": commands.size_of(image["image_id"]),
            "archive": self._one(query, build["artifact_id"])["size"],
        }

    def _one(self, query: str, *values: Any) -> dict[str, Any]:
        """The first row; empty when there is none."""
        return self._rows.execute(query.encode(), values).fetchone() or {}


def _moment(value: datetime) -> float:
    return value.timestamp()
