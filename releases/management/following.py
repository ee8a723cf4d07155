"""Commands that ask for work and follow it to its end if wanted: the log on stderr, the result on stdout."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError
from redis.exceptions import RedisError

from releases import actions
from releases.jobs import doorbell
from releases.management.plain import FAILED, INTERRUPTED, PlainCommand
from releases.models import Application, Artifact, Build, Pause, Preparation, State
from releases.specs import Crossing
from releases.storage import Blobs, BuildLog, log_path
from releases.storage.log import STEP_MARK

POLL_SECONDS = 0.3
PATIENCE_SECONDS = 2.0
"""How long something may be queued before it is asked whether anybody works."""


class FollowingCommand(PlainCommand):
    """Asks for work of the queue `builds`."""

    def say_if_waiting(self, work: Build | Preparation) -> None:
        if not actions.queue_answers():
            self.tell(f"{work} stands; Redis does not answer, so it starts when it is back.")

    def wait(self, work: Build | Preparation, log: Path, way_out: str) -> None:
        """Follow it to its end. `way_out` says what becomes of it when this terminal leaves."""
        try:
            self._follow(work, BuildLog(log))
        except KeyboardInterrupt:
            self.refuse(f"{work} goes on without this terminal{way_out}.", INTERRUPTED)
        except (OperationalError, InterfaceError):
            self.refuse(
                f"PostgreSQL stopped answering, so {work} cannot be followed any more; its row tells the end.", FAILED
            )

    def _follow(self, work: Build | Preparation, log: BuildLog) -> None:
        """Give the log's lines as they come until the work is over and nothing is left to tell."""
        offset, ask_at = 0, time.monotonic() + PATIENCE_SECONDS
        while True:
            over = work.is_finished  # looked at before the log, so that the last lines are not missed
            while (piece := log.read(offset))[0]:
                offset = piece[1]
                self._print(piece[0])
            if over:
                return
            if work.state == State.QUEUED and time.monotonic() > ask_at:
                ask_at = float("inf")
                self._tell_if_nobody_works(work)
            time.sleep(POLL_SECONDS)
            work.refresh_from_db()

    def _print(self, lines: bytes) -> None:
        for line in lines.decode("utf-8", "replace").rstrip("\n").split("\n"):  # not splitlines: it splits at the mark
            text = line.partition("\t")[2]
            self.tell(f"== {text.removeprefix(STEP_MARK)} ==" if text.startswith(STEP_MARK) else text)

    def _tell_if_nobody_works(self, work: Build | Preparation) -> None:
        if (pause := Pause.objects.current()) is not None:
            self.tell(f"{work} is queued, and no new builds are taken: {pause.why} Waiting …")
            return
        try:
            working = doorbell.workers("builds")
        except RedisError:
            return  # told already when the work was asked for
        if not working:
            self.tell(f"{work} is queued, but nobody builds at this moment: start the portal with ./run. Waiting …")


class BuildCommand(FollowingCommand):
    """Asks for a build of one application."""

    def application(self, name: str) -> Application:
        found = Application.objects.filter(name=name).first() if name.isprintable() else None
        if found is None:
            self.refuse(unknown(name))
        return found

    def finish(self, build: Build, *, wait: bool, as_json: bool) -> None:
        """Follow the build if wanted, give the result, and exit 1 when it was followed and did not succeed."""
        self.say_if_waiting(build)
        if wait:
            self.wait(build, log_path(build.pk), f"; to end it, press Cancel on {build.get_absolute_url()}")
        self.stdout.write(json.dumps(facts(build), indent=2) if as_json else summary(build))
        if wait and not build.succeeded:
            sys.exit(FAILED)


def unknown(name: str) -> str:
    """The sentence for a name that no application has, with some that there are."""
    known = list(Application.objects.by_name().values_list("name", flat=True)[:6])
    if not known:
        return f"No application is named “{name}”: none is registered yet; `manage.py register` does that."
    return f"No application is named “{name}”. Registered: {', '.join(known[:5])}{', …' if len(known) > 5 else ''}."


def facts(build: Build) -> dict[str, Any]:
    """What a program wants to know. Sizes in bytes, durations in seconds, the artifact's path absolute."""
    steps = build.steps.order_by("position")
    return {
        "application": build.application.name,
        "number": build.number,
        "state": build.state,
        "outcome": build.outcome,
        "message": build.message,
        "commit": build.commit,
        "rebase_of": build.rebase_of.number if build.rebase_of else None,
        "steps": {step.name: step.seconds for step in steps},
        "artifact": _artifact(build),
        "image": _image(build),
        "probe": _probe(build),
        "budgets": build.budgets,
        "over_budget": [_crossing(one) for one in build.crossed()],
    }


def summary(build: Build) -> str:
    """The same for a person."""
    if not build.is_finished:
        return f"{build} is {build.get_state_display().lower()}: {build.ref}."
    lines = [f"{build}: {build.message}"]
    if build.commit:
        lines.append(f"  commit    {build.commit}")
    if build.artifact:
        lines.append(
            f"  artifact  {_path(build.artifact)} ({_mb(build.artifact.size)}, sha256 {build.artifact.sha256})"
        )
    if build.image:
        sizes = f"{_mb(build.image.size)}, its builder {_mb(build.image.builder_size)}"
        lines.append(f"  image     {build.image.tag} ({sizes})")
    lines += [f"  budget    {one.sentence()}" for one in build.crossed()]
    if build.probe_message:
        lines.append(f"  probe     {build.probe_message}")
    return "\n".join(lines)


def _artifact(build: Build) -> dict[str, Any] | None:
    if build.artifact is None:
        return None
    return {"path": str(_path(build.artifact)), "sha256": build.artifact.sha256, "size": build.artifact.size}


def _image(build: Build) -> dict[str, Any] | None:
    image = build.image
    if image is None:
        return None
    return {"id": image.image_id, "tag": image.tag, "size": image.size, "builder_size": image.builder_size}


def _crossing(one: Crossing) -> dict[str, Any]:
    return {**one.as_json(), "over": one.over, "message": one.sentence()}


def _probe(build: Build) -> dict[str, Any] | None:
    if build.probe_status is None and not build.probe_message:
        return None
    return {
        "status": build.probe_status,
        "seconds": build.probe_seconds,
        "memory": build.probe_memory,
        "message": build.probe_message,
    }


def _path(artifact: Artifact) -> Path:
    return Blobs(settings.BLOBS_DIR).path(artifact.sha256)


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
