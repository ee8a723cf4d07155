"""The runtime image: what it is made of, and how it is named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from releases.errors import BuildCancelled, BuildFailed, StorageError
from releases.pipeline.bench import Bench, Surroundings
from releases.pipeline.package import image_tag, package
from releases.pipeline.prepare import known
from releases.specs import BuildSpec, BuiltFile, BuiltImage, Layout
from releases.stacks import stack as stacks
from tests.fakes.engine import BuildScript, FakeEngine
from tests.pipeline import shop

COMMIT = "c0ffee" + "0" * 34


def make(bench: Bench, spec: BuildSpec, artifact: BuiltFile | None = None) -> BuiltImage:
    kept = artifact or bench.blobs.put([shop.app_tar()], name="app.tar.gz")
    stack = stacks.load(shop.STACK)
    images = known(stack, bench)
    assert images is not None
    return package(spec, COMMIT, kept, stack, images, instance="0badcafe", bench=bench)


def test_package_builds_the_runner_with_that_very_artifact(bench: Bench, engine: FakeEngine, said: list[str]) -> None:
    engine.on_build("shop", BuildScript(size=61_000_000))
    image = make(bench, shop.spec())
    (built,) = engine.builds
    assert built.files["app.tar.gz"] == shop.app_tar()
    assert {"Dockerfile", "app.ini"} <= set(built.files)
    assert built.arguments == {"APP_MODULE": "app:app", "APP_DIRECTORY": "/app/app"}
    assert (image.size, image.builder_size) == (61_000_000, 400_000_000)
    found = engine.image("release-portal-0badcafe/shop:v1.0.0-7")
    assert found is not None
    assert (image.image_id, image.tag) == (found.image_id, "release-portal-0badcafe/shop:v1.0.0-7")
    assert said[-1] == f"Image {image.image_id}, 61,000,000 bytes; the builder has 400,000,000"


def test_package_labels_say_what_is_inside(bench: Bench, engine: FakeEngine) -> None:
    kept = bench.blobs.put([shop.app_tar()], name="app.tar.gz")
    make(bench, shop.spec(), kept)
    labels = engine.builds[0].labels
    assert labels["org.opencontainers.image.title"] == labels["release-portal.application"] == "shop"
    assert labels["org.opencontainers.image.version"] == "v1.0.0"
    assert labels["org.opencontainers.image.revision"] == COMMIT
    assert labels["org.opencontainers.image.source"] == "https://git.example.org/shop.git"
    assert labels["release-portal.artifact"] == kept.sha256
    assert (labels["release-portal.build"], labels["release-portal.number"]) == ("42", "7")


def test_package_hands_on_another_layout_and_the_proxy(bench: Bench, engine: FakeEngine) -> None:
    inside = replace(bench, surroundings=Surroundings(proxy={"http_proxy": "http://proxy:3128"}))
    make(inside, shop.spec(layout=Layout(".", "shop.wsgi", "application", "deps.txt")))
    arguments = engine.builds[0].arguments
    assert (arguments["APP_MODULE"], arguments["APP_DIRECTORY"]) == ("shop.wsgi:application", "/app")
    assert arguments["http_proxy"] == arguments["HTTP_PROXY"] == "http://proxy:3128"


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


def test_package_tells_what_the_dockerfile_said(bench: Bench, engine: FakeEngine) -> None:
    engine.on_build("shop", BuildScript(error="The command '/bin/sh -c tar xzf' returned a non-zero code: 2"))
    with pytest.raises(BuildFailed, match="returned a non-zero code: 2"):
        make(bench, shop.spec())


def test_package_stops_when_asked(stopped: Bench, engine: FakeEngine) -> None:
    engine.on_build("shop", BuildScript(forever=True))
    with pytest.raises(BuildCancelled):
        make(stopped, shop.spec(), stopped.blobs.put([shop.app_tar()], name="app.tar.gz"))


def test_package_tells_that_the_artifact_is_gone(bench: Bench) -> None:
    with pytest.raises(StorageError, match="is not in the store any more"):
        make(bench, shop.spec(), BuiltFile("app.tar.gz", "ab" * 32, 100))
