"""Rows by the hundred thousand: PostgreSQL's COPY, fed with unsaved models that know their own columns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import connection, models
from psycopg import sql


def copy_in(model: type[models.Model], rows: Iterable[models.Model]) -> int:
    """Write all rows, whose ids the caller has given, and say how many. Triggers and constraints hold as ever."""
    fields = [field for field in model._meta.concrete_fields if field.column and not field.generated]
    names = sql.SQL(", ").join(sql.Identifier(str(field.column)) for field in fields)
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(model._meta.db_table), names)
    written = 0
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row([_value(field, getattr(row, field.attname)) for field in fields])
            written += 1
    return written


def first_id(model: type[models.Model]) -> int:
    """The first of a long run of ids that nobody has taken."""
    found = model._default_manager.aggregate(last=models.Max("pk"))["last"]
    return int(found or 0) + 1


def go_on_after(model: type[models.Model]) -> None:
    """The next row that the portal writes itself gets the id after the last one that was copied in."""
    table = connection.ops.quote_name(model._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT setval(pg_get_serial_sequence(%s, 'id'), (SELECT greatest(max(id), 1) FROM {table}))",  # noqa: S608 (our tables)
            [model._meta.db_table],
        )


def _value(field: models.Field[Any, Any], value: Any) -> Any:
    """As PostgreSQL's client takes it: all but JSON goes as it is: asking each field takes longer than making rows."""
    return field.get_db_prep_save(value, connection) if isinstance(field, models.JSONField) else value
