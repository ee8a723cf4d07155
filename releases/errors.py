"""What can go wrong, and whose fault it is.

Two families: what the application's repository or a person's input caused (`BuildFailed`, `InvalidInput`)
and what our workshop caused (`WorkshopError`). A third, `BuildCancelled`, is nobody's fault. Every message is
one sentence for a person: what was wrong, where, and what to do.
"""

from __future__ import annotations


class Sentence(str):
    """A sentence for a person: as a `str` it is English, for the record and for programs; `pattern` and `facts` are
    what it was made of, so that a page can say it in the reader's language. Make one with `say`."""

    __slots__ = ("facts", "pattern")
    pattern: str
    facts: dict[str, str | int | float]


def say(pattern: str, /, **facts: str | int | float) -> Sentence:
    """`say("%(path)s is missing: add it.", path=path)`: the pattern stands in the catalogues of all languages, so it
    must be one literal. A fact that is itself a `Sentence` is said in the reader's language too."""
    sentence = Sentence(pattern % facts if facts else pattern)
    sentence.pattern, sentence.facts = pattern, facts
    return sentence


class PortalError(Exception):
    """The root of everything that the portal raises on purpose; `str()` of it may be shown to a person."""

    exit_code: int | None = None
    """What the container ended with that did the work, where one did."""

    @property
    def message(self) -> str:
        """The sentence for a person; a `Sentence` where it was made by `say`."""
        said = self.args[0] if self.args else ""
        return said if isinstance(said, str) else str(self)


class InvalidInput(PortalError):
    """A person asked for something that cannot be: `field` names the form field or option it stands beside."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class BuildFailed(PortalError):
    """The application's fault: its repository, its requirements, its code, or its answer to the probe."""


class LimitExceeded(BuildFailed):
    """The build wanted more than its limits give: size, files, processes."""


class BuildTimedOut(LimitExceeded):
    """The build's wall clock ran out."""


class BuildOutOfMemory(LimitExceeded):
    """The builder ended because its memory limit was hit."""


class BuildCancelled(PortalError):
    """A person asked for the end of this build."""


class LeaseLost(PortalError):
    """This worker no longer owns the build: another hand has finished it. Nothing more may be written."""


class IllegalTransition(PortalError):
    """A verb was used on a record whose state does not allow it."""


class WorkshopError(PortalError):
    """Our fault, or our surroundings': the application need not change."""


class EngineError(WorkshopError):
    """The container engine refused or failed."""


class EngineUnavailable(EngineError):
    """The container engine does not answer."""


class ContainerMissing(EngineError):
    """The container is not (or no longer) there."""


class GitError(WorkshopError):
    """git could not do what was asked, for a reason that is not the repository's address or the ref."""


class SourceUnavailable(GitError):
    """The repository cannot be reached, or refuses us."""


class RefNotFound(BuildFailed):
    """The repository has no such tag, branch or commit."""


class StorageError(WorkshopError):
    """A file could not be kept or read: no space, no permission, or bytes that differ from the record."""


class StorageFull(StorageError):
    """No space is left where the portal keeps its files."""


class StackError(WorkshopError):
    """A stack's folder is not what the portal needs: a file is missing or `stack.toml` says nonsense."""


class AlreadyUnderWay(InvalidInput):
    """What was asked for is being done already; `address` is the page of it, `key` its row where there is one."""

    def __init__(self, message: str, *, address: str, key: int | None = None) -> None:
        super().__init__(message)
        self.address, self.key = address, key
