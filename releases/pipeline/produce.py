"""Step 2: a throw-away builder makes `app.tar.gz`.

The source goes in and the result comes out through the engine's API, never through a shared folder: with a shared
folder a build could leave a link to a file of the host where its result should be (measured).
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from releases.errors import (
    BuildFailed,
    BuildOutOfMemory,
    ContainerMissing,
    EngineError,
    LimitExceeded,
    SourceUnavailable,
)
from releases.pipeline.bench import Bench, labels_of
from releases.pipeline.watch import MemoryWatch
from releases.specs import BuildSpec, ContainerSpec, ExitStatus, Package, StackImages
from releases.storage.cleaning import clean, without_colours

USER = "10001:10001"
SHARED = "/shared"
CA_NAME = "ca-certificates.pem"
REPORT_LIMIT = 32 * 1024 * 1024
MAX_PACKAGES = 10_000
"""More than any environment has: the report is written by the build, which could write anything."""


@dataclass(frozen=True, slots=True)
class Produced:
    container: str
    """Stopped; it still holds the result. Its remover is whoever asked for it."""
    packages: tuple[Package, ...]
    memory_peak: int
    limits_hit: tuple[str, ...]


def produce(spec: BuildSpec, commit: str, images: StackImages, bench: Bench) -> Produced:
    """Run the builder to its end. Raises `BuildFailed` (and its kinds for limits) or `EngineError`."""
    name = f"{spec.container}-builder"
    bench.engine.create(_container(spec, name, images, bench))
    bench.engine.put(name, "/app", bench.git.archive(spec.mirror, commit, stop=bench.stop))
    if bench.surroundings.ca_bundle:
        bench.engine.put(name, SHARED, _one_file(CA_NAME, Path(bench.surroundings.ca_bundle).read_bytes()))
    limits = spec.limits
    bench.output(
        f"Builder {images.builder_id[7:19]}, user {USER}, {limits.cpus:g} CPUs, {limits.memory // 1024**2} MiB, "
        f"{limits.pids} processes, read-only root"
    )
    last_lines: deque[str] = deque(maxlen=200)

    def hear(line: str) -> None:
        last_lines.append(line)
        bench.output(line)

    bench.engine.start(name)
    with MemoryWatch(bench.engine, name) as memory:
        status = bench.engine.follow(name, output=hear, stop=bench.stop)
    counters = _counters(bench, name)
    hit = _limits_hit(status, counters)
    if status.exit_code != 0:
        raise _failure(spec, status, last_lines, hit)
    for limit in hit:
        bench.output(f"Warning: the limit of {limit} was hit during this build; what was made may lack optional parts")
    return Produced(name, _packages(bench, name), memory.peak, tuple(hit))


def _container(spec: BuildSpec, name: str, images: StackImages, bench: Bench) -> ContainerSpec:
    environment = {
        "REQUIREMENTS": spec.layout.requirements,
        "DIRECTORY": spec.layout.directory,
        "REPORT": f"{SHARED}/report.json",
        "HOME": "/tmp",  # noqa: S108 - the builder's own, thrown away with it
        **bench.surroundings.proxy_environment,
    }
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
    )


def _one_file(name: str, content: bytes) -> Iterator[bytes]:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size, member.mode, member.uid, member.gid = len(content), 0o644, 10001, 10001
        archive.addfile(member, io.BytesIO(content))
    yield buffer.getvalue()


def _json_file(bench: Bench, name: str, path: str) -> Any:
    """A file that the builder left, as untrusted JSON; None when it is missing or nonsense."""
    try:
        return json.loads(b"".join(bench.engine.take_file(name, path, limit=REPORT_LIMIT)))
    except (BuildFailed, ContainerMissing, EngineError, ValueError, RecursionError):
        return None


def _counters(bench: Bench, name: str) -> dict[str, int]:
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


INDEX_UNREACHABLE, MEMORY_HIT, PROCESSES_HIT = 17, 18, 19
"""Exit codes of `build.sh` (docs/stacks.md) that say more than "the application is wrong"."""


def _failure(spec: BuildSpec, status: ExitStatus, lines: deque[str], hit: list[str]) -> BuildFailed | SourceUnavailable:
    said = _sentence(lines)
    if status.exit_code == INDEX_UNREACHABLE:
        return SourceUnavailable(said)
    if status.exit_code == MEMORY_HIT:
        return _out_of_memory(spec)
    killed = status.exit_code == 137 or re.search(r"Killed|signal 9|MemoryError|exit code: -9", " ".join(lines))
    if "memory" in hit and killed:
        return _out_of_memory(spec)
    if re.search(r"File size limit exceeded|File too large", " ".join(lines)):
        return LimitExceeded(
            f"The build wanted to write a file of more than {spec.limits.artifact_bytes // 1024**2} MiB: make it "
            f"smaller or raise “largest app.tar.gz” of the application."
        )
    refused = status.exit_code == PROCESSES_HIT or "processes" in hit
    if refused or re.search(r"Resource temporarily unavailable|can't start new thread", " ".join(lines)):
        return LimitExceeded(
            f"The build wanted more than {spec.limits.pids} processes and failed: {said} "
            f"Raise “processes of the builder” or let it run fewer at once."
        )
    return BuildFailed(said)


def _out_of_memory(spec: BuildSpec) -> BuildOutOfMemory:
    return BuildOutOfMemory(
        f"The builder hit its memory limit of {spec.limits.memory // 1024**2} MiB and was ended: raise “memory of the "
        f"builder” of the application, or use packages that bring wheels."
    )


def _sentence(lines: deque[str]) -> str:
    """The builder's last line is its sentence for a person; the first error of pip, if there is one, tells why."""
    plain = [without_colours(clean(line)).strip() for line in lines]
    plain = [line for line in plain if line]
    if not plain:
        return "The builder ended without a word: look whether its image can run at all, by the stack's page."
    last = plain[-1]
    wanted = (
        "ERROR: No matching distribution",
        "ERROR: Could not find a version",
        "ERROR: Invalid requirement",
        "error: ",
    )
    why = next((line for start in wanted for line in plain if line.startswith(start)), "").removeprefix("ERROR: ")
    if why and why[:200] not in last:  # the builder's sentence ends with pip's last error, cut
        return f"{last} pip said: {why[:500]}"
    return last


