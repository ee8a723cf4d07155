"""The images of a stack: the builder, and the runner before it has an application. Made once per digest."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from releases.errors import BuildFailed, EngineError, StackError
from releases.pipeline.bench import Bench
from releases.specs import ImageInfo, StackImages, Stop
from releases.stacks.stack import Stack


def known(stack: Stack, bench: Bench) -> StackImages | None:
    """The stack's images when the engine has them all."""
    builder, runner = bench.engine.image(stack.builder_tag), bench.engine.image(stack.runner_tag)
    if builder is None or runner is None:
        return None
    base = bench.engine.image(stack.base)
    return StackImages(
        builder_id=builder.image_id,
        builder_size=builder.size,
        runner_id=runner.image_id,
        runner_size=runner.size,
        base_id=base.image_id if base else "",
        digest=stack.digest,
    )


def prepare(stack: Stack, bench: Bench) -> StackImages:
    """Make what is missing, with every line of the engine in the log. Two workers never make the same at once.

    Raises `StackError` when a Dockerfile of the stack fails, `EngineError` when the engine does.
    """
    _check_engine(stack, bench)
    with _alone(bench.locks / f"stack-{stack.digest}.lock", bench.stop, bench.output):
        for part, tag, target in (("builder", stack.builder_tag, ""), ("runner", stack.runner_tag, "runtime")):
            if bench.engine.image(tag) is None:
                bench.output(f"Making the {part} image {tag}; this is done once and may take some minutes")
                _make(stack, bench, part, tag, target)
        made = known(stack, bench)
    if made is None:
        raise EngineError(f"The images of {stack.name} were made and are gone again: look at what cleans the engine.")
    return made


def _check_engine(stack: Stack, bench: Bench) -> None:
    have = bench.engine.info().api_version
    if stack.engine_api and _version(have) < _version(stack.engine_api):
        raise StackError(
            f"The stack {stack.name} needs an engine with API {stack.engine_api} or newer; this one has {have}: "
            f"upgrade the engine, or choose another stack."
        )


def _version(written: str) -> tuple[int, ...]:
    return tuple(int(part) for part in written.split(".") if part.isdigit())


def _make(stack: Stack, bench: Bench, part: str, tag: str, target: str) -> ImageInfo:
    try:
        return bench.engine.build_image(
            stack.context("builder" if part == "builder" else "runner"),
            tag=tag,
            labels={"release-portal.stack": stack.name, "release-portal.stack-digest": stack.digest},
            arguments=bench.surroundings.proxy_environment,
            target=target,
            output=bench.output,
            stop=bench.stop,
        )
    except BuildFailed as error:
        raise StackError(
            f"The {part} image of stack {stack.name} could not be made: {error} "
            f"Look at the log, mend {part}/Dockerfile or the network, and press Prepare."
        ) from error


@contextmanager
def _alone(path: Path, stop: Stop, output: Callable[[str], None]) -> Iterator[None]:
    """Hold a lock file; while another worker has it, wait and keep asking whether to go on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        told = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                stop.check()
                if not told:
                    output("Another worker is making these images; waiting for it")
                    told = True
                time.sleep(0.5)
        yield
