"""The short jobs: reading refs, booting a preview, preparing a stack. Each ends its row whatever happens."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from django.conf import settings
from django.db import Error, connection

from releases.context import about, carried
from releases.errors import BuildFailed, IllegalTransition, PortalError, StackError, joined, say
from releases.jobs import refs, workbench
from releases.jobs.images import image_of
from releases.jobs.telling import job_id, telling_of
from releases.models import Application, Pause, Preparation, Preview, PreviewState
from releases.pipeline import probe
from releases.pipeline.bench import Bench
from releases.pipeline.prepare import prepare
from releases.sentences import changed
from releases.specs import Anew, NeverStop, ProbeResult, StackImages
from releases.stacks import stack as stacks
from releases.storage import LogWriter, Mask, preparation_log_path, secret_values

logger = logging.getLogger(__name__)


def refresh_refs(application_id: int) -> None:
    """Read the refs of an application's repository; what went wrong stands on the application's page."""
    application = Application.objects.get(pk=application_id)
    with about(application=application.name, job=job_id()):
        _refresh(application)


def _refresh(application: Application) -> None:
    try:
        refs.read(application)
    except PortalError as error:
        application.note_refs_error(error.message)
    except Exception as error:  # the broad net: a question without an answer would be rung for again and again
        logger.exception("Reading the refs of %s met a defect of the portal", application)
        application.note_refs_error(_defect(error))


def start_preview(preview_id: int) -> None:
    """Boot the image of a preview and keep what it first answered. The sweeper follows its log and stops it."""
    preview = Preview.objects.select_related("build__application", "build__image").get(pk=preview_id)
    if preview.state != PreviewState.ASKED:  # a job that came twice must not boot a running preview anew
        return
    with about(preview=preview.pk), telling_of(preview.build):
        _start(preview)


def _start(preview: Preview) -> None:
    hide = Mask(secret_values(preview.environment))
    try:
        bench = workbench.make_bench(output=logger.info, stop=_StillWanted(preview.pk))
        engine = bench.engine
        result = _boot(bench, preview)
        if not result.status:
            raise BuildFailed(changed(result.message, hide))
        address = engine.address(preview.container, stacks.load(preview.build.stack).port)
        preview.mark_running(
            address=f"http://{address}",
            status=result.status,
            seconds=result.seconds,
            body=hide(result.body),
            message=changed(result.message, hide),
        )
    except IllegalTransition:
        logger.info("Preview %s was stopped while it started", preview.pk)
    except PortalError as error:
        _fail(preview, error.message)
    except Exception as error:  # the broad net: a preview that nobody ends would be rung for again and again
        logger.exception("The start of preview %s met a defect of the portal", preview.pk)
        _fail(preview, _defect(error))


def _boot(bench: Bench, preview: Preview) -> ProbeResult:
    stack = stacks.load(preview.build.stack)
    engine, name = bench.engine, preview.container
    image = image_of(preview.build, bench)
    labels = {"release-portal.preview": str(preview.pk), "release-portal.role": "preview"}
    engine.remove(name)
    started = probe.boot(
        bench, name, image, preview.environment, labels, port=stack.port, memory=preview.build.limits["memory"]
    )
    return probe.ask(engine, name, stack, preview.build.probe_path, started=started, stop=bench.stop)


class _StillWanted:
    """Stops a boot whose preview somebody has stopped."""

    def __init__(self, key: int) -> None:
        self._key = key

    def check(self) -> None:
        if not Preview.objects.live().filter(pk=self._key).exclude(state="stopping").exists():
            raise IllegalTransition(say("The preview is not wanted any more."))


def _fail(preview: Preview, message: str) -> None:
    try:
        preview.mark_failed(message)
    except IllegalTransition:
        logger.info("Preview %s ended before it failed: %s", preview.pk, message)


def prepare_stack(preparation_id: int) -> None:
    """Make the images of a stack, with every line in the preparation's log."""
    preparation = Preparation.objects.get(pk=preparation_id)
    if Pause.objects.current() is not None or not preparation.take_up():
        return
    with about(preparation=preparation.pk, stack=preparation.stack, job=job_id()):
        _prepare(preparation)


def _prepare(preparation: Preparation) -> None:
    with LogWriter(preparation_log_path(preparation.pk)) as log:
        try:
            with _renewing(preparation):
                stack = stacks.load(preparation.stack)
                if stack.digest != preparation.digest:
                    raise StackError(
                        say(
                            "The files of %(stack)s changed since this was asked for: press Prepare again.",
                            stack=stack.name,
                        )
                    )
                before = Preparation.objects.latest_success(stack.name, stack.digest)
                bench = workbench.make_bench(output=log.line, stop=NeverStop())
                images = prepare(stack, bench, anew=cast(Anew, preparation.anew))
            message = _what_was_made(images, before if preparation.anew else None)
            log.line(f"Succeeded: {message}")
            preparation.mark_succeeded(images, message)
        except PortalError as error:
            log.line(f"Failed: {error.message}")
            _fail_preparation(preparation, error.message)
        except Exception as error:  # the broad net: the page should say at once that it is over
            logger.exception("The preparation %s met a defect of the portal", preparation.pk)
            message = _defect(error)
            log.line(f"Failed: {message}")
            _fail_preparation(preparation, message)


def _what_was_made(images: StackImages, before: Preparation | None) -> str:
    """`before` is what the stack had, when it was to be made anew."""
    sizes = say(
        "Builder %(builder).0f MB, runner %(runner).0f MB.",
        builder=images.builder_size / 1e6,
        runner=images.runner_size / 1e6,
    )
    if before is None:
        return sizes
    same = before.runner_image == images.runner_id
    news = say("The runtime came out the same as before.") if same else say("The runtime is a new one.")
    return joined(" ", [sizes, news])


def _fail_preparation(preparation: Preparation, message: str) -> None:
    try:
        preparation.mark_failed(message)
    except IllegalTransition:
        logger.info("Preparation %s was closed by another hand: %s", preparation.pk, message)


def _defect(error: Exception) -> str:
    """The sentence for a failure that nobody foresaw; its traceback is for the worker's output."""
    return say(
        "The portal itself failed (%(error)s): try again; the worker's output has the details.",
        error=type(error).__name__,
    )


@contextmanager
def _renewing(preparation: Preparation) -> Iterator[None]:
    """Hold the preparation's lease from a thread while the engine works."""
    over = threading.Event()

    def hold() -> None:
        try:
            while not over.wait(settings.LEASE_SECONDS / 6):
                try:
                    preparation.renew_lease()
                except IllegalTransition:
                    return
                except Error as error:
                    logger.warning("The lease of %s could not be renewed: %s", preparation, error)
                    connection.close()
        finally:
            connection.close()

    thread = threading.Thread(target=carried(hold), name=f"lease of {preparation}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=10)
