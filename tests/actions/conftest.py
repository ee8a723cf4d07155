"""The doorbell of these tests is a real Redis; what rang there is removed before and after each test."""

from __future__ import annotations

from collections.abc import Iterator

import django_rq
import pytest


@pytest.fixture(autouse=True)
def quiet_queues() -> Iterator[None]:
    for name in ("builds", "desk"):
        django_rq.get_queue(name).delete()
    yield
    for name in ("builds", "desk"):
        django_rq.get_queue(name).delete()
