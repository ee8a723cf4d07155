"""Reading a stack's folder: what it says of itself, a digest over its files, and its halves as build contexts."""

from __future__ import annotations

import hashlib
import re
import tarfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from django.conf import settings

from releases.errors import StackError, say

Part = Literal["builder", "runner"]

FILES = ("stack.toml", "runner/Dockerfile")
"""What a folder must hold to be a stack; a runner may hold more, as `app.ini`."""

BUILDER_FILES = ("builder/Dockerfile", "builder/build.sh")
"""What it must hold as well, unless it uses the builder of another stack."""

NAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
"""A name is part of image tags, so it is what Docker allows there."""

IGNORED = ("__pycache__", ".DS_Store")
"""What machines leave in folders; anything else, however small, changes the digest."""

INSTALLERS = ("uv", "pip")

BLOCK = 512
RECORD = 20 * BLOCK


@dataclass(frozen=True, slots=True)
class Stack:
    """One builder/runner pair."""

    name: str
    title: str
    description: str
    base: str
    """The image that both halves start from, as their Dockerfiles name it."""
    suite: str
    """The Debian release from whose packages the base can be made where no registry is reached; may be empty."""
    python: str
    port: int
    """Where the runner serves, inside its container."""
    engine_api: str
    """The oldest version of the engine's API with which this stack works; may be empty."""
    installers: tuple[str, ...]
    """What the builder can be asked to install with, in the order in which it is tried."""
    libraries: Mapping[str, str]
    """Which package of the distribution has a library that the runner may lack, by the library's file name; `*` is any
    name. A stack that names none has those of the stack whose builder it uses."""
    path: Path
    builder_path: Path
    """Where the builder's half lies: below `path`, or below the stack whose builder this one uses."""
    digest: str
    """sha256 over names and bytes of all files; owners, modes and times do not count."""

    builder_tag: str
    """Named after the stack that the builder belongs to, so that stacks which share one have one image."""
    runner_tag: str
    """The tag of the runner without an application: the stage `runtime` of its Dockerfile."""

    def half(self, part: Part) -> Path:
        return self.builder_path if part == "builder" else self.path / "runner"

    def files(self) -> dict[str, Path]:
        """Every file of both halves by its name, in order; those of a lent builder under their own stack's name."""
        own = {path.relative_to(self.path).as_posix(): path for path in _files(self.path)}
        lender = self.builder_path.parent
        lent = {} if lender == self.path else {_shown(path, lender): path for path in _files(self.builder_path)}
        return dict(sorted({**own, **lent}.items()))

    def package_of(self, library: str) -> str:
        """The distribution's package that has a library (`libpq.so.5`); empty when the stack does not say."""
        return self.libraries.get(library) or self.libraries.get("*", "").replace("*", library)

    def context(self, part: Part, extra: Mapping[str, tuple[int, Iterable[bytes]]] | None = None) -> Iterator[bytes]:
        """The half's folder as an uncompressed tar stream that is the same for the same files.

        `extra` adds files at its root: name → (size in bytes, pieces). They are passed on piece by piece.
        Raises `StackError` when a file cannot be read, `ValueError` when pieces and size disagree.
        """
        for path in _files(self.half(part)):
            data = _read(path)
            yield from _member(path.relative_to(self.half(part)).as_posix(), len(data), [data])
        for name, (size, pieces) in (extra or {}).items():
            yield from _member(name, size, pieces)
        yield bytes(RECORD)


def load(name: str) -> Stack:
    """The stack of that name; of two folders with the same name the site's own comes first.

    Raises `StackError` when there is none, or when its folder is broken.
    """
    path = _path_of(name)
    if path is None:
        known = ", ".join(sorted(_folders())) or say("none")
        raise StackError(
            say(
                "There is no stack %(name)s (there are: %(known)s): choose one of these, or add its folder to "
                "PORTAL_STACKS.",
                name=name,
                known=known,
            )
        )
    return read(path)


