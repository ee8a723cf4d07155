"""The image that a stack starts from is had when the stack is prepared, or a sentence says what to do."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from releases.errors import BuildCancelled, StackError
from releases.pipeline.bases import LABELS, have_base
from releases.pipeline.bench import Bench
from releases.pipeline.prepare import prepare
from releases.specs import NeverStop
from releases.stacks import stack as stacks
from releases.stacks.stack import Stack
from tests.fakes.engine import FakeEngine
from tests.pipeline import shop


@pytest.fixture
def stack() -> Stack:
    return stacks.load(shop.STACK)


@pytest.fixture
def engine() -> FakeEngine:
    """One that has nothing."""
    return FakeEngine()


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What stands in for mmdebstrap, which would need a mirror and half a minute; it notes what it was asked."""
    program = tmp_path / "bin" / "mmdebstrap"
    program.parent.mkdir()
    write(program, f'echo "$@" >{tmp_path}/asked; eval "archive=\\${{$#}}"; tar cf "$archive" -C {tmp_path} bin')
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return program


def write(program: Path, script: str) -> None:
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_base_that_is_there_is_left_alone(stack: Stack, engine: FakeEngine, said: list[str]) -> None:
    image = engine.add_image(stack.base)
    have_base(stack, engine, output=said.append, stop=NeverStop())
    assert (engine.image(stack.base), said) == (image, [])


def test_base_is_pulled_where_a_registry_has_it(stack: Stack, engine: FakeEngine, said: list[str]) -> None:
    have_base(stack, engine, output=said.append, stop=NeverStop())
    assert engine.image(stack.base) is not None
    assert said[0] == f"Pulling the base image {stack.base}."


def test_base_is_made_of_the_suite_that_its_stack_names(
    stack: Stack, engine: FakeEngine, program: Path, said: list[str]
) -> None:
    engine.unknown.add(stack.base)
    have_base(replace(stack, suite="sid"), engine, output=said.append, stop=NeverStop())
    image = engine.image(stack.base)
    assert image is not None
    assert image.labels == LABELS
    assert (program.parent.parent / "asked").read_text().split()[-2] == "sid"
    assert said[-1] == f"Made the base image {stack.base}."


def test_base_that_cannot_be_made_says_why_and_leaves_nothing(
    stack: Stack, engine: FakeEngine, program: Path, said: list[str]
) -> None:
    engine.unknown.add(stack.base)
    write(program, "echo 'E: no mirror answers.'; exit 1")
    with pytest.raises(StackError, match=r"could not be made: E: no mirror answers\. Run “docker pull"):
        have_base(stack, engine, output=said.append, stop=NeverStop())
    assert engine.image(stack.base) is None


@pytest.mark.parametrize(
    ("suite", "cure"), [("", r"where a registry answers\.$"), ("trixie", "or ./run as root on Debian")]
)
def test_base_that_cannot_be_had_fails_the_preparation_with_its_cure(
    stack: Stack, engine: FakeEngine, bench: Bench, monkeypatch: pytest.MonkeyPatch, suite: str, cure: str
) -> None:
    engine.unknown.add(stack.base)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(StackError, match=f"The base image {stack.base} is missing.*: run “docker pull .*{cure}"):
        prepare(replace(stack, suite=suite), bench)
    assert engine.builds == []


def test_making_a_base_ends_when_told_to(stack: Stack, engine: FakeEngine, program: Path, said: list[str]) -> None:
    class Cancelled:
        def check(self) -> None:
            if any(line.startswith("Making") for line in said):
                raise BuildCancelled("Marta Ruiz cancelled this build.")

    engine.unknown.add(stack.base)
    write(program, "exec sleep 600")
    with pytest.raises(BuildCancelled):
        have_base(stack, engine, output=said.append, stop=Cancelled())
    assert engine.image(stack.base) is None
