"""Budgets of size: what an application sets, and what is recorded when a release is larger. A crossing keeps its facts
and says them in a sentence, so that the log, the record and a page in any language tell the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from releases.errors import Sentence, grouped, joined, say
from releases.specs.weight import PartKind

BudgetPolicy = Literal["warn", "fail"]
BudgetName = Literal["image", "archive", "growth"]
Words = Callable[[int], str]
"""Bytes as a person reads them."""


@dataclass(frozen=True, slots=True)
class Budget:
    most: int
    """Bytes; of growth, per cent of the last release's image."""
    policy: BudgetPolicy = "warn"
    """Whether a larger release succeeds and says so, or fails."""


@dataclass(frozen=True, slots=True)
class Budgets:
    image: Budget | None = None
    archive: Budget | None = None
    growth: Budget | None = None

    def as_json(self) -> dict[str, dict[str, int | str]]:
        return {name: asdict(budget) for name in self.__slots__ if (budget := getattr(self, name)) is not None}

    @classmethod
    def from_json(cls, record: Mapping[str, Mapping[str, Any]]) -> Budgets:
        return cls(**{name: Budget(**budget) for name, budget in record.items()})


def in_megabytes(size: int) -> Sentence:
    """48.1 MB; 3.4 kB below a tenth of one; with the reader's comma."""
    if size >= 100_000:
        return say("%(n).1f MB", n=round(size / 1e6, 1))
    return say("%(n).1f kB", n=round(size / 1e3, 1))


@dataclass(frozen=True, slots=True)
class Grown:
    """A part that is larger than in the last release."""

    kind: PartKind
    name: str
    was: str
    """The version then; empty when the package is new, and for what has no version."""
    now: str
    size: int
    """Bytes more than then."""

    def words(self, megabytes: Words) -> Sentence:
        facts = {"name": self.name, "was": self.was, "now": self.now, "size": megabytes(self.size)}
        if self.kind == "package" and not self.was:
            return say("%(name)s %(now)s by %(size)s (new)", **facts)
        if self.kind == "package" and self.was == self.now:
            return say("%(name)s %(now)s by %(size)s", **facts)
        if self.kind == "package":
            return say("%(name)s %(was)s → %(now)s by %(size)s", **facts)
        if self.kind == "runtime":
            return say("the runtime by %(size)s", size=facts["size"])
        if self.kind == "source":
            return say("the source by %(size)s", size=facts["size"])
        return say("the environment by %(size)s", size=facts["size"])


@dataclass(frozen=True, slots=True)
class Crossing:
    """A release that is larger than one of its budgets allows."""

    budget: BudgetName
    policy: BudgetPolicy
    size: int
    """Bytes of the image or of `app.tar.gz`."""
    most: int
    """Bytes that were allowed; of growth, too."""
    since: int
    """The first of the releases in a row that are over this budget, by its number; 0 when this is the first."""
    against: int = 0
    """The release that it is compared with, by its number; 0 when there is none."""
    was: int = 0
    """Bytes of the same in that release."""
    percent: int = 0
    """Growth that was allowed; 0 for the other budgets."""
    grew: tuple[Grown, ...] = ()
    """What is larger than in that release, the largest difference first."""

    @property
    def over(self) -> int:
        return self.size - self.most

    @property
    def grown_percent(self) -> float:
        return 100 * (self.size - self.was) / self.was if self.was else 0.0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Crossing:
        return cls(**{**record, "grew": tuple(Grown(**one) for one in record["grew"])})

    def short(self, megabytes: Words = in_megabytes) -> Sentence:
        """For a list: which budget, and by how much."""
        if self.budget == "growth":
            grown, allowed = f"{self.grown_percent:.1f}", self.percent
            return say("image %(grown)s %% larger, %(allowed)s %% allowed", grown=grown, allowed=allowed)
        if self.budget == "image":
            return say("image over by %(over)s", over=megabytes(self.over))
        return say("app.tar.gz over by %(over)s", over=megabytes(self.over))

    def sentence(self, megabytes: Words = in_megabytes) -> str:
        """What is over, by how much, since when, and what grew."""
        return joined(" ", [self._what(megabytes), *self._since(), *self._what_grew(megabytes)])

    def _what(self, megabytes: Words) -> Sentence:
        facts = {
            "size": megabytes(self.size),
            "over": megabytes(self.over),
            "most": say("%(n)s MB", n=grouped(self.most // 1_000_000)),
        }
        if self.budget == "image":
            return say("The image, %(size)s, is %(over)s over its budget of %(most)s.", **facts)
        if self.budget == "archive":
            return say("app.tar.gz, %(size)s, is %(over)s over its budget of %(most)s.", **facts)
        return say(
            "The image, %(size)s, is %(grown)s %% larger than #%(against)s, %(was)s; %(allowed)s %% are allowed.",
            size=facts["size"],
            grown=f"{self.grown_percent:.1f}",
            against=self.against,
            was=megabytes(self.was),
            allowed=self.percent,
        )

    def _since(self) -> Sequence[Sentence]:
        if self.budget == "growth":
            return []
        if self.since:
            return [say("Releases have been over it since #%(since)s.", since=self.since)]
        return [say("It is the first that is over it.")]

    def _what_grew(self, megabytes: Words) -> Sequence[Sentence]:
        if not self.against:
            return []
        if not self.grew:
            return [say("It is no larger than #%(against)s.", against=self.against)] if self.size <= self.was else []
        parts = joined(", ", [part.words(megabytes) for part in self.grew])
        return [say("Grown most since #%(against)s: %(parts)s.", against=self.against, parts=parts)]