def names() -> list[str]:
    """The names of all folders that mean to be stacks, broken ones too, so that a page can say what is wrong with each.

    Raises `StackError` when a folder of stacks is not there."""
    return sorted(_folders())


def available() -> list[Stack]:
    """All stacks, by name. Raises `StackError` for the first broken one, so that none is silently left out."""
    return [load(name) for name in sorted(_folders())]


def read(path: Path) -> Stack:
    """The stack in this folder. Raises `StackError` with the file that is wrong and what to do."""
    if not NAME.fullmatch(path.name):
        raise StackError(
            say(
                "The stack's folder %(path)s cannot be named so: use small letters and digits, "
                "with single dots, dashes or underscores between them.",
                path=path,
            )
        )
    _check_files(path, FILES)
    says = _Description(path / "stack.toml")
    builder = _builder_of(path, says.text("builder", ""))
    own, lent = _digest(path), "" if builder.parent == path else _digest(builder)
    stack = Stack(
        name=path.name,
        title=says.text("title"),
        description=says.text("description", ""),
        base=says.text("base"),
        suite=says.text("suite", ""),
        python=says.text("python"),
        port=says.number("port", 8080),
        engine_api=says.engine_api(),
        installers=says.installers(),
        libraries=says.libraries() or _Description(builder.parent / "stack.toml").libraries(),
        path=path,
        builder_path=builder,
        builder_tag=_tag(builder, builder.parent.name),
        runner_tag=_tag(path / "runner", path.name),
        digest=hashlib.sha256(f"{own} {lent}".encode()).hexdigest() if lent else own,
    )
    _check_dockerfiles(stack)
    return stack


def _tag(half: Path, stack: str) -> str:
    return f"release-portal/{stack}-{half.name}:{_digest(half)[:12]}"


def _builder_of(path: Path, lender: str) -> Path:
    """The folder of the builder: the stack's own, or that of the stack that it names."""
    if not lender:
        _check_files(path, BUILDER_FILES)
        return path / "builder"
    found = _path_of(lender)
    if found is None or found == path or (path / "builder").exists():
        raise StackError(
            say(
                "%(path)s names %(lender)s as the stack whose builder it uses: name another stack that is "
                "there, or take the line out and keep a folder builder beside it; not both.",
                path=path / "stack.toml",
                lender=lender,
            )
        )
    _check_files(found, BUILDER_FILES)
    return found / "builder"


def _check_files(path: Path, names: Iterable[str]) -> None:
    for name in names:
        if not (path / name).is_file():
            raise StackError(
                say(
                    "The stack %(stack)s has no file %(name)s: add it to %(folder)s.",
                    stack=path.name,
                    name=name,
                    folder=path,
                )
            )


