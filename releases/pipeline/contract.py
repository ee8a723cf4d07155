"""The contract with an application, checked on the listing of a commit before any container is started.

Source of the convention: `requirements.txt` at the root, the application in `app/`, module `app`, callable `app`.
A repository that breaks it gets one sentence that says what is missing, where it was looked for, and what to set.
"""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Callable, Collection, Iterable

from releases.errors import BuildFailed, joined, say
from releases.specs import Layout

ReadFile = Callable[[str], bytes | None]
MODULE_LIMIT = 1024 * 1024
"""A module above this size is not looked into: the probe will say whether it works."""


def check(paths: Collection[str], read: ReadFile, layout: Layout, *, where: str) -> None:
    """Raise `BuildFailed` with everything that is missing; `where` names the ref and commit for the sentence."""
    files = set(paths)
    problems = [*_requirements(files, layout), *_application(files, read, layout)]
    if problems:
        raise BuildFailed(
            say("%(where)s does not keep the contract: %(problems)s.", where=where, problems=joined("; ", problems))
        )


def _requirements(files: Collection[str], layout: Layout) -> Iterable[str]:
    if layout.requirements in files:
        return
    found = sorted(filter(_may_be_requirements, files), key=_near)
    yield say("there is no %(file)s; set “Requirements file”%(found)s", file=layout.requirements, found=_found(found))


def _may_be_requirements(path: str) -> bool:
    """By the file's name, or its folder's."""
    return path.endswith(".txt") and any(word in part for part in path.split("/")[-2:] for word in ("req", "deps"))


def _application(files: Collection[str], read: ReadFile, layout: Layout) -> Iterable[str]:
    folder = "" if layout.directory == "." else layout.directory + "/"
    if folder and not any(path.startswith(folder) for path in files):
        folders = sorted({posixpath.dirname(path) for path in files if path.endswith(".py") and "/" in path}, key=_near)
        yield say("there is no folder %(folder)s; set “Working folder”%(found)s", folder=folder, found=_found(folders))
        yield from _elsewhere(files, read, layout)
        return
    stem = folder + layout.module.replace(".", "/")
    module = next((path for path in (f"{stem}.py", f"{stem}/__init__.py") if path in files), None)
    if module is None:
        here = sorted(
            path.removeprefix(folder)[:-3] for path in files if path.startswith(folder) and path.endswith(".py")
        )
        names = [name.replace("/", ".") for name in here if not name.endswith("__init__")]
        yield say(
            "there is no module %(module)s (%(stem)s.py or %(stem)s/__init__.py); set “Module”%(found)s",
            module=layout.module,
            stem=stem,
            found=_found(names),
        )
        return
    bound = _top_level_names(read(module))
    if bound is not None and layout.callable not in bound:
        likely = sorted(bound & {"app", "application", "create_app", "wsgi"})
        yield say(
            "%(module)s defines no %(callable)s; set “Callable”%(found)s",
            module=module,
            callable=layout.callable,
            found=_found(likely),
        )


def _elsewhere(files: Collection[str], read: ReadFile, layout: Layout) -> Iterable[str]:
    """Without the working folder nothing can be looked for in it: say what a file elsewhere suggests."""
    candidates = sorted(
        (path for path in files if path.endswith(".py") and not path.endswith("__init__.py")), key=_near
    )
    for path in candidates[:20]:
        names = _top_level_names(read(path)) or set()
        for callable_name in ("app", "application"):
            if callable_name not in names:
                continue
            module = posixpath.basename(path)[:-3]
            if module != layout.module:
                yield say(
                    "module %(module)s was not found; set “Module” (in %(path)s: %(other)s)",
                    module=layout.module,
                    path=path,
                    other=module,
                )
            if callable_name != layout.callable:
                yield say(
                    "callable %(callable)s was not found; set “Callable” (in %(path)s: %(other)s)",
                    callable=layout.callable,
                    path=path,
                    other=callable_name,
                )
            return


def _found(candidates: list[str]) -> str:
    return say(" (found: %(names)s)", names=", ".join(candidates[:3])) if candidates else ""


def _near(path: str) -> tuple[int, str]:
    """Things near the root first."""
    return path.count("/"), path


def _top_level_names(source: bytes | None) -> set[str] | None:
    """The names that a module binds when it is imported; None when that cannot be told from its text."""
    if source is None or len(source) > MODULE_LIMIT:
        return None
    try:
        tree = ast.parse(source)
        names: set[str] = set()
        return names if _bind(tree.body, names) else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        # Newer syntax than ours, or too deep to look into: pip and the probe will tell, in the stack's own Python.
        return None


def _bind(statements: Iterable[ast.stmt], names: set[str]) -> bool:
    """Collect what the statements bind; False when a star import or a dynamic module makes it unknowable."""
    for node in statements:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                if node.name == "__getattr__":
                    return False
                names.add(node.name)
            case ast.Import() | ast.ImportFrom():
                if any(alias.name == "*" for alias in node.names):
                    return False
                names.update(alias.asname or alias.name.split(".")[0] for alias in node.names)
            case _:
                for child in ast.walk(node):
                    if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
                        names.add(child.id)
                    elif isinstance(child, ast.Call) and isinstance(child.func, ast.Name) and child.func.id in DYNAMIC:
                        return False
                for block in ("body", "orelse", "finalbody", "handlers", "cases"):
                    for inner in getattr(node, block, []):
                        body = inner.body if isinstance(inner, ast.ExceptHandler | ast.match_case) else [inner]
                        if not _bind(body, names):
                            return False
    return True


DYNAMIC = frozenset({"globals", "exec", "setattr", "vars"})
