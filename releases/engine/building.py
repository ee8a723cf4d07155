"""What the engine says while it builds an image, and what it leaves behind when that fails."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from releases.errors import BuildFailed, EngineError, say
from releases.specs import Output

from .lines import LineSplitter

STEP = re.compile(r"^Step \d+/\d+ : (.*)$")
RUNNING = re.compile(r"^ ---> Running in ([0-9a-f]{12,})$")
LAYER = re.compile(r"^ ---> ([0-9a-f]{12,})$")
BUILT = re.compile(r"^Successfully built ([0-9a-f]{12,})$")
CACHED = " ---> Using cache"
NARRATION = ("Step ", " ---> ", "Removing intermediate container ")
"""How lines begin that the engine says of itself; they never tell why a step failed."""

OURS = ("no space left on device", "pull access denied", "manifest unknown", "manifest for", "registry", "no such host")
"""Parts of the engine's errors that no change of an application mends: its disk, or the way to a registry."""


class BuildReader:
    """Reads the records of one build: gives lines to `output`, and remembers what matters afterwards."""

    def __init__(self, tag: str, output: Output) -> None:
        self.tag = tag
        self.image_id = ""
        self.containers: list[str] = []
        """Intermediate containers, in the order of their steps."""
        self.layers: list[str] = []
        """Images that this build made, and that no earlier build had."""
        self._output = output
        self._lines = LineSplitter()
        self._step = ""
        self._cached = False
        self._last = ""

    def read(self, record: Mapping[str, Any]) -> None:
        """Take one record. Raises `BuildFailed` or `EngineError` for the record that says that the build failed."""
        if "stream" in record:
            for line in self._lines.feed(str(record["stream"]).encode("utf-8", "replace")):
                self._line(line)
        elif "aux" in record:
            self.image_id = record["aux"].get("ID") or self.image_id
        elif "error" in record:
            self.flush()
            raise self._failed(str(record["error"]).strip())
        elif "status" in record and not record.get("progressDetail"):
            self._say(" ".join(filter(None, [record.get("id"), record["status"]])))

    def flush(self) -> None:
        """Give the last line, if it had no line end."""
        for line in self._lines.flush():
            self._line(line)

    def _line(self, line: str) -> None:
        if step := STEP.match(line):
            self._step, self._last = step[1], ""
        elif running := RUNNING.match(line):
            self.containers.append(running[1])
        elif (layer := LAYER.match(line)) and not self._cached and not self._step.upper().startswith("FROM "):
            self.layers.append(layer[1])
        elif built := BUILT.match(line):
            self.image_id = self.image_id or built[1]
        self._cached = line == CACHED
        self._say(line)

    def _say(self, line: str) -> None:
        if line.strip() and not line.startswith(NARRATION):
            self._last = line.strip()
        self._output(line)

    def _failed(self, error: str) -> BuildFailed | EngineError:
        printed = self._last
        self._output(error)
        if any(part in error.lower() for part in OURS):
            return EngineError(
                say(
                    "The container engine could not build %(tag)s "
                    "(look at the engine's disk and at its way to the registry): %(error)s",
                    tag=self.tag,
                    error=error,
                )
            )
        where = say(" at «%(step)s»", step=self._step) if self._step else ""
        said = (
            say(" (%(error)s); the last line was: %(printed)s", error=error, printed=printed)
            if printed
            else f": {error}"
        )
        return BuildFailed(
            say("Building the image %(tag)s failed%(where)s%(said)s", tag=self.tag, where=where, said=said)
        )
