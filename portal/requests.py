"""Each request has a name: it stands on its answer, on its lines of the log, and on the page of a failure, which shows
nothing that is secret."""

from __future__ import annotations

import re
from collections.abc import Callable
from uuid import uuid4

from django.http import HttpRequest
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


class Reticent(SafeExceptionReporterFilter):
    """Hides what views and functions mark as sensitive on Django's own page of a failure, too (`PORTAL_DEBUG=1`)."""

    hidden_settings = re.compile(f"{SafeExceptionReporterFilter.hidden_settings.pattern}|_URL", re.IGNORECASE)
    """Addresses of databases and queues hold passwords."""

    def is_active(self, request: HttpRequest | None) -> bool:  # noqa: ARG002 (Django's own)
        return True
