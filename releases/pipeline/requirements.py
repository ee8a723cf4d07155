"""Which files of a commit decide what its environment holds, and one digest over them.

An environment is made once for the same digest. So everything that can change it must be in there: each file that
is led to by `-r` and `-c`, the index, and the whole commit where a requirement is a folder of the repository. What
can change without any of them, such as a branch of another repository, has no digest and is made each time.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import posixpath
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

ReadFile = Callable[[str], bytes | None]

MOST_FILES = 200
"""Requirement files that lead to each other; more are taken for a mistake, and the environment is made each time."""

_LEADS_TO = re.compile(r"^(?:-r|-c|--requirement|--constraint)(?:\s*=\s*|\s+|(?<=-[rc]))(?P<path>\S.*)$")
# A line may be some megabytes of anything: each pattern looks at a character once, whatever stands there.
_LOCAL = re.compile(r"^(?:-e|--editable|--find-links|-f)(?:\b|=)|^\.|^/|^file:|@\s*(?:file:|\.)", re.IGNORECASE)
_FLEETING = re.compile(r"(?:git|hg|svn|bzr)\+|@\s*https?://", re.IGNORECASE)
_ELSEWHERE = re.compile(r"(?:https?|ftp)://", re.IGNORECASE)
_PACKED = re.compile(r"[^\s]\.(?:whl|zip|tar\.\w|tgz)", re.IGNORECASE)
_PINNED = re.compile(r"@[0-9a-f]{40}\b|[#&]sha256=[0-9a-f]{64}", re.IGNORECASE)
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(slots=True)
class _Found:
    files: dict[str, str] = field(default_factory=dict)
    """Path → sha256 of its bytes; empty for one that is not there."""
    is_local: bool = False
    is_fleeting: bool = False


def inputs_digest(start: str, read: ReadFile, *, commit: str, index_url: str) -> str:
    """The digest for the requirement file `start`; empty when the environment may change without it."""
    found = _Found()
    waiting = [start]
    while waiting:
        path = waiting.pop()
        if path in found.files:
            continue
        if len(found.files) >= MOST_FILES:
            return ""
        data = read(path)
        found.files[path] = "" if data is None else hashlib.sha256(data).hexdigest()
        if data is not None:
            waiting += _read(path, data, found)
    if found.is_fleeting:
        return ""
    facts = {"files": found.files, "tree": commit if found.is_local else "", "index": index_url}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _read(path: str, data: bytes, found: _Found) -> list[str]:
    """Note what one file says; hands back the files that it leads to."""
    if posixpath.basename(path) == "pyproject.toml":
        found.is_local = found.is_local or _is_dynamic(data)
        found.is_fleeting = found.is_fleeting or _names_places(data)
        return [posixpath.join(posixpath.dirname(path), "uv.lock")]
    if posixpath.basename(path) == "uv.lock":
        return []  # it names each file by its digest
    return [posixpath.normpath(posixpath.join(posixpath.dirname(path), name)) for name in _nested(_text(data), found)]


def _nested(text: str, found: _Found) -> Iterator[str]:
    for line in _lines(text):
        leads = _LEADS_TO.match(line)
        if leads and "://" not in leads["path"]:
            yield leads["path"].strip().strip("\"'")
        elif leads:  # a file of another machine
            found.is_fleeting = True
        else:
            _note(line, found)


def _note(line: str, found: _Found) -> None:
    if _is_fleeting(line) and not _PINNED.search(line):
        found.is_fleeting = True
    elif "://" not in line and (_LOCAL.search(line) or _is_path(line)):
        found.is_local = True


def _is_fleeting(text: str) -> bool:
    """Whether it names a repository, or a packed file of another machine."""
    elsewhere = _ELSEWHERE.search(text)
    return bool(_FLEETING.search(text) or (elsewhere and _PACKED.search(text, elsewhere.end())))


def _is_path(line: str) -> bool:
    return "/" in line and not re.search(r"[#;]", line) and not re.search(r"[@\s]", line.partition("/")[0])


def _lines(text: str) -> Iterator[str]:
    """As pip reads them: continued lines joined, comments and white space gone."""
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        plain = re.sub(r"(^|\s)#.*$", "", line).strip()
        if plain:
            yield plain


def _text(data: bytes) -> str:
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    return data.decode(encoding, "replace")


def _names_places(data: bytes) -> bool:
    """Whether a pyproject.toml takes something from elsewhere than the index: then the files alone do not decide."""
    return _is_fleeting(_text(data)) or bool(re.search(r"\b(?:path|git|workspace|url)\s*=", _text(data)))


def _is_dynamic(data: bytes) -> bool:
    """Whether the dependencies are computed from the project itself; the builder tells of what is no TOML."""
    try:
        project = tomllib.loads(_text(data)).get("project", {})
    except (ValueError, RecursionError):  # no TOML, numbers of thousands of digits, lists a thousand deep
        return True
    dynamic = project.get("dynamic", []) if isinstance(project, dict) else None
    return not isinstance(dynamic, list) or "dependencies" in dynamic
