"""What can go wrong, and whose fault it is.

Two families: what the application's repository or a person's input caused (`BuildFailed`, `InvalidInput`)
and what our workshop caused (`WorkshopError`). A third, `BuildCancelled`, is nobody's fault. Every message is
one sentence for a person: what was wrong, where, and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable


class Sentence(str):
    """A sentence for a person: as a `str` it is English, for the record and for programs; `pattern` and `facts` are
    what it was made of, so that a page can say it in the reader's language. Make one with `say`, `say_many` or
    `grouped`; releases/sentences.py keeps it and tells it."""

    __slots__ = ("facts", "many", "pattern")
    pattern: str
    """Empty for a number that `grouped` made."""
    many: str
    """The pattern for more than one; empty when the sentence does not count."""
    facts: dict[str, Fact]


Fact = str | int | float


def say(pattern: str, /, **facts: object) -> Sentence:
    """`say("%(path)s is missing: add it.", path=path)`: the pattern stands in the catalogues of all languages, so it
    must be one literal. A fact that is itself a `Sentence`, or an error that was made of one, is said in the reader's
    language too; a number that the pattern rounds, as in `%(size).1f MB`, is written with that language's comma."""
    plain = {name: _plain(fact) for name, fact in facts.items()}
    sentence = Sentence(pattern % plain if plain else pattern)
    sentence.pattern, sentence.many, sentence.facts = pattern, "", plain
    return sentence


def say_many(one: str, many: str, /, *, n: int, **facts: object) -> Sentence:
    """The same for a sentence that counts: `say_many("%(n)d file", "%(n)d files", n=count)`."""
    sentence = say(one if n == 1 else many, n=n, **facts)
    sentence.pattern, sentence.many = one, many
    return sentence


def grouped(number: int) -> Sentence:
    """A fact that is a large number: 1,234,567 in English, and as the reader's language groups digits elsewhere."""
    sentence = Sentence(f"{number:,}")
    sentence.pattern, sentence.many, sentence.facts = "", "", {"n": number}
    return sentence


def joined(separator: str, parts: Iterable[str]) -> str:
    """Several sentences as one, such as all that is wrong; each is said in the reader's language."""
    facts = {f"part{place}": part for place, part in enumerate(parts)}
    return say(separator.join(f"%({name})s" for name in facts), **facts) if facts else ""


def _plain(fact: object) -> Fact:
    if isinstance(fact, PortalError):
        return fact.message
    return fact if isinstance(fact, str | int | float) else str(fact)


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


class NetworkOpen(EngineError):
    """The network of builds and of what they made cannot be closed from here; the sentence says why, and what would."""


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
