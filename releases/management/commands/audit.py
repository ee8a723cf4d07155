"""`manage.py audit`: is the audit trail, and the record of each build, still what was written?"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from releases.audit import chain, checkpoints, scrub
from releases.errors import StorageError
from releases.management.plain import FAILED, PlainCommand
from releases.storage import Blobs

MOST_TOLD = 20


class Command(PlainCommand):
    help = "Verify the audit trail and the kept files. Exits 0: whole, 1: something is wrong and named, 2: bad input."

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_subparsers(dest="what", required=True)
        verify = what.add_parser("verify", help="walk the chain of events, the finished builds and the checkpoints")
        verify.add_argument("--checkpoints", type=Path, help="a copy that was kept elsewhere, instead of the portal's")
        verify.add_argument("--key", type=Path, help="the public key that was kept elsewhere (PEM)")
        verify.add_argument("--json", action="store_true", help="the result as one JSON object on stdout")
        whole = what.add_parser("scrub", help="read every kept file and hold it against its sha256")
        whole.add_argument("--json", action="store_true", help="the result as one JSON object on stdout")
        what.add_parser("checkpoint", help="sign how far the chain goes now, and print it")
        what.add_parser("key", help="print the public key that checkpoints are verified with")

    def handle(self, *_args: Any, what: str, **options: Any) -> None:
        try:
            getattr(self, what)(**options)
        except StorageError as error:
            self.refuse(error.message, FAILED)

    def verify(self, *, checkpoints: Path | None, key: Path | None, json: bool, **_options: Any) -> None:
        known, wrong = vouched(checkpoints, key)
        found = [*wrong, *chain.findings(known)]
        links = chain.head()[0]
        self.stdout.write(as_json(found, links, len(known)) if json else as_text(found, links, len(known)))
        if found:
            sys.exit(FAILED)

    def scrub(self, *, json: bool, **_options: Any) -> None:
        blobs = Blobs(settings.BLOBS_DIR)
        done = scrub.scrub(blobs)
        gone = [artifact.sha256 for artifact in scrub.missing(blobs) if artifact.sha256 not in done.damaged]
        self.stdout.write(scrubbed_as_json(done, gone) if json else scrubbed_as_text(done, gone))
        if done.damaged or gone:
            sys.exit(FAILED)

    def checkpoint(self, **_options: Any) -> None:
        key = checkpoints.own_key(settings.AUDIT_KEY)
        checkpoints.write(settings.AUDIT_CHECKPOINTS, key, settings.PORTAL_INSTANCE)
        made = checkpoints.last(settings.AUDIT_CHECKPOINTS)
        if made is None:
            self.refuse("There is no event yet, so there is nothing to sign.", FAILED)
        self.stdout.write(json.dumps(checkpoints.record(made)))

    def key(self, **_options: Any) -> None:
        self.stdout.write(checkpoints.public_pem(checkpoints.own_key(settings.AUDIT_KEY).public_key()).strip())


def vouched(file: Path | None, key: Path | None) -> tuple[dict[int, str], list[chain.Finding]]:
    """What the checkpoints vouch for. A portal that has not written any yet has none; a file that was named must be."""
    verifier = checkpoints.public_key(key) if key else checkpoints.own_key(settings.AUDIT_KEY).public_key()
    if file is None and not settings.AUDIT_CHECKPOINTS.exists():
        return {}, []
    return checkpoints.anchors(checkpoints.read(file or settings.AUDIT_CHECKPOINTS), verifier)


def as_text(found: list[chain.Finding], links: int, vouched_for: int) -> str:
    if not found:
        return f"The audit trail is whole: {links} events, {vouched_for} checkpoints."
    told = "\n".join(finding.sentence for finding in found[:MOST_TOLD])
    more = f"\n… and {len(found) - MOST_TOLD} more." if len(found) > MOST_TOLD else ""
    return f"{told}{more}"


def as_json(found: list[chain.Finding], links: int, vouched_for: int) -> str:
    facts = [{"position": one.position, "event": one.event, "sentence": str(one.sentence)} for one in found]
    return json.dumps({"ok": not found, "links": links, "checkpoints": vouched_for, "findings": facts}, indent=2)


def scrubbed_as_text(done: scrub.Scrubbed, gone: list[str]) -> str:
    if not done.damaged and not gone:
        return f"Every kept file is what its record says: {done.files} files, {done.bytes / 1e6:.1f} MB."
    damaged = [f"{digest} is damaged; it was set aside: press Rebuild on a release of it." for digest in done.damaged]
    return "\n".join([*damaged, *(f"{digest} is missing: press Rebuild on a release of it." for digest in gone)])


def scrubbed_as_json(done: scrub.Scrubbed, gone: list[str]) -> str:
    facts = {"files": done.files, "bytes": done.bytes, "damaged": done.damaged, "missing": gone}
    return json.dumps({"ok": not done.damaged and not gone, **facts}, indent=2)
