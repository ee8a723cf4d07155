"""Reading the refs of an application's repository, and what follows from it: new tags that are built by a rule."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial
from uuid import uuid4

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone

from releases.errors import say
from releases.jobs import doorbell
from releases.jobs.access import git_of
from releases.models import Application, Build, Event, Ref
from releases.models.rule import matched_by
from releases.sentences import columns
from releases.specs import NeverStop

logger = logging.getLogger(__name__)

AT_ONCE = 4
"""Readings that may wait for a worker before another is asked for by itself: slow ones make the others later,
not more. What a person asks for goes before them."""
NAMES_KEPT = 20
"""Names of tags in an Event that tells of many."""


def read(application: Application) -> None:
    """Fetch, write down what is there, and build what the rule says: all of it or nothing. Raises `PortalError`."""
    found = git_of(application).refresh(application.mirror, application.repository, stop=NeverStop())
    listed_at = timezone.now()
    with transaction.atomic():
        appeared = Ref.objects.replace_for(application, found, listed_at=listed_at)
        if appeared is not None:
            _follow_rule(application, appeared)


def ask_for_due() -> int:
    """Have the refs read of those applications whose time has come, a few at a time. How many were asked for."""
    if not settings.REFS_EVERY:
        return 0
    room = AT_ONCE - Application.objects.with_refs_being_read().count()
    if room <= 0:
        return 0
    due = Application.objects.with_refs_due(settings.REFS_EVERY)
    return sum(map(_ask, due.values_list("pk", flat=True)[:room]))


def _ask(key: int) -> int:
    if not Application.objects.with_refs_due(settings.REFS_EVERY).filter(pk=key).update(refs_asked_at=Now()):
        return 0  # a person was quicker
    doorbell.ring("desk", "releases.jobs.desk.refresh_refs", key, uuid4())
    return 1


# ---- the rule ------------------------------------------------------------------------------------------


def _follow_rule(application: Application, appeared: Iterable[Ref]) -> None:
    """Ask for builds of the new tags that match. A rule comes into force with the first reading that began after it was
    set, so that none of the tags that were there before is built."""
    now = Application.objects.get(pk=application.pk)  # its row is locked: nobody changes the rule meanwhile
    if not now.rule:
        return
    if not now.rule_armed:
        if now.rule_set_at == application.rule_set_at:
            Application.objects.filter(pk=now.pk).update(rule_armed=True)
        return
    tags = sorted(appeared, key=lambda ref: (ref.version, ref.committed_at, ref.name), reverse=True)
    matched = [(ref, pattern) for ref in tags if (pattern := matched_by(now.rule, ref.name))]
    if matched:
        asked = [ref for ref, pattern in matched[: settings.RULE_BUILDS] if _request(now, ref, pattern)]
        _note_the_rest(now, [ref.name for ref, _ in matched[settings.RULE_BUILDS :]])
        logger.info("The rule of %s asked for %d builds of %d new tags", now, len(asked), len(matched))


def _request(application: Application, ref: Ref, pattern: str) -> bool:
    """False when the commit is being built already."""
    limits = application.limits(settings.BUILD_LIMITS).as_json()
    try:
        with transaction.atomic():
            build = Build.objects.request(application, by=None, rule=pattern, limits=limits, **ref.frozen())
    except IntegrityError:
        return False
    transaction.on_commit(partial(doorbell.ring, "builds", "releases.jobs.build.run_build", build.pk, build.job_id))
    return True


def _note_the_rest(application: Application, left: list[str]) -> None:
    note = ""
    if left:
        note = say(
            "%(n)s new tags matched the rule at once, which builds %(most)s at a time, the newest; not built were "
            "%(names)s. Build those of them that you want.",
            n=len(left) + settings.RULE_BUILDS,
            most=settings.RULE_BUILDS,
            names=", ".join(left[:3]) + (" …" if len(left) > 3 else ""),
        )
        facts = {"rule": application.rule, "count": len(left), "refs": left[:NAMES_KEPT]}
        Event.objects.record("rule.left", application=application, data=facts)
    Application.objects.filter(pk=application.pk).update(**columns("rule_note", note, most=500))
