"""What the database keeps by itself, whoever writes: nonsense is refused, and what is final stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.db import IntegrityError, connection, models, transaction
from django.db.models import F
from django.utils import timezone

from releases.models import (
    Application,
    Artifact,
    Build,
    Comparison,
    Credential,
    Event,
    Link,
    Pause,
    Preparation,
    Preview,
    Ref,
    Step,
    Tally,
    Workshop,
)
from releases.specs import Limits
from tests import factories
from tests.models.rows import image

pytestmark = pytest.mark.django_db

OURS = list(apps.get_app_config("releases").get_models())
COUNTS = (models.PositiveIntegerField, models.PositiveBigIntegerField, models.PositiveSmallIntegerField)
DIGESTS = ("sha256", "commit", "stack_digest", "image_id", "runner_layer")
HEX = "0123456789abcdef" * 4
NOW = timezone.now()


def step(**fields: Any) -> Step:
    return Step.objects.create(build=factories.running_build(), position=1, name="checkout", started_at=NOW, **fields)


def preview(**fields: Any) -> Preview:
    return Preview.objects.create(build=factories.succeeded_build(), **fields)


def preparation(**fields: Any) -> Preparation:
    return Preparation.objects.create(**{"stack": "python3.13-uwsgi", "digest": HEX, **fields})


def link() -> Link:
    """Made by the database, as the transaction commits."""
    Event.objects.record("application.registered", application=factories.application())
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    return Link.objects.latest("position")


def ref() -> Ref:
    return factories.ref(factories.application(), "v1.0.0")


def typed_build(app: Application, name: str) -> Build:
    """A build of a ref that was typed by hand: its commit is not known yet."""
    return Build.objects.request(app, by=None, ref=name, limits=Limits().as_json())


def rebased_build() -> Build:
    """One that a worker has taken up."""
    release = factories.succeeded_build()
    build = factories.queued_build(release.application, rebase_of=release, commit=release.commit)
    assert build.take_up(worker="forge-1")
    return build


def comparison() -> Comparison:
    """Two commits that nobody has compared yet."""
    return Comparison.objects.ask(factories.application(), "a" * 40, "b" * 40)[0]


def workshop() -> Workshop:
    return Workshop.objects.create(pk=1, seen_at=NOW)


def pause() -> Pause:
    return Pause.objects.begin("The engine is brought up to date", by=None)


def deploy_key(**facts: str) -> Credential:
    facts = {"kind": "key", "public_key": "ssh-ed25519 AAAA shop", "sealed": "gAAAAABk", **facts}
    return Credential.objects.create(application=factories.application(), **facts)


def asked_build() -> Build:
    return factories.queued_build(by=factories.user())


REFUSED: list[tuple[Callable[[], models.Model], dict[str, Any], str]] = [
    (factories.queued_build, {"state": "finished"}, "build_finished_means"),
    (factories.queued_build, {"finished_at": NOW}, "build_finished_means_finished_at"),
    (factories.queued_build, {"outcome": "failed"}, "build_finished_means_outcome_and_message"),
    (
        factories.queued_build,
        {"state": "finished", "finished_at": NOW, "outcome": "failed", "message": ""},
        "build_finished_means_outcome_and_message",
    ),
    (
        factories.running_build,
        {"state": "finished", "finished_at": NOW, "outcome": "succeeded", "message": "Released."},
        "build_succeeded_means_artifact_and_image",
    ),
    (factories.queued_build, {"state": "producing"}, "build_working_means_lease"),
    (factories.running_build, {"lease_until": None}, "build_working_means_lease"),
    (factories.running_build, {"started_at": None}, "build_working_means_lease"),
    (factories.running_build, {"attempt": 0}, "build_working_means_lease"),
    (factories.queued_build, {"commit": "abc123"}, "build_commit_is_40_hex"),
    (factories.queued_build, {"commit": "A" * 40}, "build_commit_is_40_hex"),
    (factories.queued_build, {"commit": "a" * 39 + "\n"}, "build_commit_is_40_hex"),
    (factories.queued_build, {"stack_digest": "z" * 64}, "build_stack_digest_is_64_hex"),
    (factories.queued_build, {"source_size": -1}, "source_size"),
    (rebased_build, {"without_cache": True}, "build_rebase_is_no_rebuild"),
    (rebased_build, {"retry_of": F("rebase_of")}, "build_rebase_is_no_rebuild"),
    (asked_build, {"rule": "v*"}, "build_rule_is_nobody_else"),
    (step, {"result": "succeeded"}, "step_over_means_finished_at"),
    (step, {"finished_at": NOW}, "step_over_means_finished_at"),
    (step, {"seconds": -0.5}, "step_seconds_not_negative"),
    (preview, {"state": "stopped"}, "preview_over_means_stopped_at"),
    (preview, {"stopped_at": NOW}, "preview_over_means_stopped_at"),
    (preview, {"state": "running"}, "preview_running_means_address"),
    (preparation, {"state": "failed"}, "preparation_over_means_finished_at"),
    (preparation, {"state": "succeeded", "finished_at": NOW}, "preparation_succeeded_means_images"),
    (ref, {"commit": "main"}, "ref_commit_is_40_hex"),
    (ref, {"moved_at": NOW}, "ref_moved_at_with_moved_from"),
    (ref, {"moved_from": "a" * 40}, "ref_moved_at_with_moved_from"),
    (factories.running_build, {"error_text": "error: x"}, "build_error_has_a_line"),
    (comparison, {"low": "c" * 40}, "comparison_of_two_commits_in_order"),
    (comparison, {"high": "main"}, "comparison_of_two_commits_in_order"),
    (comparison, {"read_at": NOW}, "comparison_read_means_facts"),
    (comparison, {"facts": {"base": ""}}, "comparison_read_means_facts"),
    (comparison, {"read_at": NOW, "facts": {"base": ""}, "error": "It failed."}, "comparison_read_means_facts"),
    (pause, {"why": ""}, "pause_says_why"),
    (pause, {"ended_at": NOW - timedelta(days=1)}, "pause_ends_after_begin"),
    (workshop, {"id": 2}, "workshop_is_one_row"),
    (deploy_key, {"sealed": "-----BEGIN OPENSSH PRIVATE KEY-----"}, "credential_is_sealed"),
    (deploy_key, {"public_key": ""}, "credential_says_what_it_is"),
    (deploy_key, {"kind": "token"}, "credential_says_what_it_is"),
    (deploy_key, {"account": "git"}, "credential_says_what_it_is"),
]


@pytest.mark.parametrize(
    ("make", "nonsense", "promise"), REFUSED, ids=lambda value: value if isinstance(value, str) else ""
)
def test_nonsense_is_refused(make: Callable[[], models.Model], nonsense: dict[str, Any], promise: str) -> None:
    row = make()
    with pytest.raises(IntegrityError, match=promise), transaction.atomic():
        type(row)._base_manager.filter(pk=row.pk).update(**nonsense)


CHOICES = [(model, field.name) for model in OURS for field in model._meta.local_fields if field.choices]


@pytest.mark.parametrize(("model", "field"), CHOICES, ids=lambda value: str(getattr(value, "__name__", value)))
def test_a_word_that_is_no_choice_is_refused(model: type[models.Model], field: str) -> None:
    assert f"{model._meta.model_name}_{field}_is_known" in {promise.name for promise in model._meta.constraints}
    row = factories.running_build() if model is Build else one_of_each()[model]
    with pytest.raises(IntegrityError, match="violates check constraint"), transaction.atomic():
        model._base_manager.filter(pk=row.pk).update(**{field: "nonsense"})


@pytest.mark.parametrize("field", ["sha256", "image_id", "runner_layer"])
def test_a_new_row_with_no_digest_is_refused(field: str) -> None:
    artifact = factories.succeeded_build().artifact
    assert artifact is not None
    make: dict[str, Callable[[], models.Model]] = {
        "sha256": lambda: Artifact.objects.create(sha256="F" * 64, size=1),
        "image_id": lambda: image(artifact, image_id="latest"),
        "runner_layer": lambda: image(artifact, runner_layer="F" * 64),
    }
    with pytest.raises(IntegrityError, match="_is_"), transaction.atomic():
        make[field]()


def test_a_package_with_no_digest_is_refused_and_one_without_is_taken() -> None:
    build = factories.running_build()
    build.packages.create(name="flask", version="3.1.3")
    with pytest.raises(IntegrityError, match="package_sha256_is_64_hex"), transaction.atomic():
        build.packages.create(name="jinja2", version="3.1.6", sha256="none")
    with pytest.raises(IntegrityError, match="package_once_per_build"), transaction.atomic():
        build.packages.create(name="flask", version="3.1.3")


# ---- one at a time ---------------------------------------------------------------------------------------


def test_one_active_build_per_commit_and_stack() -> None:
    build = factories.queued_build()
    with pytest.raises(IntegrityError, match="build_one_active_per_commit"), transaction.atomic():
        factories.queued_build(build.application, ref="main", commit=build.commit)
    factories.queued_build(build.application, ref="next")  # another commit
    factories.queued_build(commit=build.commit)  # another application
    build.mark_cancelling(by=None)
    factories.queued_build(build.application, ref="main", commit=build.commit)  # the first is over


def test_one_active_build_per_ref() -> None:
    app = factories.application()
    build = typed_build(app, "main")
    with pytest.raises(IntegrityError, match="build_one_active_per_ref"), transaction.atomic():
        typed_build(app, "main")
    typed_build(app, "next")
    build.mark_cancelling(by=None)
    typed_build(app, "main")


def test_rebase_has_commit_and_archive_of_a_release_of_its_application() -> None:
    build = rebased_build()
    other = factories.succeeded_build(build.application, artifact_bytes=b"other")
    foreign, failed = factories.succeeded_build(commit=build.commit), factories.finished_build(build.application)
    for wrong in (
        {"commit": other.commit},
        {"artifact": other.artifact},
        {"rebase_of": foreign},
        {"rebase_of": failed},
    ):
        with pytest.raises(IntegrityError, match="has commit and archive of a release"), transaction.atomic():
            Build.objects.filter(pk=build.pk).update(**wrong)
    assert build.rebase_of is not None
    build.note(artifact=build.rebase_of.artifact)


def test_one_deploy_key_and_one_token_per_application() -> None:
    row = deploy_key()
    with pytest.raises(IntegrityError, match="credential_one_of_a_kind"), transaction.atomic():
        Credential.objects.create(application=row.application, kind="key", public_key=row.public_key, sealed=row.sealed)


def test_one_number_once() -> None:
    build = factories.queued_build()
    other = factories.queued_build(build.application, ref="main")
    with pytest.raises(IntegrityError, match="build_number_once"), transaction.atomic():
        Build.objects.filter(pk=other.pk).update(number=build.number)


def test_one_live_preparation_per_stack_and_digest() -> None:
    first = preparation()
    with pytest.raises(IntegrityError, match="preparation_one_live"), transaction.atomic():
        preparation()
    first.mark_failed("No space is left.")
    preparation()


# ---- final ---------------------------------------------------------------------------------------------


def final_rows() -> dict[str, models.Model]:
    build = factories.succeeded_build()
    assert build.artifact is not None
    assert build.image is not None
    package, event, step = build.packages.first(), build.events.first(), build.steps.first()
    assert package is not None
    assert event is not None
    assert step is not None
    made = {"artifact": build.artifact, "image": build.image, "package": package}
    made["environment"] = factories.environment(build)
    made["comparison"] = factories.comparison(build, factories.succeeded_build(build.application))
    return {"build": build, "step": step, "event": event, **made}


@pytest.mark.parametrize(
    "statement", ["UPDATE releases_{} SET id = id WHERE id = %s", "DELETE FROM releases_{} WHERE id = %s"]
)
@pytest.mark.parametrize(
    "noun", ["build", "step", "artifact", "image", "package", "event", "environment", "comparison"]
)
def test_final_record_refuses_change(noun: str, statement: str) -> None:
    row = final_rows()[noun]
    with (
        pytest.raises(IntegrityError, match="the record is final"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement.format(noun), [row.pk])
    assert type(row)._base_manager.filter(pk=row.pk).exists()


def test_an_application_with_builds_cannot_be_deleted() -> None:
    build = factories.queued_build()
    with pytest.raises(models.ProtectedError):
        build.application.delete()


# ---- every model -----------------------------------------------------------------------------------------


def one_of_each() -> dict[type[models.Model], models.Model]:
    rows: list[models.Model] = [*final_rows().values()]
    build = next(row for row in rows if isinstance(row, Build))
    rows += [build.application, ref(), factories.moved(ref()), preview(), preparation(), workshop(), step(), link()]
    rows += [pause(), Tally.objects.all()[0], deploy_key()]
    return {type(row): row for row in rows}


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_record_has_a_name_for_people(model: type[models.Model]) -> None:
    row = one_of_each()[model]
    name = str(row)
    assert name
    assert "object (" not in name


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_moment_of_an_end_and_the_state_agree_by_a_check(model: type[models.Model]) -> None:
    ends = {field.name for field in model._meta.local_fields} & {"finished_at", "stopped_at"}
    for end in ends:
        assert any(end in promise and ("state" in promise or "result" in promise) for promise in checks(model)), end


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_digest_has_a_check_of_its_form(model: type[models.Model]) -> None:
    for field in model._meta.local_fields:
        if field.name in DIGESTS:
            assert any(f"'{field.name}__regex'" in promise for promise in checks(model)), field.name


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_whole_number_cannot_be_negative(model: type[models.Model]) -> None:
    for field in model._meta.local_fields:
        if isinstance(field, models.IntegerField) and not field.primary_key:
            assert isinstance(field, COUNTS), field.name


def checks(model: type[models.Model]) -> list[str]:
    return [str(item.condition) for item in model._meta.constraints if isinstance(item, models.CheckConstraint)]


def test_constraints_of_the_models_stand_in_the_database() -> None:
    expected = {item.name for model in OURS for item in model._meta.constraints}
    with connection.cursor() as cursor:
        cursor.execute("SELECT conname FROM pg_constraint UNION SELECT indexname FROM pg_indexes")
        there = {name for (name,) in cursor.fetchall()}
    assert expected <= there
    assert len(expected) > 20


# ---- people ----------------------------------------------------------------------------------------------


def test_groups_come_with_the_database() -> None:
    managers, viewers = Group.objects.get(name="release managers"), Group.objects.get(name="viewers")
    may = {group.name: set(group.permissions.values_list("codename", flat=True)) for group in (managers, viewers)}
    may["operators"] = set(Group.objects.get(name="operators").permissions.values_list("codename", flat=True))
    assert may["release managers"] - may["viewers"] == {"release_application"}
    assert may["operators"] - may["viewers"] == {"operate_workshop"}
    assert {f"view_{model._meta.model_name}" for model in OURS if model not in (Workshop, Tally, Credential)} == may[
        "viewers"
    ]


def test_members_may_what_their_group_may() -> None:
    manager, viewer = factories.user(), factories.user(role="viewers")
    assert manager.has_perm("releases.release_application")
    assert not viewer.has_perm("releases.release_application")
    assert viewer.has_perm("releases.view_build")
    assert not viewer.has_perm("releases.delete_build")


def test_events_keep_the_name_of_the_person_as_it_was() -> None:
    marta = factories.user(username="marta")
    event = Event.objects.record("application.registered", by=marta)
    marta.username = "martha"
    marta.save()
    event.refresh_from_db()
    assert (event.actor_name, str(event)) == ("marta", "application.registered by marta")