def _packages(bench: Bench, name: str) -> tuple[Package, ...]:
    """The packages of pip's installation report (https://pip.pypa.io/en/stable/reference/installation-report/)."""
    report = _json_file(bench, name, f"{SHARED}/report.json")
    if not isinstance(report, dict) or not isinstance(report.get("install"), list):
        bench.output("Warning: pip left no readable report, so the packages of this build are not known")
        return ()
    found = {package.name: package for entry in report["install"][:MAX_PACKAGES] if (package := _package(entry))}
    return tuple(found[key] for key in sorted(found))


def _package(entry: Any) -> Package | None:
    """One entry of the report, reduced to what a database takes, for a build can write anything; None for nonsense."""
    try:
        metadata, download = entry["metadata"], entry["download_info"]
        name = re.sub(r"[-_.]+", "-", re.sub(r"[^\w.-]", "", str(metadata["name"]))).lower()[:200]
        url = str(download.get("url", ""))
        digest = str(download.get("archive_info", {}).get("hashes", {}).get("sha256", ""))
        known = digest if re.fullmatch(r"[0-9a-f]{64}", digest) else ""
        filename = re.sub(r"[^\w.+-]", "", url.split("#")[0].split("?")[0].rstrip("/").rpartition("/")[2])[:300]
        version = re.sub(r"[^\w.!+-]", "", str(metadata["version"]))[:100]
        return Package(name=name, version=version, sha256=known, filename=filename) if name and version else None
    except (KeyError, TypeError, AttributeError):
        return None
