"""Step 2: a throw-away builder makes the environment, in parts that are kept.

The first installer makes one part of each wheel, and no code of any package runs in its builder, so that a part is a
function of its wheel alone and may serve other locks of the same application. What it cannot do is left to the next
one, which may run such code: its environment is one part, and serves its own lock alone.

The source goes in and the result comes out through the engine's API, never through a shared folder: with a shared
folder a build could leave a link to a file of the host where its result should be (measured).
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from releases.errors import (
    BuildFailed,
    BuildOutOfMemory,
    EngineError,
    LimitExceeded,
    SourceUnavailable,
    say,
)
from releases.pipeline.bench import Bench, enter_cage, labels_of, prove_runtime, thrown_away
from releases.pipeline.heard import recognised
from releases.pipeline.members import Examined, examine
from releases.pipeline.result import BARE, PartSaid, read_result
from releases.pipeline.sheets import sheets_of
from releases.pipeline.watch import DiskWatch, MemoryWatch
from releases.specs import BuildSpec, ContainerSpec, ExitStatus, KeptEnvironment, Part, StackImages
from releases.storage.cleaning import clean, without_colours

USER = "10001:10001"
SHARED = "/shared"
RESULT = f"{SHARED}/environment.json"
CA_NAME = "ca-certificates.pem"
KNOWN = "known.json"
OUTPUT_BYTES = 256 * 1024 * 1024
"""More than the engine makes of what limit_output.py hands on of an honest build, so that nothing of it is missed."""
REPORT_LIMIT = 32 * 1024 * 1024
PYTHON = "app/env/bin/python"


@dataclass(frozen=True, slots=True)
class Produced:
    environment: KeptEnvironment
    memory_peak: int
    limits_hit: tuple[str, ...]
    reused: int
    """How many of its parts were kept already."""


class _Declined(BuildFailed):
    """This installer cannot do it, and another one may: the last line says why."""


def produce(
    spec: BuildSpec,
    commit: str,
    images: StackImages,
    installers: Sequence[str],
    *,
    inputs: str,
    known: Mapping[str, Part],
    bench: Bench,
) -> Produced:
    """Make the environment in a builder, with the first installer that can.

    `known` are the parts that need not be made, by the sha256 of their wheel. Raises `BuildFailed` (and its kinds for
    limits), `SourceUnavailable` or `EngineError`."""
    for installer in installers:
        name = f"{spec.container}-builder"
        try:
            with thrown_away(bench.engine, name):
                hit, peak = _run(spec, commit, images, installer, known, bench, name)
                # What one wheel alone makes is taken only from a builder in which no code of a package has run.
                allowed = known if installer == "uv" else {}
                return _taken(spec, name, installer, inputs, allowed, bench, hit, peak)
        except _Declined as error:
            bench.output(f"{installer} leaves this to the next installer: {error.message}")
    raise BuildFailed(
        say(
            "None of the stack's installers (%(installers)s) could make this environment.",
            installers=", ".join(installers),
        )
    )


def _run(
    spec: BuildSpec,
    commit: str,
    images: StackImages,
    installer: str,
    known: Mapping[str, Part],
    bench: Bench,
    name: str,
) -> tuple[tuple[str, ...], int]:
    """The builder from its start to its end; says which limits it hit, and the most memory it used."""
    enter_cage(bench, "build")
    prove_runtime(bench, images.builder_id, f"{name}-kernel", labels_of(spec.build_id, spec.attempt, "kernel"))
    bench.engine.create(_container(spec, name, images, installer, bench))
    bench.engine.put(name, "/app", bench.git.archive(spec.mirror, commit, stop=bench.stop))
    bench.engine.put(name, SHARED, _files(_inputs(known, bench)))
    limits = spec.limits
    bench.output(
        f"Builder {images.builder_id[7:19]} with {installer}, user {USER}, {limits.cpus:g} CPUs, "
        f"{limits.memory // 1024**2} MiB, {limits.pids} processes, read-only root"
    )
    last_lines: deque[str] = deque(maxlen=200)

    def hear(line: str) -> None:
        last_lines.append(line)
        bench.output(line)

    bench.engine.start(name)
    with MemoryWatch(bench.engine, name) as memory, DiskWatch(bench.engine, name, limits, bench.stop) as disk:
        status = bench.engine.follow(name, output=hear, stop=disk)
    counters = _counters(bench, name)
    hit = _limits_hit(status, counters)
    if status.exit_code != 0:
        failure = _failure(spec, status, last_lines, hit)
        failure.exit_code = status.exit_code
        raise failure
    for limit in hit:
        bench.output(f"Warning: the limit of {limit} was hit during this build; what was made may lack optional parts")
    return tuple(hit), memory.peak


def _taken(
    spec: BuildSpec,
    name: str,
    installer: str,
    inputs: str,
    known: Mapping[str, Part],
    bench: Bench,
    hit: tuple[str, ...],
    peak: int,
) -> Produced:
    said = read_result(_json_file(bench, name, RESULT))
    made: list[Part] = []
    for part in said.parts:
        # All parts lie in app.tar.gz one behind the other: what is too large for it is not even kept.
        left = spec.limits.artifact_bytes - sum(one.size for one in made)
        made.append(_take(name, part, installer, bench, left))
    wheels = {part.wheel for part in made}
    kept = [known[one.sha256] for one in said.packages if one.sha256 in known and one.sha256 not in wheels]
    missing = [one.name for one in said.packages if installer == "uv" and one.sha256 not in wheels | set(known)]
    if missing:
        raise BuildFailed(say("The builder left out %(missing)s: look at its log.", missing=", ".join(missing[:5])))
    parts = (*made[:1], *sorted((*made[1:], *kept), key=lambda part: part.name))
    environment = KeptEnvironment(inputs, said.python, installer, said.packages, parts, sheets_of(parts, bench.blobs))
    bench.output(f"Environment {environment.key[:12]}: {len(made)} parts made, {len(kept)} kept from before")
    return Produced(environment, peak, hit, len(kept))


def _take(name: str, said: PartSaid, installer: str, bench: Bench, limit: int) -> Part:
    """One part comes out of the stopped builder, is hashed on the way, looked through, and then published."""
    look_for = frozenset({PYTHON}) if said.name == BARE else frozenset()
    found: list[Examined] = []

    def judge(file: BinaryIO, size: int) -> None:
        found.append(
            examine(file.read, name=said.file, compressed=size, below="app/env", look_for=look_for, stop=bench.stop)
        )

    pieces = bench.engine.take_file(name, f"{SHARED}/parts/{said.file}", limit=limit)
    kept = bench.blobs.put(pieces, name=said.file, limit=limit, stop=bench.stop, judge=judge)
    if look_for - found[0].names:
        raise BuildFailed(
            say(
                "%(file)s lacks %(python)s: the builder must pack the environment with its interpreter.",
                file=said.file,
                python=PYTHON,
            )
        )
    wheel = said.wheel if installer == "uv" else ""
    return Part(said.name, wheel, kept.sha256, kept.size, found[0].layer, found[0].unpacked)


def _container(spec: BuildSpec, name: str, images: StackImages, installer: str, bench: Bench) -> ContainerSpec:
    environment = {
        "MODE": installer,
        "REQUIREMENTS": spec.layout.requirements,
        "DIRECTORY": spec.layout.directory,
        "HOME": "/tmp",  # noqa: S108 - the builder's own, thrown away with it
        **bench.surroundings.proxy_environment,
    }
    if bench.surroundings.log_bytes:  # the rest is for the other steps, and for the time beside each line
        environment["LOG_BYTES"] = str(bench.surroundings.log_bytes // 2)
    if bench.surroundings.index_url:
        environment["PIP_INDEX_URL"] = bench.surroundings.index_url
    if bench.surroundings.ca_bundle:
        names = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO")
        environment.update(dict.fromkeys(names, f"{SHARED}/{CA_NAME}"))
    return ContainerSpec(
        name=name,
        image=images.builder_id,
        labels=labels_of(spec.build_id, spec.attempt, "builder"),
        environment=environment,
        user=USER,
        memory=spec.limits.memory,
        cpus=spec.limits.cpus,
        pids=spec.limits.pids,
        file_bytes=spec.limits.artifact_bytes,
        volumes=("/app", SHARED),
        output_bytes=OUTPUT_BYTES,
        network="build",
        runtime=bench.cage.runtime,
        hosts=bench.cage.hosts("build"),
    )


def _inputs(known: Mapping[str, Part], bench: Bench) -> dict[str, bytes]:
    """What the builder finds in its shared folder."""
    files = {KNOWN: json.dumps(sorted(known)).encode()}
    if bench.surroundings.ca_bundle:
        files[CA_NAME] = Path(bench.surroundings.ca_bundle).read_bytes()
    return files


def _files(contents: Mapping[str, bytes]) -> Iterator[bytes]:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.uid, member.gid = len(content), 0o644, 10001, 10001
            archive.addfile(member, io.BytesIO(content))
    yield buffer.getvalue()


def _json_file(bench: Bench, name: str, path: str) -> Any:
    """A file that the builder left, as untrusted JSON; None when it is missing or nonsense. Raises `EngineError`: that
    the engine did not hand it out is not the builder's fault."""
    try:
        return json.loads(b"".join(bench.engine.take_file(name, path, limit=REPORT_LIMIT)))
    except (BuildFailed, ValueError, RecursionError):
        return None


