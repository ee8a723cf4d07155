"""A repository that breaks the contract gets one sentence: what is missing, where it was looked for, what to set."""

from __future__ import annotations

import pytest

from releases.errors import BuildFailed
from releases.pipeline import contract
from releases.specs import Layout

GOOD = {"requirements.txt": b"flask\n", "app/app.py": b"from flask import Flask\napp = Flask(__name__)\n"}
ELSEWHERE = {"deps/prod.txt": b"flask\n", "web/main.py": b"application = object()\n", "README.md": b""}


def refusal(files: dict[str, bytes], layout: Layout | None = None) -> str:
    with pytest.raises(BuildFailed) as caught:
        contract.check(list(files), files.get, layout or Layout(), where="v1.0.0 (abc1234)")
    return str(caught.value)


def accept(files: dict[str, bytes], layout: Layout | None = None) -> None:
    contract.check(list(files), files.get, layout or Layout(), where="v1.0.0 (abc1234)")


def test_contract_accepts_the_convention() -> None:
    accept(GOOD)


def test_contract_accepts_another_layout_by_four_fields() -> None:
    accept(ELSEWHERE, Layout(directory="web", module="main", callable="application", requirements="deps/prod.txt"))


def test_contract_names_all_four_fields_at_once() -> None:
    said = refusal(ELSEWHERE)
    assert said.startswith("v1.0.0 (abc1234) does not keep the contract: ")
    assert "there is no requirements.txt; set “Requirements file” (found: deps/prod.txt)" in said
    assert "there is no folder app/; set “Working folder” (found: web)" in said
    assert "set “Module” (in web/main.py: main)" in said
    assert "set “Callable” (in web/main.py: application)" in said


def test_contract_names_the_missing_module_and_those_that_are_there() -> None:
    said = refusal({"requirements.txt": b"", "app/main.py": b"app = 1\n"})
    assert "there is no module app (app/app.py or app/app/__init__.py); set “Module” (found: main)" in said


def test_contract_names_the_missing_callable_and_a_likely_one() -> None:
    said = refusal({**GOOD, "app/app.py": b"application = 1\n"})
    assert "app/app.py defines no app; set “Callable” (found: application)" in said


def test_contract_takes_a_package_and_the_root_as_working_folder() -> None:
    files = {"requirements.txt": b"", "shop/wsgi/__init__.py": b"def application(environ, start): ...\n"}
    accept(files, Layout(directory=".", module="shop.wsgi", callable="application"))


@pytest.mark.parametrize(
    "source",
    [
        b"def app(environ, start): ...\n",
        b"class app: ...\n",
        b"import other as app\n",
        b"from shop import app\n",
        b"from shop import *\n",
        b"try:\n    from fast import app\nexcept ImportError:\n    from slow import app\n",
        b"if True:\n    app = 1\nelse:\n    app = 2\n",
        b"with open('x') as app: ...\n",
        b"a, (app, b) = 1, (2, 3)\n",
        b"match 1:\n    case 1:\n        app = 1\n",
        b"globals()['app'] = 1\n",
        b"def __getattr__(name): ...\n",
        b"type Newer = int\napp = 1\n",
        "# coding: latin-1\nname = 'caf\xe9'\napp = 1\n".encode("latin-1"),
    ],
)
def test_contract_finds_the_callable_however_it_is_bound(source: bytes) -> None:
    accept({**GOOD, "app/app.py": source})


@pytest.mark.parametrize("source", [b"print 'python 2'\n", b"\0", b"(" * 100_000, b"x = 1\n" * 400_000])
def test_contract_leaves_to_the_probe_what_it_cannot_read(source: bytes) -> None:
    accept({**GOOD, "app/app.py": source})


def test_contract_does_not_take_a_name_inside_a_function_for_the_callable() -> None:
    assert "defines no app" in refusal({**GOOD, "app/app.py": b"def make():\n    app = 1\n    return app\n"})
