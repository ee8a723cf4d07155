"""The house rules: which room may know what. Whoever breaks one reads here which, and why it is there."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command

from releases import errors

ROOT = Path(settings.BASE_DIR)
VAGUE = {"utils", "util", "helpers", "services", "managers", "constants", "signals", "common", "misc"}


def modules(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """The dotted names that a module imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return found


def test_floors_import_downwards_only() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "0 broken" in answer.stdout


@pytest.mark.parametrize("word", sorted(VAGUE))
def test_no_module_has_a_name_that_says_nothing(word: str) -> None:
    assert [path for path in modules("releases", "portal") if path.stem == word or word in path.parent.parts] == []


def test_only_the_engines_room_and_the_setup_know_docker() -> None:
    knowing = {
        path.relative_to(ROOT).parts[:2]
        for path in modules("releases", "portal")
        if any(name.split(".")[0] == "docker" for name in imports(path))
    }
    # setup starts the engine's own process where there is none, and must see whether it answers
    assert knowing == {("releases", "engine"), ("portal", "setup")}


def test_only_the_room_of_git_starts_processes_in_the_application() -> None:
    starting = {
        path.relative_to(ROOT).parts[:2]
        for path in modules("releases")
        if any(name.split(".")[0] == "subprocess" for name in imports(path)) and '"git"' in path.read_text()
    }
    assert starting == {("releases", "git")}


@pytest.mark.parametrize("room", ["views", "templatetags", "admin", "models"])
def test_the_web_starts_no_process_and_asks_no_engine(room: str) -> None:
    for path in modules(f"releases/{room}"):
        forbidden = {"subprocess", "docker", "releases.engine"} & imports(path)
        assert not forbidden, path


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        path.relative_to(ROOT)
        for path in modules("releases", "portal", "tests")
        if "migrations" not in path.parts
        and path.read_text().strip()
        and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert [str(path) for path in silent if path.name not in ("__init__.py", "apps.py")] == []


def test_no_file_has_outgrown_its_room() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in modules("releases", "portal")
        if "migrations" not in path.parts and (lines := path.read_text().count("\n")) > 430
    }
    assert long == {}


@pytest.mark.django_db
def test_migrations_say_what_the_models_say() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


ERRORS = {name for name, thing in vars(errors).items() if isinstance(thing, type) and issubclass(thing, Exception)}
SAID = {"say", "say_many", "joined", "changed", "_", "gettext"}


def said_plainly(path: Path) -> Iterator[str]:
    """Errors of ours whose sentence is a text that no catalogue has."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and node.args and _name(node.func) in ERRORS | {"_refuse", "ProbeFailed"}:
            for part in ast.walk(node.args[0]):
                if isinstance(part, ast.Call) and _name(part.func) in SAID:
                    break
                if isinstance(part, ast.JoinedStr) or (isinstance(part, ast.Constant) and isinstance(part.value, str)):
                    yield f"{path.relative_to(ROOT)}:{node.lineno} {ast.unparse(node)[:80]}"
                    break


def _name(function: ast.expr) -> str:
    return getattr(function, "id", getattr(function, "attr", ""))


def test_every_error_of_ours_can_be_translated() -> None:
    plain = [line for path in modules("releases") for line in said_plainly(path)]
    assert plain == [], "write the sentence with say() of releases/errors.py"


def test_a_plain_error_would_be_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.test_house.ROOT", tmp_path)
    (tmp_path / "one.py").write_text('raise errors.BuildFailed(f"{what} is missing")\nraise GitError(say("no"))\n')
    assert len(list(said_plainly(tmp_path / "one.py"))) == 1
