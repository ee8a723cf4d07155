"""Asking for a rebase, and for a stack to be prepared anew: what is frozen, and what is refused with which words."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from releases import actions
from releases.errors import AlreadyUnderWay, InvalidInput
from releases.models import Application, Build, Preparation, State
from releases.storage import Blobs
from tests import factories

pytestmark = pytest.mark.django_db

ARCHIVE = b"the archive of a release"


@pytest.fixture(autouse=True)
def home(settings: Settings, tmp_path: Path) -> None:
    settings.BLOBS_DIR = tmp_path / "blobs"
    Blobs(settings.BLOBS_DIR).put([ARCHIVE])


@pytest.fixture
def release() -> Build:
    """A release on an older runtime than its stack has."""
    app = factories.application("shop", directory="web", environment={"A": "1"}, memory_mb=256)
    made = factories.succeeded_build(app, artifact_bytes=ARCHIVE, runner="old")
    factories.prepared("new")
    return made


def refused(build: Build) -> str:
    with pytest.raises(InvalidInput) as error:
        actions.request_rebase(build, by=None)
    assert actions.newer_runtime(build) is None
    assert not Build.objects.active().exists()
    return str(error.value)


def test_rebase_freezes_what_the_release_was_made_with(release: Build) -> None:
    Application.objects.update(directory="other", environment={}, memory_mb=None, stack="another")
    marta = factories.user(username="marta")
    newer = actions.newer_runtime(release)
    assert newer is not None
    assert newer.runner_image == factories.image_id("new")
    build = actions.request_rebase(Build.objects.get(pk=release.pk), by=marta)
    assert (build.rebase_of, build.number, build.state, build.requested_by) == (release, 2, State.QUEUED, marta)
    assert (build.commit, build.ref, build.ref_full, build.subject) == (
        release.commit, release.ref, release.ref_full, release.subject,
    )  # fmt: skip
    assert (build.directory, build.environment, build.stack) == ("web", {"A": "1"}, release.stack)
    assert build.limits == release.limits
    assert (build.artifact, build.image) == (None, None)  # until a worker has looked at the bytes
    asked = build.events.get(verb="build.requested")
    assert (asked.actor_name, asked.data["rebase_of"]) == ("marta", 1)


def test_rebase_of_a_stack_that_was_not_prepared_since_it_changed_is_taken() -> None:
    release = factories.succeeded_build(artifact_bytes=ARCHIVE, runner="old")
    assert actions.newer_runtime(release) is None
    assert actions.request_rebase(release, by=None).rebase_of == release


def test_rebase_of_a_build_that_did_not_succeed_is_refused() -> None:
    build = factories.finished_build()
    assert refused(build) == f"{build} did not succeed, so there is no release to rebase: press Rebuild."


def test_rebase_on_the_runtime_that_it_stands_on_is_refused(release: Build) -> None:
    factories.prepared("old")
    assert refused(release).startswith("shop #1 stands on the newest runtime of python3.13-uwsgi that is known")


@pytest.mark.parametrize("kept", [b"", b"half"])
def test_rebase_without_its_archive_says_to_rebuild(release: Build, kept: bytes, settings: Settings) -> None:
    assert release.artifact is not None
    path = Blobs(settings.BLOBS_DIR).path(release.artifact.sha256)
    path.unlink()
    if kept:
        path.write_bytes(kept)
    assert "The app.tar.gz of shop #1 is missing in the store, or damaged" in refused(release)


def test_rebase_of_a_release_that_kept_no_environment_says_to_rebuild() -> None:
    build = factories.succeeded_build(artifact_bytes=ARCHIVE)
    assert "was made before environments were kept, so it cannot be rebased: press Rebuild." in refused(build)


def own_stack(root: Path, python: str) -> None:
    for name in ("builder/Dockerfile", "builder/build.sh", "runner/Dockerfile"):
        (root / "own" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "own" / name).write_text("FROM debian:trixie-slim AS runtime\nFROM runtime\n")
    (root / "own" / "stack.toml").write_text(f'title = "Own"\nbase = "debian:trixie-slim"\npython = "{python}"\n')


def test_rebase_on_a_stack_with_another_python_or_without_one_is_refused(settings: Settings, tmp_path: Path) -> None:
    settings.STACK_DIRS = (tmp_path,)
    own_stack(tmp_path, "3.13")
    app = factories.application(stack="own")
    build = factories.succeeded_build(app, artifact_bytes=ARCHIVE, runner="old")
    factories.prepared("new", "own")
    assert actions.newer_runtime(build) is not None
    own_stack(tmp_path, "3.14")
    assert refused(build) == (
        f"The environment of {build} was made for Python 3.13.5, and the stack own has Python 3.14 now: press Rebuild, "
        f"which makes it again."
    )
    (tmp_path / "own" / "stack.toml").unlink()
    (tmp_path / "own").rename(tmp_path / "gone")
    assert f"{build} cannot be rebased, because its stack cannot be used: There is no stack own" in refused(build)


@pytest.mark.parametrize("how", ["rebase", "rebuild"])
def test_rebase_beside_a_build_of_the_same_commit_leads_there(release: Build, how: str) -> None:
    live = actions.request_rebase(release, by=None) if how == "rebase" else actions.rebuild(release, by=None)
    with pytest.raises(AlreadyUnderWay) as refusal:
        actions.request_rebase(release, by=None)
    assert (refusal.value.key, refusal.value.address) == (live.pk, live.get_absolute_url())


def test_prepare_anew_is_recorded() -> None:
    made = actions.prepare_stack("python3.13-uwsgi", by=None, anew="runner")
    assert (made.anew, made.get_anew_display()) == ("runner", "runtime")
    with pytest.raises(AlreadyUnderWay):
        actions.prepare_stack("python3.13-uwsgi", by=None, anew="both")


def test_prepare_of_half_a_word_is_refused() -> None:
    with pytest.raises(InvalidInput, match="“all” cannot be made anew: choose runner or both"):
        actions.prepare_stack("python3.13-uwsgi", by=None, anew="all")  # type: ignore[arg-type]  # a form may send it
    assert not Preparation.objects.exists()


def test_rebuild_of_a_rebase_is_an_ordinary_build(release: Build) -> None:
    rebased = actions.request_rebase(release, by=None)
    actions.cancel_build(rebased, by=None)
    again = actions.rebuild(rebased, by=User.objects.first())
    assert (again.retry_of, again.rebase_of) == (rebased, None)
