"""The one hand that makes rows, queue and engine agree. PostgreSQL is the truth; the other two follow it.

`tick` is quick and runs every second: it kills what a person cancelled, stops previews, copies their logs, and has refs
read whose time has come.
`sweep` runs every 15 s and at the start: it closes what lost its worker, rings again for what waits without a job,
and removes containers, images and temporary files that belong to nobody.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from uuid import NAMESPACE_OID, uuid4, uuid5

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models.functions import Now
from redis.exceptions import RedisError

from releases import git
from releases.audit import checkpoints, scrub
from releases.errors import EngineError, EngineUnavailable, IllegalTransition, LeaseLost, StorageError, say
from releases.jobs import doorbell, noticing, refs, steps, workbench
from releases.jobs.orphans import ORPHAN_SECONDS, sweep_orphans
from releases.jobs.telling import telling_of
from releases.models import (
    Application,
    Build,
    Comparison,
    Image,
    Outcome,
    Pause,
    Preparation,
    PreparationState,
    Preview,
    PreviewState,
    State,
    Workshop,
    in_line,
)
from releases.specs import ContainerInfo, Engine, EngineInfo
from releases.storage import Blobs, LogWriter, preview_log_path, secret_values

logger = logging.getLogger(__name__)

CANCEL_PATIENCE = timedelta(seconds=6)
"""A worker that has not let go by then is overruled, so that a cancel is over within 10 s."""
RING_AGAIN_AFTER = timedelta(seconds=10)
TEMPORARY_SECONDS = 3600.0
SHUT_DOWN_SECONDS = 10.0
CHECKPOINT_SECONDS = 300.0
ORPHANS_EVERY = 3600.0
JUMP_SECONDS = 60.0
"""A clock that has moved by more than this beside the one that cannot jump has been set."""
SCRUB_BYTES = 128 * 1024 * 1024
"""Kept files are read again at this pace a round, about 30 GB an hour and a tenth of a second of one processor."""
LOG_DELAY = 0.3
"""Seconds that the engine may take to write down a line which it has stamped with its time."""
LOST = say(
    "The worker was lost in the middle of this build: it was killed, or its machine stopped. "
    "What it had begun was removed; press Rebuild."
)
BUILD, ATTEMPT, PREVIEW = "release-portal.build", "release-portal.attempt", "release-portal.preview"


class Sweeper:
    """Keeps nothing but how far each preview's log was read, whether the networks were closed and whether the clock
    was set, so that it may be killed at any moment."""

    def __init__(self) -> None:
        self._read_until: dict[int, float] = {}
        self._checkpoint_at = self._orphans_at = float("-inf")
        # Each sweeper begins elsewhere: also one that is restarted often comes by every file in time.
        self._scrubbed = secrets.token_hex(32)
        self._closed = False
        self._clock = time.time() - time.monotonic()
        self._ages_hold_from = float("-inf")

    def tick(self) -> None:
        """Every second. An engine that is away is reported by `sweep`; the next tick tries again."""
        self._end_cancelled()
        self._stop_previews()
        self._copy_preview_logs()
        refs.ask_for_due()

    def sweep(self) -> int:
        """Every 15 s. Says how much was repaired."""
        began = time.monotonic()
        mended = Counter(
            builds=self._close_lost_builds(), preparations=self._close_lost_preparations(), rings=self._ring_again()
        )
        info, problem, open_because, lacks, seen = "", "", "", "", None
        blobs, ages_hold = Blobs(settings.BLOBS_DIR), self._ages_hold()
        try:
            engine = workbench.connect()
            seen = engine.info()
            info = f"Docker {seen.version}, {seen.storage_driver}"
            mended["previews"] = self._fail_dead_previews(engine)
            mended["containers"] = self._remove_containers(engine)
            mended["images"] = self._remove_images(engine)
            mended["orphans"] = self._remove_orphans(blobs, engine) if ages_hold else 0
            mended["networks"], open_because = self._keep_cage()
            lacks = workbench.make_cage().missing_runtime()
        except EngineError as error:
            problem = error.message
        mended["files"] = blobs.sweep_temporary(TEMPORARY_SECONDS) if ages_hold else 0
        mended["files"] += git.sweep(settings.TEMP_DIR / "access")
        self._checkpoint()
        self._scrubbed = scrub.scrub(blobs, after=self._scrubbed, budget=SCRUB_BYTES).last
        self._report(info, problem, seen, +mended, began, cage_problem=open_because, runtime_problem=lacks)
        return mended.total()

    def _report(
        self,
        info: str,
        problem: str,
        seen: EngineInfo | None,
        mended: Counter[str],
        began: float,
        *,
        cage_problem: str,
        runtime_problem: str,
    ) -> None:
        places = noticing.places(seen)
        home = places[0] if places else {"free": None, "total": None}
        Workshop.objects.report(
            engine_answers=not problem,
            engine=info,
            engine_problem=problem,
            cage_problem=cage_problem,
            runtime_problem=runtime_problem,
            disk_free=home["free"],
            disk_total=home["total"],
            repaired=mended.total(),
            places=places,
            holds=noticing.holds(seen),
            round_seconds=time.monotonic() - began,
            **({"mended": dict(mended)} if mended else {}),
        )

    def _checkpoint(self) -> None:
        """Every five minutes: sign how far the audit trail went, outside the database and in the portal's own log."""
        if time.monotonic() - self._checkpoint_at < CHECKPOINT_SECONDS:
            return
        try:
            key = checkpoints.own_key(settings.AUDIT_KEY)
            made = checkpoints.write(settings.AUDIT_CHECKPOINTS, key, settings.PORTAL_INSTANCE)
        except StorageError as error:
            logger.error("%s", error)
            return
        self._checkpoint_at = time.monotonic()
        if made is not None:
            logger.info("audit checkpoint: link %d, sha256 %s, signature %s", made.position, made.hash, made.signature)

    # ---- every second -----------------------------------------------------------------------------------

    def _end_cancelled(self) -> None:
        """Kill the containers of builds that a person cancelled; overrule a worker that does not let go."""
        cancelling = Build.objects.filter(state=State.CANCELLING).select_related("application")
        pending = list(cancelling)
        # First what needs no engine: one that is away or hangs keeps no cancel from being over in time.
        for build in cancelling.exclude(cancel_asked_at__gt=Now() - CANCEL_PATIENCE):
            with suppress(LeaseLost, IllegalTransition), transaction.atomic():
                build.mark_ended(
                    Outcome.CANCELLED, say("Cancelled; its worker did not let go, so the portal ended it.")
                )
                steps.tell_the_end(build)
        for build in pending:
            with suppress(EngineError):
                _remove_containers_of(build)

    def _stop_previews(self) -> None:
        for preview in Preview.objects.to_be_stopped().select_related("build__application", "build__image"):
            by_itself = preview.state == PreviewState.RUNNING
            late = say("Stopped by itself after %(minutes)s minutes.", minutes=settings.PREVIEW_SECONDS // 60)
            message = late if by_itself else say("Stopped as asked.")
            self._copy_log(preview, last=True)
            with suppress(EngineError, IllegalTransition):
                workbench.connect().remove(preview.container)
                preview.mark_stopped(message)

    def _copy_preview_logs(self) -> None:
        running = Preview.objects.filter(state__in=(PreviewState.ASKED, PreviewState.RUNNING))
        for preview in running.select_related("build__application"):
            self._copy_log(preview)

    def _copy_log(self, preview: Preview, *, last: bool = False) -> None:
        """Append what the container printed between the last look and almost now; all of it before it is stopped."""
        since, until = self._read_until.get(preview.pk), 0.0 if last else time.time() - LOG_DELAY
        with suppress(EngineError):
            said = workbench.connect().output(preview.container, since=since or 0.0, until=until, limit=256 * 1024)
            if since is None:  # a new sweeper starts the copy anew: the whole of what the engine still has
                preview_log_path(preview.pk).unlink(missing_ok=True)
            self._read_until[preview.pk] = until
            if said:
                with LogWriter(preview_log_path(preview.pk), secrets=secret_values(preview.environment)) as log:
                    for line in said.removesuffix("\n").split("\n"):  # not splitlines: it splits where a bar is redrawn
                        log.line(line)

    # ---- every fifteen seconds ---------------------------------------------------------------------------

    def _close_lost_builds(self) -> int:
        """Lease ran out: the containers go first, so that no twin runs beside a rebuild, then the row is closed."""
        closed = 0
        for build in Build.objects.lease_ran_out().select_related("application"):
            with telling_of(build):
                closed += _close_lost(build)
        return closed

    def _close_lost_preparations(self) -> int:
        closed = 0
        for preparation in Preparation.objects.lease_ran_out():
            with suppress(IllegalTransition):
                preparation.mark_failed(say("The worker was lost while it made the images; press Prepare again."))
                closed += 1
        return closed

    def _ring_again(self) -> int:
        """For every row that waits and has no job: Redis was away, was emptied, or lost its worker early."""
        rung = 0
        early = Now() - RING_AGAIN_AFTER
        try:
            if Pause.objects.current() is None:
                rung += self._ring_for_builds() + self._ring_for_preparations()
            for preview in Preview.objects.filter(state=PreviewState.ASKED, created_at__lt=early):
                if not doorbell.is_waiting("desk", preview.job_id):
                    rung += doorbell.ring("desk", "releases.jobs.desk.start_preview", preview.pk, preview.job_id)
            for row in Comparison.objects.waiting(RING_AGAIN_AFTER):
                if not doorbell.is_waiting("desk", row.job_id):
                    rung += doorbell.ring("desk", "releases.jobs.comparing.read_comparison", row.pk, row.job_id)
            for application in _waiting_for_refs():
                job_id = uuid5(NAMESPACE_OID, f"{settings.PORTAL_INSTANCE} refs {application.pk}")
                if not doorbell.is_waiting("desk", job_id):
                    rung += doorbell.ring("desk", "releases.jobs.desk.refresh_refs", application.pk, job_id)
        except RedisError as error:
            logger.warning("Redis does not answer: %s", error)
        return rung

    def _ring_for_builds(self) -> int:
        """As many bells as builds wait. A bell belongs to no build, so they are counted; one too many does no harm."""
        bells = doorbell.bells_for_builds()
        late = list(in_line().filter(created_at__lt=Now() - RING_AGAIN_AFTER))
        without = [build for build in late if str(build.job_id) not in bells]
        missing = without[: max(0, len(late) - len(bells))]
        return sum(doorbell.ring("builds", doorbell.NEXT_BUILD, build.pk, uuid4()) for build in missing)

    def _ring_for_preparations(self) -> int:
        queued = Preparation.objects.filter(state=PreparationState.QUEUED, created_at__lt=Now() - RING_AGAIN_AFTER)
        return sum(
            doorbell.ring("builds", "releases.jobs.desk.prepare_stack", one.pk, one.job_id)
            for one in queued
            if not doorbell.is_waiting("builds", one.job_id)
        )

    def _fail_dead_previews(self, engine: Engine) -> int:
        """Previews whose container ended by itself, or went with the engine: nobody shall be sent to a dead address."""
        running = list(Preview.objects.filter(state=PreviewState.RUNNING).select_related("build__application"))
        alive = {container.labels.get(PREVIEW) for container in engine.containers({}) if container.running}
        dead = [preview for preview in running if str(preview.pk) not in alive]
        for preview in dead:
            self._copy_log(preview, last=True)
            engine.remove(preview.container)
            with suppress(IllegalTransition):
                preview.mark_failed(say("The container ended by itself: its last lines are in the log."))
        return len(dead)

    def _remove_containers(self, engine: Engine) -> int:
        """Containers of ours whose build is over or in another attempt, or whose preview is over."""
        removed = 0
        for container in engine.containers({}):
            if not _is_wanted(container):
                engine.remove(container.name)
                logger.info("Removed the container %s, which belonged to nobody", container.name)
                removed += 1
        return removed

    def _remove_images(self, engine: Engine) -> int:
        """Tags of builds that ended before their image was recorded. Only the tag goes: another build may have made the
        very same image."""
        removed = 0
        for image in engine.tagged(f"release-portal-{settings.PORTAL_INSTANCE}/"):
            for tag in image.tags:
                if _is_left_over(tag):
                    removed += _is_removed(engine, tag)
        return removed

    def _keep_cage(self) -> tuple[int, str]:
        """Networks and rules that somebody removed come back; how many, and why they stay open."""
        kept = workbench.make_cage().keep()
        if kept.mended and self._closed:
            logger.warning("The networks of builds were not closed any more; they are again")
        mended, self._closed = (kept.mended if self._closed else 0), not kept.trouble
        return mended, kept.trouble

    def _ages_hold(self) -> bool:
        """Whether a file's age says anything: what is being written when the clock is set a day ahead looks a day old,
        so that for the longest time that a build may take no file goes."""
        clock = time.time() - time.monotonic()
        if abs(clock - self._clock) > JUMP_SECONDS:
            logger.warning("The clock was set by %.0f s: no left-over file is removed for a day", clock - self._clock)
            self._ages_hold_from = time.monotonic() + ORPHAN_SECONDS
        self._clock = clock
        return time.monotonic() >= self._ages_hold_from

    def _remove_orphans(self, blobs: Blobs, engine: Engine) -> int:
        """Once an hour: all names of the store are held against all rows."""
        if time.monotonic() - self._orphans_at < ORPHANS_EVERY:
            return 0
        self._orphans_at = time.monotonic()
        if removed := sweep_orphans(blobs, engine):
            logger.info("Removed %d kept files that no record names", removed)
        return removed

    # ---- the end of the portal ----------------------------------------------------------------------------

    def shut_down(self) -> None:
        """Stop every preview, and remove what is left of builds: nobody would watch over their time any more.

        To be called when the workers are gone. It returns within `SHUT_DOWN_SECONDS`, whatever hangs; what could not
        be removed is met by the next portal's sweeper."""
        thread = threading.Thread(target=self._end_what_runs, name="shutting down", daemon=True)
        thread.start()
        thread.join(SHUT_DOWN_SECONDS)

    def _end_what_runs(self) -> None:
        try:
            engine = workbench.connect()
            for preview in Preview.objects.live().select_related("build__application"):
                self._copy_log(preview, last=True)
                engine.remove(preview.container)
                with suppress(IllegalTransition):
                    preview.mark_stopped(say("Stopped with the portal."))
            for container in engine.containers({}):
                if {BUILD, PREVIEW} & container.labels.keys():
                    engine.remove(container.name)
            workbench.make_cage().open()
        except (EngineError, DatabaseError, OSError) as error:
            logger.warning("Not all that runs could be stopped: %s", error)
        finally:
            connection.close()


def _close_lost(build: Build) -> bool:
    with suppress(EngineError):
        _remove_containers_of(build)
    with transaction.atomic():  # whoever sees the row finished finds the line: this process may be killed in between
        if not build.mark_lost(LOST):
            return False
        build.refresh_from_db()
        steps.tell_the_end(build)
    logger.warning("Build %s had lost its worker %s", build, build.worker)
    return True


def _is_left_over(tag: str) -> bool:
    """Whether no build of ours has or may still get this tag (`…/application:ref-number`)."""
    name, _, version = tag.partition("/")[2].partition(":")
    number = version.rpartition("-")[2]
    if version.startswith("environment-") or not number.isdigit() or len(number) > 9:
        return False
    if Image.objects.filter(tag=tag).exists():
        return False
    return not Build.objects.active().filter(application__name=name, number=int(number)).exists()


def _is_removed(engine: Engine, tag: str) -> bool:
    """One image that the engine keeps, because somebody runs it, must not stop the whole sweep."""
    try:
        engine.remove_image(tag)
    except EngineUnavailable:
        raise
    except EngineError as error:
        logger.info("An image that nobody recorded stays: %s", error)
        return False
    return True


def _remove_containers_of(build: Build) -> None:
    engine = workbench.connect()
    for container in engine.containers({BUILD: str(build.pk)}):
        engine.remove(container.name)


def _is_wanted(container: ContainerInfo) -> bool:
    build, attempt = container.labels.get(BUILD, ""), container.labels.get(ATTEMPT, "")
    preview = container.labels.get(PREVIEW, "")
    if preview.isdigit():
        return Preview.objects.live().filter(pk=int(preview)).exists()
    if build.isdigit() and attempt.isdigit():
        return Build.objects.leased().filter(pk=int(build), attempt=int(attempt)).exists()
    return True  # a container of a stack's preparation, or not one of a build


def _waiting_for_refs() -> list[Application]:
    late = Now() - timedelta(seconds=120)
    return list(Application.objects.with_refs_being_read().filter(refs_asked_at__lt=late))
