"""A rebase: another runtime under the same archive, and all that may be in its way."""

from __future__ import annotations

import pytest
from pytest_django.fixtures import Settings

from releases import actions
from releases.errors import AlreadyUnderWay, InvalidInput
from releases.jobs import desk
from releases.models import Application, Build, Outcome, Preparation
from releases.specs import StackImages
from releases.stacks import stack as stacks
from releases.storage import Blobs
from tests.fakes.engine import FakeContainer, FakeEngine, Script
from tests.git.conftest import Origin
from tests.jobs.conftest import (
    assert_ended,
    assert_nothing_left,
    kept_files,
    lines,
    results,
    run,
    typed,
)
from tests.pipeline import shop

SKIPPED = {
    "checkout": "skipped",
    "produce": "skipped",
    "collect": "skipped",
    "package": "succeeded",
    "probe": "succeeded",
}
SAME = (
    "ref", "ref_kind", "ref_full", "commit", "subject", "repository", "directory", "module", "callable",
    "requirements", "probe_path", "probe_policy", "environment", "limits", "stack", "artifact_id",
    "kept_environment_id", "committed_at", "source_files", "source_size", "base_image", "builder_image",
)  # fmt: skip


@pytest.fixture
def release(app: Application, engine: FakeEngine) -> Build:
    """A release whose runtime is not the newest any more."""
    made = run(typed(app))
    assert_ended(made, Outcome.SUCCEEDED)
    prepare_anew()
    return made


def prepare_anew() -> Preparation:
    made = actions.prepare_stack(shop.STACK, by=None, anew="runner")
    desk.prepare_stack(made.pk)
    made.refresh_from_db()
    assert made.state == "succeeded", made.message
    return made


def newer_packages(engine: FakeEngine) -> None:
    """The distribution has a newer interpreter, and the runtime is made anew with it."""
    engine.interpreter += b", mended"
    prepare_anew()


def rebase(build: Build) -> Build:
    return run(actions.request_rebase(build, by=None))


def test_rebase_puts_the_same_archive_on_the_newest_runtime(
    release: Build, app: Application, engine: FakeEngine, origin: Origin
) -> None:
    app.directory, app.environment = "elsewhere", {"A": "1"}
    app.save()
    shop.remove(origin)  # nothing of it is needed
    ran, made = len(engine.runs), rebase(release)
    assert_ended(made, Outcome.SUCCEEDED)
    assert [getattr(made, name) for name in SAME] == [getattr(release, name) for name in SAME]
    assert (made.number, made.rebase_of, made.retry_of) == (release.number + 1, release, None)
    assert results(made) == SKIPPED
    details = dict(made.steps.filter(result="skipped").values_list("name", "detail"))
    assert details == {"checkout": "commit of #1", "produce": "environment of #1", "collect": "archive of #1"}
    assert list(made.packages.values_list("name", "sha256")) == list(release.packages.values_list("name", "sha256"))
    assert [asked.labels["release-portal.role"] for asked in engine.runs[ran:]] == ["probe"]
    assert_nothing_left(engine)


def test_rebase_changes_the_lowest_layer_of_the_image_alone(release: Build, engine: FakeEngine) -> None:
    made = rebase(release)
    assert release.image is not None
    assert made.image is not None
    assert made.image.image_id != release.image.image_id
    old, new = engine.image(release.image.tag), engine.image(made.image.tag)
    assert old is not None
    assert new is not None
    assert (new.labels, new.created, new.layers[1:]) == (old.labels, old.created, old.layers[1:])
    runner = engine.image(stacks.load(shop.STACK).runner_tag)
    assert runner is not None
    assert (new.layers[:1], made.runner_image) == (runner.layers, runner.image_id)


def test_rebase_keeps_no_new_bytes_and_tells_where_they_are_from(
    release: Build, engine: FakeEngine, settings: Settings
) -> None:
    before = set(kept_files(settings.PORTAL_HOME))
    made = rebase(release)
    assert set(kept_files(settings.PORTAL_HOME)) == before
    verbs = list(made.events.order_by("id").values_list("verb", flat=True))
    assert verbs == ["build.requested", "build.started", "artifact.taken_over", "image.made", "build.finished"]
    assert made.events.get(verb="build.requested").data["rebase_of"] == release.number
    assert release.artifact is not None
    assert made.events.get(verb="artifact.taken_over").data == {
        "sha256": release.artifact.sha256,
        "from": release.number,
    }
    assert "Not done again: archive of #1" in lines(made)


