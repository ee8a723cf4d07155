"""The environment of a build: the one that is kept for the same requirements, or a new one that is kept from now on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from releases.errors import StackError, joined, say, say_many
from releases.jobs.steps import skip, step
from releases.models import Build, Environment, Package, StepName
from releases.pipeline.bench import Bench, alone
from releases.pipeline.produce import Produced, produce
from releases.pipeline.requirements import inputs_digest
from releases.sentences import columns
from releases.specs import KeptEnvironment, Locked, Part, StackImages
from releases.stacks import stack as stacks
from releases.storage import LogWriter

CHANGES_NAMED = 5
LARGEST_FILE = 8 * 1024 * 1024
"""Bytes of one requirement file that are looked at."""


def environment_of(build: Build, commit: str, images: StackImages, bench: Bench, log: LogWriter) -> KeptEnvironment:
    """Reuse or make it; the same one, asked for twice at once, is made once. `build.note` has frozen its stack."""
    inputs = _inputs(build, commit, bench)
    with _alone(build, inputs, bench):
        found = None if build.without_cache else Environment.objects.for_inputs(build, inputs)
        if found is not None and _is_intact(found, bench):
            return _reuse(build, found, log)
        with step(build, StepName.PRODUCE, log) as row:
            made = _make(build, commit, inputs, images, bench)
            row.exit_code = 0  # another one is a failure
            return made


def _inputs(build: Build, commit: str, bench: Bench) -> str:
    spec = build.spec()

    def read(path: str) -> bytes | None:
        return bench.git.read_file(spec.mirror, commit, path, limit=LARGEST_FILE)

    return inputs_digest(spec.layout.requirements, read, commit=commit, index_url=bench.surroundings.index_url)


@contextmanager
def _alone(build: Build, inputs: str, bench: Bench) -> Iterator[None]:
    if not inputs:
        yield
        return
    with alone(
        bench,
        f"environment-{build.application_id}-{inputs[:16]}",
        "Another build of this application makes the same environment; waiting for it",
    ):
        yield


def _is_intact(found: Environment, bench: Bench) -> bool:
    lost = [part.name for part in found.parts_kept() if not bench.blobs.is_intact(part.sha256)]
    if lost:
        bench.output(f"The kept environment of #{found.made_by.number} lacks {', '.join(lost[:5])}: it is made again")
    return not lost


def _reuse(build: Build, found: Environment, log: LogWriter) -> KeptEnvironment:
    note = say("environment reused from #%(number)s", number=found.made_by.number)
    log.step(StepName.PRODUCE.value)
    log.line(f"The {note}: {len(found.packages)} packages, {found.key[:12]}")
    skip(build, StepName.PRODUCE, note)
    keep_environment(build, found, note)
    return found.kept()


def _make(build: Build, commit: str, inputs: str, images: StackImages, bench: Bench) -> KeptEnvironment:
    stack = stacks.load(build.stack)
    if stack.digest != images.digest:
        raise StackError(
            say("The files of the stack %(stack)s changed while this build went on: press Rebuild.", stack=stack.name)
        )
    known = {} if build.without_cache else _intact_parts(Environment.objects.parts_for(build), bench)
    made = produce(build.spec(), commit, images, stack.installers, inputs=inputs, known=known, bench=bench)
    note = _what_changed(build, made)
    bench.output(f"The environment was {note}")
    with build.fenced():
        row = Environment.objects.keep(build, made.environment)
    keep_environment(build, row, note)
    build.note(memory_peak=made.memory_peak or None, limits_hit=list(made.limits_hit))
    return made.environment


def _intact_parts(parts: dict[str, Part], bench: Bench) -> dict[str, Part]:
    return {wheel: part for wheel, part in parts.items() if bench.blobs.is_intact(part.sha256)}


def keep_environment(build: Build, row: Environment, note: str) -> None:
    """Record that the build holds this environment, and its packages."""
    with build.fenced():
        Package.objects.bulk_create(
            Package(build=build, name=found.name, version=found.version, sha256=found.sha256, filename=found.filename)
            for found in row.locked()
        )
    build.note(kept_environment=row, **columns("environment_note", note, most=300))


def _what_changed(build: Build, made: Produced) -> str:
    """In words, against the release before."""
    packages = made.environment.packages
    before = build.comparable()
    if before is None or before.kept_environment is None:
        note = say("made: %(n)d packages", n=len(packages))
    elif changes := _changes(before.kept_environment.locked(), packages):
        note = say_many(
            "made: %(n)d package changed since #%(number)s (%(changes)s)",
            "made: %(n)d packages changed since #%(number)s (%(changes)s)",
            n=len(changes),
            number=before.number,
            changes=", ".join(changes[:CHANGES_NAMED]) + (" …" if len(changes) > CHANGES_NAMED else ""),
        )
    else:
        note = say("made: the same packages as #%(number)s", number=before.number)
    compiled = [package.name for package in packages if package.source != "wheel"]
    if not compiled:
        return note
    names = ", ".join(compiled[:CHANGES_NAMED])
    return joined("; ", [note, say("not reproducible, for %(names)s was not a wheel", names=names)])


def _changes(before: tuple[Locked, ...], now: tuple[Locked, ...]) -> list[str]:
    old, new = ({package.name: package.version for package in packages} for packages in (before, now))
    return [
        f"{name} {old.get(name, 'none')} → {new.get(name, 'none')}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]
