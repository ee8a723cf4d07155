"""Reading what lies between two commits into its row, and what a build that did not succeed leaves for its page:
the first error of its log, and all that changed since the last good build."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import models

from releases.errors import LeaseLost, PortalError, say
from releases.git import Git
from releases.jobs.access import git_of
from releases.models import Application, Build, Comparison, Outcome, State, last_good
from releases.specs import Difference, NeverStop
from releases.storage import BuildLog, LogWriter, first_error

logger = logging.getLogger(__name__)


def read_comparison(comparison_id: int) -> None:
    """The job. A row that is read already needs nothing; what goes wrong stands in the row, for its page."""
    row = Comparison.objects.select_related("application").get(pk=comparison_id)
    if not row.is_waiting:
        return
    try:
        row.mark_read(_read(row))
    except PortalError as error:
        row.mark_failed(error.message)
    except Exception as error:  # the broad net: a question without an answer would be rung for again and again
        logger.exception("Comparing %s met a defect of the portal", row)
        row.mark_failed(
            say(
                "The portal itself failed (%(kind)s): try again; the worker's output has the details.",
                kind=type(error).__name__,
            )
        )


def explain(build: Build, outcome: Outcome, log: LogWriter) -> None:
    """Before a build ends otherwise than well: note the first error of its log, and have it compared."""
    if outcome not in (Outcome.SUCCEEDED, Outcome.CANCELLED, Outcome.WORKER_LOST):
        with _costing_nothing(build):
            _note_error(build, log)
        compare_with_last_good(build)


def compare_with_last_good(build: Build) -> None:
    """Have it read at the end of a build, so that its page has all at once. Nothing is fetched for it: what no mirror
    has is looked for when somebody opens the page."""
    with _costing_nothing(build):
        good = last_good(build)
        if good is None or not build.commit or good.commit == build.commit:
            return
        if _mirror_of_both(Git.from_settings(), build.application, good.commit, build.commit):
            row, _ = Comparison.objects.ask(build.application, good.commit, build.commit)
            read_comparison(row.pk)


@contextmanager
def _costing_nothing(build: Build) -> Iterator[None]:
    """A build ends as it would have ended, whatever goes wrong with its explanation."""
    try:
        yield
    except LeaseLost as error:
        logger.info("Build %s was finished by another hand: %s", build, error)
    except Exception:  # the broad net: a build ends as it would have ended
        logger.exception("What went wrong in build %s, or changed before it, could not be told", build)


def _note_error(build: Build, log: LogWriter) -> None:
    if Build.objects.filter(pk=build.pk, state=State.CANCELLING).exists():
        return  # what the removal of its container looked like from inside is no error of the application
    log.close()  # what was held back of a full log is written now; the last line still follows
    found = first_error(BuildLog(log.path).lines())
    if found is not None:
        build.note(error_line=found.line, error_text=found.text)


def _read(row: Comparison) -> Difference:
    """From a mirror that has both commits; if none has, from the application's own when it is up to date."""
    git, application = git_of(row.application), row.application
    mirror = _mirror_of_both(git, application, row.low, row.high)
    if not mirror:
        git.refresh(application.mirror, application.repository, stop=NeverStop())
        mirror = _mirror_of_both(git, application, row.low, row.high)
    if not mirror:
        raise PortalError(_lost(git, row))
    named = _builds_of(application, row.low, row.high).values_list("requirements", flat=True)
    return git.difference(mirror, row.low, row.high, requirements=set(named))


def _mirror_of_both(git: Git, application: Application, one: str, other: str) -> str:
    """Of any repository that they were built from, or that the application has now; empty when none has both."""
    built = _builds_of(application, one, other).order_by("-pk").values_list("repository", flat=True)
    mirrors = [application.mirror_of(repository) for repository in dict.fromkeys([application.repository, *built])]
    both = (one, other)
    return next((mirror for mirror in mirrors if all(git.has_commit(mirror, commit) for commit in both)), "")


def _builds_of(application: Application, *commits: str) -> models.QuerySet[Build]:
    return Build.objects.filter(application=application, commit__in=commits)


def _lost(git: Git, row: Comparison) -> str:
    mirror = row.application.mirror
    gone = next((commit for commit in (row.low, row.high) if not git.has_commit(mirror, commit)), row.low)
    return say(
        "The commit %(commit)s is no longer in %(repository)s, nor in what the portal keeps of it: its history was "
        "rewritten, or the application has another repository now. So commits and files cannot be compared.",
        commit=gone[:7],
        repository=row.application.repository,
    )