def test_rebase_of_a_rebase_names_its_direct_predecessor(release: Build, engine: FakeEngine) -> None:
    first = rebase(release)
    with pytest.raises(InvalidInput, match="stands on the newest runtime"):
        actions.request_rebase(first, by=None)
    newer_packages(engine)
    second = rebase(first)
    assert_ended(second, Outcome.SUCCEEDED)
    assert (second.rebase_of, second.artifact) == (first, release.artifact)
    assert second.steps.get(name="collect").detail == "archive of #2"


def test_rebase_whose_archive_is_damaged_says_to_rebuild(
    release: Build, engine: FakeEngine, settings: Settings
) -> None:
    asked = actions.request_rebase(release, by=None)
    assert release.artifact is not None
    path = Blobs(settings.BLOBS_DIR).path(release.artifact.sha256)
    path.chmod(0o644)
    path.write_bytes(b"x" * release.artifact.size)
    assert_ended(run(asked), Outcome.INTERNAL_ERROR, f"The app.tar.gz of {release} is missing in the store, or damaged")
    again = run(actions.rebuild(asked, by=None))
    assert_ended(again, Outcome.SUCCEEDED)
    assert again.artifact == release.artifact


def test_rebase_makes_a_runtime_that_was_lost(release: Build, engine: FakeEngine) -> None:
    engine.remove_image(stacks.load(shop.STACK).runner_tag)
    made = rebase(release)
    assert_ended(made, Outcome.SUCCEEDED)
    assert results(made) == {**SKIPPED, "prepare": "succeeded"}


def test_next_release_is_not_measured_against_a_rebase(release: Build, app: Application, engine: FakeEngine) -> None:
    made = rebase(release)
    assert made.comparable() == release
    assert run(typed(app)).comparable() == release


# ---- a stack that is prepared anew while builds go on --------------------------------------------------------


def test_release_keeps_its_environment_when_only_the_runtime_is_new(
    release: Build, app: Application, engine: FakeEngine
) -> None:
    after = run(typed(app))
    assert after.environment_note == f"environment reused from #{release.number}"
    assert after.runner_image != release.runner_image


def test_build_goes_on_with_the_runtime_that_it_began_with(app: Application, engine: FakeEngine) -> None:
    """The tag moves on while its builder works, and the old image is removed from the engine altogether."""

    def meanwhile(container: FakeContainer) -> Script:
        runner = engine.image(stacks.load(shop.STACK).runner_tag)
        assert runner is not None
        newer_packages(engine)
        engine.remove_image(runner.image_id)
        assert engine.image(runner.image_id) is None
        return shop.good_builder(container)

    engine.on_run(shop.BUILDER, meanwhile)
    build = run(typed(app))
    assert_ended(build, Outcome.SUCCEEDED)
    latest = Preparation.objects.latest_success(shop.STACK, build.stack_digest)
    assert latest is not None
    assert latest.runner_image != build.runner_image
    assert actions.newer_runtime(build) == latest


def test_build_that_began_before_does_not_make_its_images_the_newest(app: Application, engine: FakeEngine) -> None:
    build = typed(app)
    assert build.take_up(worker="forge-1")
    old = stacks.load(shop.STACK)
    made = prepare_anew()
    builder = engine.image(old.builder_tag)
    assert builder is not None
    images = StackImages(builder.image_id, 1, f"sha256:{'0' * 64}", 1, "", old.digest)
    Preparation.objects.note_images(shop.STACK, images, build=build)
    assert Preparation.objects.latest_success(shop.STACK, old.digest) == made


def test_rebase_beside_its_twin_is_refused(release: Build, engine: FakeEngine) -> None:
    asked = actions.request_rebase(release, by=None)
    with pytest.raises(AlreadyUnderWay, match="is being built already, as #2"):
        actions.request_rebase(release, by=None)
    assert release.rebases.get() == asked
