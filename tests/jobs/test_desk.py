"""The short jobs: reading refs, booting a preview, preparing a stack."""

from __future__ import annotations

from typing import NoReturn

import pytest
from pytest_django.fixtures import Settings

from releases import actions
from releases.git import Git
from releases.jobs import desk
from releases.models import (
    Application,
    Build,
    Event,
    Preparation,
    PreparationState,
    Preview,
    PreviewState,
)
from releases.pipeline import package as packaging
from releases.pipeline import probe as probing
from releases.specs import Anew
from releases.stacks import stack as stacks
from releases.storage import Blobs, BuildLog, preparation_log_path
from tests import factories
from tests.fakes.engine import Answer, BuildScript, FakeContainer, FakeEngine, Script
from tests.git.conftest import Origin
from tests.jobs.conftest import Start, assert_nothing_left, run, wait_until
from tests.pipeline import shop


def defect(*_given: object, **_named: object) -> NoReturn:
    raise RuntimeError("a secret detail")


# ---- refs ----------------------------------------------------------------------------------------------------


def test_refresh_refs_reads_tags_and_branches(app: Application, origin: Origin) -> None:
    desk.refresh_refs(app.pk)
    found = {ref.full_name: ref.commit for ref in app.refs.all()}
    commit = origin.git("rev-parse", "HEAD")
    assert found == {"refs/heads/main": commit, "refs/tags/v1.0.0": commit}
    app.refresh_from_db()
    assert app.refs_read_at is not None
    assert app.refs_error == ""


def test_refresh_refs_keeps_the_sentence_and_the_refs_when_the_repository_is_away(
    app: Application, origin: Origin
) -> None:
    desk.refresh_refs(app.pk)
    shop.remove(origin)
    actions.refresh_refs(app, by=None)
    desk.refresh_refs(app.pk)
    app.refresh_from_db()
    assert origin.url in app.refs_error
    assert app.refs.count() == 2
    assert not app.refs_are_being_read
    origin.bare.mkdir()
    origin.git("init", "--quiet", "--bare", str(origin.bare))
    origin.push()
    desk.refresh_refs(app.pk)
    app.refresh_from_db()
    assert app.refs_error == ""


def test_refresh_refs_raises_an_alarm_when_a_tag_moved(app: Application, origin: Origin) -> None:
    desk.refresh_refs(app.pk)
    before = origin.git("rev-parse", "v1.0.0")
    after = shop.move_tag(origin)
    desk.refresh_refs(app.pk)
    moved = Event.objects.get(verb="ref.moved")
    assert moved.data == {"ref": "refs/tags/v1.0.0", "from": before, "to": after}


