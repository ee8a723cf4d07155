"""Where the logs lie below `LOGS_DIR`: a thousand to a folder, so that a folder stays quick to list."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings


def log_path(build_id: int) -> Path:
    """The log of a build, for example `builds/000/000042.log`."""
    return _sharded("builds", build_id)


def preview_log_path(preview_id: int) -> Path:
    return _sharded("previews", preview_id)


def preparation_log_path(preparation_id: int) -> Path:
    return _sharded("preparations", preparation_id)


def _sharded(kind: str, number: int) -> Path:
    return Path(settings.LOGS_DIR) / kind / f"{number // 1000:03d}" / f"{number:06d}.log"
