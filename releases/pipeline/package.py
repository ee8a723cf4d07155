"""Step 4: the runner's Dockerfile with that very artifact makes the runtime image."""

from __future__ import annotations

import re

from releases.errors import BuildFailed
from releases.pipeline.bench import Bench, labels_of
from releases.specs import BuildSpec, BuiltFile, BuiltImage, StackImages
from releases.stacks.stack import Stack


def package(
    spec: BuildSpec, commit: str, artifact: BuiltFile, stack: Stack, images: StackImages, *, instance: str, bench: Bench
) -> BuiltImage:
    """Build, label and tag the image. Raises `BuildFailed` when the runner's Dockerfile fails on the artifact."""
    tag = image_tag(spec, instance)
    with bench.blobs.open(artifact.sha256) as file:
        chunks = iter(lambda: file.read(1024 * 1024), b"")
        image = bench.engine.build_image(
            stack.context("runner", {artifact.name: (artifact.size, chunks)}),
            tag=tag,
            labels={**labels_of(spec.build_id, spec.attempt, "image"), **oci_labels(spec, commit, artifact)},
            arguments={
                "APP_MODULE": spec.layout.entry_point,
                "APP_DIRECTORY": "/app" if spec.layout.directory == "." else f"/app/{spec.layout.directory}",
                **bench.surroundings.proxy_environment,
            },
            output=bench.output,
            stop=bench.stop,
        )
    if not image.image_id:
        raise BuildFailed("The engine made an image without an id.")
    bench.output(f"Image {image.image_id}, {image.size:,} bytes; the builder has {images.builder_size:,}")
    return BuiltImage(image_id=image.image_id, tag=tag, size=image.size, builder_size=images.builder_size)


def image_tag(spec: BuildSpec, instance: str) -> str:
    """`release-portal-<instance>/<application>:<ref>-<number>`: two portals on one engine never share a tag."""
    ref = re.sub(r"[^A-Za-z0-9_.-]+", "-", spec.ref).strip("-.")[:80] or "ref"
    return f"release-portal-{instance}/{spec.application}:{ref}-{spec.number}"


def oci_labels(spec: BuildSpec, commit: str, artifact: BuiltFile) -> dict[str, str]:
    """The names of https://github.com/opencontainers/image-spec/blob/main/annotations.md, and our own for the rest."""
    return {
        "org.opencontainers.image.title": spec.application,
        "org.opencontainers.image.version": spec.ref,
        "org.opencontainers.image.revision": commit,
        "org.opencontainers.image.source": spec.repository,
        "release-portal.application": spec.application,
        "release-portal.number": str(spec.number),
        "release-portal.artifact": artifact.sha256,
    }
