"""`manage.py compare`: what it tells a person and a program, and how it ends."""

from __future__ import annotations

import json

import pytest

from releases.management.commands import compare
from releases.models import Build, Comparison
from tests import factories
from tests.commands.conftest import Run

pytestmark = pytest.mark.django_db


@pytest.fixture
def pair() -> tuple[Build, Build]:
    app = factories.application("shop")
    old = factories.succeeded_build(app, ref="v1", packages={"flask": "3.1.2"})
    return old, factories.succeeded_build(app, ref="v2", packages={"flask": "3.1.3"})


def test_person_reads_what_differs(run: Run, pair: tuple[Build, Build]) -> None:
    factories.comparison(*pair)
    said = run("compare", "shop", "1", "2")
    assert said.code == 0, said.err
    assert said.out.splitlines()[:2] == ["shop #1 v1 → #2 v2", "commits   2 come, 0 go"]
    assert "  ~ flask 3.1.2 → 3.1.3" in said.out
    assert "  ~ app/file0000.py (+12 bytes)" in said.out


def test_program_gets_json(run: Run, pair: tuple[Build, Build]) -> None:
    factories.comparison(*pair)
    said = run("compare", "shop", "2", "1", "--json")
    assert said.code == 0
    facts = json.loads(said.out)
    assert (facts["source"], facts["difference"]["gone_count"]) == ("read", 2)


def test_what_cannot_be_read_is_said_and_the_rest_given(run: Run, pair: tuple[Build, Build]) -> None:
    row, _ = Comparison.objects.ask(pair[0].application, pair[0].commit, pair[1].commit)
    row.mark_failed("The commit abc1234 is no longer there.")
    said = run("compare", "shop", "1", "2")
    assert (said.code, said.err.strip()) == (1, "The commit abc1234 is no longer there.")
    assert "flask" in said.out


def test_nobody_reads(run: Run, pair: tuple[Build, Build], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "PATIENCE_SECONDS", 0.0)
    said = run("compare", "shop", "1", "2")
    assert said.code == 1
    assert "No worker has read the repository" in said.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("none", "1", "2"), "No application is named “none”"),
        (("shop", "1", "9"), "shop has no build #9; its last is #2."),
        (("shop", "1", "99999999999999999999"), "shop has no build #99999999999999999999"),
        (("shop", "1", "1"), "#1 cannot be compared with itself"),
    ],
)
def test_bad_input_is_one_sentence(
    run: Run, pair: tuple[Build, Build], arguments: tuple[str, ...], sentence: str
) -> None:
    said = run("compare", *arguments)
    assert said.code == 2
    assert sentence in said.err
