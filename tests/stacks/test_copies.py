"""Each builder's folder is complete in itself, and what several of them hold is the same file."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings

STACKS = Path(settings.BASE_DIR) / "releases" / "stacks"
FIRST = STACKS / settings.DEFAULT_STACK / "builder"
OTHERS = sorted(path for path in STACKS.glob("*/builder") if path != FIRST)


def test_there_are_other_builders() -> None:
    assert OTHERS


@pytest.mark.parametrize("name", ["build.sh", "environment.py", "limit_output.py"])
@pytest.mark.parametrize("folder", OTHERS, ids=lambda folder: folder.parent.name)
def test_builders_hold_the_same_file(folder: Path, name: str) -> None:
    copy = f"cp {(FIRST / name).relative_to(settings.BASE_DIR)} {folder.relative_to(settings.BASE_DIR)}/"
    assert (folder / name).read_bytes() == (FIRST / name).read_bytes(), f"change the first, then: {copy}"


def test_builders_with_python_3_have_the_same_tools() -> None:
    """Alpine's differ in how they get there, not in how they are used."""
    assert (STACKS / "alpine-uwsgi" / "builder" / "tools.sh").read_bytes() == (FIRST / "tools.sh").read_bytes()
