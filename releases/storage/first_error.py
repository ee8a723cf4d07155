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
_WRAPPERS = (
    "subprocess-exited-with-error", "metadata-generation-failed", "legacy-install-failure", "failed with exit code",
    "error: command ", "failed to build", "failed building", "could not build wheels", "build backend returned",
    "exit status", "exit code", "did not run successfully", "warnings being treated as errors", "no solution found",
    "make: ***", "originates from a subprocess", "returned a non-zero",
)  # fmt: skip
"""In small letters: what says that another program has said it."""
_SAID = re.compile(
    r"^(?:error|fatal|critical)\b ?:|^[\w./+-]+: (?:error|fatal): |\berror: \S"
    r"|^because \S"  # uv's resolver
    r"|unable to load app \d|: command not found$|^\[errno \d+\]|^(?:killed|segmentation fault)\b"
    r"|^!!! .* !!!$|^[\w/]+: .*(?:no space left|permission denied|no such file)"
)
"""In small letters."""
_TROUBLE = re.compile(
    r"\b(?:error|fatal|exception|failed|cannot|could(?: not|n't)|denied|not found|killed|unable to)\b"
)
_SIGNS = (
    "error", "fatal", "exception", "fail", "cannot", "could", "no such", "denied", "not found", "killed", "no space",
    "memory", "unable", "because", "segmentation", "undefined", "critical", "errno", "!!!",
)  # fmt: skip
"""Small letters; a line without any of them is none, which is said of most lines at once."""
_HARMLESS = re.compile(
    r"\b(?:0|no) errors?\b|warning: |error[_-]?\w+-\d|^[$+] |^(?:collecting|downloading|using cached|building) "
)
"""In small letters."""
_SIGN_OF_CAUSE = ("error:", "error[", "cmake error", "undefined reference", "cannot find")
_EXCEPTION = re.compile(r"^(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:: .*)?$")
_ANEW = "leaves this to the next installer"
"""What the builder's first installer refused does not count: another one begins behind this line."""
_SYNTAX = re.compile(r"^(?:SyntaxError|IndentationError|TabError): ")
"""What Python also says without a traceback."""
_FRAME = re.compile(r'^File "/app/(?!env/|\.)([^"]{1,150})", line (\d{1,9})')
"""Where in the application's own source, which lies in /app, it was."""
_TRACEBACK = "Traceback (most recent call last):"
_TREE = re.compile(r"^[\s│├╰╭─┬▶>|×]*")
"""What pip and uv draw before a line: pipes, arrows and a cross."""


@dataclass(frozen=True, slots=True)
class FirstError:
    line: int
    """Its number in the log, counted from 1, the lines with a step's name counted too."""
    text: str
    """With where it was, when that is a place in the application's own source: `KeyError: 'A' (app/app.py, line 2)`."""


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
    """Every line that may be it, with its rank; -1 where a step, or another installer, begins."""
    traceback: int | None = None
    place = ""
    for number, line in enumerate(lines, 1):
        if line.begins_step or _ANEW in line.text:
            traceback, place = None, ""
            yield FirstError(number, line.text), -1
            continue
        if not _is_worth_a_look(line.text, in_traceback=traceback is not None):
            continue
        text = without_colours(line.text[:_LOOKED_AT]).rstrip()
        said = _TREE.sub("", text)
        indent = len(text) - len(said)
        if frame := _FRAME.match(said):
            place = f" ({frame[1]}, line {frame[2]})"
        elif said.endswith(_TRACEBACK):
            traceback, place = indent, ""
        elif _SYNTAX.match(said) or (traceback is not None and indent <= traceback and _EXCEPTION.match(said)):
            traceback = None
            yield FirstError(number, f"{said[: LONGEST - len(place)]}{place}"), CAUSE
        elif rank := _rank(said):
            yield FirstError(number, said[:LONGEST]), rank


def _is_worth_a_look(text: str, *, in_traceback: bool) -> bool:
    """Most lines are not, which is said quickly: a log may have a million."""
    small = text[:_LOOKED_AT].lower()
    return in_traceback or "traceback" in small or 'file "/app' in small or any(sign in small for sign in _SIGNS)


def _rank(said: str) -> int:
    small = said.lower()
    if any(sign in small for sign in _SIGN_OF_CAUSE) and _CAUSES.search(said):
        return CAUSE
    if _HARMLESS.search(small):
        return 0
    if any(words in small for words in _WRAPPERS):
        return WRAPPED
    if _SAID.search(small):
        return SAID
    return WRAPPED if _TROUBLE.search(small) else 0
