"""What the tests of hostile input share."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections

from tests.pages.conftest import redis

__all__ = ["redis"]


@pytest.fixture
def quiet() -> Iterator[None]:
    """Each refusal is a line of the log, and here are thousands."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def one_connection() -> Iterator[None]:
    """The end of a request leaves the connection alone: the whole test is one transaction of it."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)
