"""Events as sentences: who, what, when, and what it was before and after."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db.models import TextChoices
from django.utils.functional import Promise
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from releases.models import Application, BudgetPolicyChoices, Build, Event, Outcome, ProbePolicyChoices

BUDGETS = {"image": gettext_lazy("image"), "archive": "app.tar.gz", "growth": gettext_lazy("growth")}
CHOICES: dict[str, type[TextChoices]] = {
    "policy": BudgetPolicyChoices,
    "image_budget_policy": BudgetPolicyChoices,
    "archive_budget_policy": BudgetPolicyChoices,
    "growth_budget_policy": BudgetPolicyChoices,
    "probe_policy": ProbePolicyChoices,
}
WORDS: dict[str, Promise | str] = {
    "build.requested": gettext_lazy("asked for the build"),
    "build.moved_first": gettext_lazy("moved it to the front of the queue"),
    "build.started": gettext_lazy("took it up"),
    "build.cancel_asked": gettext_lazy("asked to cancel it"),
    "build.finished": gettext_lazy("ended it"),
    "artifact.kept": gettext_lazy("kept app.tar.gz"),
    "budget.crossed": gettext_lazy("found a budget crossed"),
    "artifact.taken_over": gettext_lazy("took app.tar.gz over as it is"),
    "artifact.downloaded": gettext_lazy("downloaded app.tar.gz"),
    "artifact.damaged": gettext_lazy("found the kept app.tar.gz damaged or missing"),
    "blob.damaged": gettext_lazy("found a kept part damaged, and set it aside"),
    "image.made": gettext_lazy("made the runtime image"),
    "image.made_again": gettext_lazy("put the lost runtime image together again"),
    "preview.asked": gettext_lazy("asked for a preview"),
    "preview.stop_asked": gettext_lazy("stopped a preview"),
    "preview.stopped": gettext_lazy("saw a preview end"),
    "preview.failed": gettext_lazy("saw a preview fail"),
    "application.registered": gettext_lazy("registered the application"),
    "application.changed": gettext_lazy("changed the application's settings"),
    "access.key_made": gettext_lazy("made a deploy key"),
    "access.key_removed": gettext_lazy("removed the deploy key"),
    "access.token_set": gettext_lazy("set an access token"),
    "access.token_removed": gettext_lazy("removed the access token"),
    "refs.asked": gettext_lazy("asked for the refs to be read"),
    "refs.first_read": gettext_lazy("read the refs for the first time"),
    "refs.failed": gettext_lazy("could not read the refs"),
    "refs.recovered": gettext_lazy("could read the refs again"),
    "ref.created": gettext_lazy("saw a new tag"),
    "ref.moved": gettext_lazy("saw that a tag moved"),
    "ref.deleted": gettext_lazy("saw that a tag is gone"),
    "ref.move_seen": gettext_lazy("said that a moved tag was seen"),
    "rule.left": gettext_lazy("left new tags that match the rule unbuilt"),
    "stack.prepare_asked": gettext_lazy("asked for a stack to be prepared"),
    "stack.succeeded": gettext_lazy("prepared a stack"),
    "stack.failed": gettext_lazy("could not prepare a stack"),
    "workshop.paused": gettext_lazy("paused the taking up of builds"),
    "workshop.resumed": gettext_lazy("let builds be taken up again"),
    "session.began": gettext_lazy("signed in"),
    "session.ended": gettext_lazy("signed out"),
    "session.refused": gettext_lazy("refused a sign-in"),
    "account.created": gettext_lazy("made an account"),
    "account.changed": gettext_lazy("changed an account"),
    "account.deleted": gettext_lazy("deleted an account"),
    "account.password_changed": gettext_lazy("set an account's password"),
    "group.created": gettext_lazy("made a group"),
    "group.changed": gettext_lazy("changed a group"),
    "group.deleted": gettext_lazy("deleted a group"),
}
"""What is done, after who does it. A verb without words of its own is shown as it is written."""
PAIRS = ("application.changed", "account.changed", "group.changed")
"""Their data are fields with the value before and after."""
LABELS: dict[str, Promise | str] = {
    "ref": gettext_lazy("ref"),
    "refs": gettext_lazy("tags"),
    "from": gettext_lazy("from"),
    "to": gettext_lazy("to"),
    "commit": gettext_lazy("commit"),
    "rule": gettext_lazy("rule"),
    "rebase_of": gettext_lazy("rebased from"),
    "message": gettext_lazy("message"),
    "outcome": gettext_lazy("outcome"),
    "why": gettext_lazy("why"),
    "budget": gettext_lazy("budget"),
    "policy": gettext_lazy("what a crossing does"),
    "most": gettext_lazy("bytes allowed"),
    "worker": gettext_lazy("worker"),
    "attempt": gettext_lazy("attempt"),
    "id": gettext_lazy("image id"),
    "sha256": "sha256",
    "size": gettext_lazy("bytes"),
    "tag": gettext_lazy("tag"),
    "preview": gettext_lazy("preview"),
    "names": gettext_lazy("variables"),
    "stack": gettext_lazy("stack"),
    "digest": gettext_lazy("digest"),
    "anew": gettext_lazy("made anew"),
    "count": gettext_lazy("how many"),
    "tags": gettext_lazy("tags"),
    "branches": gettext_lazy("branches"),
    "failures": gettext_lazy("failures in a row"),
    "account": gettext_lazy("account"),
    "group": gettext_lazy("group"),
    "groups": gettext_lazy("groups"),
    "permissions": gettext_lazy("permissions"),
    "fingerprint": gettext_lazy("fingerprint"),
    "replaced": gettext_lazy("in the place of"),
    "host": gettext_lazy("host"),
    "address": gettext_lazy("network address"),
    "username": gettext_lazy("user"),
    "first_name": gettext_lazy("first name"),
    "last_name": gettext_lazy("last name"),
    "email": gettext_lazy("e-mail"),
    "is_active": gettext_lazy("may sign in"),
    "is_staff": gettext_lazy("may use the administration"),
    "is_superuser": gettext_lazy("administrator"),
}
SUBJECTS = {
    "ref": "ref",
    "account": "account",
    "group": "group",
    "stack": "stack",
    "build.requested": "ref",
    "build.finished": "outcome",
    "session.refused": "account",
}
"""The fact that completes the sentence of a verb, or of all verbs with this beginning."""
PORTAL = pgettext_lazy("who did it", "The portal")


@dataclass(frozen=True, slots=True)
class Entry:
    at: datetime
    who: str
    what: str
    detail: str


@dataclass(frozen=True, slots=True)
class Detail:
    """One fact of an event; with `is_change`, what it was before and what it is after."""

    label: str
    before: str
    after: str
    is_change: bool = False


def trail(build: Build) -> list[Entry]:
    """Oldest first, as it happened."""
    return [Entry(event.at, who(event), what(event), _detail(event)) for event in build.events.order_by("id")]


def who(event: Event) -> str:
    """The name as it was then."""
    return event.actor_name or str(PORTAL)


def what(event: Event) -> str:
    return str(WORDS.get(event.verb, event.verb))


def subject(event: Event) -> str:
    """The one fact that completes the sentence: a tag, an account, a stack, an outcome."""
    name = _subject_name(event)
    value = event.data.get(name)
    return plain(name, value).removeprefix("refs/tags/") if value else ""


def _subject_name(event: Event) -> str:
    return SUBJECTS.get(event.verb, SUBJECTS.get(event.verb.partition(".")[0], ""))


def details(event: Event) -> list[Detail]:
    """What the event holds beside who, what, of what and when; nothing where a fact is empty."""
    data: dict[str, Any] = dict(event.data)
    data.pop(_subject_name(event), None)
    if {"from", "to"} <= data.keys():
        data["commit"] = [data.pop("from"), data.pop("to")]
    return [
        _fact(name, data[name], is_change=isinstance(data[name], list) and (name == "commit" or event.verb in PAIRS))
        for name in sorted(data, key=_place)
        if data[name] not in (None, "", [])
    ]


def _fact(name: str, value: Any, *, is_change: bool) -> Detail:
    if is_change and len(value) == 2:
        return Detail(label(name), plain(name, value[0]), plain(name, value[1]), is_change=True)
    return Detail(label(name), "", plain(name, value))


def _place(name: str) -> tuple[int, str]:
    """The order of the labels: the database keeps none."""
    return (list(LABELS).index(name) if name in LABELS else len(LABELS), name)


def label(name: str) -> str:
    """What a fact is called: a setting as the form calls it."""
    if name in LABELS:
        return str(LABELS[name])
    try:
        return str(Application._meta.get_field(name).verbose_name)  # type: ignore[union-attr] # ours have names
    except (FieldDoesNotExist, AttributeError):
        return name


def plain(name: str, value: Any) -> str:
    """A value as a person reads it."""
    if value is None or value in ("", []):
        return _("nothing")
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if name == "outcome" and value in Outcome.values:
        return str(Outcome(value).label)
    if name == "budget" and value in BUDGETS:
        return str(BUDGETS[value])
    if known := CHOICES.get(name):
        return short(known, value)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)


def short(known: type[TextChoices], value: str) -> str:
    """A choice by its word alone: its label says after a colon what it means."""
    return str(known(value).label).partition(":")[0].lower() if value in known.values else value


def sentence(event: Event) -> str:
    """The whole event in one line, for files."""
    said = [f"{d.label}: {d.before} → {d.after}" if d.is_change else f"{d.label}: {d.after}" for d in details(event)]
    head = f"{who(event)} {what(event)} {subject(event)}".rstrip()
    return head + (f" ({'; '.join(said)})" if said else "")


def choices() -> list[tuple[str, str]]:
    """Every verb with its words, for a filter."""
    return [(verb, capfirst(str(words))) for verb, words in WORDS.items()]


def _detail(event: Event) -> str:
    data: Mapping[str, Any] = event.data
    if event.verb == "build.finished":
        return plain("outcome", data.get("outcome", ""))
    if event.verb == "build.started":
        return _("%(worker)s, attempt %(n)s") % {"worker": data.get("worker", ""), "n": data.get("attempt", "")}
    if event.verb == "build.requested" and data.get("rule"):
        return _("a new tag matched the rule %(rule)s") % {"rule": data["rule"]}
    return ""
