"""A bench with real git, real files and the engine in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from releases.errors import BuildCancelled
from releases.git import Git
from releases.pipeline.bench import Bench, Surroundings
from releases.specs import NeverStop
from releases.storage import Blobs
from tests.fakes.cage import FakeCage
from tests.fakes.engine import FakeEngine
from tests.git.conftest import Origin
from tests.pipeline import shop


class Stopped:
    """Somebody has pressed Cancel."""

    def check(self) -> None:
        raise BuildCancelled("Cancelled.")


@pytest.fixture(scope="session")
def first_shop(tmp_path_factory: pytest.TempPathFactory) -> Origin:
    return shop.repository(tmp_path_factory.mktemp("origin"))


@pytest.fixture
def origin(first_shop: Origin, tmp_path: Path) -> Origin:
    return shop.copy_of(first_shop, tmp_path / "local")


@pytest.fixture
def engine() -> FakeEngine:
    return shop.workshop()


@pytest.fixture
def said() -> list[str]:
    """The lines of the log."""
    return []


@pytest.fixture
def bench(tmp_path: Path, engine: FakeEngine, said: list[str]) -> Bench:
    return Bench(
        engine=engine,
        git=Git(mirrors=tmp_path / "mirrors", local_root=tmp_path / "local"),
        blobs=shop.keep_runner(Blobs(tmp_path / "blobs")),
        output=said.append,
        stop=NeverStop(),
        surroundings=Surroundings(),
        locks=tmp_path / "locks",
        cage=FakeCage(),
    )


@pytest.fixture
def stopped(bench: Bench) -> Bench:
    """The same bench after somebody pressed Cancel."""
    return replace(bench, stop=Stopped())


@pytest.fixture
def around(bench: Bench) -> Callable[[Surroundings], Bench]:
    """The same bench in other surroundings."""
    return lambda surroundings: replace(bench, surroundings=surroundings)
