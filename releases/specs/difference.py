"""What lies between two commits of one repository, as far as it is kept: two lists of commits and one of files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

Changed = Literal["added", "removed", "changed"]


@dataclass(frozen=True, slots=True)
class CommitFacts:
    commit: str
    author: str
    at: int
    """When it was written, in seconds since 1970, as its author's clock had it."""
    subject: str


@dataclass(frozen=True, slots=True)
class FileChange:
    path: str
    what: Changed
    was: int
    """Bytes before; 0 when it was not there."""
    now: int
    same_bytes: bool = False
    """Only its permissions or its kind are another."""

    def turned(self) -> FileChange:
        words: dict[Changed, Changed] = {"added": "removed", "removed": "added", "changed": "changed"}
        return replace(self, what=words[self.what], was=self.now, now=self.was)


@dataclass(frozen=True, slots=True)
class LinesChanged:
    """The requirements that one file lost and got: whole lines, without comments and hashes."""

    path: str
    gone: tuple[str, ...]
    come: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """From one commit to another. Lists are bounded, the counts beside them are not."""

    base: str
    """The newest commit that both come from; empty when they have no history in common."""
    come: tuple[CommitFacts, ...] = ()
    """Newest first: what the second has and the first has not."""
    come_count: int = 0
    gone: tuple[CommitFacts, ...] = ()
    """What the first has and the second has not."""
    gone_count: int = 0
    files: tuple[FileChange, ...] = ()
    added: int = 0
    removed: int = 0
    changed: int = 0
    requirements: tuple[LinesChanged, ...] = ()

    @property
    def files_count(self) -> int:
        return self.added + self.removed + self.changed

    def turned(self) -> Difference:
        """The way back."""
        return replace(
            self,
            come=self.gone,
            come_count=self.gone_count,
            gone=self.come,
            gone_count=self.come_count,
            files=tuple(file.turned() for file in self.files),
            added=self.removed,
            removed=self.added,
            requirements=tuple(LinesChanged(one.path, one.come, one.gone) for one in self.requirements),
        )

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Difference:
        """As a JSON field has it: there, a tuple is a list."""
        return cls(
            **{
                **facts,
                "come": tuple(CommitFacts(**commit) for commit in facts["come"]),
                "gone": tuple(CommitFacts(**commit) for commit in facts["gone"]),
                "files": tuple(FileChange(**file) for file in facts["files"]),
                "requirements": tuple(
                    LinesChanged(one["path"], tuple(one["gone"]), tuple(one["come"])) for one in facts["requirements"]
                ),
            }
        )
