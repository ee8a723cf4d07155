"""Step 4: the runtime image, put together from layers: the runner, the environment, the source.

What is known is not made again: each layer is a function of what it holds, and the engine is sent only the layers that
it lacks. So the same input has the same image id, on every engine and in every portal.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import takewhile
from typing import BinaryIO

from releases.pipeline.bench import Bench
from releases.pipeline.joining import joined
from releases.pipeline.members import unzip
from releases.specs import (
    BuildSpec,
    BuiltFile,
    BuiltImage,
    ImageConfig,
    ImagePlan,
    Layer,
    Sheet,
    StackImages,
)


def package(
    spec: BuildSpec,
    commit: str,
    committed_at: datetime,
    artifact: BuiltFile,
    images: StackImages,
    *,
    instance: str,
    bench: Bench,
) -> BuiltImage:
    """Put the image of a release together. Raises `EngineError`, and `StorageError` when a layer's bytes are gone.

    Of the runner only what `images` knows of it is needed, not the engine's image: that may be gone."""
    layers = (_runner_layer(images, bench), *(_layer(artifact, sheet, bench) for sheet in artifact.sheets))
    created = committed_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    below = _environment(spec, images, layers[:-1], instance, bench)
    tag = image_tag(spec, instance)
    plan = ImagePlan(layers, _config(spec, images.runner_config), oci_labels(spec, commit, artifact), created)
    made = bench.engine.assemble(plan, tag=tag, below=below, output=bench.output, stop=bench.stop)
    how = "only what is new was sent" if made.sparse else "all layers were sent"
    bench.output(f"Image {made.config_digest}, {made.size:,} bytes in {len(layers)} layers; {how}")
    bench.output(f"Builder {images.builder_size:,} bytes, runtime before the application {images.runner_size:,} bytes")
    return BuiltImage(
        image_id=made.image_id,
        tag=tag,
        size=made.size,
        builder_size=images.builder_size,
        runner_size=images.runner_size,
        config_digest=made.config_digest,
        manifest_digest=made.manifest_digest,
    )


def _environment(spec: BuildSpec, images: StackImages, layers: tuple[Layer, ...], instance: str, bench: Bench) -> str:
    """The tag of the image up to the environment. It holds the layers in the engine while releases come and go."""
    chain = hashlib.sha256(" ".join(layer.diff_id for layer in layers).encode()).hexdigest()
    tag = f"{_repository(spec, instance)}:environment-{chain[:12]}"
    plan = ImagePlan(
        layers, images.runner_config, {"release-portal.application": spec.application}, "1980-01-01T00:00:00Z"
    )
    if bench.engine.image(tag) is None:
        below = _nearest(spec, [layer.diff_id for layer in layers], instance, bench) or images.runner_id
        bench.engine.assemble(plan, tag=tag, below=below, output=bench.output, stop=bench.stop)
    else:
        bench.engine.assemble(plan, tag=tag, output=bench.output, stop=bench.stop)
    return tag


def _nearest(spec: BuildSpec, layers: list[str], instance: str, bench: Bench) -> str:
    """The environment of this application that shares most of these layers; empty when none shares any, as when the
    runner is a new one."""
    others = bench.engine.tagged(f"{_repository(spec, instance)}:environment-")
    shared = {image.tags[0]: _shared(layers, image.layers) for image in others}
    best = max(shared, key=lambda tag: (shared[tag], tag), default="")
    return best if shared.get(best) else ""


def _shared(layers: list[str], others: tuple[str, ...]) -> int:
    """How many of the lowest layers are the same."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(layers, others, strict=False)))


def _runner_layer(images: StackImages, bench: Bench) -> Layer:
    def opened() -> Iterator[bytes]:
        with bench.blobs.open(images.runner_layer) as file:
            yield from iter(lambda: file.read(1024 * 1024), b"")

    return Layer(images.runner_layer, bench.blobs.size(images.runner_layer), opened, "the stack's runner")


def _layer(artifact: BuiltFile, sheet: Sheet, bench: Bench) -> Layer:
    names = ", ".join(artifact.members[at].name for at in sheet.members)
    return Layer(sheet.diff_id, sheet.size, partial(_content, artifact, sheet, bench), names[:200])


def _content(artifact: BuiltFile, sheet: Sheet, bench: Bench) -> Iterator[bytes]:
    """The layer's bytes, out of the members of the kept archive."""
    return joined(_entries(artifact, at, bench) for at in sheet.members)


def _entries(artifact: BuiltFile, at: int, bench: Bench) -> Iterator[bytes]:
    with bench.blobs.open(artifact.sha256) as file:
        file.seek(sum(member.size for member in artifact.members[:at]))
        yield from unzip(_first(file, artifact.members[at].size))


def _first(file: BinaryIO, size: int) -> Callable[[int], bytes]:
    """Reads no more than so many bytes from where the file stands."""
    left = size

    def read(most: int) -> bytes:
        nonlocal left
        data = file.read(min(most, left))
        left -= len(data)
        return data

    return read


def _config(spec: BuildSpec, runner: ImageConfig) -> ImageConfig:
    directory = "/app" if spec.layout.directory == "." else f"/app/{spec.layout.directory}"
    own = {"APP_MODULE": spec.layout.entry_point, "APP_DIRECTORY": directory}
    return replace(runner, environment={**runner.environment, **own})


def image_tag(spec: BuildSpec, instance: str) -> str:
    """`release-portal-<instance>/<application>:<ref>-<number>`: two portals on one engine never share a tag."""
    ref = re.sub(r"[^A-Za-z0-9_.-]+", "-", spec.ref).strip("-.")[:80] or "ref"
    return f"{_repository(spec, instance)}:{ref}-{spec.number}"


def _repository(spec: BuildSpec, instance: str) -> str:
    return f"release-portal-{instance}/{spec.application}"


def oci_labels(spec: BuildSpec, commit: str, artifact: BuiltFile) -> dict[str, str]:
    """The names of https://github.com/opencontainers/image-spec/blob/main/annotations.md, and our own for the rest.

    Nothing of this one build is in them: the same commit of the same application has the same image."""
    return {
        "org.opencontainers.image.title": spec.application,
        "org.opencontainers.image.version": spec.ref,
        "org.opencontainers.image.revision": commit,
        "org.opencontainers.image.source": spec.repository,
        "release-portal.application": spec.application,
        "release-portal.artifact": artifact.sha256,
    }
