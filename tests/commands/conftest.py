"""Commands are called as Django calls them; what they say and how they end is what a shell would see."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import django_rq
import pytest
from django.core.management import call_command


@dataclass(frozen=True, slots=True)
class Said:
    code: int
    out: str
    err: str


Run = Callable[..., Said]


@pytest.fixture
def run() -> Run:
    """Runs a command in this process."""
    for name in ("builds", "desk"):
        django_rq.get_queue(name).delete()

    def call(*arguments: str, **options: Any) -> Said:
        out, err, code = io.StringIO(), io.StringIO(), 0
        try:
            call_command(*arguments, stdout=out, stderr=err, **options)
        except SystemExit as end:
            code = int(str(end.code))
        return Said(code, out.getvalue(), err.getvalue())

    return call
