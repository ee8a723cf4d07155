"""The page of an application's trends, and the same builds as JSON for other programs."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from releases.views import seeing
from releases.views.application import find
from releases.views.series import RANGES, USUAL, Point, charts, drawable, points


def chosen(request: HttpRequest) -> tuple[str, str]:
    """The range of the address, and the sentence for one that is not known: then the usual one is shown."""
    last = request.GET.get("last", USUAL)
    if last in RANGES:
        return last, ""
    known = ", ".join(RANGES)
    return USUAL, _("“%(value)s” is no range; known are: %(known)s.") % {"value": last[:40], "known": known}


@seeing
@require_safe
def show(request: HttpRequest, name: str) -> HttpResponse:
    application = find(name)
    last, problem = chosen(request)
    series = points(application, RANGES[last])
    context = {
        "application": application,
        "charts": charts(series, wide=True),
        "ranges": RANGES,
        "last": last,
        "problem": problem,
        "count": len(series),
        "total": drawable(application).count(),
    }
    return render(request, "application/trends.html", context)


@seeing
@require_safe
def as_json(request: HttpRequest, name: str) -> JsonResponse:
    """The same builds, oldest first. Sizes in bytes, durations in seconds, times in UTC; 400 for an unknown range."""
    application = find(name)
    last, problem = chosen(request)
    if problem:
        return JsonResponse({"error": problem, "known": list(RANGES)}, status=400)
    builds = [_record(request, point) for point in points(application, RANGES[last])]
    response = JsonResponse({"application": application.name, "last": last, "builds": builds})
    response["Cache-Control"] = "private, no-store"
    return response


def _record(request: HttpRequest, point: Point) -> dict[str, Any]:
    return {
        "number": point.number,
        "ref": point.ref,
        "outcome": point.outcome,
        "finished_at": f"{point.finished_at:%Y-%m-%dT%H:%M:%SZ}",
        "seconds": round(point.seconds, 2),
        "environment": point.environment,
        "image_size": point.image,
        "archive_size": point.archive,
        "budgets": point.budgets,
        "over_budget": list(point.crossings),
        "address": request.build_absolute_uri(point.address),
    }
