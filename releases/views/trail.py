"""The events of a build as sentences: who, what, when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from releases.models import Build, Event, Outcome

WORDS = {
    "build.requested": gettext_lazy("asked for the build"),
    "build.moved_first": gettext_lazy("moved it to the front of the queue"),
    "build.started": gettext_lazy("took it up"),
    "build.cancel_asked": gettext_lazy("asked to cancel it"),
    "build.finished": gettext_lazy("ended it"),
    "artifact.kept": gettext_lazy("kept app.tar.gz"),
    "artifact.taken_over": gettext_lazy("took app.tar.gz over as it is"),
    "artifact.downloaded": gettext_lazy("downloaded app.tar.gz"),
    "artifact.damaged": gettext_lazy("found the kept app.tar.gz damaged or missing"),
    "image.made": gettext_lazy("made the runtime image"),
    "image.made_again": gettext_lazy("put the lost runtime image together again"),
    "preview.asked": gettext_lazy("asked for a preview"),
    "preview.stop_asked": gettext_lazy("stopped a preview"),
    "preview.stopped": gettext_lazy("saw a preview end"),
    "preview.failed": gettext_lazy("saw a preview fail"),
}
PORTAL = pgettext_lazy("who did it", "The portal")


@dataclass(frozen=True, slots=True)
class Entry:
    at: datetime
    who: str
    what: str
    detail: str


def trail(build: Build) -> list[Entry]:
    """Oldest first, as it happened."""
    return [
        Entry(event.at, event.actor_name or str(PORTAL), str(WORDS.get(event.verb, event.verb)), _detail(event))
        for event in build.events.order_by("id")
    ]


def _detail(event: Event) -> str:
    data: Mapping[str, object] = event.data
    if event.verb == "build.finished":
        outcome = str(data.get("outcome", ""))
        return str(Outcome(outcome).label) if outcome in Outcome.values else outcome
    if event.verb == "build.started":
        return _("%(worker)s, attempt %(n)s") % {"worker": data.get("worker", ""), "n": data.get("attempt", "")}
    return ""
