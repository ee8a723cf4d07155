"""How lines of the log look: for a person, or as JSON for a program that collects them."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

PROCESS = "RELEASE_PORTAL_PROCESS"
"""The environment variable by which a process of ./run knows its name."""


class Json(JsonFormatter):
    """One object a line: time, level, logger, message, process, and whatever the line is about."""

    def __init__(self) -> None:
        super().__init__(
            ["levelname", "name", "message"],
            timestamp="time",
            rename_fields={"levelname": "level", "name": "logger", "exc_info": "exception"},
            reserved_attrs=[*RESERVED_ATTRS, "facts", "request"],
            static_fields={"process": os.environ.get(PROCESS, "manage")},
        )


def told(process: str, sentence: str, *, as_json: bool) -> str:
    """A line of a process that has no logger: as it is shown on the terminal. One that is JSON already stays so."""
    if not as_json:
        return f"{process:<8} | {sentence}"
    if sentence.startswith("{"):
        return sentence
    now = datetime.now(UTC).isoformat()
    return json.dumps({"level": "INFO", "logger": "portal", "message": sentence, "process": process, "time": now})
