"""A cage in memory: closed, or open for a reason that the test gives."""

from __future__ import annotations

from dataclasses import dataclass, field

from releases.engine.cage import Kept
from releases.errors import NetworkOpen
from releases.specs import Network


@dataclass
class FakeCage:
    trouble: str = ""
    """Why the networks cannot be closed; empty: they can."""
    required: bool = False
    runtime: str = ""
    closed: list[Network] = field(default_factory=list)
    """What was asked for, in order."""

    def close(self, kind: Network) -> bool:
        if self.trouble:
            raise NetworkOpen(self.trouble)
        self.closed.append(kind)
        return False

    def hosts(self, kind: Network) -> dict[str, str]:
        return {"index.example.org": "203.0.113.9"} if self.runtime and kind == "build" else {}

    def missing_runtime(self) -> str:
        return ""

    def keep(self) -> Kept:
        return Kept(0, self.trouble)

    def open(self) -> None:
        self.closed.clear()
