"""One build, from the take-up to the last line of its log. The only place where an exception becomes an outcome."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from dataclasses import asdict

from django.conf import settings
from django.db import IntegrityError, InterfaceError, OperationalError, connection, transaction
from rq import get_current_job

from releases.errors import (
    BuildCancelled,
    BuildFailed,
    BuildOutOfMemory,
    BuildTimedOut,
    EngineError,
    IllegalTransition,
    LeaseLost,
    SourceUnavailable,
    WorkshopError,
    joined,
    say,
)
from releases.jobs.access import secrets_of
from releases.jobs.budgets import judge_archive, judge_image, over_in_words
from releases.jobs.comparing import compare_with_last_good, explain
from releases.jobs.environments import environment_of
from releases.jobs.images import package_of
from releases.jobs.lease import Lease
from releases.jobs.rebase import take_over
from releases.jobs.steps import skip, step
from releases.jobs.telling import telling_of
from releases.jobs.workbench import make_bench
from releases.models import (
    Artifact,
    Build,
    Event,
    Image,
    Move,
    Outcome,
    Preparation,
    Ref,
    State,
    StepName,
    next_build,
)
from releases.pipeline.bench import Bench
from releases.pipeline.checkout import check_out
from releases.pipeline.collect import collect
from releases.pipeline.prepare import known, prepare
from releases.pipeline.probe import ProbeFailed, probe
from releases.sentences import changed, columns
from releases.specs import BuiltFile, BuiltImage, CheckedOut, ProbeResult, StackImages
from releases.stacks import stack as stacks
from releases.storage import LogWriter, Mask, log_path, secret_values

logger = logging.getLogger(__name__)


def run_next(_rung_for: int) -> None:
    """The job: what a worker does that was rung for. Which build it takes up is the line's say, not the ring's."""
    while (build := next_build()) is not None:
        if build.take_up(worker=_worker_name()):
            _run(build)
            return


def run_build(build_id: int) -> None:
    """This very build, whatever waits before it. A row that is not queued any more is somebody else's."""
    build = Build.objects.select_related("application").get(pk=build_id)
    if build.take_up(worker=_worker_name()):
        _run(build)


def _run(build: Build) -> None:
    hidden = [*secret_values(build.environment), *secrets_of(build.application)]
    with telling_of(build), LogWriter(log_path(build.pk), secrets=hidden) as log:
        logger.info("Took up build %s", build)
        with Lease(build) as lease:
            outcome, message = _attempt(build, log, lease)
            explain(build, outcome, log)
        _end_in_time(build, outcome, changed(message, Mask(hidden)), log)
        logger.info("Build %s ended: %s", build, Outcome(outcome).label)
    if outcome == Outcome.SUCCEEDED:  # nobody waits for it any more
        compare_with_last_good(build)


def _end_in_time(build: Build, outcome: Outcome, message: str, log: LogWriter) -> None:
    """Write the end as soon as the database answers; after a lease's time the build is the sweeper's."""
    until = time.monotonic() + settings.LEASE_SECONDS
    while True:
        try:
            return _end(build, outcome, message, log)
        except (OperationalError, InterfaceError) as error:
            if time.monotonic() > until:
                raise
            logger.warning("The end of build %s waits for the database: %s", build.pk, error)
            connection.close()  # one that broke stays broken: the next question opens another
            time.sleep(1)


def _attempt(build: Build, log: LogWriter, lease: Lease) -> tuple[Outcome, str]:
    """The ladder: whose fault it was, and the sentence for a person."""
    try:
        return Outcome.SUCCEEDED, _make_release(build, log, lease)
    except LeaseLost as error:
        return Outcome.WORKER_LOST, error.message
    except (OperationalError, InterfaceError) as error:
        logger.warning("The database did not answer in the middle of build %s: %s", build.pk, error)
        return Outcome.INTERNAL_ERROR, say("The database went away in the middle of this build: press Rebuild.")
    except BuildCancelled:
        return Outcome.CANCELLED, _who_cancelled(build)
    except IllegalTransition:  # a verb that met a build which is being cancelled
        return Outcome.CANCELLED, _who_cancelled(build)
    except BuildTimedOut as error:
        return Outcome.TIMED_OUT, error.message
    except BuildOutOfMemory as error:
        return Outcome.OUT_OF_MEMORY, error.message
    except BuildFailed as error:
        return Outcome.FAILED, error.message
    except SourceUnavailable as error:
        return Outcome.SOURCE_UNAVAILABLE, error.message
    except EngineError as error:
        return Outcome.ENGINE_UNAVAILABLE, error.message
    except WorkshopError as error:
        return Outcome.INTERNAL_ERROR, error.message
    except Exception as error:  # the one broad net: no build may stay without an end
        logger.exception("Build %s met a defect of the portal", build)
        return Outcome.INTERNAL_ERROR, say(
            "The portal itself failed (%(error)s); the worker's output has the details. "
            "Rebuild, and report it if it happens again.",
            error=type(error).__name__,
        )


