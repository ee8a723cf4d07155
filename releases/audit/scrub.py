"""Reads the kept bytes before somebody needs them: a file that is not what its name says is set aside and told.

Set aside, because the store takes a file of that name and size for the right one: only when it is gone does a rebuild
keep the right bytes again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

from django.db import transaction
from django.db.models import Exists, OuterRef

from releases.errors import say
from releases.models import Artifact, Build, Event
from releases.storage import Blobs

logger = logging.getLogger(__name__)
DAMAGED, PART_DAMAGED = "artifact.damaged", "blob.damaged"


@dataclass(slots=True)
class Scrubbed:
    """One round: `last` is the digest to go on after, empty when the store's end was reached."""

    files: int = 0
    bytes: int = 0
    damaged: list[str] = field(default_factory=list)
    last: str = ""


def scrub(blobs: Blobs, *, after: str = "", budget: int | None = None) -> Scrubbed:
    """Read files in the order of their digests, from `after` on, until `budget` bytes are read or the end is there."""
    done = Scrubbed()
    for digest in blobs.digests(after):
        size = blobs.inspect(digest)
        if size is None:
            if blobs.set_aside(digest):
                done.damaged.append(digest)
                tell(digest)
            continue
        done.files, done.bytes = done.files + 1, done.bytes + size
        if budget is not None and done.bytes >= budget:
            done.last = digest
            return done
    return done


def missing(blobs: Blobs) -> Iterator[Artifact]:
    """Artifacts whose file is not there at all, or has another size."""
    for artifact in Artifact.objects.order_by("pk").iterator():
        if not blobs.has(artifact.sha256, artifact.size):
            yield artifact


@transaction.atomic
def tell(digest: str) -> None:
    """In the trail of every build of it that does not say so yet; of another file, a part, once for the portal."""
    logger.error("the kept file %s is damaged", digest)
    told = Event.objects.filter(verb=DAMAGED, build=OuterRef("pk"))
    builds = Build.objects.filter(~Exists(told), artifact__sha256=digest)
    sentence = say("The kept file %(file)s… differs from its record; it was set aside.", file=digest[:12])
    for build in builds.select_related("application"):
        Event.objects.record(DAMAGED, build=build, data={"message": sentence, "sha256": digest})
    if not Artifact.objects.filter(sha256=digest).exists():
        Event.objects.record(PART_DAMAGED, data={"message": sentence, "sha256": digest})
