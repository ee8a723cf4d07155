"""The runtime image: what it is made of, and how it is named."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from releases.errors import BuildCancelled, EngineError, StorageError
from releases.pipeline.bench import Bench
from releases.pipeline.checkout import check_out
from releases.pipeline.collect import collect
from releases.pipeline.package import image_tag, package
from releases.pipeline.prepare import known, prepare
from releases.specs import BuildSpec, BuiltFile, BuiltImage, ImageInfo, Layout
from releases.stacks import stack as stacks
from tests.fakes.engine import BuildScript, FakeEngine
from tests.git.conftest import Origin
from tests.pipeline import shop

COMMIT = "c0ffee" + "0" * 34
MADE_AT = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)


def make(bench: Bench, spec: BuildSpec, artifact: BuiltFile, *, instance: str = "0badcafe") -> BuiltImage:
    images = known(stacks.load(shop.STACK), bench)
    assert images is not None
    return package(spec, COMMIT, MADE_AT, artifact, images, instance=instance, bench=bench)


@pytest.fixture
def artifact(bench: Bench, origin: Origin) -> BuiltFile:
    spec = shop.spec(origin)
    return collect(spec, check_out(spec, bench).commit, shop.environment(bench.blobs), bench)


def found(engine: FakeEngine, image: BuiltImage) -> ImageInfo:
    seen = engine.image(image.tag)
    assert seen is not None
    assert seen.image_id == image.image_id == image.config_digest
    return seen


def test_package_puts_runner_environment_and_source_together(
    bench: Bench, engine: FakeEngine, artifact: BuiltFile
) -> None:
    image = make(bench, shop.spec(), artifact)
    seen = found(engine, image)
    runner = hashlib.sha256(shop.RUNNER).hexdigest()
    assert seen.layers == (runner, *(sheet.diff_id for sheet in artifact.sheets))
    assert image.size == len(shop.RUNNER) + sum(sheet.size for sheet in artifact.sheets)
    assert (image.builder_size, image.runner_size) == (400_000_000, len(shop.RUNNER))
    assert seen.config.entrypoint == ("uwsgi",)
    assert seen.config.user == "10001:10001"
    assert seen.config.environment == {"APP_MODULE": "app:app", "APP_DIRECTORY": "/app/app"}
    assert seen.created == "2026-02-03T04:05:06Z"


def test_package_keeps_the_environment_as_an_image_of_its_own(
    bench: Bench, engine: FakeEngine, artifact: BuiltFile
) -> None:
    image = make(bench, shop.spec(), artifact)
    (environment,) = engine.tagged("release-portal-0badcafe/shop:environment-")
    assert environment.layers == found(engine, image).layers[:-1]


def test_package_gives_the_same_id_in_every_portal(bench: Bench, artifact: BuiltFile) -> None:
    one = make(bench, shop.spec(), artifact)
    other = make(bench, replace(shop.spec(), build_id=99, number=12), artifact, instance="1cedcafe")
    assert (one.image_id, one.manifest_digest) == (other.image_id, other.manifest_digest)
    assert one.tag != other.tag


def test_package_makes_what_the_engine_has_lost(bench: Bench, engine: FakeEngine, artifact: BuiltFile) -> None:
    one = make(bench, shop.spec(), artifact)
    for tag in engine.assembled:
        engine.remove_image(tag)
    assert make(bench, shop.spec(), artifact) == one


def test_package_needs_no_more_of_the_runner_than_was_read_before(
    bench: Bench, engine: FakeEngine, artifact: BuiltFile
) -> None:
    one = make(bench, shop.spec(), artifact)
    images = known(stacks.load(shop.STACK), bench)
    assert images is not None
    for tag in [*engine.assembled, images.runner_id]:
        engine.remove_image(tag)
    engine.add_image(stacks.load(shop.STACK).runner_tag)  # the tag is another image's by now
    again = package(shop.spec(), COMMIT, MADE_AT, artifact, images, instance="0badcafe", bench=bench)
    assert again == one


def test_package_on_a_new_runner_sends_it_not_again(
    bench: Bench, engine: FakeEngine, artifact: BuiltFile, said: list[str]
) -> None:
    make(bench, shop.spec(), artifact)
    stack = stacks.load(shop.STACK)
    newer = prepare(stack, bench, anew="runner")
    bench.blobs.path(newer.runner_layer).rename(bench.blobs.root / "aside")  # whoever reads it would meet nothing
    bench.blobs.path(newer.runner_layer).write_bytes(b"not the runner")
    image = package(shop.spec(), COMMIT, MADE_AT, artifact, newer, instance="0badcafe", bench=bench)
    assert found(engine, image).layers[0] == newer.runner_layer


def test_package_labels_say_what_is_inside(bench: Bench, engine: FakeEngine, artifact: BuiltFile) -> None:
    assert found(engine, make(bench, shop.spec(), artifact)).labels == {
        "org.opencontainers.image.title": "shop",
        "org.opencontainers.image.version": "v1.0.0",
        "org.opencontainers.image.revision": COMMIT,
        "org.opencontainers.image.source": "https://git.example.org/shop.git",
        "release-portal.application": "shop",
        "release-portal.artifact": artifact.sha256,
    }


def test_package_hands_on_another_layout(bench: Bench, engine: FakeEngine, artifact: BuiltFile) -> None:
    layout = Layout(".", "shop.wsgi", "application", "deps.txt")
    seen = found(engine, make(bench, shop.spec(layout=layout), artifact))
    assert seen.config.environment == {"APP_MODULE": "shop.wsgi:application", "APP_DIRECTORY": "/app"}


@pytest.mark.parametrize(
    ("ref", "tag"),
    [
        ("feature/new-basket", "feature-new-basket-7"),
        ("v1.0+local~1", "v1.0-local-1-7"),
        ("-.hidden.-", "hidden-7"),
        ("版本", "ref-7"),
        ("x" * 300, "x" * 80 + "-7"),
    ],
)
def test_image_tag_is_one_that_an_engine_takes(ref: str, tag: str) -> None:
    assert image_tag(shop.spec(ref=ref), "0badcafe") == f"release-portal-0badcafe/shop:{tag}"


def test_package_tells_what_the_engine_said(bench: Bench, engine: FakeEngine, artifact: BuiltFile) -> None:
    engine.on_build("shop", BuildScript(error="no space left on device"))
    with pytest.raises(EngineError, match="no space left on device"):
        make(bench, shop.spec(), artifact)


def test_package_stops_when_asked(stopped: Bench, artifact: BuiltFile) -> None:
    with pytest.raises(BuildCancelled):
        make(stopped, shop.spec(), artifact)


def test_package_tells_that_the_artifact_is_gone(bench: Bench, artifact: BuiltFile) -> None:
    bench.blobs.path(artifact.sha256).unlink()
    with pytest.raises(StorageError, match="is not in the store any more"):
        make(bench, shop.spec(), artifact)
