"""What a person may ask: each is atomic, says by whom, writes its Event in the same breath, and rings on commit.

Nothing here waits for a worker, an engine or a repository. What cannot be raises `InvalidInput` with the field it
stands beside.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone

from releases import git
from releases.errors import AlreadyUnderWay, IllegalTransition, InvalidInput, StackError, say
from releases.jobs import doorbell
from releases.models import (
    Actor,
    AnewChoices,
    Application,
    Build,
    Comparison,
    Event,
    Move,
    Pause,
    Preparation,
    PreparationState,
    Preview,
    Ref,
    in_line,
    move_to_front,
    rebasable,
    turn_of,
)
from releases.models.rule import written
from releases.specs import Anew
from releases.specs.variables import check_environment, fits_the_database
from releases.stacks import stack as stacks
from releases.stacks.stack import Stack
from releases.storage import Blobs

BUDGET_FIELDS = (
    "image_budget_mb", "image_budget_policy", "archive_budget_mb", "archive_budget_policy",
    "growth_budget", "growth_budget_policy",
)  # fmt: skip
SETTINGS_FIELDS = (
    "repository",
    "stack",
    "directory",
    "module",
    "callable",
    "requirements",
    "probe_path",
    "probe_policy",
    "environment",
    "memory_mb",
    "cpus",
    "pids",
    "seconds",
    "artifact_mb",
    "rule",
    *BUDGET_FIELDS,
)
"""What a person may set on an application after it has its name."""
SAME_COMMIT = ("ref", "ref_kind", "ref_full", "commit", "subject")
"""What makes another build one of the same commit."""
NAMES_OF_DOORS = ("new",)
"""`applications/new/` is a page of its own, so no application can be called so."""


@transaction.atomic
def register_application(*, by: Actor, name: str, repository: str, **fields: Any) -> Application:
    """Register an application and have its refs read. Raises `InvalidInput` or Django's `ValidationError`."""
    fields.setdefault("stack", settings.DEFAULT_STACK)
    application = Application(
        name=name, repository=repository, **fields, created_by_id=by.pk if by is not None else None
    )
    check_application(application)
    application.rule_set_at = timezone.now() if application.rule else None
    try:
        with transaction.atomic():
            application.save()
    except IntegrityError as error:  # another hand was quicker since the check
        raise InvalidInput(
            say("An application named %(name)s is registered already.", name=name), field="name"
        ) from error
    Event.objects.record("application.registered", by=by, application=application, data=_as_set(application))
    refresh_refs(application, by=by)
    return application


@transaction.atomic
def change_application(application: Application, *, by: Actor) -> Application:
    """Save what a form has set on the application; the Event holds each field before and after."""
    check_application(application)
    before = _as_set(Application.objects.select_for_update().get(pk=application.pk))
    application.save(update_fields=SETTINGS_FIELDS)
    after = _as_set(application)
    changed = {key: [before[key], after[key]] for key in after if before[key] != after[key]}
    if changed:
        Event.objects.record("application.changed", by=by, application=application, data=changed)
    if {"repository", "rule"} & changed.keys():
        # The next reading tells which tags are there already: a rule builds none of those.
        since = {
            "rule_set_at": timezone.now() if application.rule else None,
            "rule_armed": False,
            "rule_note": "",
            "rule_note_said": None,
        }
        Application.objects.filter(pk=application.pk).update(**since)
        refresh_refs(application, by=by)
    return application


def check_application(application: Application) -> None:
    """Everything that can be said of an application without asking its repository."""
    if application.name in NAMES_OF_DOORS:
        raise InvalidInput(
            say(
                "“%(application)s” is an address of the portal itself: choose another name.",
                application=application.name,
            ),
            field="name",
        )
    application.repository = git.Git.from_settings().check(application.repository.strip())
    try:
        stacks.load(application.stack)
    except StackError as error:
        raise InvalidInput(error.message, field="stack") from error
    application.environment = check_environment(application.environment)
    application.rule = written(application.rule)
    application.full_clean()


