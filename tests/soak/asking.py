"""Keeps builds under way: a release manager who presses buttons all the time, and writes down what was answered."""

from __future__ import annotations

import random
import re
import threading
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import psycopg
import requests

from tests.e2e.portal import SERVE, RunningPortal, Visitor, repository

UNDER_WAY = 4
"""So many builds are kept unfinished: two work, two wait."""
PAUSE = 0.7
SLOW = b"""
import time
from setuptools import setup

time.sleep(2)  # pip runs this up to three times
setup(name="slow", version="1.0")
"""
APPLICATIONS = {
    "quick": {"app/app.py": SERVE, "requirements.txt": b""},
    "wheels": {"app/app.py": SERVE, "requirements.txt": b"itsdangerous==2.2.0\nmarkupsafe==3.0.2\n"},
    "compiled": {"app/app.py": SERVE, "slow/setup.py": SLOW, "requirements.txt": b"./slow\n"},
}
REFS = {"fruit-shop": ("v1.0.0", "v1.0.1", "v1.1.0"), **dict.fromkeys(APPLICATIONS, ("v1.0.0", "v1.0.1"))}


def register(portal: RunningPortal) -> None:
    """The small applications, each with two tags of different source."""
    for name, files in APPLICATIONS.items():
        url = repository(portal.repositories, name, files)
        repository(portal.repositories, name, {"app/app.py": SERVE + b"\n"}, tag="v1.0.1")
        done = portal.register(name, url)
        assert done.returncode == 0, done.stderr


@dataclass(slots=True)
class Answers:
    acknowledged: set[tuple[str, int]] = field(default_factory=set)
    """Application and number of every build to whose page an ask was sent on."""
    refused: int = 0
    """Asks that had no answer, or one that says that the portal cannot."""
    broken: list[str] = field(default_factory=list)
    """Answers with a status of 500: a defect that was shown to a person."""


class Asker:
    """Asks from a thread of its own until it is told to stop."""

    def __init__(self, portal: RunningPortal, chance: random.Random) -> None:
        self.portal, self.answers = portal, Answers()
        self._chance = chance
        self._visitor: Visitor | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="asker", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join(timeout=90)

    def ask(self, name: str, path: str, **fields: str) -> int | None:
        """Press a button; the number of the build that one was sent on to, None when there was no such answer."""
        try:
            answer = self._post(name, path, fields)
        except (requests.RequestException, AssertionError):
            self.answers.refused += 1
            return None
        place = urlsplit(answer.headers.get("Location", "")).path
        found = re.fullmatch(r"/applications/([^/]+)/builds/(\d+)/", place)
        if found is not None:
            self.answers.acknowledged.add((found[1], int(found[2])))
            return int(found[2])
        self.answers.refused += 1
        if answer.status_code == 500:
            self.answers.broken.append(f"POST {path}")
        return None

    def _post(self, name: str, path: str, fields: dict[str, str]) -> requests.Response:
        if self._visitor is None:
            self._visitor = self.portal.page()
        page = self._visitor.get(f"/applications/{name}/")
        if page.status_code == 500:
            self.answers.broken.append(f"GET {page.url}")
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        fields["csrfmiddlewaretoken"] = token[1] if token else ""
        return self._visitor.session.post(
            self.portal.address + path,
            data=fields,
            headers={"Referer": f"{self.portal.address}/applications/{name}/"},
            timeout=60,
            allow_redirects=False,
        )

    def _go_on(self) -> None:
        while not self._over.wait(PAUSE):
            try:
                under_way = self.portal.sql("SELECT 1 FROM releases_build WHERE state <> 'finished'")
                last = self._last()
            except psycopg.Error:
                continue  # it is away at the moment
            if len(under_way) < UNDER_WAY:
                self._ask_for_one(last)

    def _last(self) -> dict[str, Any]:
        """The newest finished build of each application."""
        rows = self.portal.sql(
            "SELECT a.name, max(b.number) AS number FROM releases_build b JOIN releases_application a "
            "ON a.id = b.application_id WHERE b.state = 'finished' GROUP BY a.name"
        )
        return {row["name"]: row["number"] for row in rows}

    def _ask_for_one(self, last: dict[str, Any]) -> None:
        """Half of them anew, with a builder; half as they come, which is quick once their environment is kept."""
        name = self._chance.choice(list(REFS))
        if name in last and self._chance.random() < 0.5:
            self.ask(name, f"/applications/{name}/builds/{last[name]}/rebuild/", without_cache="on")
        else:
            self.ask(name, f"/applications/{name}/builds/new/", ref=self._chance.choice(REFS[name]))
