"""The applications that are released, and what changes in them from case to case."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.e2e.portal import repository

MODULES = 60
"""So many further files of about 4 KB, because no real application is one file."""

APP = """\
from flask import Flask
{imports}
app = Flask(__name__)


@app.get("/")
def greet() -> str:
    return "Hello from {name}, {said}."
"""
MODULE = '''\
"""Module {number}: what a shop does with its fruits."""

{functions}
'''
FUNCTION = '''
def price_{number}_{at}(weight: float, kind: str = "quince") -> float:
    """What so many kilograms of a kind cost."""
    return round(weight * {number}.{at} + len(kind), 2)

'''


@dataclass(frozen=True, slots=True)
class Application:
    name: str
    requirements: tuple[str, ...]
    changed: tuple[str, str]
    """The line of the requirements that changes, before and after."""
    imports: tuple[str, ...] = ()

    def files(self, *, requirement_changed: bool = False, said: str) -> dict[str, bytes]:
        """The whole tree; `said` stands in one line of the source."""
        before, after = self.changed
        pins = [after if requirement_changed and pin == before else pin for pin in self.requirements]
        imports = "".join(f"import {name}  # noqa: F401\n" for name in self.imports)
        own = {
            "requirements.txt": "\n".join(pins) + "\n",
            "app/app.py": APP.format(name=self.name, said=said, imports=imports),
            **{f"app/shop/module_{number:02d}.py": _module(number) for number in range(MODULES)},
        }
        return {path: text.encode() for path, text in own.items()}


ALL = {
    application.name: application
    for application in (
        Application("tiny", ("Flask==3.1.1",), ("Flask==3.1.1", "Flask==3.1.2")),
        Application(
            "modern",
            ("Flask==3.1.2", "psycopg[binary]==3.2.13", "numpy==2.3.5", "requests==2.32.4", "SQLAlchemy==2.0.44"),
            ("requests==2.32.4", "requests==2.32.5"),
            ("numpy", "psycopg", "requests", "sqlalchemy"),
        ),
        Application(
            "heavy",
            ("--no-binary uwsgi", "--no-binary markupsafe", "Flask==3.1.1", "MarkupSafe==3.0.3", "uWSGI==2.0.31"),
            ("Flask==3.1.1", "Flask==3.1.2"),
            ("markupsafe",),
        ),
    )
}


def commit(folder: Path, name: str, application: Application, case: str) -> str:
    """Push the commit of a case to the repository `name` below `folder`, tagged with the case; its address."""
    files = application.files(
        requirement_changed=case == "requirement", said=case if case != "requirement" else "first"
    )
    return repository(folder, name, files, tag=case)


def _module(number: int) -> str:
    return MODULE.format(number=number, functions="".join(FUNCTION.format(number=number, at=at) for at in range(20)))