@transaction.atomic
def refresh_refs(application: Application, *, by: Actor) -> None:
    """Have the refs of the repository read again by a worker."""
    Application.objects.filter(pk=application.pk).update(refs_asked_at=Now())
    Event.objects.record("refs.asked", by=by, application=application)
    transaction.on_commit(partial(_ring_desk, "refresh_refs", application.pk, uuid4()))
    application.refresh_from_db(fields=["refs_asked_at"])


@transaction.atomic
def acknowledge_move(move: Move, *, by: Actor) -> int:
    """A person has seen that a tag moved: its alarms up to this one are over, but what they tell stays with the builds.

    How many were still open."""
    same = Move.objects.filter(application=move.application_id, full_name=move.full_name, pk__lte=move.pk)
    return same.acknowledge(by=by)


def request_build(
    application: Application,
    ref: Ref | str,
    *,
    by: Actor,
    retry_of: Build | None = None,
    without_cache: bool = False,
    priority: str = "normal",
) -> Build:
    """Ask for a release of a ref that a person saw (its commit is frozen now) or typed (resolved at checkout).

    `without_cache` resolves the requirements and makes the environment anew, whatever is kept. `priority` is high,
    normal or low.

    Raises `AlreadyUnderWay` when the same commit is being built, `InvalidInput` for a ref that cannot be one.
    """
    turn = turn_of(priority)
    return _request(application, _frozen_ref(ref), by=by, retry_of=retry_of, without_cache=without_cache, turn=turn)


def rebuild(build: Build, *, by: Actor, without_cache: bool = False) -> Build:
    """The same commit again, with the application's settings of today, as a new build that names the old one."""
    same = {name: getattr(build, name) for name in SAME_COMMIT}
    return _request(build.application, same, by=by, retry_of=build, without_cache=without_cache)


def request_rebase(build: Build, *, by: Actor) -> Build:
    """The same archive on the newest runtime of its stack, as a new build that names the release it rebases.

    Raises `AlreadyUnderWay`, and `InvalidInput` with the reason why this release cannot be rebased, or need not be."""
    stack = _stack_to_rebase_on(build)
    latest = Preparation.objects.latest_success(stack.name, stack.digest)
    if latest is not None and latest.runner_image == build.runner_image:
        raise InvalidInput(
            say(
                "%(build)s stands on the newest runtime of %(stack)s that is known: there is nothing to rebase. "
                "“Prepare runtime anew” on the stack's page makes one with the packages of today.",
                build=build,
                stack=stack.name,
            )
        )
    same = {name: getattr(build, name) for name in SAME_COMMIT}
    return _request(build.application, {**same, "rebase_of": build, "limits": build.limits}, by=by)


def newer_runtime(build: Build) -> Preparation | None:
    """The images that a rebase would use; None when the release stands on the newest runtime, or cannot be rebased."""
    try:
        stack = _stack_to_rebase_on(build)
    except InvalidInput:
        return None
    return Preparation.objects.newer_runtime(build, stack.digest)


def _stack_to_rebase_on(build: Build) -> Stack:
    try:
        stack = stacks.load(build.stack)
    except StackError as error:
        raise InvalidInput(
            say("%(build)s cannot be rebased, because its stack cannot be used: %(error)s", build=build, error=error)
        ) from error
    artifact, _kept = rebasable(build, stack.python)
    if not Blobs(settings.BLOBS_DIR).has(artifact.sha256, artifact.size):
        raise InvalidInput(
            say(
                "The app.tar.gz of %(build)s is missing in the store, or damaged, so there is nothing to put on "
                "another runtime: press Rebuild, which makes it again.",
                build=build,
            )
        )
    return stack


