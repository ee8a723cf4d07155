"""Columns of the admin's lists: links between records, digests and sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.db import models
from django.urls import reverse
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from releases.models import Build, Preview
from releases.sentences import sentence_of


def link(field: str, label: Any) -> Callable[[models.Model], str]:
    """A column that leads to the related record."""

    @admin.display(description=label, ordering=field)
    def column(record: models.Model) -> str:
        related = getattr(record, field)
        if related is None:
            return "-"
        address = reverse(f"admin:releases_{related._meta.model_name}_change", args=[related.pk])
        return format_html('<a href="{}">{}</a>', address, related)

    return column


def rows(model: type[models.Model], by: str, label: Any) -> Callable[[models.Model], str]:
    """A column that leads to the list of the records that name this one."""

    @admin.display(description=label)
    def column(record: models.Model) -> str:
        address = reverse(f"admin:releases_{model._meta.model_name}_changelist")
        return format_html('<a href="{}?{}={}">{}</a>', address, by, record.pk, label)

    return column


def short(field: str, label: Any, *, length: int = 12) -> Callable[[models.Model], str]:
    """A digest by its first digits, the whole of it in the title."""

    @admin.display(description=label, ordering=field)
    def column(record: models.Model) -> str:
        value = str(getattr(record, field))
        digits = value.removeprefix("sha256:")[:length]
        return format_html('<code title="{}">{}</code>', value, digits) if value else "-"

    return column


def megabytes(field: str, label: Any) -> Callable[[models.Model], str]:
    """Decimal megabytes, the exact bytes in the title."""

    @admin.display(description=label, ordering=field)
    def column(record: models.Model) -> str:
        value = getattr(record, field)
        if value is None:
            return "-"
        exact = gettext("%(n)s bytes") % {"n": number_format(value, 0, force_grouping=True)}
        size = number_format(f"{value / 1e6:.1f}", 1)
        return format_html('<span title="{}">{} MB</span>', exact, size)

    return column


def said(field: str, label: Any) -> Callable[[models.Model], str]:
    """A sentence of the record in the reader's language."""

    @admin.display(description=label, ordering=field)
    def column(record: models.Model) -> str:
        return sentence_of(record, field) or "-"

    return column


def computed(*columns: Callable[[Any], str]) -> tuple[Any, ...]:
    """Columns as fields of a record's page. Django takes functions there; its types know of names alone."""
    return columns


@admin.display(description=_("environment"))
def names_of_environment(record: Build | Preview) -> str:
    """The names alone: the values may be secrets."""
    return ", ".join(sorted(record.environment)) or "-"