def _make_release(build: Build, log: LogWriter, lease: Lease) -> str:
    """The walk from the click to the shelf."""
    started = time.monotonic()
    bench = make_bench(output=log.line, stop=lease, application=build.application)
    lease.start_clock(build.limits["seconds"])

    artifact, images = (_archive if build.rebase_of is None else _taken_over)(build, bench, log, lease)
    build.mark_packaging()
    with step(build, StepName.PACKAGE, log):
        judge_image(build, artifact, images, bench)
        image = package_of(build, artifact, images, bench)
        _keep_image(build, image, images)

    build.mark_probing()
    _probe(build, image, bench, log)
    lease.check()
    made = say(
        "app.tar.gz %(artifact).1f MB, image %(image).1f MB, in %(seconds).1f s.",
        artifact=artifact.size / 1e6,
        image=image.size / 1e6,
        seconds=time.monotonic() - started,
    )
    return joined(" ", [made, *over_in_words(build)])


def _archive(build: Build, bench: Bench, log: LogWriter, lease: Lease) -> tuple[BuiltFile, StackImages]:
    """The archive of a release that is made from its commit, and the images of its stack."""
    with step(build, StepName.CHECKOUT, log):
        bench.engine.info()  # an engine that is away is said at once, not after the fetch
        source = check_out(build.spec(), bench)
        _tell_of_a_move(build, source.commit, log)
        _freeze_source(build, source)

    build.mark_producing()
    images = _stack_images(build, bench, log, lease)
    kept = environment_of(build, source.commit, images, bench, log)
    with step(build, StepName.COLLECT, log):
        artifact = collect(build.spec(), source.commit, kept, bench)
        _keep_artifact(build, artifact)
        judge_archive(build, artifact, bench)
    return artifact, images


def _taken_over(build: Build, bench: Bench, log: LogWriter, lease: Lease) -> tuple[BuiltFile, StackImages]:
    """The archive of the release that is rebased, and the images that its stack has now."""
    bench.engine.info()
    artifact = take_over(build, bench, log)
    judge_archive(build, artifact, bench)
    build.mark_producing()
    return artifact, _stack_images(build, bench, log, lease)


def _stack_images(build: Build, bench: Bench, log: LogWriter, lease: Lease) -> StackImages:
    """The stack's images, made now when this is their first use; that time is not the build's."""
    stack = stacks.load(build.stack)
    images = known(stack, bench)
    if images is None:
        with step(build, StepName.PREPARE, log):
            lease.stop_clock()
            images = prepare(stack, bench)
            lease.start_clock(build.limits["seconds"])
    Preparation.objects.note_images(stack.name, images, build=build)
    build.note(
        stack_digest=images.digest,
        builder_image=images.builder_id,
        runner_image=images.runner_id,
        base_image=images.base_id,
    )
    return images


def _freeze_source(build: Build, source: CheckedOut) -> None:
    facts = {
        "commit": source.commit,
        "ref_full": source.ref_full,
        "source_files": source.files,
        "source_size": source.size,
        "committed_at": source.committed_at,
    }
    if not build.commit:
        seen = Ref.objects.filter(application=build.application, full_name=source.ref_full).first()
        kinds = {"refs/tags/": "tag", "refs/heads/": "branch"}
        facts["ref_kind"] = next((kind for start, kind in kinds.items() if source.ref_full.startswith(start)), "commit")
        facts["subject"] = seen.subject if seen and seen.commit == source.commit else ""
    try:
        build.note(**facts)
    except IntegrityError as error:
        raise BuildFailed(
            say(
                "%(ref)s is commit %(commit)s, which is being built already: follow that build instead.",
                ref=build.ref,
                commit=source.commit[:7],
            )
        ) from error


