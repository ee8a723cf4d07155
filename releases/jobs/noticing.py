"""What the sweeper notices of disks and stores, so that pages and metrics need not ask for it themselves."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import Count, Sum

from releases.models import Artifact, Image
from releases.specs import EngineInfo


def places(engine: EngineInfo | None) -> list[dict[str, Any]]:
    """Each disk once: what of ours lies on it, the first of the folders, and its bytes, free and in all."""
    folders = {
        "data": settings.PORTAL_HOME,
        "artifacts": settings.BLOBS_DIR,
        "logs": settings.LOGS_DIR,
        "mirrors": settings.MIRRORS_DIR,
    }
    if engine is not None and engine.root and settings.DOCKER_HOST.partition(":")[0] in ("", "unix"):
        folders["engine"] = Path(engine.root)  # of this machine; another's folders are not to be seen from here
    found: dict[int, dict[str, Any]] = {}
    for name, folder in folders.items():
        try:
            device, usage = folder.stat().st_dev, shutil.disk_usage(folder)
        except OSError:
            continue
        disk = found.setdefault(device, {"names": [], "path": str(folder), "free": usage.free, "total": usage.total})
        disk["names"].append(name)
    return list(found.values())


def holds(engine: EngineInfo | None) -> dict[str, int]:
    """How much is kept. An image's bytes are those that it says of itself: layers that images share count in each."""
    artifacts = Artifact.objects.aggregate(n=Count("pk"), size=Sum("size"))
    images = Image.objects.aggregate(n=Count("pk"), size=Sum("size"))
    found = {
        "artifacts": artifacts["n"],
        "artifact_bytes": artifacts["size"] or 0,
        "images": images["n"],
        "image_bytes": images["size"] or 0,
    }
    if engine is not None:
        found |= {"engine_images": engine.images, "engine_containers": engine.containers}
    return found
