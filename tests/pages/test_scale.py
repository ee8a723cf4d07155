"""A page asks the database as often for many rows as for few, whichever page it is: those that the bench measures."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.http import StreamingHttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from releases.management.invented import invent
from tests.bench.pages import pages

FEW, MANY = (120, 1000, 2), (200, 2500, 12)
"""Applications, builds, and how many of these are at work."""


def ask(query: str) -> list[Mapping[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def queries(client: Client, address: str) -> list[str]:
    """What a page asks once it has been looked at; of a file, what is asked before its first row."""
    client.get(address)
    with CaptureQueriesContext(connection) as asked:
        response = client.get(address)
        if isinstance(response, StreamingHttpResponse):
            [*islice(response, 2)]  # the head, and a row
    assert response.status_code == 200, address
    return [query["sql"] for query in asked.captured_queries]


def asked_by_each(client: Client, size: tuple[int, int, int]) -> dict[str, list[str]]:
    before = transaction.savepoint()
    invent(*size)
    with connection.cursor() as cursor:
        cursor.execute(
            "ANALYZE"
        )  # nobody else does within a transaction, and without it PostgreSQL plans for empty tables
    found = {page.name: queries(client, page.address) for page in pages(ask)}
    transaction.savepoint_rollback(before)
    return found


def test_every_page_asks_as_often_for_many_rows_as_for_few(
    manager: Client, settings: Settings, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    settings.LOGS_DIR = tmp_path
    few, many = asked_by_each(manager, FEW), asked_by_each(manager, MANY)
    assert len(few) > 60
    for name, asked in many.items():
        with subtests.test(name):
            assert len(asked) <= len(few[name]), "\n".join(asked)
