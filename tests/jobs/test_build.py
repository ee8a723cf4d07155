"""A build that succeeds: every row, the log, and nothing left behind."""

from __future__ import annotations

import hashlib
import io
import tarfile

import pytest
from django.conf import settings as django_settings
from pytest_django.fixtures import Settings

from releases.context import Carry
from releases.models import Application, Artifact, Build, Outcome, Preparation, State, StepName
from releases.specs import Limits
from releases.stacks import stack as stacks
from releases.storage import Blobs
from tests import factories
from tests.fakes.engine import FakeEngine, Script
from tests.git.conftest import Origin
from tests.jobs.conftest import assert_ended, assert_nothing_left, lines, results, run, typed
from tests.pipeline import shop

ALL_STEPS = {name.value: "succeeded" for name in StepName if name != StepName.PREPARE}


def test_build_keeps_the_artifact_by_the_digest_of_its_bytes(
    build: Build, engine: FakeEngine, settings: Settings
) -> None:
    run(build)
    assert_ended(build, Outcome.SUCCEEDED, "app.tar.gz", "image")
    artifact = build.artifact
    assert artifact is not None
    with Blobs(settings.BLOBS_DIR).open(artifact.sha256) as file:
        content = file.read()
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        assert {"app/app/app.py", "app/env/bin/python", f"{shop.SITE}/flask/__init__.py"} <= set(archive.getnames())
    assert (artifact.sha256, artifact.size) == (hashlib.sha256(content).hexdigest(), len(content))
    assert_nothing_left(engine)


def test_build_records_the_image_beside_the_builders_size(build: Build, engine: FakeEngine, settings: Settings) -> None:
    image = run(build).image
    assert image is not None
    assert (image.runner_size, image.builder_size) == (len(shop.RUNNER), 400_000_000)
    assert image.size > len(shop.RUNNER)
    assert image.config_digest == image.image_id
    assert image.tag == f"release-portal-{settings.PORTAL_INSTANCE}/fruit-shop:v1.0.0-{build.number}"
    found = engine.image(image.tag)
    assert found is not None
    assert found.image_id == image.image_id


def test_build_has_a_row_for_each_step_with_its_seconds(build: Build, engine: FakeEngine) -> None:
    run(build)
    assert results(build) == ALL_STEPS
    for step in build.steps.all():
        assert step.seconds is not None
        assert step.finished_at is not None
        assert step.seconds >= 0
        assert step.finished_at >= step.started_at
    assert [line for line in lines(build) if line in ALL_STEPS] == list(ALL_STEPS)


def test_build_freezes_what_it_was_of_and_what_it_used(build: Build, engine: FakeEngine, origin: Origin) -> None:
    run(build)
    stack = stacks.load(build.stack)
    used = [engine.image(tag) for tag in (stack.builder_tag, stack.runner_tag, stack.base)]
    assert [image.image_id for image in used if image] == [build.builder_image, build.runner_image, build.base_image]
    assert build.stack_digest == stack.digest
    assert build.commit == origin.git("rev-parse", "v1.0.0^{commit}")
    assert (build.ref_full, build.ref_kind) == ("refs/tags/v1.0.0", "tag")
    assert (build.source_files, build.source_size) == (2, sum(map(len, shop.FILES.values())))
    assert build.lease_until is None
    assert build.attempt == 1
    assert build.worker == "by hand"


def test_build_records_the_packages_with_their_digests(build: Build, engine: FakeEngine) -> None:
    run(build)
    found = [(package.name, package.version, package.sha256) for package in build.packages.all()]
    assert found == [("flask", "3.1.3", shop.FLASK_SHA256), ("its-dangerous", "2.2.0", shop.DANGEROUS_SHA256)]


def test_build_records_what_the_probe_was_answered(build: Build, engine: FakeEngine) -> None:
    run(build)
    assert (build.probe_status, build.probe_body) == (200, "Welcome to the fruit shop")
    assert build.probe_message.startswith("GET / answered 200 OK after")
    assert build.probe_seconds is not None
    assert build.probe_memory == 50_000_000


def test_build_tells_each_turn_as_an_event(build: Build, engine: FakeEngine) -> None:
    run(build)
    verbs = list(build.events.order_by("id").values_list("verb", flat=True))
    assert verbs == ["build.requested", "build.started", "artifact.kept", "image.made", "build.finished"]
    kept = build.events.get(verb="artifact.kept")
    assert build.artifact is not None
    assert kept.data == {"sha256": build.artifact.sha256, "size": build.artifact.size}