def cancel_build(build: Build, *, by: Actor) -> Build:
    """Ask for the end of a build. Raises `InvalidInput` when there is nothing to cancel."""
    try:
        build.mark_cancelling(by=by)
    except IllegalTransition as error:
        raise InvalidInput(error.message) from error
    return build


def build_next(build: Build, *, by: Actor) -> Build:
    """Put a build that waits before all others. Raises `InvalidInput` when it waits no more."""
    try:
        move_to_front(build, by=by)
    except IllegalTransition as error:
        raise InvalidInput(error.message) from error
    return build


def pause_builds(why: str, *, by: Actor) -> Pause:
    """From now on nothing new is begun: what is asked for waits, what runs is finished. Raises `InvalidInput`."""
    why = " ".join(why.split())
    if not why or len(why) > 200 or not fits_the_database(why):
        raise InvalidInput(say("Say in 1 to 200 characters why nothing new is begun."), field="why")
    try:
        with transaction.atomic():
            return Pause.objects.begin(why, by=by)
    except IntegrityError as error:
        raise InvalidInput(say("Builds are paused already: end that pause first."), field="why") from error


@transaction.atomic
def resume_builds(*, by: Actor) -> None:
    """End the pause and ring for everything that waits. Raises `InvalidInput` when there is none."""
    pause = Pause.objects.current()
    try:
        if pause is None:
            raise IllegalTransition(say("There is no pause to end: builds are taken."))
        pause.end(by=by)
    except IllegalTransition as error:
        raise InvalidInput(error.message) from error
    transaction.on_commit(_ring_for_all)


def _ring_for_all() -> None:
    for build in in_line():
        doorbell.ring("builds", doorbell.NEXT_BUILD, build.pk, uuid4())
    for preparation in Preparation.objects.filter(state=PreparationState.QUEUED):
        doorbell.ring("builds", "releases.jobs.desk.prepare_stack", preparation.pk, preparation.job_id)


@transaction.atomic
def request_preview(build: Build, *, environment: Mapping[str, str], by: Actor) -> Preview:
    """Have the image of a build booted. Raises `InvalidInput` when the build has none."""
    if build.image is None:
        raise InvalidInput(
            say("Build %(build)s has no runtime image to boot; only a build that was packaged has one.", build=build)
        )
    preview = Preview.objects.create(
        build=build, environment=check_environment(environment), requested_by_id=by.pk if by is not None else None
    )
    Event.objects.record(
        "preview.asked", by=by, build=build, data={"preview": preview.pk, "names": sorted(preview.environment)}
    )
    transaction.on_commit(partial(_ring_desk, "start_preview", preview.pk, preview.job_id))
    return preview


def stop_preview(preview: Preview, *, by: Actor) -> Preview:
    """Have a preview stopped. Raises `InvalidInput` when it is over."""
    try:
        preview.mark_stopping(by=by)
    except IllegalTransition as error:
        raise InvalidInput(error.message) from error
    return preview


def comparison_of(old: Build, new: Build, *, again: bool = False) -> Comparison | None:
    """What lies between the commits of two builds of one application, asked of a worker when nobody has asked yet, or
    `again` when it could not be read. None when there is nothing to ask: a commit is not known, or it is the same.

    No Event: it decides nothing and changes nothing, it only says what was true anyway."""
    if not old.commit or not new.commit or old.commit == new.commit:
        return None
    found = Comparison.objects.of(old.application, old.commit, new.commit)
    if found is not None and not again:
        return found
    with transaction.atomic():
        row, is_new = Comparison.objects.ask(old.application, old.commit, new.commit)
        if is_new or (again and row.mark_asked_again()):
            row.refresh_from_db()
            transaction.on_commit(
                partial(doorbell.ring, "desk", "releases.jobs.comparing.read_comparison", row.pk, row.job_id)
            )
    return row


