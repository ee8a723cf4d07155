"""Each request has a name, which stands on its answer, on its lines of the log and on the page of a failure, which
shows nothing that is secret; and a body that can be read, or it goes no further."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.http import HttpRequest, UnreadablePostError
from django.http.response import HttpResponseBase
from django.views.debug import SafeExceptionReporterFilter

from releases.context import about

HEADER = "X-Request-ID"
GIVEN = re.compile(r"[A-Za-z0-9._-]{8,64}")
"""A name that a proxy has given already; another is not taken over, for it goes into logs and pages."""


def named(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """The outermost middleware."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        given = request.headers.get(HEADER, "")
        name = given if GIVEN.fullmatch(given) else uuid4().hex
        request.request_id = name  # type: ignore[attr-defined] # read by context.py
        with about(request_id=name):
            response = get_response(request)
        response.headers[HEADER] = name
        return response

    return answer


def legible(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Refuse what cannot be read, or is more than any form of ours sends, before anybody asks for it: the pages that
    say 403 and 404 would ask again, and become a 500."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        if int(request.META.get("CONTENT_LENGTH") or 0) > (settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0):
            raise RequestDataTooBig("This body is larger than any form of the portal.")
        with suppress(UnreadablePostError):  # the browser went away
            _ = request.GET, request.POST
        return get_response(request)

    return answer


class Request(WSGIRequest):
    """Django reads the query as soon as a Content-Type names a character set, and outside of all that turns its refusal
    (of too many parameters) into an answer. `legible` will read it again, inside."""

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        with suppress(SuspiciousOperation):
            super()._set_content_type_params(meta)  # type: ignore[misc] # Django's own


class Handler(WSGIHandler):
    request_class = Request


class Reticent(SafeExceptionReporterFilter):
    """Hides what views and functions mark as sensitive on Django's own page of a failure, too (`PORTAL_DEBUG=1`)."""

    hidden_settings = re.compile(f"{SafeExceptionReporterFilter.hidden_settings.pattern}|_URL", re.IGNORECASE)
    """Addresses of databases and queues hold passwords."""

    def is_active(self, request: HttpRequest | None) -> bool:  # noqa: ARG002 (Django's own)
        return True
