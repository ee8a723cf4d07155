"""What the portal works with: queues, workers, sweeper, engine, disk; and for each trouble the line that mends it.

Nothing here asks the engine: the sweeper does, and leaves what it saw in the Workshop row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from releases.models import Workshop
from releases.sentences import sentence_of
from releases.views.workforce import QueueRow, queues

CHECKS = ("database", "redis", "workers", "sweeper", "engine", "cage", "disk", "web")
LOW_DISK = 2_000_000_000
"""Bytes; a build needs room for its artifact, its image and the engine's own layers."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong, and what mends it."""

    check: str
    """Which of `CHECKS` it fails."""
    sentence: str
    remedy: str
    command: str = ""
    stops_work: bool = True
    """Whether the portal cannot take work because of it."""


@dataclass(frozen=True, slots=True)
class Place:
    """One disk."""

    names: tuple[str, ...]
    path: str
    free: int
    """Bytes, as `total`."""
    total: int

    @property
    def is_low(self) -> bool:
        return self.free < LOW_DISK

    @property
    def used(self) -> str:
        """How much of it is taken, as the width of a bar."""
        return f"{100 * (1 - self.free / self.total):.2f}%" if self.total else "0%"

    @property
    def percent(self) -> int:
        return round(100 * (1 - self.free / self.total)) if self.total else 0

    @property
    def words(self) -> str:
        """What of ours lies there."""
        if "data" in self.names:
            return _("the data folder and the engine") if "engine" in self.names else _("the data folder")
        known = {"artifacts": _("artifacts"), "logs": _("logs"), "mirrors": _("mirrors"), "engine": _("the engine")}
        return ", ".join(known.get(name, name) for name in self.names)


@dataclass(slots=True)
class Surroundings:
    queues: list[QueueRow] | None
    """None when Redis does not answer."""
    workshop: Workshop | None

    @property
    def knows_engine(self) -> bool:
        """Whether what the sweeper saw is fresh enough to be believed."""
        return self.workshop is not None and self.workshop.is_fresh

    @property
    def mended(self) -> list[str]:
        """What the sweeper mended in its last round that mended anything."""
        found = self.workshop.mended if self.workshop is not None else {}
        return [mended_words(what, count) for what, count in found.items()]

    def troubles(self) -> list[Trouble]:
        return [*self._of_queues(), *self._of_workshop(), *_of_ourselves()]

    def _of_queues(self) -> Iterator[Trouble]:
        if self.queues is None:
            yield Trouble(
                "redis",
                _("Redis does not answer, so no worker can be rung for."),
                _("Start it, or set REDIS_URL to one that runs; what was asked for meanwhile then starts by itself."),
                "./run",
            )
            return
        for queue in self.queues:
            if not queue.alive:
                yield Trouble(
                    "workers",
                    _("No worker listens on the queue %(name)s, so nothing in it is begun.") % {"name": queue.name},
                    _("./run starts all workers; a single one is started by hand with:"),
                    f"./run manage work {queue.name}",
                )

    def _of_workshop(self) -> Iterator[Trouble]:
        seen = self.workshop
        if seen is None or not seen.is_fresh:
            yield Trouble(
                "sweeper",
                _("The sweeper has never been seen: the state of engine and disk is unknown.")
                if seen is None
                else _(
                    "The sweeper has not been seen since %(time)s: the state of engine and disk is unknown since then."
                )
                % {"time": f"{seen.seen_at:%Y-%m-%d %H:%M} UTC"},
                _("./run starts it with everything else; by hand it is:"),
                "./run manage sweep",
            )
            return
        if not seen.engine_answers:
            yield Trouble(
                "engine",
                sentence_of(seen, "engine_problem") or _("The container engine does not answer."),
                _("Start the engine, or set DOCKER_HOST to one that runs. On most machines that is:"),
                "systemctl start docker",
            )
        if seen.runtime_problem:
            yield Trouble(
                "engine",
                sentence_of(seen, "runtime_problem"),
                _("Nothing can be built: install it and name it to the engine, or unset PORTAL_RUNTIME."),
            )
        if seen.cage_problem:
            yield Trouble(
                "cage",
                _("The network of builds is not closed."),
                " ".join(self._open_because(seen)),
                stops_work=settings.CAGE_REQUIRED,
            )
        for place in self.places():
            if place.is_low:
                yield Trouble(
                    "disk",
                    _("Little room is left on the disk of %(what)s.") % {"what": place.words},
                    _("Free some, or move the data folder (PORTAL_HOME). Images that no container uses go with:"),
                    "docker image prune",
                    stops_work=False,
                )

    def places(self) -> list[Place]:
        """The disks in use, that of the data folder first."""
        seen = self.workshop
        if seen is None or (not seen.places and seen.disk_total is None):
            return []
        found = seen.places or [{"names": ["data"], "path": "", "free": seen.disk_free, "total": seen.disk_total}]
        return [Place(tuple(one["names"]), one["path"], one["free"], one["total"]) for one in found]

    @staticmethod
    def _open_because(seen: Workshop) -> Iterator[str]:
        yield sentence_of(seen, "cage_problem")
        if settings.CAGE_REQUIRED:
            yield _("Nothing is built until then.")


def _of_ourselves() -> Iterator[Trouble]:
    """The web server has an account of its own, or says that it has none."""
    if settings.WEB_IS_ROOT:
        yield Trouble(
            "web",
            _("The web server runs as root, so whoever took it over would have the container engine."),
            _("./run says at its start why; mend that, or set PORTAL_WEB_ACCOUNT=off if it is meant so."),
            stops_work=False,
        )


def look_around() -> Surroundings:
    """Ask Redis and the database; neither being away is an error of the page, except the database."""
    return Surroundings(queues=queues(), workshop=Workshop.objects.seen())


def mended_words(what: str, n: int) -> str:
    """One kind of repair."""
    words = {
        "builds": ngettext("%(n)d lost build closed", "%(n)d lost builds closed", n),
        "preparations": ngettext("%(n)d lost preparation closed", "%(n)d lost preparations closed", n),
        "rings": ngettext("%(n)d rung for again", "%(n)d rung for again", n),
        "previews": ngettext("%(n)d dead preview ended", "%(n)d dead previews ended", n),
        "containers": ngettext("%(n)d container removed", "%(n)d containers removed", n),
        "images": ngettext("%(n)d image removed", "%(n)d images removed", n),
        "networks": ngettext("%(n)d network closed again", "%(n)d networks closed again", n),
        "files": ngettext("%(n)d half-written file removed", "%(n)d half-written files removed", n),
        "orphans": ngettext("%(n)d file without a record removed", "%(n)d files without a record removed", n),
    }
    return words[what] % {"n": n} if what in words else f"{n} {what}"