def test_build_log_holds_what_the_builder_printed(build: Build, engine: FakeEngine) -> None:
    assert set(shop.LINES) <= set(lines(run(build)))


def test_build_hides_secrets_of_the_application_in_its_log(app: Application, engine: FakeEngine) -> None:
    app.environment = {"SECRET_KEY": "plum-pear-quince", "SHOP_NAME": "Fruit shop"}
    build = typed(app)
    engine.on_run(shop.BUILDER, Script(lines=["key plum-pear-quince of Fruit shop"], files=shop.left_behind()))
    run(build)
    assert "key ******** of Fruit shop" in lines(build)
    assert not any("plum-pear-quince" in line for line in lines(build))


def test_build_hides_secrets_in_what_an_application_says_of_itself(app: Application, engine: FakeEngine) -> None:
    app.environment, app.probe_policy = {"DATABASE_URL": "postgresql://shop:plum@db"}, "required"
    engine.on_run(shop.PROBE, Script(lines=["cannot reach postgresql://shop:plum@db"], exit_code=1))
    build = run(typed(app))
    assert_ended(build, Outcome.FAILED, "its last words were “cannot reach ********”")
    assert "plum" not in build.probe_message + build.probe_body + "".join(lines(build))


def test_build_that_is_a_stacks_first_makes_its_images(
    build: Build, engine: FakeEngine, origin: Origin, app: Application
) -> None:
    stack = stacks.load(build.stack)
    engine.remove_image(stack.builder_tag)
    engine.remove_image(stack.runner_tag)
    run(build)
    assert results(build) == {**ALL_STEPS, "prepare": "succeeded"}
    made = Preparation.objects.latest_success(stack.name, stack.digest)
    assert made is not None
    assert (made.builder_image, made.runner_image) == (build.builder_image, build.runner_image)
    again = run(typed(app))
    assert "prepare" not in results(again)
    assert Preparation.objects.count() == 1


def test_build_of_the_same_bytes_shares_their_row(app: Application, engine: FakeEngine) -> None:
    first, second = run(typed(app)), run(typed(app))
    assert first.artifact == second.artifact
    assert Artifact.objects.count() == 1
    assert first.image != second.image


def test_build_without_a_probe_says_why_there_is_none(app: Application, engine: FakeEngine) -> None:
    app.probe_policy = "off"
    build = run(typed(app))
    assert_ended(build, Outcome.SUCCEEDED)
    probe = build.steps.get(name="probe")
    assert (probe.result, probe.detail) == ("skipped", "switched off for this application")
    assert build.probe_status is None
    assert [asked.labels["release-portal.role"] for asked in engine.runs] == ["builder"]


def test_build_notes_the_limits_that_were_hit(build: Build, engine: FakeEngine) -> None:
    engine.on_run(shop.BUILDER, Script(files=shop.left_behind(pids_limit_hits=1)))
    run(build)
    assert_ended(build, Outcome.SUCCEEDED)
    assert build.limits_hit == ["processes"]


def test_build_that_is_not_queued_is_left_alone(engine: FakeEngine, app: Application) -> None:
    cancelled = typed(app)
    cancelled.mark_cancelling(by=None)
    other = factories.running_build(factories.application())
    for build in (cancelled, other):
        before = Build.objects.values().get(pk=build.pk)
        run(build)
        assert Build.objects.values().get(pk=build.pk) == before
        assert lines(build) == []
    assert engine.runs == []


@pytest.mark.parametrize("ref", ["main", "refs/heads/main", "refs/tags/v1.0.0"])
def test_build_of_a_typed_ref_knows_its_kind(ref: str, app: Application, engine: FakeEngine, origin: Origin) -> None:
    build = run(typed(app, ref))
    full = ref if ref.startswith("refs/") else f"refs/heads/{ref}"
    assert (build.ref_full, build.ref_kind) == (full, "tag" if "tags" in full else "branch")
    assert build.state == State.FINISHED


def test_build_of_a_typed_commit(app: Application, engine: FakeEngine, origin: Origin) -> None:
    commit = origin.git("rev-parse", "HEAD")
    build = run(typed(app, commit[:10]))
    assert_ended(build, Outcome.SUCCEEDED)
    assert (build.commit, build.ref_kind, build.ref_full) == (commit, "commit", "")


