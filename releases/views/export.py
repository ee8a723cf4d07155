"""The rows of the history for other programs: CSV and JSON, sent while they are read."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import pairwise
from typing import Any, TypeVar

from django.db.models import Exists, Model, OuterRef, QuerySet
from django.http import HttpRequest, StreamingHttpResponse

from releases.models import Build, Move
from releases.models.builds import BuildQuerySet
from releases.views import name_of

FIRST, CHUNK = 20, 500
"""Rows that are read at once: few at first, so that the file begins soon."""
Row = TypeVar("Row", bound=Model)
# Spreadsheets take the full-width signs too.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


COLUMNS = (
    "application", "number", "state", "outcome", "message", "ref", "ref_full", "commit", "stack", "asked_by",
    "asked_by_name", "asked_at", "started_at", "finished_at", "seconds", "artifact_sha256", "artifact_size", "image_id",
    "image_size", "builder_size", "rebuild_of", "rebase_of", "rule", "tag_moved", "over_budget", "address",
)  # fmt: skip


def record(request: HttpRequest, build: Build) -> tuple[Any, ...]:
    """One build as flat facts, in the order of `COLUMNS`. Sizes in bytes, times in UTC."""
    artifact, image = build.artifact, build.image
    return (
        build.application.name,
        build.number,
        build.state,
        build.outcome,
        build.message,
        build.ref,
        build.ref_full,
        build.commit,
        build.stack,
        build.requested_by.get_username() if build.requested_by else "",
        name_of(build.requested_by) if build.requested_by else "the portal",  # the same in every language
        _time(build.created_at),
        _time(build.started_at),
        _time(build.finished_at),
        round(build.seconds, 2) if build.is_finished and build.seconds is not None else None,
        artifact.sha256 if artifact else "",
        artifact.size if artifact else None,
        image.image_id if image else "",
        image.size if image else None,
        image.builder_size if image else None,
        build.retry_of.number if build.retry_of else None,
        build.rebase_of.number if build.rebase_of else None,
        build.rule,
        bool(getattr(build, "tag_moved", False)),
        " ".join(crossing["budget"] for crossing in build.crossings),
        request.build_absolute_uri(build.get_absolute_url()),
    )


def with_marks(builds: BuildQuerySet) -> BuildQuerySet:
    """Each with whether a tag was taken away from its commit since."""
    moves = Move.objects.filter(application=OuterRef("application"), before=OuterRef("commit"))
    return builds.annotate(tag_moved=Exists(moves))


def as_csv(request: HttpRequest, builds: BuildQuerySet) -> StreamingHttpResponse:
    """With a head line. No cell begins as a formula does: such a text gets an apostrophe before it."""
    return attachment(csv_lines(COLUMNS, _records(request, builds)), "text/csv; charset=utf-8", "builds.csv")


def as_json(request: HttpRequest, builds: BuildQuerySet) -> StreamingHttpResponse:
    return attachment(json_pieces("builds", COLUMNS, _records(request, builds)), "application/json", "builds.json")


def _records(request: HttpRequest, builds: BuildQuerySet) -> Iterator[tuple[Any, ...]]:
    for build in in_turn(with_marks(builds)):
        yield record(request, build)


def in_turn(rows: QuerySet[Row]) -> Iterator[Row]:
    """All of them, read some at a time. Which they are is asked once, and first; a cursor outside of a transaction
    would be filled to its end before it gives the first row, and for a reader who has left, too."""
    keys = list(rows.values_list("pk", flat=True))
    for start, end in pairwise([0, *range(FIRST, len(keys), CHUNK), len(keys)]):
        yield from rows.filter(pk__in=keys[start:end])


class _Echo:
    """A file for the csv module that hands back what is written."""

    def write(self, text: str) -> str:
        return text


def csv_lines(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """A head line, then one line a row."""
    writer = csv.writer(_Echo())
    yield writer.writerow(columns)
    for row in rows:
        yield writer.writerow([_harmless(value) for value in row])


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def json_pieces(noun: str, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """One object that holds a list called `noun`, one line a row."""
    names = tuple(columns)
    yield f'{{"{noun}": ['
    for place, row in enumerate(rows):
        yield ("," if place else "") + "\n" + json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False)
    yield "\n]}\n"


def attachment(pieces: Iterator[str], kind: str, filename: str) -> StreamingHttpResponse:
    """A file that is sent while it is made."""
    response = StreamingHttpResponse(pieces, content_type=kind)
    response["Content-Disposition"] = f'attachment; filename="{filename}"'
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "private, no-store"
    return response


def _time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}" if at else ""
