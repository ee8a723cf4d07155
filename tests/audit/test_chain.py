"""A row that was changed, removed, added or reordered past the guards is found and named."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from django.db import IntegrityError, connection, transaction

from releases.audit import chain
from releases.models import Build, Event, Link
from tests import factories
from tests.audit.conftest import execute, hang_on, past_the_guards

pytestmark = pytest.mark.django_db

SEED, ROUNDS = 20261124, 1000


def sentences(anchors: dict[int, str] | None = None) -> list[str]:
    return [finding.sentence for finding in chain.findings(anchors)]


def test_a_whole_trail_has_nothing_to_find(trail: list[Build]) -> None:
    assert Link.objects.count() == Event.objects.count() > 15
    position, hash_ = chain.head()
    assert (position, len(hash_)) == (Link.objects.count(), 64)
    assert sentences({position: hash_}) == []


def test_an_empty_trail_is_whole(db: None) -> None:
    assert chain.head() == (0, "")
    assert sentences() == []


@pytest.mark.parametrize("table", ["releases_event", "releases_link"])
def test_the_database_refuses_to_empty_it(trail: list[Build], table: str) -> None:
    execute(f"ALTER TABLE {table} ENABLE TRIGGER {table.removeprefix('releases_')}_whole")  # tests have it asleep
    with pytest.raises(IntegrityError, match="the record is final"), transaction.atomic():
        execute(f"TRUNCATE {table} CASCADE")


@pytest.mark.parametrize("statement", ["UPDATE releases_link SET position = 0", "DELETE FROM releases_link"])
def test_the_database_refuses_to_change_a_link(trail: list[Build], statement: str) -> None:
    with pytest.raises(IntegrityError, match="the record is final"), transaction.atomic():
        execute(statement)


def test_the_first_bad_row_is_named(trail: list[Build]) -> None:
    link = Link.objects.get(position=7)
    with past_the_guards():
        execute("UPDATE releases_event SET actor_name = 'somebody' WHERE id = %s", link.event_id)
        first = next(chain.findings())
    assert (first.position, first.event) == (7, link.event_id)
    assert first.sentence.startswith(f"Event {link.event_id} is not what was written")


def test_a_changed_build_is_named(trail: list[Build]) -> None:
    with past_the_guards():
        execute("UPDATE releases_package SET version = '3.1.9' WHERE build_id = %s AND name = 'flask'", trail[1].pk)
        found = sentences()
    assert len(found) == 1
    assert found[0].startswith(f"Build shop #2 (row {trail[1].pk}) is not what it was when it ended")


def test_a_build_that_was_put_in_is_named(trail: list[Build]) -> None:
    build = factories.running_build(factories.application("other"))
    hang_on()
    with past_the_guards():
        execute(
            "UPDATE releases_build SET state = 'finished', outcome = 'failed', message = 'x', finished_at = now(),"
            " lease_until = NULL WHERE id = %s",
            build.pk,
        )
        found = sentences()
    assert found == [
        f"Build other #1 (row {build.pk}) is finished, but no event tells its end: it was put in past the portal."
    ]


def test_an_event_that_was_put_in_is_named(trail: list[Build]) -> None:
    with past_the_guards():
        execute("INSERT INTO releases_event (actor_name, verb, data) VALUES ('', 'artifact.downloaded', '{}')")
        found = sentences()
    assert len(found) == 1
    assert "hangs on no link" in found[0]


def test_a_cut_tail_is_found_by_a_checkpoint_alone(trail: list[Build]) -> None:
    position, hash_ = chain.head()
    with past_the_guards():
        execute("DELETE FROM releases_event WHERE id IN (SELECT event_id FROM releases_link WHERE position > 12)")
        execute("DELETE FROM releases_link WHERE position > 12")
        assert sentences() == []
        found = sentences({position: hash_})
    assert found == [
        f"The chain ends at link 12, but a checkpoint was signed for link {position}: its tail was cut off."
    ]


def test_a_chain_that_was_written_anew_is_found_by_a_checkpoint(trail: list[Build]) -> None:
    anchor = {9: Link.objects.get(position=9).hash}
    with past_the_guards():
        execute(
            "UPDATE releases_event SET verb = 'preview.asked' WHERE id ="
            " (SELECT event_id FROM releases_link WHERE position = 5)"
        )
        write_anew()
        assert sentences() == []
        found = sentences(anchor)
    assert found == ["Link 9 is not the one that a checkpoint was signed for: the chain was written anew up to there."]


def write_anew() -> None:
    """As somebody would who knows how the hashes are made."""
    before = ""
    for position in range(1, Link.objects.count() + 1):
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE releases_link l SET hash = encode(sha256(convert_to(concat_ws(E'\\n', %s::text,"
                " releases_told(e), l.record), 'UTF8')), 'hex') FROM releases_event e"
                " WHERE e.id = l.event_id AND l.position = %s"
                " RETURNING hash",
                [before, position],
            )
            (before,) = cursor.fetchone()


# ---- a thousand tampers --------------------------------------------------------------------------------------

Tamper = Callable[[random.Random, list[Build]], int]


def any_event(chance: random.Random) -> int:
    return chance.choice(list(Event.objects.values_list("pk", flat=True)))


def any_position(chance: random.Random) -> int:
    return chance.randint(1, Link.objects.count())


def changed_event(chance: random.Random, builds: list[Build]) -> int:
    assignment = chance.choice(
        (
            "at = at + interval '1 microsecond'",
            "actor_name = actor_name || ' '",
            "verb = verb || 'x'",
            "data = data || '{\"more\": 1}'",
            f"build_id = CASE WHEN build_id = {builds[0].pk} THEN {builds[1].pk} ELSE {builds[0].pk} END",
        )
    )
    return execute(f"UPDATE releases_event SET {assignment} WHERE id = %s", any_event(chance))  # noqa: S608 (ours)


def removed_event(chance: random.Random, builds: list[Build]) -> int:
    return execute("DELETE FROM releases_event WHERE id = %s", any_event(chance))


def removed_with_its_link(chance: random.Random, builds: list[Build]) -> int:
    event = any_event(chance)
    return execute("DELETE FROM releases_link WHERE event_id = %s", event) and execute(
        "DELETE FROM releases_event WHERE id = %s", event
    )


def cut_tail(chance: random.Random, builds: list[Build]) -> int:
    after = chance.randint(1, Link.objects.count() - 1)
    return execute("DELETE FROM releases_link WHERE position > %s", after)


def exchanged_events(chance: random.Random, builds: list[Build]) -> int:
    first, second = chance.sample(list(Event.objects.values_list("pk", flat=True)), 2)
    return execute(
        "UPDATE releases_event e SET at = o.at, verb = o.verb, data = o.data, build_id = o.build_id,"
        " actor_name = o.actor_name || '' FROM releases_event o WHERE o.id = %s AND e.id = %s"
        " AND (e.verb, e.build_id) IS DISTINCT FROM (o.verb, o.build_id)",
        second,
        first,
    )


def changed_hash(chance: random.Random, builds: list[Build]) -> int:
    return execute(
        "UPDATE releases_link SET hash = reverse(hash) WHERE position = %s AND hash <> reverse(hash)",
        any_position(chance),
    )


def changed_record(chance: random.Random, builds: list[Build]) -> int:
    return execute(
        "UPDATE releases_link SET record = encode(sha256('x'), 'hex') WHERE position = %s", any_position(chance)
    )


def changed_row(chance: random.Random, builds: list[Build]) -> int:
    build = chance.choice(builds[:3])
    statement, key = chance.choice(
        (
            ("UPDATE releases_build SET message = message || '.' WHERE id = %s", build.pk),
            ("UPDATE releases_build SET commit = reverse(commit) WHERE id = %s", build.pk),
            ("UPDATE releases_build SET probe_status = probe_status + 1 WHERE id = %s", build.pk),
            ("UPDATE releases_build SET finished_at = finished_at + interval '1 second' WHERE id = %s", build.pk),
            ("UPDATE releases_step SET seconds = seconds + 0.001 WHERE name = 'produce' AND build_id = %s", build.pk),
            ("DELETE FROM releases_step WHERE name = 'probe' AND build_id = %s", build.pk),
            ("UPDATE releases_package SET sha256 = reverse(sha256) WHERE name = 'flask' AND build_id = %s", build.pk),
            ("DELETE FROM releases_package WHERE name = 'jinja2' AND build_id = %s", build.pk),
            (
                (
                    "INSERT INTO releases_package (build_id, name, version, sha256, filename)"
                    " VALUES (%s, 'x', '1', '', '')"
                ),
                build.pk,
            ),
            ("UPDATE releases_artifact SET size = size + 1 WHERE id = %s", build.artifact_id),
            ("UPDATE releases_artifact SET sha256 = reverse(sha256) WHERE id = %s", build.artifact_id),
            ("UPDATE releases_image SET image_id = 'sha256:' || repeat('0', 64) WHERE id = %s", build.image_id),
            ("DELETE FROM releases_build WHERE id = %s", build.pk),
        )
    )  # fmt: skip
    return execute(statement, key)


TAMPERS: tuple[Tamper, ...] = (
    changed_event,
    removed_event,
    removed_with_its_link,
    cut_tail,
    exchanged_events,
    changed_hash,
    changed_record,
    changed_row,
    changed_row,
)


def test_of_a_thousand_tampers_every_one_is_found(trail: list[Build]) -> None:
    chance = random.Random(SEED)  # noqa: S311 (a seeded choice of tampers, no secret)
    position, hash_ = chain.head()
    missed: list[str] = []
    done = 0
    while done < ROUNDS:
        tamper = chance.choice(TAMPERS)
        with past_the_guards():
            if not tamper(chance, trail):
                continue
            done += 1
            if next(chain.findings({position: hash_}), None) is None:
                missed.append(tamper.__name__)
    assert missed == []
    assert sentences({position: hash_}) == []
