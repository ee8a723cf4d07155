"""Walks the chain of events from its first link to its last and names what is not as it was written.

The database makes the links (migration 0022 says what a hash is of); the hashes are computed here anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from django.db import connection, transaction

from releases.errors import Sentence, say

CHUNK = 10_000


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, and at which link and event it shows; None where there is no such thing any more."""

    sentence: Sentence
    position: int | None = None
    event: int | None = None


class _Row(NamedTuple):
    position: int
    event: int
    record: str
    hash: str
    told: str | None
    """The event as its hash is of it; None when the event is not there."""
    build: int | None
    record_now: str | None


def head() -> tuple[int, str]:
    """Position and hash of the last link; (0, "") of an empty chain."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT position, hash FROM releases_link ORDER BY position DESC LIMIT 1")
        last = cursor.fetchone()
    return (last[0], last[1]) if last else (0, "")


def findings(anchors: Mapping[int, str] | None = None) -> Iterator[Finding]:
    """All that is wrong, in the order of the chain, then what hangs on no link.

    `anchors` are hashes by position that are known from elsewhere (checkpoints): a chain that was written anew from
    somewhere on is whole in itself, and only differs from those; one that was cut ends before them."""
    waiting = dict(anchors or {})
    outermost = not connection.in_atomic_block
    with transaction.atomic():
        if outermost:  # one picture of the whole, however long it takes
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        before, last = "", 0
        for row in _rows():
            if row.position != last + 1:
                yield _gap(last + 1, row.position - 1)
            yield from _judge(row, before if row.position == last + 1 else None)
            if waiting.pop(row.position, row.hash) != row.hash:
                yield _differs(row.position)
            before, last = row.hash, row.position
        for position in sorted(waiting):
            if position > last:
                yield _cut(last, position)
                break
        yield from _unchained()


def _rows() -> Iterator[_Row]:
    last = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT l.position, l.event_id, l.record, l.hash, CASE WHEN e.id IS NOT NULL THEN releases_told(e) END,"
                " e.build_id, CASE WHEN e.verb = 'build.finished' THEN releases_record(e.build_id) ELSE '' END"
                " FROM releases_link l LEFT JOIN releases_event e ON e.id = l.event_id"
                " WHERE l.position > %s ORDER BY l.position LIMIT %s",
                [last, CHUNK],
            )
            rows = [_Row(*row) for row in cursor.fetchall()]
        if not rows:
            return
        yield from rows
        last = rows[-1].position


def _judge(row: _Row, before: str | None) -> Iterator[Finding]:
    """`before` is None after a gap: what the link hung on is not known, so that is not said twice."""
    if row.told is None:
        yield Finding(
            say("Event %(event)s was removed; its link is number %(n)s.", event=row.event, n=row.position),
            row.position,
            row.event,
        )
        return
    if before is not None and _hash(before, row) != row.hash:
        sentence = say(
            "Event %(event)s is not what was written, or its link (number %(n)s) or the one before it was changed.",
            event=row.event,
            n=row.position,
        )
        yield Finding(sentence, row.position, row.event)
    if row.record_now != row.record:
        sentence = say(
            "Build %(build)s (row %(row)s) is not what it was when it ended: its row, a step, a package, its artifact "
            "or its image was changed, added or removed.",
            build=_name(row.build),
            row=row.build or 0,
        )
        yield Finding(sentence, row.position, row.event)


def _hash(before: str, row: _Row) -> str:
    return hashlib.sha256("\n".join((before, row.told or "", row.record)).encode()).hexdigest()


def _name(build: int | None) -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT a.name || ' #' || b.number FROM releases_build b JOIN releases_application a"
            " ON a.id = b.application_id WHERE b.id = %s",
            [build],
        )
        found = cursor.fetchone()
    return str(found[0]) if found else "?"


def _gap(first: int, last: int) -> Finding:
    return Finding(say("Links %(first)s to %(last)s of the chain are missing.", first=first, last=last), first)


def _differs(position: int) -> Finding:
    sentence = say(
        "Link %(n)s is not the one that a checkpoint was signed for: the chain was written anew up to there.",
        n=position,
    )
    return Finding(sentence, position)


def _cut(last: int, position: int) -> Finding:
    sentence = say(
        "The chain ends at link %(last)s, but a checkpoint was signed for link %(n)s: its tail was cut off.",
        last=last,
        n=position,
    )
    return Finding(sentence, last + 1)


def _unchained() -> Iterator[Finding]:
    """Rows that were put in past the trigger."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT e.id FROM releases_event e LEFT JOIN releases_link l ON l.event_id = e.id"
            " WHERE l.position IS NULL ORDER BY e.id"
        )
        events = [event for (event,) in cursor.fetchall()]
        cursor.execute(
            "SELECT b.id FROM releases_build b WHERE b.state = 'finished' AND NOT EXISTS"
            " (SELECT FROM releases_event e WHERE e.build_id = b.id AND e.verb = 'build.finished') ORDER BY b.id"
        )
        builds = [build for (build,) in cursor.fetchall()]
    for event in events:
        yield Finding(say("Event %(event)s hangs on no link: it was put in past the portal.", event=event), None, event)
    for build in builds:
        yield Finding(
            say(
                "Build %(build)s (row %(row)s) is finished, but no event tells its end: it was put in past the portal.",
                build=_name(build),
                row=build,
            )
        )
