"""gunicorn's logger."""

from __future__ import annotations

from typing import Any

from gunicorn.glogging import Logger


class WebLogger(Logger):  # type: ignore[misc] # gunicorn has no types
    """gunicorn's own words go the way of all others."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
