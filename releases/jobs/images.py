"""The image of a build: put together when it is made, and once more when the engine has lost it."""

from __future__ import annotations

from django.conf import settings

from releases.errors import BuildFailed, EngineError, Sentence, StorageError, say
from releases.models import Build, Event, Image
from releases.pipeline.bench import Bench
from releases.pipeline.package import package
from releases.specs import EPOCH, BuiltFile, BuiltImage, StackImages


def package_of(build: Build, artifact: BuiltFile, images: StackImages, bench: Bench) -> BuiltImage:
    """Put it together from this archive and this runner. Raises `EngineError`, `StorageError`."""
    made_at = build.committed_at or EPOCH
    instance = settings.PORTAL_INSTANCE
    return package(build.spec(), build.commit, made_at, artifact, images, instance=instance, bench=bench)


def image_of(build: Build, bench: Bench) -> str:
    """What the engine calls the build's image. When it is gone, the same one is put together again from the archive
    and the runner that are kept; raises `StorageError` when one of them is not, `EngineError`."""
    image = build.image
    if image is None:
        raise BuildFailed(say("The build has no image."))
    if bench.engine.image(image.image_id) is not None:
        return image.image_id
    _check_intact(build, image, bench)
    made = package_of(build, image.artifact.kept(), _runner_of(build, image), bench)
    if made.config_digest != image.config_digest:
        bench.engine.remove_image(made.tag)
        raise EngineError(
            say(
                "%(gone)s What is put together from what is kept has another id now: press Rebuild.",
                gone=_gone(build),
            )
        )
    Event.objects.record("image.made_again", build=build, data={"id": made.image_id, "tag": made.tag})
    return made.image_id


def _check_intact(build: Build, image: Image, bench: Bench) -> None:
    """A layer that is read from the store must be what it was: all are looked through before any is sent."""
    if not image.runner_layer or not image.artifact.sheets:
        raise StorageError(say("%(gone)s It was made before its parts were kept: press Rebuild.", gone=_gone(build)))
    for name, digest in (("app.tar.gz", image.artifact.sha256), (say("runtime"), image.runner_layer)):
        if not bench.blobs.is_intact(digest):
            raise StorageError(
                say(
                    "%(gone)s Its %(name)s is missing in the store, or damaged: press Rebuild.",
                    gone=_gone(build),
                    name=name,
                )
            )


def _gone(build: Build) -> Sentence:
    return say("The image of %(build)s is gone from the engine.", build=build)


def _runner_of(build: Build, image: Image) -> StackImages:
    return StackImages(
        builder_id=build.builder_image,
        builder_size=image.builder_size,
        runner_id=build.runner_image,
        runner_size=image.runner_size or 0,
        base_id=build.base_image,
        digest=build.stack_digest,
        runner_layer=image.runner_layer,
        runner_config=image.runner(),
    )
