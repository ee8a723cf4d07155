"""What the tests of the pages share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import django_rq
import pytest

from tests.pages.workshop import forget


@pytest.fixture
def redis() -> Iterator[Any]:
    """The real Redis, with nothing of ours in it."""
    connection = django_rq.get_connection("builds")
    forget(connection)
    yield connection
    forget(connection)
