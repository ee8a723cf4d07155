"""What a person sees when a page could not be made, or not even be asked for: one sentence, and never a traceback."""

from __future__ import annotations

import sys

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.translation import get_language_from_request, override

from releases.context import facts


def show(request: HttpRequest) -> HttpResponse:
    """The handler of errors; a database that is away is not the portal's own fault and has its own words.

    Of the request neither page touches more than its language: whoever is signed in is a row of the database that may
    be away. What failed may have failed before a language was chosen, so that is done here once more."""
    with override(get_language_from_request(request)):
        if isinstance(sys.exc_info()[1], OperationalError | InterfaceError):
            return HttpResponse(render_to_string("503.html"), status=503, headers={"Retry-After": "10"})
        return HttpResponse(render_to_string("500.html", {"request_id": facts().get("request_id", "")}), status=500)


def refused(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 - Django hands it over
    """The handler of requests that cannot be read. Django's own would read the form again, which may be what failed."""
    with override(get_language_from_request(request)):
        return HttpResponse(render_to_string("400.html"), status=400)
