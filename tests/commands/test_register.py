"""`manage.py register`, as a person in a shell meets it."""

from __future__ import annotations

import pytest
from django.core.management import CommandError

from releases.models import Application, Event
from releases.specs import Budget, Budgets
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
        (["shop", ADDRESS, "--image-budget", "0"], "image_budget_mb: Write whole megabytes from 1 to 20,000"),
        (["shop", ADDRESS, "--archive-budget", "20001"], "archive_budget_mb: Write whole megabytes"),
        (["shop", ADDRESS, "--growth-budget", "9999:fail"], "growth_budget: Write whole per cent from 1 to 1,000"),
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


def test_register_with_budgets(run: Run) -> None:
    said = run("register", "shop", ADDRESS, "--image-budget", "45:fail", "--growth-budget", "10")
    assert said.code == 0
    assert Application.objects.get().budgets() == Budgets(
        image=Budget(45_000_000, "fail"), archive=None, growth=Budget(10, "warn")
    )


@pytest.mark.parametrize("value", ["45.5", "-1", "x", "45:nag", "45 MB", "9999999999"])
def test_register_refuses_what_is_no_budget(run: Run, value: str) -> None:
    with pytest.raises(CommandError, match="write a whole number, with :fail behind it where it must be kept"):
        run("register", "shop", ADDRESS, f"--image-budget={value}")
    assert not Application.objects.exists()