def test_refresh_refs_ends_even_when_it_meets_a_defect(app: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    actions.refresh_refs(app, by=None)
    monkeypatch.setattr(Git, "refresh", defect)
    desk.refresh_refs(app.pk)
    app.refresh_from_db()
    assert "The portal itself failed (RuntimeError)" in app.refs_error
    assert "secret" not in app.refs_error
    assert not app.refs_are_being_read


# ---- previews ------------------------------------------------------------------------------------------------


@pytest.fixture
def released(build: Build, engine: FakeEngine) -> Build:
    return run(build)


@pytest.fixture
def preview(released: Build) -> Preview:
    return actions.request_preview(released, environment={"SHOP_NAME": "Plums"}, by=None)


def fresh(preview: Preview) -> Preview:
    return Preview.objects.get(pk=preview.pk)


def test_start_preview_boots_the_image_with_the_given_environment(preview: Preview, engine: FakeEngine) -> None:
    desk.start_preview(preview.pk)
    now = fresh(preview)
    assert (now.state, now.answer_status, now.answer_body) == ("running", 200, "Welcome to the fruit shop")
    assert now.address == f"http://{engine.address(preview.container, 8080)}"
    assert now.ends_at is not None
    asked = engine.runs[-1]
    assert preview.build.image is not None
    assert (asked.environment, asked.image) == ({"SHOP_NAME": "Plums"}, preview.build.image.image_id)


def test_start_preview_that_comes_twice_leaves_the_running_one_alone(preview: Preview, engine: FakeEngine) -> None:
    desk.start_preview(preview.pk)
    before, runs = fresh(preview), len(engine.runs)
    desk.start_preview(preview.pk)
    assert len(engine.runs) == runs
    assert (fresh(preview).state, fresh(preview).address) == ("running", before.address)
    assert before.address.endswith(engine.address(preview.container, 8080))


def test_start_preview_shows_an_answer_that_is_an_error(preview: Preview, engine: FakeEngine) -> None:
    engine.on_run(shop.PREVIEW, Script(forever=True, answer=Answer(500, b"no database")))
    desk.start_preview(preview.pk)
    assert (fresh(preview).state, fresh(preview).answer_status) == ("running", 500)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (Script(lines=["KeyError: 'DATABASE'"], exit_code=22), "ended with exit code 22 before it answered"),
        (Script(lines=["KeyError: 'DATABASE'"], forever=True), "had no answer within"),
    ],
)
def test_start_preview_that_never_answers_says_why(
    script: Script, message: str, preview: Preview, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "PATIENCE", 0.2)
    engine.on_run(shop.PREVIEW, script)
    desk.start_preview(preview.pk)
    now = fresh(preview)
    assert now.state == PreviewState.FAILED
    assert message in now.message
    assert "KeyError: 'DATABASE'" in now.message


def test_start_preview_without_an_engine(preview: Preview, engine: FakeEngine) -> None:
    engine.away = True
    desk.start_preview(preview.pk)
    assert fresh(preview).state == PreviewState.FAILED
    assert "The container engine does not answer" in fresh(preview).message


def forget(engine: FakeEngine, build: Build) -> None:
    """Everything that the engine has of this portal and its stacks goes, as with `docker system prune --all`."""
    stack = stacks.load(build.stack)
    for reference in [*engine.assembled, stack.runner_tag, stack.builder_tag, build.runner_image]:
        engine.remove_image(reference)


def test_start_preview_whose_image_was_removed_boots_the_same_image(preview: Preview, engine: FakeEngine) -> None:
    image = preview.build.image
    assert image is not None
    forget(engine, preview.build)
    assert engine.image(image.image_id) is None
    desk.start_preview(preview.pk)
    assert fresh(preview).state == PreviewState.RUNNING, fresh(preview).message
    again = engine.image(image.tag)
    assert again is not None
    assert again.image_id == image.image_id
    told = preview.build.events.get(verb="image.made_again")
    assert told.data == {"id": image.image_id, "tag": image.tag}


@pytest.mark.parametrize("what", ["app.tar.gz", "runtime"])
@pytest.mark.parametrize("how", ["missing", "damaged"])
def test_start_preview_whose_image_cannot_be_put_together_again(
    what: str, how: str, preview: Preview, engine: FakeEngine, settings: Settings
) -> None:
    image = preview.build.image
    assert image is not None
    forget(engine, preview.build)
    kept = Blobs(settings.BLOBS_DIR).path(image.artifact.sha256 if what == "app.tar.gz" else image.runner_layer)
    kept.chmod(0o644)
    kept.write_bytes(b"x" * kept.stat().st_size)
    if how == "missing":
        kept.unlink()
    desk.start_preview(preview.pk)
    assert fresh(preview).state == PreviewState.FAILED
    assert fresh(preview).message == (
        f"The image of {preview.build} is gone from the engine. Its {what} is missing in the store, or damaged: "
        f"press Rebuild."
    )
    again = run(actions.rebuild(preview.build, by=None))
    assert again.succeeded, again.message
    assert again.image is not None
    assert engine.image(again.image.tag) is not None


def test_start_preview_of_an_image_that_would_not_be_the_same(
    preview: Preview, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packaging, "oci_labels", lambda *_given: {"another": "portal"})
    forget(engine, preview.build)
    desk.start_preview(preview.pk)
    assert "has another id now: press Rebuild." in fresh(preview).message
    assert preview.build.image is not None
    assert engine.image(preview.build.image.tag) is None


