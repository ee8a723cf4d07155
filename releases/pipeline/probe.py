"""Step 5: boot the image, ask it one question, keep the answer, throw the container away."""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Mapping

from releases.errors import BuildFailed, EngineError, EngineUnavailable, Sentence, joined, say
from releases.pipeline.bench import Bench, enter_cage, labels_of, thrown_away
from releases.specs import BuildSpec, BuiltImage, ContainerSpec, Engine, ExitStatus, ProbeResult, Stop
from releases.stacks.stack import Stack
from releases.storage.cleaning import clean, without_colours

PATIENCE = 30.0
"""Seconds that an application may take until its first answer."""
BODY_LIMIT = 2000
OUTPUT_LIMIT = 16 * 1024
"""Bytes of a container's output in which the reason for its silence is looked for."""


def probe(spec: BuildSpec, image: BuiltImage, bench: Bench, *, stack: Stack) -> ProbeResult:
    """Boot, ask, stop. A bad answer raises `BuildFailed` only where the application requires a good one."""
    name = f"{spec.container}-probe"
    with thrown_away(bench.engine, name):
        labels = labels_of(spec.build_id, spec.attempt, "probe")
        started = boot(
            bench, name, image.image_id, spec.environment, labels, port=stack.port, memory=spec.limits.memory
        )
        bench.output(f"Container started, asking GET {spec.probe_path}")
        result = ask(bench.engine, name, stack, spec.probe_path, started=started, stop=bench.stop)
        for line in bench.engine.output(name, limit=8192).splitlines():
            bench.output(f"  {line}")
    bench.output(result.message)
    if spec.probe_policy == "required" and not result.answered:
        raise ProbeFailed(result)
    return result


class ProbeFailed(BuildFailed):
    """The application requires a good answer and there was none; `result` is what there was."""

    def __init__(self, result: ProbeResult) -> None:
        super().__init__(
            say(
                "The image was made, but its probe failed: %(answer)s "
                "Look at the container's last lines in the log, or set the probe to “record”.",
                answer=result.message,
            )
        )
        self.result, self.exit_code = result, result.exit_code


def boot(
    bench: Bench,
    name: str,
    image: str,
    environment: Mapping[str, str],
    labels: Mapping[str, str],
    *,
    port: int,
    memory: int,
) -> float:
    """Start a container of a runtime image with its port published; the moment of the start by the monotonic clock."""
    enter_cage(bench, "run")
    bench.engine.create(
        ContainerSpec(
            name=name,
            image=image,
            labels=labels,
            environment=environment,
            memory=memory,
            cpus=1.0,
            pids=128,
            network="run",
            runtime=bench.cage.runtime,
            hosts=bench.cage.hosts("run"),
            publish=port,
            tmpfs_bytes=64 * 1024 * 1024,
        )
    )
    started = time.monotonic()
    bench.engine.start(name)
    return started


def ask(engine: Engine, name: str, stack: Stack, path: str, *, started: float, stop: Stop) -> ProbeResult:
    """Ask until there is an answer, the container has ended, or patience is over."""
    while time.monotonic() - started < PATIENCE:
        stop.check()
        ended = engine.wait(name, seconds=0.05)
        if ended is not None:
            return _silent(_end_of(ended), engine, name, stack, started, exit_code=ended.exit_code)
        try:
            answer = _get(engine.address(name, stack.port), path)
        except EngineUnavailable:
            raise
        except EngineError:  # it ended since the last look: the next one says how
            continue
        if answer is not None:
            return _answered(engine, name, stack, path, answer, time.monotonic() - started)
    late = say("GET %(path)s had no answer within %(seconds).0f s", path=path, seconds=PATIENCE)
    return _silent(late, engine, name, stack, started)


def _end_of(ended: ExitStatus) -> Sentence:
    if ended.oom_killed:
        return say("The container ran out of memory before it answered")
    return say("The container ended with exit code %(code)s before it answered", code=ended.exit_code)


def _get(address: str, path: str) -> tuple[int, str, bytes] | None:
    """One request; None while nobody listens. A plain client: no redirects are followed and no proxy is used."""
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    try:
        connection.request("GET", path, headers={"Host": "localhost", "User-Agent": "release-portal-probe"})
        response = connection.getresponse()
        return response.status, response.reason, _head(response, time.monotonic() + 10)
    except (OSError, http.client.HTTPException):
        time.sleep(0.05)
        return None
    finally:
        connection.close()


def _head(response: http.client.HTTPResponse, deadline: float) -> bytes:
    """The beginning of an answer. One that drips is cut when its time is over, so that it holds up no worker."""
    head = b""
    while len(head) < BODY_LIMIT * 4 and time.monotonic() < deadline:
        piece = response.read1(BODY_LIMIT * 4 - len(head))
        if not piece:
            break
        head += piece
    return head


def _answered(
    engine: Engine, name: str, stack: Stack, path: str, answer: tuple[int, str, bytes], seconds: float
) -> ProbeResult:
    status, reason, body = answer
    try:
        memory = engine.usage(name).memory
    except EngineError:
        memory = 0
    lacks = missing_library(engine.output(name, limit=OUTPUT_LIMIT), stack) if status >= 500 else ""
    answered = say(
        "GET %(path)s answered %(status)s %(reason)s after %(seconds).2f s.",
        path=path,
        status=status,
        reason=clean(reason)[:100],
        seconds=seconds,
    )
    return ProbeResult(
        status=status,
        seconds=seconds,
        memory=memory,
        body=_text(body),
        message=joined(" ", filter(None, [answered, lacks])),
    )


def _silent(
    what: str, engine: Engine, name: str, stack: Stack, started: float, exit_code: int | None = None
) -> ProbeResult:
    said = engine.output(name, limit=OUTPUT_LIMIT)
    sentence = say("%(what)s: %(why)s", what=what, why=missing_library(said, stack) or _last(said))
    return ProbeResult(
        status=0,
        seconds=time.monotonic() - started,
        memory=0,
        body=_text(said.encode()),
        exit_code=exit_code,
        message=sentence if len(sentence) <= 480 else sentence[:480],
    )


def missing_library(said: str, stack: Stack) -> str:
    """The sentence for a library that the loader did not find, by what a container has printed; empty for none."""
    found = _NOT_FOUND.search(without_colours(said))
    if found is None:
        return ""
    library = found[1] or found[2]
    package = stack.package_of(library)
    has = (
        say("the package %(package)s has it", package=package)
        if package
        else say("look for the package of the distribution that has it")
    )
    return say(
        "The runtime image has no %(library)s; %(has)s: add it to the runner of the stack %(stack)s, or use a package "
        "whose wheel brings it.",
        library=library,
        has=has,
        stack=stack.name,
    )


_NOT_FOUND = re.compile(
    r"\b(lib[\w.+-]{1,150}): cannot open shared object file"  # glibc
    r"|Error loading shared library (lib[\w.+-]{1,150}):"  # musl
)
_ERROR = re.compile(r"(?:[\w.]*(?:Error|Exception|Exit|Interrupt|NotFound|Configured))(?::|$)")
"""How the last line of a traceback begins; what an application server says behind it is less to the point."""


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace").replace("\0", "�")[:BODY_LIMIT]


def _last(said: str) -> str:
    lines = [plain for line in said.splitlines() if (plain := without_colours(clean(line)).strip())]
    if not lines:
        return say("it printed nothing.")
    error = next((line for line in reversed(lines) if _ERROR.match(line)), "")
    if error:
        return say("it ended with “%(error)s”.", error=error[:200])
    return say("its last words were “%(line)s”.", line=lines[-1][:200])
