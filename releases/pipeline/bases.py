"""The image that a stack's builder and runner start from: present, else pulled, else made of packages.

The default stack's is had when the portal starts, that of any other when it is first prepared: a base that cannot be
had stops nobody who does not use it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from releases.errors import EngineError, EngineUnavailable, StackError, say
from releases.specs import Engine, Output, Stop
from releases.stacks import base
from releases.stacks.stack import Stack

LABELS = {"release-portal.base": base.PROGRAM}
MIB = 1024 * 1024


def have_base(
    stack: Stack, engine: Engine, *, output: Output, stop: Stop, get_tools: Callable[[], None] = lambda: None
) -> None:
    """Leave with the stack's base image in the engine. `get_tools` may install what making one needs.

    Raises `StackError` with what a person can do, and `EngineError` when the engine fails."""
    if engine.image(stack.base) is not None:
        return
    output(f"Pulling the base image {stack.base}.")
    try:
        engine.pull(stack.base, output=lambda line: output(f"  {line}"), stop=stop)
        return
    except EngineUnavailable:
        raise
    except EngineError as error:
        output(f"  {error.message}")
    _make(stack, engine, output, stop, get_tools)


def _make(stack: Stack, engine: Engine, output: Output, stop: Stop, get_tools: Callable[[], None]) -> None:
    pull = say("run “docker pull %(base)s” where a registry answers", base=stack.base)
    if not stack.suite:
        raise StackError(
            say(
                "The base image %(base)s is missing, and cannot be made of Debian's packages"
                " (the stack %(stack)s names no suite of them): %(pull)s.",
                base=stack.base,
                stack=stack.name,
                pull=pull,
            )
        )
    get_tools()
    if not base.can_bootstrap():
        raise StackError(
            say(
                "The base image %(base)s is missing: %(pull)s, or ./run as root on Debian or Ubuntu, which makes it"
                " from packages.",
                base=stack.base,
                pull=pull,
            )
        )
    output(f"Making the base image {stack.base} from the packages of {stack.suite} instead (about half a minute).")
    with tempfile.TemporaryDirectory(prefix="release-portal-base-") as folder:
        archive = Path(folder) / "base.tar"
        try:
            base.bootstrap(archive, stack.suite, stop)
        except StackError as error:
            raise StackError(
                say(
                    "The base image %(base)s could not be made: %(error)s"
                    " Run “docker pull %(base)s” where a registry can be reached.",
                    base=stack.base,
                    error=error,
                )
            ) from error
        engine.import_image(_pieces(archive), tag=stack.base, labels=LABELS, stop=stop)
    output(f"Made the base image {stack.base}.")


def _pieces(archive: Path) -> Iterator[bytes]:
    with archive.open("rb") as file:
        yield from iter(lambda: file.read(MIB), b"")
