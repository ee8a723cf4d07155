"""Compare two builds of an application from the shell: for a person in lines, for a program as JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandParser

from releases import actions
from releases.management.following import POLL_SECONDS, BuildCommand
from releases.management.plain import FAILED
from releases.models import Application, Build, builds_to_compare
from releases.specs import Difference
from releases.views.between_json import as_facts

PATIENCE_SECONDS = 60.0
"""How long a worker may take to read the repository."""
SIGNS = {"added": "+", "removed": "-", "changed": "~"}


class Command(BuildCommand):
    help = (
        "Compare two builds: commits, packages, files, sizes, settings, times. Exits 0: compared, 1: commits and files "
        "could not be read, 2: bad input."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("application", help="the name that it was registered with")
        parser.add_argument("old", type=int, help="the number of the one build")
        parser.add_argument("new", type=int, help="the number of the other")
        parser.add_argument("--json", action="store_true", help="everything as one JSON object on stdout")

    def handle(self, *_args: Any, **options: Any) -> None:
        application = self.application(options["application"])
        old, new = (self._build(application, options[name]) for name in ("old", "new"))
        if old == new:
            self.refuse(f"#{old.number} cannot be compared with itself: name two builds.")
        why = self._read(old, new)
        facts = as_facts(old, new)
        self.stdout.write(json.dumps(facts, indent=2) if options["json"] else "\n".join(lines(facts)))
        if why:
            self.refuse(why, FAILED)

    def _build(self, application: Application, number: int) -> Build:
        builds = builds_to_compare().filter(application=application)
        found = builds.filter(number=number).first() if 0 < number < 2**31 else None
        if found is None:
            last = builds.order_by("-number").first()
            self.refuse(f"{application} has no build #{number}; its last is {f'#{last.number}' if last else 'none'}.")
        return found

    def _read(self, old: Build, new: Build) -> str:
        """Have commits and files read, and wait for it; why they were not, if so."""
        row = actions.comparison_of(old, new)
        until = time.monotonic() + PATIENCE_SECONDS
        while row is not None and row.is_waiting:
            if time.monotonic() > until:
                return "No worker has read the repository within a minute: start the portal with ./run, then ask again."
            time.sleep(POLL_SECONDS)
            row.refresh_from_db()
        return row.error if row is not None else ""


def lines(facts: dict[str, Any]) -> Iterator[str]:
    """The same for a person; what does not differ is left out."""
    old, new = facts["old"], facts["new"]
    yield f"{facts['application']} #{old['number']} {old['ref']} → #{new['number']} {new['ref']}"
    if facts["difference"] is not None:
        yield from _source(Difference.from_json(facts["difference"]))
    if facts["packages"] is None:
        yield "packages  not known of both"
    else:
        yield f"packages  {len(facts['packages']['changed'])} changed, {facts['packages']['same']} the same"
        for one in facts["packages"]["changed"]:
            yield f"  {SIGNS[one['change']]} {one['name']} {' → '.join(filter(None, (one['was'], one['now'])))}"
    for name in ("image", "archive"):
        was, now = facts["sizes"][name]
        if was is not None and now is not None:
            yield f"{name:<9} {was:,} → {now:,} bytes ({now - was:+,})"
    yield f"settings  {len(facts['settings'])} changed"
    for name, (was, now) in facts["settings"].items():
        yield f"  ~ {name} {was} → {now}"


def _source(found: Difference) -> Iterator[str]:
    yield f"commits   {found.come_count} come, {found.gone_count} go"
    for sign, commits in (("+", found.come), ("-", found.gone)):
        for commit in commits:
            yield f"  {sign} {commit.commit[:7]} {commit.author}: {commit.subject}"
    yield f"files     {found.changed} changed, {found.added} added, {found.removed} removed"
    for file in found.files:
        yield f"  {SIGNS[file.what]} {file.path} ({file.now - file.was:+,} bytes)"
    if found.files_count > len(found.files):
        yield f"  and {found.files_count - len(found.files):,} more"
