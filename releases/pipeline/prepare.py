"""The images of a stack: the builder, and the runner before it has an application. Made once per digest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from releases.errors import BuildFailed, EngineError, StackError, say
from releases.pipeline.bases import have_base
from releases.pipeline.bench import Bench, alone
from releases.pipeline.flatten import flattened
from releases.specs import Anew, ImageInfo, ImagePlan, Layer, StackImages
from releases.stacks.stack import Part, Stack

CA_NAME = "ca-certificates.pem"


def known(stack: Stack, bench: Bench) -> StackImages | None:
    """The stack's images when the engine has them, and we the bytes of the runner's layer."""
    builder, runner = bench.engine.image(stack.builder_tag), bench.engine.image(stack.runner_tag)
    if builder is None or runner is None or len(runner.layers) != 1 or not bench.blobs.hold(runner.layers[0]):
        return None
    base = bench.engine.image(stack.base)
    return StackImages(
        builder_id=builder.image_id,
        builder_size=builder.size,
        runner_id=runner.image_id,
        runner_size=runner.size,
        base_id=base.image_id if base else "",
        digest=stack.digest,
        runner_layer=runner.layers[0],
        runner_config=runner.config,
    )


def prepare(stack: Stack, bench: Bench, *, anew: Anew = "") -> StackImages:
    """Make what is missing, and what is to be made `anew` with the distribution's packages of today, with every line
    of the engine in the log. Two workers never make the same at once.

    A tag moves on to its new image at the end: who has read the old id before goes on with the old one.

    Raises `StackError` when the base cannot be had or a Dockerfile of the stack fails, `EngineError` when the engine
    does."""
    _check_engine(stack, bench)
    # Stacks that share a builder wait for each other, so that it is made once.
    with alone(
        bench, f"stack-{stack.builder_tag.rpartition(':')[2]}", "Another worker is making these images; waiting for it"
    ):
        if anew == "both" or bench.engine.image(stack.builder_tag) is None:
            bench.output(f"Making the builder image {stack.builder_tag}; this is done once and may take some minutes")
            _build(stack, bench, "builder", stack.builder_tag, anew=anew == "both")
        if anew or bench.engine.image(stack.runner_tag) is None:
            _make_runner(stack, bench, anew=bool(anew))
        elif known(stack, bench) is None:
            _keep_runner(stack, bench, stack.runner_tag)  # another portal made it, or its layer was lost here
        made = known(stack, bench)
    if made is None:
        raise EngineError(
            say(
                "The images of %(stack)s were made and are gone again: look at what cleans the engine.",
                stack=stack.name,
            )
        )
    return made


def _make_runner(stack: Stack, bench: Bench, *, anew: bool) -> None:
    bench.output(f"Making the runner image {stack.runner_tag}; this is done once and may take some minutes")
    raw = f"{stack.runner_tag}-raw"
    try:
        _build(stack, bench, "runner", raw, target="runtime", anew=anew)
        _keep_runner(stack, bench, raw)
    finally:
        bench.engine.remove_image(raw)


def _keep_runner(stack: Stack, bench: Bench, made: str) -> None:
    """Make one layer of the image `made`, keep its bytes, and put the runner together from it."""
    image = bench.engine.image(made)
    if image is None:
        raise EngineError(say("The image %(made)s is gone from the engine: look at what cleans it.", made=made))
    kept = bench.blobs.put(flattened(bench.engine.export(made)), stop=bench.stop)
    size, digest = kept.size, kept.sha256

    def opened() -> Iterable[bytes]:
        with bench.blobs.open(digest) as file:
            yield from iter(lambda: file.read(1024 * 1024), b"")

    layer = Layer(digest, size, lambda: iter(opened()), f"{stack.name} runner")
    labels = {"release-portal.stack": stack.name, "release-portal.stack-digest": stack.digest}
    plan = ImagePlan((layer,), image.config, labels, "1980-01-01T00:00:00Z")
    bench.engine.assemble(plan, tag=stack.runner_tag, output=bench.output, stop=bench.stop)
    bench.output(f"Runner of one layer, {size:,} bytes, {digest[:12]}")


def _check_engine(stack: Stack, bench: Bench) -> None:
    have = bench.engine.info().api_version
    if stack.engine_api and _version(have) < _version(stack.engine_api):
        raise StackError(
            say(
                "The stack %(stack)s needs an engine with API %(engine_api)s or newer; this one has %(have)s: "
                "upgrade the engine, or choose another stack.",
                stack=stack.name,
                engine_api=stack.engine_api,
                have=have,
            )
        )


def _version(written: str) -> tuple[int, ...]:
    return tuple(int(part) for part in written.split(".") if part.isdigit())


def _build(stack: Stack, bench: Bench, part: Part, tag: str, *, target: str = "", anew: bool) -> ImageInfo:
    arguments = dict(bench.surroundings.proxy_environment)
    if bench.surroundings.index_url:
        arguments["PIP_INDEX_URL"] = bench.surroundings.index_url
    # Stacks may share a base, too.
    with alone(bench, f"base-{_named(stack.base)}", f"Another worker is getting {stack.base}; waiting for it"):
        have_base(stack, bench.engine, output=bench.output, stop=bench.stop)
    try:
        return bench.engine.build_image(
            stack.context(part, _certificates(bench)),
            tag=tag,
            labels={"release-portal.stack": stack.name, "release-portal.stack-digest": stack.digest},
            arguments=arguments,
            target=target,
            cache=not anew,
            output=bench.output,
            stop=bench.stop,
        )
    except BuildFailed as error:
        raise StackError(
            say(
                "The %(part)s image of stack %(stack)s could not be made: %(error)s "
                "Look at the log, mend %(part)s/Dockerfile or the network, and press Prepare.",
                part=part,
                stack=stack.name,
                error=error,
            )
        ) from error


def _named(reference: str) -> str:
    """A reference as the name of a file."""
    return hashlib.sha256(reference.encode()).hexdigest()[:12]


def _certificates(bench: Bench) -> dict[str, tuple[int, Iterable[bytes]]]:
    """The site's certificates, for what a Dockerfile fetches by itself."""
    if not bench.surroundings.ca_bundle:
        return {}
    data = Path(bench.surroundings.ca_bundle).read_bytes()
    return {CA_NAME: (len(data), [data])}