def prepare_stack(name: str, *, by: Actor, anew: Anew = "") -> Preparation:
    """Have the images of a stack made: what is missing, and what is to be made `anew`.

    Raises `StackError` for a stack that cannot be read, `AlreadyUnderWay`."""
    if anew and anew not in AnewChoices.values:
        raise InvalidInput(
            say(
                "“%(anew)s” cannot be made anew: choose %(runner)s or %(both)s.",
                anew=anew[:60],
                runner=AnewChoices.RUNNER.value,
                both=AnewChoices.BOTH.value,
            ),
            field="anew",
        )
    stack = stacks.load(name)
    try:
        with transaction.atomic():
            preparation = Preparation.objects.request(stack.name, stack.digest, by=by, anew=anew)
            transaction.on_commit(
                partial(doorbell.ring, "builds", "releases.jobs.desk.prepare_stack", preparation.pk, preparation.job_id)
            )
    except IntegrityError as error:
        live = Preparation.objects.live().filter(stack=stack.name).first()
        address = live.get_absolute_url() if live else ""
        raise AlreadyUnderWay(
            say("The stack %(name)s is being prepared already.", name=name), address=address
        ) from error
    return preparation


def queue_answers() -> bool:
    """Whether workers can be rung for at this moment; if not, what was asked waits for the sweeper."""
    return doorbell.answers()


def _check_pace(by: Actor) -> None:
    """What one person may ask for in a minute: a script in somebody's browser must not fill the queue for all."""
    if by is None:
        return
    asked = Build.objects.filter(requested_by_id=by.pk, created_at__gt=Now() - timedelta(minutes=1)).count()
    if asked >= settings.BUILDS_PER_MINUTE:
        raise InvalidInput(
            say("You have asked for %(n)s builds within a minute, the most that are taken: wait a moment.", n=asked)
        )


def _ring_desk(job: str, key: int, job_id: UUID) -> None:
    doorbell.ring("desk", f"releases.jobs.desk.{job}", key, job_id, somebody_waits=True)


def _request(application: Application, same: Mapping[str, Any], *, by: Actor, **asked: Any) -> Build:
    _check_pace(by)
    frozen = {"limits": application.limits(settings.BUILD_LIMITS).as_json(), **same, **asked}
    try:
        with transaction.atomic():
            build = Build.objects.request(application, by=by, **frozen)
            transaction.on_commit(partial(doorbell.ring, "builds", doorbell.NEXT_BUILD, build.pk, build.job_id))
    except IntegrityError as error:
        raise _already_building(application, frozen) from error
    return build


def _frozen_ref(ref: Ref | str) -> dict[str, str]:
    """A ref that a person saw keeps the commit beside it; one that was typed is resolved once, at checkout."""
    if isinstance(ref, str):
        return {"ref": git.check_ref(ref.strip())}
    return ref.frozen()


def _already_building(application: Application, frozen: Mapping[str, Any]) -> AlreadyUnderWay:
    stack = frozen["rebase_of"].stack if "rebase_of" in frozen else application.stack
    same = Build.objects.active().filter(application=application, stack=stack)
    commit = frozen.get("commit", "")
    live = (same.filter(commit=commit).first() if commit else None) or same.filter(ref=frozen["ref"]).first()
    if live is None:  # it ended between the refusal and this look
        return AlreadyUnderWay(
            say(
                "%(ref)s of %(application)s was being built at this moment; press again.",
                ref=frozen["ref"],
                application=application,
            ),
            address=application.get_absolute_url(),
        )
    return AlreadyUnderWay(
        say(
            "%(ref)s of %(application)s is being built already, as #%(number)s.",
            ref=frozen["ref"],
            application=application,
            number=live.number,
        ),
        address=live.get_absolute_url(),
        key=live.pk,
    )


def _as_set(application: Application) -> dict[str, Any]:
    """The settings for the audit trail. Values of the environment stay out of it: they may be secrets."""
    values = {field: getattr(application, field) for field in SETTINGS_FIELDS}
    return {**values, "environment": sorted(application.environment)}