def test_build_of_a_tag_that_moved_is_of_the_commit_that_was_seen(
    app: Application, engine: FakeEngine, origin: Origin
) -> None:
    seen = origin.git("rev-parse", "v1.0.0^{commit}")
    run(typed(app))  # the mirror has it now
    shop.move_tag(origin)
    build = run(factories.queued_build(app, commit=seen))
    assert_ended(build, Outcome.SUCCEEDED)
    assert build.commit == seen
    assert build.image is not None
    image = engine.image(build.image.tag)
    assert image is not None
    assert image.labels["org.opencontainers.image.revision"] == seen


# ---- what is kept is not made again ------------------------------------------------------------------------


def builders(engine: FakeEngine) -> int:
    return sum(run.labels["release-portal.role"] == "builder" for run in engine.runs)


def next_release(app: Application, origin: Origin, files: dict[str, bytes]) -> Build:
    origin.commit("Sell more", files)
    origin.push()
    return run(typed(app, "main"))


def test_release_of_changed_source_reuses_the_environment(app: Application, engine: FakeEngine, origin: Origin) -> None:
    first = run(typed(app))
    second = next_release(app, origin, {"app/app.py": b"app = 2\n"})
    assert_ended(second, Outcome.SUCCEEDED)
    assert builders(engine) == 1
    assert second.environment_note == f"environment reused from #{first.number}"
    step = second.steps.get(name="produce")
    assert (step.result, step.detail) == ("skipped", second.environment_note)
    assert second.kept_environment == first.kept_environment
    assert second.artifact != first.artifact
    assert second.packages.count() == first.packages.count() == 2


def test_release_of_changed_requirements_makes_only_what_is_new(
    app: Application, engine: FakeEngine, origin: Origin
) -> None:
    first = run(typed(app))
    second = next_release(app, origin, {"requirements.txt": b"Flask\n# and a remark\n"})
    assert builders(engine) == 2
    assert second.environment_note == f"made: the same packages as #{first.number}"
    assert "1 parts made, 2 kept from before" in "\n".join(lines(second))
    assert first.kept_environment is not None
    assert second.kept_environment is not None
    assert second.kept_environment.key == first.kept_environment.key


def test_build_without_cache_makes_all_anew_and_the_same(app: Application, engine: FakeEngine, origin: Origin) -> None:
    first = run(typed(app))
    limits = Limits().as_json()
    second = run(Build.objects.request(app, by=None, ref="v1.0.0", limits=limits, without_cache=True))
    assert builders(engine) == 2
    assert "3 parts made, 0 kept from before" in "\n".join(lines(second))
    assert second.artifact == first.artifact
    assert first.image is not None
    assert second.image is not None
    assert second.image.image_id == first.image.image_id


def test_part_that_is_gone_or_damaged_is_made_again(
    app: Application, engine: FakeEngine, origin: Origin, settings: Settings
) -> None:
    first = run(typed(app))
    assert first.kept_environment is not None
    blobs = Blobs(settings.BLOBS_DIR)
    gone, damaged = first.kept_environment.parts_kept()[1:]
    blobs.path(gone.sha256).unlink()
    blobs.path(damaged.sha256).chmod(0o644)
    blobs.path(damaged.sha256).write_bytes(b"x" * damaged.size)
    second = next_release(app, origin, {"app/app.py": b"app = 2\n"})
    assert_ended(second, Outcome.SUCCEEDED)
    assert builders(engine) == 2
    assert all(blobs.is_intact(part.sha256) for part in first.kept_environment.parts_kept())


def test_image_that_is_gone_is_put_together_again(app: Application, engine: FakeEngine, origin: Origin) -> None:
    run(typed(app))
    for image in engine.tagged(f"release-portal-{django_settings.PORTAL_INSTANCE}/"):
        for tag in image.tags:
            engine.remove_image(tag)
    assert_ended(next_release(app, origin, {"app/app.py": b"app = 2\n"}), Outcome.SUCCEEDED)


def test_environment_of_one_application_never_serves_another(
    app: Application, engine: FakeEngine, origin: Origin
) -> None:
    run(typed(app))
    other = factories.application("other-shop", repository=origin.url)
    assert run(typed(other)).environment_note == "made: 2 packages"
    assert builders(engine) == 2


# ---- the log of the worker -----------------------------------------------------------------------------------


def test_lines_of_a_worker_name_the_build(build: Build, engine: FakeEngine, caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.addFilter(Carry())
    caplog.set_level("INFO", logger="releases")
    run(build)
    assert {record.getMessage() for record in caplog.records} >= {
        f"Took up build {build}",
        f"Build {build} ended: Succeeded",
    }
    known = {(vars(record)["build"], vars(record)["attempt"], vars(record)["application"]) for record in caplog.records}
    assert known == {(build.pk, 1, build.application.name)}
