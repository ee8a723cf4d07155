"""`manage.py register`, as a person in a shell meets it."""

from __future__ import annotations

import pytest

from releases.models import Application, Event
from tests import factories
from tests.commands.conftest import Run

pytestmark = pytest.mark.django_db

ADDRESS = "https://git.example.org/shop.git"


def test_register_with_the_contract_of_the_origin(run: Run) -> None:
    said = run("register", "fruit-shop", ADDRESS)
    assert (said.code, said.out, said.err) == (0, f"fruit-shop is registered: {ADDRESS}\n", "")
    app = Application.objects.get()
    assert (app.entry_point, app.directory, app.requirements, app.stack) == (
        "app:app",
        "app",
        "requirements.txt",
        "python3.13-uwsgi",
    )
    assert Event.objects.get(verb="application.registered").actor is None


def test_register_with_everything_set(run: Run) -> None:
    said = run(
        "register", "shop", ADDRESS, "--stack", "python3.13-uwsgi", "--entry-point", "main:application",
        "--directory", "web", "--requirements", "deps/prod.txt", "--probe-path", "/health", "--probe", "required",
        "--env", "A=1", "--env", "URL=http://x/?a=b", "--rule", "v*,!*-rc*",
    )  # fmt: skip
    assert said.code == 0
    app = Application.objects.get()
    assert (app.module, app.callable, app.directory, app.requirements) == (
        "main",
        "application",
        "web",
        "deps/prod.txt",
    )
    assert (app.probe_path, app.probe_policy) == ("/health", "required")
    assert app.environment == {"A": "1", "URL": "http://x/?a=b"}
    assert (app.rule, app.rule_armed) == ("v*, !*-rc*", False)
    assert app.rule_set_at is not None


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["shop", "http://git.example.org/x.git"], "The protocol “http” is not allowed here"),
        (["shop", "https://me:pw@git.example.org/x.git"], "credentials"),
        (["shop", "not-an-address"], "A plain path is no address"),
        (["Shop!", ADDRESS], "name: Use lower-case letters"),
        (["new", ADDRESS], "choose another name"),
        (["taken", ADDRESS], "name: "),
        (["shop", ADDRESS, "--stack", "nope"], "nope"),
        (["shop", ADDRESS, "--directory", "../x"], "directory: Write a folder"),
        (["shop", ADDRESS, "--requirements", "/etc/passwd"], "requirements: Write a path"),
        (["shop", ADDRESS, "--entry-point", "a b:c"], "module: Write the module"),
        (["shop", ADDRESS, "--rule", "v[0-9*"], "rule: “v[0-9*”: close the bracket"),
        (["shop", ADDRESS, "--rule", "refs/tags/v*, a b"], "rule: “refs/tags/v*”: write the tag's name alone"),
        (["shop", ADDRESS, "--rule", "v" * 300], "rule: "),
        (["shop", ADDRESS, "--env", "A B=1"], "is no name for an environment variable"),
    ],
)
def test_bad_input_is_one_sentence_and_2(run: Run, arguments: list[str], sentence: str) -> None:
    factories.application("taken")
    said = run("register", *arguments)
    assert said.code == 2
    assert sentence in said.err
    assert said.err.count("\n") == 1
    assert "Traceback" not in said.err
    assert "pw" not in said.err
    assert said.out == ""
    assert Application.objects.count() == 1
