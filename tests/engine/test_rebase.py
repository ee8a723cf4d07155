"""Two small runtimes on the real engine: a release is moved from one to the other, and made again when it is lost."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from releases.engine import DockerEngine
from releases.git import Git
from releases.pipeline.bench import Bench, Surroundings
from releases.pipeline.checkout import check_out
from releases.pipeline.collect import collect
from releases.pipeline.package import package
from releases.pipeline.prepare import prepare
from releases.specs import BuiltImage, ImageInfo, NeverStop, StackImages
from releases.stacks.stack import Stack, read
from releases.storage import Blobs
from tests.engine.conftest import BASE
from tests.fakes.cage import FakeCage
from tests.pipeline import shop

pytestmark = pytest.mark.engine

FILES = {
    "stack.toml": f'title = "Tiny"\nbase = "{BASE}"\npython = "3.13"\n',
    "builder/build.sh": "",
    "builder/Dockerfile": f"FROM {BASE}\nRUN echo builder > /made\n",
    # Each making of it is another one, as with a distribution that has newer packages.
    "runner/Dockerfile": f"FROM {BASE} AS tools\nRUN date +%s%N > /made\n"
    'FROM scratch AS runtime\nCOPY --from=tools /made /made\nUSER 10001\nENTRYPOINT ["/made"]\nFROM runtime\n',
}


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    folder = tmp_path / f"tiny-{secrets.token_hex(4)}"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return read(folder)


@pytest.fixture
def bench(docker: DockerEngine, stack: Stack, tmp_path: Path) -> Iterator[Bench]:
    yield Bench(
        engine=docker,
        git=Git(mirrors=tmp_path / "mirrors", local_root=tmp_path / "local"),
        blobs=Blobs(tmp_path / "blobs"),
        output=lambda _line: None,
        stop=NeverStop(),
        surroundings=Surroundings(),
        locks=tmp_path / "locks",
        cage=FakeCage(),
    )
    for prefix in (f"release-portal/{stack.name}", f"release-portal-{docker.instance}/"):
        for image in docker.tagged(prefix):
            for tag in image.tags:
                docker.remove_image(tag)


def test_release_is_moved_to_a_new_runtime_and_the_old_one_can_be_made_again(
    bench: Bench, stack: Stack, docker: DockerEngine, tmp_path: Path
) -> None:
    spec = shop.spec(shop.repository(tmp_path / "local"))
    commit = check_out(spec, bench).commit
    artifact = collect(spec, commit, shop.environment(bench.blobs), bench)

    def packaged(images: StackImages, number: int) -> BuiltImage:
        asked, moment = replace(spec, number=number), datetime(2026, 2, 3, tzinfo=UTC)
        return package(asked, commit, moment, artifact, images, instance=docker.instance, bench=bench)

    def seen(image: BuiltImage) -> ImageInfo:
        found = docker.image(image.image_id)
        assert found is not None
        return found

    old = prepare(stack, bench)
    before = packaged(old, 1)
    layers, labels = seen(before).layers, seen(before).labels

    new = prepare(stack, bench, anew="runner")
    assert (new.builder_id, new.digest) == (old.builder_id, old.digest)
    assert new.runner_id != old.runner_id
    after = packaged(new, 2)
    assert after.image_id != before.image_id
    assert seen(after).layers == (new.runner_layer, *layers[1:])
    assert seen(after).labels == labels
    assert seen(after).config.user == "10001"

    for image in docker.tagged(f"release-portal-{docker.instance}/"):  # all that the engine has of the old runtime
        docker.remove_image(image.image_id)
    docker.remove_image(old.runner_id)
    assert docker.image(before.image_id) is None
    assert packaged(old, 1) == before
    assert seen(before).layers == layers