def test_start_preview_that_is_stopped_while_it_starts(preview: Preview, engine: FakeEngine, start: Start) -> None:
    engine.on_run(shop.PREVIEW, Script(forever=True))
    worker = start(lambda: desk.start_preview(preview.pk))
    wait_until(lambda: any(found.running for found in engine.containers({"release-portal.role": "preview"})))
    actions.stop_preview(fresh(preview), by=None)
    worker.join(30)
    assert fresh(preview).state == PreviewState.STOPPING  # the sweeper has the rest


@pytest.mark.parametrize("over", [False, True])
def test_start_preview_that_was_stopped_before(over: bool, preview: Preview, engine: FakeEngine) -> None:
    actions.stop_preview(preview, by=None)
    if over:
        preview.mark_stopped("Stopped as asked.")
    before = fresh(preview).state
    desk.start_preview(preview.pk)
    assert fresh(preview).state == before
    assert_nothing_left(engine)


def test_start_preview_ends_even_when_it_meets_a_defect(
    preview: Preview, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "ask", defect)
    desk.start_preview(preview.pk)
    assert fresh(preview).state == PreviewState.FAILED
    assert "The portal itself failed (RuntimeError)" in fresh(preview).message


# ---- stacks --------------------------------------------------------------------------------------------------


@pytest.fixture
def bare(engine: FakeEngine) -> FakeEngine:
    """An engine without the stack's images."""
    stack = stacks.load(shop.STACK)
    engine.remove_image(stack.builder_tag)
    engine.remove_image(stack.runner_tag)
    engine.on_build(stack.builder_tag, BuildScript(["Step 2/2 : RUN apt-get"], size=404_000_000))
    engine.on_build(stack.runner_tag, BuildScript(size=174_000_000))
    return engine


def log_of(preparation: Preparation) -> list[str]:
    return [line.text for line in BuildLog(preparation_log_path(preparation.pk)).lines()]


def test_prepare_stack_makes_both_images_with_every_line_in_its_log(bare: FakeEngine) -> None:
    preparation = actions.prepare_stack(shop.STACK, by=factories.user(role="", username="ana"))
    desk.prepare_stack(preparation.pk)
    preparation.refresh_from_db()
    assert (preparation.state, preparation.message) == ("succeeded", "Builder 404 MB, runner 0 MB.")
    builder = bare.image(stacks.load(shop.STACK).builder_tag)
    assert builder is not None
    assert (preparation.builder_image, preparation.builder_size) == (builder.image_id, 404_000_000)
    assert "Step 2/2 : RUN apt-get" in log_of(preparation)
    assert log_of(preparation)[-1] == "Succeeded: Builder 404 MB, runner 0 MB."
    assert preparation.lease_until is None


def test_prepare_stack_that_is_prepared_already_makes_nothing(engine: FakeEngine) -> None:
    preparation = actions.prepare_stack(shop.STACK, by=None)
    desk.prepare_stack(preparation.pk)
    preparation.refresh_from_db()
    assert preparation.state == PreparationState.SUCCEEDED
    assert engine.builds == []


@pytest.mark.parametrize(("anew", "made"), [("runner", ["runner"]), ("both", ["builder", "runner"])])
def test_prepare_stack_anew_makes_what_is_there(anew: Anew, made: list[str], engine: FakeEngine) -> None:
    before = images_of(engine)
    first = actions.prepare_stack(shop.STACK, by=None)
    desk.prepare_stack(first.pk)
    assert images_of(engine) == before
    again = actions.prepare_stack(shop.STACK, by=factories.user(role="", username="ana"), anew=anew)
    desk.prepare_stack(again.pk)
    again.refresh_from_db()
    assert (again.state, again.anew) == (PreparationState.SUCCEEDED, anew), again.message
    assert "The runtime is a new one." in again.message
    now = images_of(engine)
    assert [half for half in before if now[half] != before[half]] == made
    assert (again.builder_image, again.runner_image) == (now["builder"], now["runner"])
    asked = Event.objects.filter(verb="stack.prepare_asked").order_by("id").last()
    assert asked is not None
    assert (asked.actor_name, asked.data["anew"]) == ("ana", anew)
    same = actions.prepare_stack(shop.STACK, by=None, anew="runner")  # nothing newer is there
    desk.prepare_stack(same.pk)
    same.refresh_from_db()
    assert "The runtime came out the same as before." in same.message