class _Description:
    """`stack.toml`, asked for one value at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._values: dict[str, Any] = tomllib.loads(_read(path).decode())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise StackError(
                say("%(path)s is not readable as TOML (%(error)s): correct it there.", path=path, error=error)
            ) from error

    def text(self, name: str, default: str | None = None) -> str:
        value = self._values.get(name, default)
        if not isinstance(value, str) or (default is None and not value.strip()):
            raise StackError(
                say(
                    '%(path)s needs a line %(name)s with a text: add it, as in %(name)s = "…".',
                    path=self.path,
                    name=name,
                )
            )
        return value.strip()

    def number(self, name: str, default: int) -> int:
        value = self._values.get(name, default)
        if type(value) is not int or not 1 <= value <= 65535:
            raise StackError(
                say("%(path)s has no usable %(name)s: write a number from 1 to 65535.", path=self.path, name=name)
            )
        return value

    def installers(self) -> tuple[str, ...]:
        value = self._values.get("installers", ["pip"])
        if (
            not isinstance(value, list)
            or not value
            or not set(value) <= set(INSTALLERS)
            or len(set(value)) < len(value)
        ):
            raise StackError(
                say('%(path)s has no usable installers: write them as in installers = ["uv", "pip"].', path=self.path)
            )
        return tuple(value)

    def libraries(self) -> dict[str, str]:
        value = self._values.get("libraries", {})
        if not isinstance(value, dict) or not all(isinstance(package, str) for package in value.values()):
            raise StackError(
                say('%(path)s has no usable [libraries]: write them as in "libpq.so.5" = "libpq5".', path=self.path)
            )
        return value

    def engine_api(self) -> str:
        engine = self._values.get("engine", {})
        value = engine.get("api", "") if isinstance(engine, dict) else None
        if not isinstance(value, str) or not re.fullmatch(r"(\d+\.\d+)?", value):
            raise StackError(
                say('%(path)s has no usable api below [engine]: write it as in api = "1.41".', path=self.path)
            )
        return value


def _check_dockerfiles(stack: Stack) -> None:
    """Both halves must start from the base, because that is what is made ready before they are built."""
    parts: tuple[Part, ...] = ("builder", "runner")
    for part in parts:
        path = stack.half(part) / "Dockerfile"
        text = _read(path).decode("utf-8", "replace")
        first = re.search(r"^FROM\s+(\S+)", text, re.MULTILINE | re.IGNORECASE)
        if first is None or first[1] != stack.base:
            raise StackError(
                say(
                    "%(path)s does not start FROM %(base)s, which stack.toml names as base: make them agree.",
                    path=path,
                    base=stack.base,
                )
            )
    if not re.search(r"^FROM\s+\S+\s+AS\s+runtime\s*$", text, re.MULTILINE | re.IGNORECASE):
        raise StackError(
            say(
                "%(path)s has no stage named runtime: write FROM %(base)s AS runtime, and FROM runtime below it.",
                path=path,
                base=stack.base,
            )
        )


def _path_of(name: str) -> Path | None:
    """The folder of the stack of that name; of two the site's own."""
    folders = (root / name for root in reversed(settings.STACK_DIRS))
    return next((path for path in folders if path.is_dir()), None) if NAME.fullmatch(name) else None


def _folders() -> set[str]:
    """The names of all folders that mean to be stacks."""
    found: set[str] = set()
    for root in settings.STACK_DIRS:
        if not root.is_dir():
            raise StackError(
                say(
                    "The folder of stacks %(root)s is not there: create it, or take it out of PORTAL_STACKS.", root=root
                )
            )
        found |= {path.parent.name for path in root.glob("*/stack.toml")}
        found |= {path.parent.name for path in root.glob("*/builder") if path.is_dir()}
    return found


def _files(folder: Path) -> list[Path]:
    """All files below, in an order that depends on nothing but their names."""
    found = [path for path in folder.rglob("*") if not set(path.parts) & set(IGNORED)]
    for path in found:
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise StackError(say("%(path)s is a link or a special file: put a plain file there.", path=path))
    return sorted((path for path in found if path.is_file()), key=lambda path: path.relative_to(folder).as_posix())


def _shown(path: Path, stack: Path) -> str:
    return path.relative_to(stack.parent).as_posix()


def _digest(folder: Path) -> str:
    total = hashlib.sha256()
    for path in _files(folder):
        name, data = path.relative_to(folder).as_posix().encode(), _read(path)
        # Lengths first, so that no two different sets of files read the same.
        total.update(b"%d %d\n%b%b" % (len(name), len(data), name, data))
    return total.hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StackError(
            say(
                "%(path)s cannot be read (%(strerror)s): give the portal's user access to it.",
                path=path,
                strerror=error.strerror,
            )
        ) from error


def _member(name: str, size: int, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """One file in a tar: no owner, no time, one mode."""
    head = tarfile.TarInfo(name)
    head.size, head.mode = size, 0o644
    yield head.tobuf(tarfile.PAX_FORMAT)
    left = size
    for piece in pieces:
        left -= len(piece)
        yield piece
    if left:
        raise ValueError(f"{name} was announced with {size} bytes and came with {size - left}")
    yield bytes(-size % BLOCK)