def _counters(bench: Bench, name: str) -> dict[str, int]:
    found: Any = None
    with suppress(EngineError):  # without them a failure still has its own words, and the result is asked for next
        found = _json_file(bench, name, f"{SHARED}/limits.json")
    if not isinstance(found, dict):
        return {}
    return {str(key): value for key, value in found.items() if isinstance(value, int)}


def _limits_hit(status: ExitStatus, counters: dict[str, int]) -> list[str]:
    """Which limits bit. The builder's own counters are a hint: a build that hides them harms itself alone.

    That memory reached its limit says nothing by itself: the kernel's file cache does so in every larger build."""
    hit = []
    if status.oom_killed or counters.get("oom_kills", 0):
        hit.append("memory")
    if counters.get("pids_limit_hits", 0):
        hit.append("processes")
    return hit


INDEX_UNREACHABLE, MEMORY_HIT, PROCESSES_HIT, DECLINED = 17, 18, 19, 20
"""Exit codes of `build.sh` (docs/stacks.md) that say more than "the application is wrong"."""


def _failure(spec: BuildSpec, status: ExitStatus, lines: deque[str], hit: list[str]) -> BuildFailed | SourceUnavailable:
    said = _sentence(lines)
    if status.exit_code == DECLINED:
        return _Declined(said)
    if status.exit_code == INDEX_UNREACHABLE:
        return SourceUnavailable(said)
    if status.exit_code == MEMORY_HIT:
        return _out_of_memory(spec)
    killed = status.exit_code == 137 or re.search(r"Killed|signal 9|MemoryError|exit code: -9", " ".join(lines))
    if "memory" in hit and killed:
        return _out_of_memory(spec)
    if re.search(r"File size limit exceeded|File too large", " ".join(lines)):
        return LimitExceeded(
            say(
                "The build wanted to write a file of more than %(most)s MiB: make it "
                "smaller or raise “largest app.tar.gz” of the application.",
                most=spec.limits.artifact_bytes // 1024**2,
            )
        )
    refused = status.exit_code == PROCESSES_HIT or "processes" in hit
    if refused or re.search(r"Resource temporarily unavailable|can't start new thread", " ".join(lines)):
        return LimitExceeded(
            say(
                "The build wanted more than %(pids)s processes and failed: %(said)s "
                "Raise “processes of the builder” or let it run fewer at once.",
                pids=spec.limits.pids,
                said=said,
            )
        )
    return BuildFailed(said)


def _out_of_memory(spec: BuildSpec) -> BuildOutOfMemory:
    return BuildOutOfMemory(
        say(
            "The builder hit its memory limit of %(memory)s MiB and was ended: raise “memory of the "
            "builder” of the application, or use packages that bring wheels.",
            memory=spec.limits.memory // 1024**2,
        )
    )


def _sentence(lines: deque[str]) -> str:
    """The builder's last line is its sentence for a person; the first error of pip, if there is one, tells why."""
    plain = [without_colours(clean(line)).strip() for line in lines]
    plain = [line for line in plain if line]
    if not plain:
        return say("The builder ended without a word: look whether its image can run at all, by the stack's page.")
    last = recognised(plain[-1])
    wanted = (
        "ERROR: No matching distribution",
        "ERROR: Could not find a version",
        "ERROR: Invalid requirement",
        "error: ",
    )
    why = next((line for start in wanted for line in plain if line.startswith(start)), "").removeprefix("ERROR: ")
    if why and why[:200] not in last:  # the builder's sentence ends with pip's last error, cut
        return say("%(last)s pip said: %(why)s", last=last, why=why[:500])
    return last