def images_of(engine: FakeEngine) -> dict[str, str]:
    stack = stacks.load(shop.STACK)
    found = {"builder": engine.image(stack.builder_tag), "runner": engine.image(stack.runner_tag)}
    return {half: image.image_id for half, image in found.items() if image}


def test_prepare_stack_says_what_failed(bare: FakeEngine) -> None:
    bare.on_build("builder", BuildScript(error="E: Unable to locate package uwsgi"))
    preparation = actions.prepare_stack(shop.STACK, by=None)
    desk.prepare_stack(preparation.pk)
    preparation.refresh_from_db()
    assert preparation.state == PreparationState.FAILED
    assert "E: Unable to locate package uwsgi" in preparation.message
    assert log_of(preparation)[-1] == f"Failed: {preparation.message}"
    actions.prepare_stack(shop.STACK, by=None)  # it may be asked for again


def test_prepare_stack_whose_files_changed_meanwhile(bare: FakeEngine) -> None:
    preparation = Preparation.objects.request(shop.STACK, "ab" * 32, by=None)
    desk.prepare_stack(preparation.pk)
    preparation.refresh_from_db()
    assert preparation.state == PreparationState.FAILED
    assert "changed since this was asked for: press Prepare again" in preparation.message
    assert bare.builds == []


def test_prepare_stack_without_an_engine(bare: FakeEngine) -> None:
    preparation = actions.prepare_stack(shop.STACK, by=None)
    bare.away = True
    desk.prepare_stack(preparation.pk)
    preparation.refresh_from_db()
    assert preparation.state == PreparationState.FAILED
    assert "The container engine does not answer" in preparation.message


def test_prepare_stack_ends_even_when_it_meets_a_defect(bare: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "prepare", defect)
    preparation = actions.prepare_stack(shop.STACK, by=None)
    desk.prepare_stack(preparation.pk)
    preparation.refresh_from_db()
    assert preparation.state == PreparationState.FAILED
    assert "The portal itself failed (RuntimeError)" in preparation.message


def test_prepare_stack_that_comes_twice_is_done_once(bare: FakeEngine) -> None:
    preparation = actions.prepare_stack(shop.STACK, by=None)
    for _ in range(3):
        desk.prepare_stack(preparation.pk)
    assert len(bare.builds) == 2
    assert Event.objects.filter(verb="stack.succeeded").count() == 1


def test_prepare_stack_holds_its_lease_while_the_engine_works(
    bare: FakeEngine, settings: Settings, start: Start
) -> None:
    settings.LEASE_SECONDS = 0.3
    stack = stacks.load(shop.STACK)
    bare.on_build(stack.builder_tag, BuildScript(forever=True))
    preparation = actions.prepare_stack(shop.STACK, by=None)
    worker = start(lambda: desk.prepare_stack(preparation.pk))
    wait_until(lambda: bool(bare.builds))
    first = Preparation.objects.get(pk=preparation.pk).lease_until
    assert first is not None
    wait_until(lambda: Preparation.objects.filter(pk=preparation.pk, lease_until__gt=first).exists())
    bare.away = True  # ends the making
    worker.join(30)


def test_build_container_gets_nothing_of_a_preview(preview: Preview, engine: FakeEngine) -> None:
    """What a person gives to a preview stays with it."""
    seen: list[FakeContainer] = []

    def look(container: FakeContainer) -> Script:
        seen.append(container)
        return shop.good_builder(container)

    engine.on_run(shop.BUILDER, look)
    run(actions.rebuild(preview.build, by=None, without_cache=True))
    assert "SHOP_NAME" not in seen[0].spec.environment
