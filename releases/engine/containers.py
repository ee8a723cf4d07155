"""What one container may do, and how the engine's records of one read in our words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from docker.types import LogConfig, Ulimit

from releases.specs import ContainerSpec, ExitStatus, ImageConfig, ImageInfo, Usage

from .client import Client

OPEN_FILES = 4096


def host_config(client: Client, spec: ContainerSpec, *, network: str, publish_on: str) -> dict[str, Any]:
    """The closed profile that real pip builds survive: see the fields of `ContainerSpec` for what can be opened."""
    config: dict[str, Any] = client.create_host_config(
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        read_only=spec.read_only,
        # The engine's own default for tmpfs is noexec, which breaks builds that run what they just compiled.
        tmpfs={"/tmp": f"rw,exec,nosuid,nodev,mode=1777,size={spec.tmpfs_bytes}"} if spec.tmpfs_bytes else None,  # noqa: S108 - inside
        # Equal limits for memory and for memory with swap: no swap.
        mem_limit=spec.memory or None,
        memswap_limit=spec.memory or None,
        nano_cpus=int(spec.cpus * 1_000_000_000) or None,
        pids_limit=spec.pids or None,
        ulimits=_ulimits(spec),
        # Without a bound, a container that prints a gigabyte leaves a gigabyte on the engine's disk.
        log_config=LogConfig(
            type=LogConfig.types.JSON, config={"max-size": str(spec.output_bytes // 2), "max-file": "2"}
        ),
        port_bindings={spec.publish: (publish_on,)} if spec.publish else None,
        restart_policy={"Name": "no"},
        network_mode=network if spec.network else "default",
        runtime=spec.runtime or None,
        extra_hosts=dict(spec.hosts) or None,
        # Reaps orphans and passes signals on, so that a process that ignores SIGTERM as number 1 still ends.
        init=True,
    )
    return config


def _ulimits(spec: ContainerSpec) -> list[Ulimit]:
    limits = [Ulimit(name="nofile", soft=OPEN_FILES, hard=OPEN_FILES), Ulimit(name="core", soft=0, hard=0)]
    if spec.file_bytes:
        limits.append(Ulimit(name="fsize", soft=spec.file_bytes, hard=spec.file_bytes))
    return limits


def uses_containerd(facts: Mapping[str, Any]) -> bool:
    """Whether the engine keeps its images in containerd, from what it tells of itself."""
    return ["driver-type", "io.containerd.snapshotter.v1"] in (facts.get("DriverStatus") or [])


def image_config(record: Mapping[str, Any]) -> ImageConfig:
    """From an inspected image."""
    config = record.get("Config") or {}
    return ImageConfig(
        entrypoint=tuple(config.get("Entrypoint") or ()),
        command=tuple(config.get("Cmd") or ()),
        environment=dict(line.split("=", 1) for line in config.get("Env") or () if "=" in line),
        user=str(config.get("User") or ""),
        ports=tuple(sorted(config.get("ExposedPorts") or ())),
        working_dir=str(config.get("WorkingDir") or ""),
        architecture=str(record.get("Architecture") or ""),
        os=str(record.get("Os") or "linux"),
        variant=str(record.get("Variant") or ""),
    )


def image_info(record: Mapping[str, Any]) -> ImageInfo:
    """From an inspected image."""
    layers = (record.get("RootFS") or {}).get("Layers") or ()
    return ImageInfo(
        layers=tuple(layer.removeprefix("sha256:") for layer in layers),
        config=image_config(record),
        image_id=record["Id"],
        tags=tuple(record.get("RepoTags") or ()),
        size=int(record.get("Size") or 0),
        labels=dict((record.get("Config") or {}).get("Labels") or {}),
        created=str(record.get("Created") or ""),
    )


def exit_status(record: Mapping[str, Any]) -> ExitStatus | None:
    """From an inspected container; None while it has not ended."""
    state = record["State"]
    if state["Status"] not in {"exited", "dead"}:
        return None
    return ExitStatus(exit_code=int(state["ExitCode"]), oom_killed=bool(state["OOMKilled"]))


def usage(record: Mapping[str, Any]) -> Usage:
    """From one reading of the statistics, of cgroup v1 (max_usage, failcnt) or v2 (neither).

    Memory leaves out the page cache that can be given back, as `docker stats` does.
    """
    memory = record.get("memory_stats") or {}
    details = memory.get("stats") or {}
    cache = details.get("total_inactive_file", details.get("inactive_file", 0))
    used = int(memory.get("usage") or 0)
    return Usage(
        memory=max(used - int(cache), 0),
        memory_peak=int(memory.get("max_usage") or 0),
        memory_limit_hits=int(memory.get("failcnt") or 0),
        pids=int((record.get("pids_stats") or {}).get("current") or 0),
    )


def moment(timestamp: str) -> tuple[int, int]:
    """RFC 3339 in UTC with nanoseconds, as the engine writes it: seconds since the epoch, and nanoseconds."""
    whole, _, rest = timestamp.rstrip("Z").partition(".")
    return int(datetime.fromisoformat(whole + "+00:00").timestamp()), int((rest or "0").ljust(9, "0")[:9])
