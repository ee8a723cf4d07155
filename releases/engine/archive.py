"""An image as one archive that every engine can load: an OCI layout that is a docker archive too.

Engines read the half that they know, and both halves name the same blobs. All JSON is written in one way only, and
layers are not compressed (a blob's digest is its diff id), so the same plan has the same digests everywhere.
Specification: https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from releases.errors import EngineError, say
from releases.specs import ImagePlan, Layer

LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
BLOCK = 512


@dataclass(frozen=True, slots=True)
class Described:
    """A plan with its documents."""

    plan: ImagePlan
    config: bytes
    manifest: bytes

    @property
    def config_digest(self) -> str:
        return f"sha256:{hashlib.sha256(self.config).hexdigest()}"

    @property
    def manifest_digest(self) -> str:
        return f"sha256:{hashlib.sha256(self.manifest).hexdigest()}"

    @property
    def size(self) -> int:
        return sum(layer.size for layer in self.plan.layers)


def describe(plan: ImagePlan) -> Described:
    config = _json(_config(plan))
    layers = [
        {"mediaType": LAYER_TYPE, "digest": f"sha256:{layer.diff_id}", "size": layer.size} for layer in plan.layers
    ]
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": f"sha256:{hashlib.sha256(config).hexdigest()}",
            "size": len(config),
        },
        "layers": layers,
    }
    return Described(plan, config, _json(manifest))


def archive(image: Described, tag: str, *, leave_out: frozenset[str] = frozenset()) -> Iterator[bytes]:
    """The tar stream to load; layers whose diff ids are in `leave_out` are named and not sent.

    Raises `EngineError` in the middle when a layer's bytes are not what the plan says of them."""
    config, manifest = image.config_digest[7:], image.manifest_digest[7:]
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": image.manifest_digest,
                "size": len(image.manifest),
                "annotations": {
                    "io.containerd.image.name": f"docker.io/{tag}",
                    "org.opencontainers.image.ref.name": tag.rpartition(":")[2],
                },
            }
        ],
    }
    docker = {
        "Config": f"blobs/sha256/{config}",
        "RepoTags": [tag],
        "Layers": [f"blobs/sha256/{layer.diff_id}" for layer in image.plan.layers],
    }
    yield from _member("oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
    yield from _member("index.json", _json(index))
    yield from _member("manifest.json", _json([docker]))
    yield from _member(f"blobs/sha256/{manifest}", image.manifest)
    yield from _member(f"blobs/sha256/{config}", image.config)
    sent = set(leave_out)
    for layer in image.plan.layers:
        if layer.diff_id not in sent:
            sent.add(layer.diff_id)
            yield _head(f"blobs/sha256/{layer.diff_id}", layer.size)
            yield from _checked(layer)
            yield bytes(-layer.size % BLOCK)
    yield bytes(2 * BLOCK)


def _config(plan: ImagePlan) -> dict[str, Any]:
    starts = plan.config
    config = {
        "User": starts.user,
        "ExposedPorts": {port: {} for port in starts.ports},
        "Env": [f"{name}={value}" for name, value in starts.environment.items()],
        "Entrypoint": list(starts.entrypoint),
        "Cmd": list(starts.command),
        "WorkingDir": starts.working_dir,
        "Labels": dict(plan.labels),
    }
    return {
        "architecture": starts.architecture,
        "os": starts.os,
        **({"variant": starts.variant} if starts.variant else {}),
        "created": plan.created,
        "config": {name: value for name, value in config.items() if value},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.diff_id}" for layer in plan.layers]},
        "history": [{"created": plan.created, "created_by": layer.created_by} for layer in plan.layers],
    }


def _json(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _member(name: str, content: bytes) -> Iterable[bytes]:
    return _head(name, len(content)), content, bytes(-len(content) % BLOCK)


def _head(name: str, size: int) -> bytes:
    head = tarfile.TarInfo(name)
    head.size, head.mode = size, 0o644
    return head.tobuf(tarfile.PAX_FORMAT)


def _checked(layer: Layer) -> Iterator[bytes]:
    digest, size = hashlib.sha256(), 0
    for piece in layer.open():
        digest.update(piece)
        size += len(piece)
        if size > layer.size:
            break
        yield piece
    if (digest.hexdigest(), size) != (layer.diff_id, layer.size):
        raise EngineError(
            say(
                "The layer %(layer)s (%(created_by)s) is not what was recorded of it: press Rebuild, which "
                "makes it again.",
                layer=layer.diff_id[:12],
                created_by=layer.created_by,
            )
        )
