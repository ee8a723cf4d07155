"""A rebase takes the archive of a release over as it is: no checkout, no builder, no new bytes."""

from __future__ import annotations

from django.db import transaction

from releases.errors import InvalidInput, StackError, StorageError, say
from releases.jobs.environments import keep_environment
from releases.jobs.steps import skip
from releases.models import Artifact, Build, Environment, Event, StepName, rebasable
from releases.pipeline.bench import Bench
from releases.specs import BuiltFile
from releases.stacks import stack as stacks
from releases.storage import LogWriter

SAME = ("committed_at", "source_files", "source_size", "limits_hit")
"""Facts of the work that are those of the release which is rebased."""


def take_over(build: Build, bench: Bench, log: LogWriter) -> BuiltFile:
    """Record what is the same as in the release that is rebased, and the steps that need not be done for it.

    Raises `StorageError` when the archive is not kept intact, `StackError` when the stack changed since the asking."""
    old = build.rebase_of
    if old is None:
        raise ValueError(f"Build {build} rebases nothing.")
    artifact, kept = _parts_of(old)
    if not bench.blobs.is_intact(artifact.sha256):
        raise StorageError(
            say("The app.tar.gz of %(build)s is missing in the store, or damaged: press Rebuild instead.", build=old)
        )
    _say(build, log, StepName.CHECKOUT, say("commit of #%(number)s", number=old.number))
    build.note(**{name: getattr(old, name) for name in SAME})
    _say(build, log, StepName.PRODUCE, say("environment of #%(number)s", number=old.number))
    keep_environment(build, kept, say("environment of #%(number)s, as it is", number=old.number))
    _say(build, log, StepName.COLLECT, say("archive of #%(number)s", number=old.number))
    log.line(f"sha256 {artifact.sha256}, {artifact.size:,} bytes")
    with transaction.atomic():
        build.note(artifact=artifact)
        Event.objects.record("artifact.taken_over", build=build, data={"sha256": artifact.sha256, "from": old.number})
    return artifact.kept()


def _parts_of(old: Build) -> tuple[Artifact, Environment]:
    try:
        return rebasable(old, stacks.load(old.stack).python)
    except InvalidInput as error:  # it could be rebased when it was asked for
        raise StackError(error.message) from error


def _say(build: Build, log: LogWriter, name: StepName, why: str) -> None:
    log.step(name.value)
    log.line(f"Not done again: {why}")
    skip(build, name, why)
