"""A log as two answers: pieces by their offset for the page that follows it, and the whole as plain text."""

from __future__ import annotations

from pathlib import Path

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header

from releases.storage import BuildLog

PLAIN = "text/plain; charset=utf-8"


def piece(request: HttpRequest, path: Path, *, over: bool, good: bool | None = None) -> HttpResponse:
    """What stands in a log from `?offset=` on: whole lines as they lie on the disk, at most 64 KiB.

    `X-Next-Offset` says where to go on. When `over` (nobody writes it any more) and all has been read, `X-Log-Done`
    is 1, and `X-Log-Good` says with 1 or 0 how it ended. Ask for the record first and for the log then, as the
    callers do, so that a log is never called done before its last line is read."""
    log = BuildLog(path)
    data, following = log.read(_offset(request))
    response = HttpResponse(data, content_type=PLAIN)
    response["X-Next-Offset"] = str(following)
    if over and not log.read(following)[0]:
        response["X-Log-Done"] = "1"
        if good is not None:
            response["X-Log-Good"] = str(int(good))
    _guard(response)
    return response


def whole(path: Path, *, filename: str) -> StreamingHttpResponse:
    """The log as a file: no colours, no times, `== step ==` where a step begins."""
    response = StreamingHttpResponse(BuildLog(path).plain(), content_type=PLAIN)
    response["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=filename) or "attachment"
    _guard(response)
    return response


def _offset(request: HttpRequest) -> int:
    """The offset that was asked for; what is no number begins at the beginning."""
    asked = request.GET.get("offset", "")
    return int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 16 else 0


def _guard(response: HttpResponseBase) -> None:
    """What a build printed is text, whatever it looks like, and nobody else's copy of it is kept."""
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "private, no-store"
