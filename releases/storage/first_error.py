"""The first line of a log that looks like the error: what a person would look for, found once when a build ends.

Three ranks, because tools wrap what went wrong: pip says that a subprocess failed, setuptools that gcc did, and only
gcc says which header it lacks. The first line of the highest rank that the last step has is taken; the lines before
the last step count only when it has none."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from releases.storage.cleaning import without_colours
from releases.storage.log import LogLine

LONGEST = 300
_LOOKED_AT = 2_000
"""Characters of a line that are looked at."""
CAUSE, SAID, WRAPPED = 3, 2, 1

_CAUSES = re.compile(
    r"^\S.*?:\d+(?::\d+)?: (?:fatal )?error:"  # gcc, clang: file:line:column
    r"|^\S*(?:/|\b)(?:ld|collect2)(?:\.\w+)?: (?:cannot find|.*undefined reference)|: undefined reference to "
    r"|^CMake Error|^error\[E\d+\]:"  # cmake, rustc
)
_WRAPPERS = re.compile(
    r"subprocess-exited-with-error|metadata-generation-failed|legacy-install-failure"
    r"|error: command .* failed|[Ff]ailed (?:to build|building)|Could not build wheels|build backend returned"
    r"|exit (?:status|code):? -?\d|did not run successfully|all warnings being treated as errors"
    r"|No solution found|^make(?:\[\d+\])?: \*\*\*|This error originates from a subprocess|returned \d+ exit status"
)
_SAID = re.compile(
    r"^(?:ERROR|Error|error|fatal|FATAL|CRITICAL|critical)\b ?:"
    r"|^[\w./+-]+: (?:error|fatal): |\b[eE]rror: \S"
    r"|^(?:╰─▶|hint:)? ?Because \S"  # uv's resolver
    r"|unable to load app \d|: command not found$|^\[Errno \d+\]|^(?:Killed|Segmentation fault)\b"
    r"|^!!! .* !!!$|^(?:mount|cp|mv|tar|gzip|sh|bash|/bin/\w+): .*(?:No space left|Permission denied|No such file)"
)
_TROUBLE = re.compile(
    r"\b(?:error|fatal|exception|failed|cannot|could not|couldn't|no such file|permission denied|not found|killed"
    r"|no space left|out of memory|unable to)\b",
    re.IGNORECASE,
)
_HARMLESS = re.compile(r"\b(?:0|no) errors?\b|\bwarning: |DeprecationWarning|error[_-]?\w+-\d|^\$ |^\+ ", re.IGNORECASE)
_EXCEPTION = re.compile(r"^(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:: .*)?$")
_TRACEBACK = "Traceback (most recent call last):"
_TREE = re.compile(r"^[\s│├╰╭─┬▶>|×]*")
"""What pip and uv draw before a line: pipes, arrows and a cross."""


@dataclass(frozen=True, slots=True)
class FirstError:
    line: int
    """Its number in the log, counted from 1, the lines with a step's name counted too."""
    text: str


def first_error(lines: Iterable[LogLine]) -> FirstError | None:
    """None when no line looks like one."""
    before: tuple[int, FirstError] | None = None
    best: tuple[int, FirstError] | None = None
    for line, rank in _ranked(lines):
        if rank < 0:  # a step begins
            before, best = best or before, None
        elif best is None or rank > best[0]:
            best = rank, line
    found = best or before
    return found[1] if found else None


def _ranked(lines: Iterable[LogLine]) -> Iterator[tuple[FirstError, int]]:
    """Every line that may be it, with its rank; -1 where a step begins."""
    traceback: int | None = None
    for number, line in enumerate(lines, 1):
        if line.begins_step:
            traceback = None
            yield FirstError(number, line.text), -1
            continue
        text = without_colours(line.text)[:_LOOKED_AT].rstrip()
        said = _TREE.sub("", text)
        indent = len(text) - len(said)
        if said == _TRACEBACK or said.endswith(f" {_TRACEBACK}"):
            traceback = indent
            continue
        if traceback is not None and indent <= traceback and _EXCEPTION.match(said):
            traceback = None
            yield FirstError(number, said[:LONGEST]), CAUSE
        elif rank := _rank(said):
            yield FirstError(number, said[:LONGEST]), rank


def _rank(said: str) -> int:
    if not _TROUBLE.search(said) and not _SAID.search(said) and not _CAUSES.search(said):
        return 0
    if _CAUSES.search(said):
        return CAUSE
    if _HARMLESS.search(said):
        return 0
    if _WRAPPERS.search(said):
        return WRAPPED
    return SAID if _SAID.search(said) else WRAPPED