def _tell_of_a_move(build: Build, commit: str, log: LogWriter) -> None:
    """A tag that moved between the click and the checkout: the log says so, as the page does."""
    move = Move.objects.filter(application=build.application, full_name=build.ref_full).order_by("-id").first()
    if move is not None and move.after != commit:
        now = f"points to {move.after}" if move.after else "is gone from the repository"
        log.line(f"Note: the tag {build.ref} {now} since {move.noticed_at:%Y-%m-%d %H:%M} UTC; {commit} is built.")


def _keep_artifact(build: Build, kept: BuiltFile) -> None:
    with transaction.atomic():
        artifact, _ = Artifact.objects.get_or_create(
            sha256=kept.sha256,
            defaults={
                "name": kept.name,
                "size": kept.size,
                "members": [asdict(member) for member in kept.members],
                "sheets": [asdict(sheet) for sheet in kept.sheets],
            },
        )
        build.note(artifact=artifact)
        Event.objects.record("artifact.kept", build=build, data={"sha256": kept.sha256, "size": kept.size})


def _keep_image(build: Build, made: BuiltImage, images: StackImages) -> None:
    artifact = build.artifact
    if artifact is None:
        raise IllegalTransition(say("Build %(build)s has no artifact to make an image of.", build=build))
    with transaction.atomic():
        image = Image.objects.create(
            image_id=made.image_id,
            tag=made.tag,
            size=made.size,
            builder_size=made.builder_size,
            runner_size=made.runner_size,
            config_digest=made.config_digest,
            manifest_digest=made.manifest_digest,
            runner_layer=images.runner_layer,
            runner_config=asdict(images.runner_config),
            artifact=artifact,
        )
        build.note(image=image)
        Event.objects.record("image.made", build=build, data={"id": made.image_id, "tag": made.tag, "size": made.size})


def _probe(build: Build, image: BuiltImage, bench: Bench, log: LogWriter) -> None:
    if build.probe_policy == "off":
        skip(build, StepName.PROBE, say("switched off for this application"))
        return
    with step(build, StepName.PROBE, log) as row:
        try:
            result = probe(build.spec(), image, bench, stack=stacks.load(build.stack))
            row.exit_code = result.exit_code
            _keep_probe(build, result)
        except ProbeFailed as error:
            _keep_probe(build, error.result)
            raise


def _keep_probe(build: Build, result: ProbeResult) -> None:
    hide = Mask(secret_values(build.environment))
    build.note(
        probe_status=result.status or None,
        probe_seconds=result.seconds if result.status else None,
        probe_memory=result.memory or None,
        probe_body=hide(result.body),
        **columns("probe_message", changed(result.message, hide), most=500),
    )


def _end(build: Build, outcome: Outcome, message: str, log: LogWriter) -> None:
    """Write the end, in the row and as the log's last line, in one transaction: whoever sees the row finished finds
    the line. A build that was closed by another hand gets neither; one that was cancelled meanwhile says so."""
    with suppress(LeaseLost), transaction.atomic():
        with build.fenced():
            cancelled = Build.objects.filter(pk=build.pk, state=State.CANCELLING).exists()
        if cancelled:  # whatever the removal of its container under its feet looked like to the step
            outcome, message = Outcome.CANCELLED, _who_cancelled(build)
        log.line(f"{outcome.label}: {message}")
        if outcome == Outcome.SUCCEEDED:
            build.mark_succeeded(message)
        else:
            build.mark_ended(outcome, message)


def _who_cancelled(build: Build) -> str:
    asked = build.events.filter(verb="build.cancel_asked").first()
    name = asked.actor_name if asked and asked.actor_name else say("the portal")
    return say("Cancelled by %(name)s; nothing of it was released.", name=name)


def _worker_name() -> str:
    job = get_current_job()
    return (job.worker_name or "") if job is not None else "by hand"
