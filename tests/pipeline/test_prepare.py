"""A stack's images are made once, and a failure is told as the stack's."""

from __future__ import annotations

import fcntl
from dataclasses import replace
from pathlib import Path

import pytest

from releases.errors import BuildCancelled, StackError
from releases.pipeline.bench import Bench, Surroundings
from releases.pipeline.prepare import known, prepare
from releases.stacks import stack as stacks
from releases.stacks.stack import Stack
from tests.fakes.engine import BuildScript, FakeEngine
from tests.pipeline import shop


@pytest.fixture
def stack() -> Stack:
    return stacks.load(shop.STACK)


@pytest.fixture
def engine(stack: Stack) -> FakeEngine:
    """One that has nothing but the base."""
    engine = FakeEngine()
    engine.add_image(stack.base)
    engine.on_build(stack.builder_tag, BuildScript(size=400_000_000))
    engine.on_build(stack.runner_tag, BuildScript(size=170_000_000))
    return engine


def test_prepare_makes_both_images_from_their_folders(
    bench: Bench, engine: FakeEngine, stack: Stack, said: list[str]
) -> None:
    images = prepare(stack, replace(bench, surroundings=Surroundings(proxy={"https_proxy": "http://proxy:3128"})))
    assert (images.builder_size, images.digest) == (400_000_000, stack.digest)
    kept = bench.blobs.size(images.runner_layer)
    assert images.runner_size == kept
    base = engine.image(stack.base)
    assert base is not None
    assert images.base_id == base.image_id
    builder, runner = engine.builds
    assert (builder.tag, builder.target, "build.sh" in builder.files) == (stack.builder_tag, "", True)
    assert (runner.tag, runner.target, "app.ini" in runner.files) == (f"{stack.runner_tag}-raw", "runtime", True)
    assert engine.image(runner.tag) is None  # it was made into one layer
    assert builder.arguments == {"https_proxy": "http://proxy:3128", "HTTPS_PROXY": "http://proxy:3128"}
    assert builder.labels["release-portal.stack-digest"] == stack.digest
    assert f"Making the builder image {stack.builder_tag}; this is done once and may take some minutes" in said


def test_prepare_makes_nothing_twice(bench: Bench, engine: FakeEngine, stack: Stack) -> None:
    assert known(stack, bench) is None
    first = prepare(stack, bench)
    assert prepare(stack, bench) == first == known(stack, bench)
    assert len(engine.builds) == 2


def test_prepare_makes_only_the_half_that_is_missing(bench: Bench, engine: FakeEngine, stack: Stack) -> None:
    prepare(stack, bench)
    engine.remove_image(stack.runner_tag)
    assert known(stack, bench) is None
    prepare(stack, bench)
    assert [built.tag for built in engine.builds[2:]] == [f"{stack.runner_tag}-raw"]


def test_prepare_gets_back_a_runner_whose_bytes_are_lost(bench: Bench, engine: FakeEngine, stack: Stack) -> None:
    first = prepare(stack, bench)
    bench.blobs.path(first.runner_layer).unlink()
    assert known(stack, bench) is None
    assert prepare(stack, bench).digest == first.digest
    assert len(engine.builds) == 2  # out of the engine's image, not made anew


def test_prepare_hands_the_certificates_to_the_dockerfiles(
    bench: Bench, engine: FakeEngine, stack: Stack, tmp_path: Path
) -> None:
    authority = tmp_path / "company.pem"
    authority.write_text("the company's own authority")
    surroundings = Surroundings(ca_bundle=str(authority), index_url="https://packages.example.org/simple")
    prepare(stack, replace(bench, surroundings=surroundings))
    for built in engine.builds:
        assert built.files["ca-certificates.pem"] == b"the company's own authority"
        assert built.arguments["PIP_INDEX_URL"] == "https://packages.example.org/simple"


def test_prepare_says_which_half_failed_and_what_to_do(bench: Bench, engine: FakeEngine, stack: Stack) -> None:
    engine.on_build(stack.runner_tag, BuildScript(error="The command apt-get returned a non-zero code: 100"))
    with pytest.raises(StackError) as caught:
        prepare(stack, bench)
    assert f"The runner image of stack {stack.name} could not be made" in str(caught.value)
    assert "The command apt-get returned a non-zero code: 100" in str(caught.value)
    assert "mend runner/Dockerfile or the network, and press Prepare" in str(caught.value)


def test_prepare_refuses_an_engine_that_is_too_old(bench: Bench, engine: FakeEngine, stack: Stack) -> None:
    with pytest.raises(StackError, match=r"needs an engine with API 1\.100 or newer; this one has 1\.41"):
        prepare(replace(stack, engine_api="1.100"), bench)
    assert engine.builds == []


def test_prepare_waits_for_the_worker_that_is_at_it(bench: Bench, stack: Stack, said: list[str]) -> None:
    bench.locks.mkdir()

    class Impatient:
        def __init__(self) -> None:
            self.asked = 0

        def check(self) -> None:
            self.asked += 1
            if self.asked > 2:
                raise BuildCancelled("Cancelled.")

    with (bench.locks / f"stack-{stack.builder_tag[-12:]}.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(BuildCancelled):
            prepare(stack, replace(bench, stop=Impatient()))
    assert said == ["Another worker is making these images; waiting for it"]
    assert prepare(stack, bench).builder_size == 400_000_000
