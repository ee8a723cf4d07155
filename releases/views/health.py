"""Answers for machines: does the process live, and does the portal take work? Without signing in, and cheap."""

from __future__ import annotations

from typing import Any

from django.db import Error, connection
from django.http import HttpRequest, JsonResponse
from django.utils.translation import gettext as _
from django.utils.translation import override
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from releases.models import Pause
from releases.views.surroundings import CHECKS, Trouble, look_around


@never_cache
@require_safe
def live(_request: HttpRequest) -> JsonResponse:
    """200 as long as this process answers; nothing else is asked, so nothing else can make it look dead."""
    return JsonResponse({"ok": True})


@never_cache
@require_safe
def show(_request: HttpRequest) -> JsonResponse:
    """200 when a build that is asked for now would be made; 503 with sentences that say what is missing. Warnings are
    what keeps nothing from being built."""
    with override("en"):  # programs read this, whatever the language of who calls
        found = problems()
    stopping = [trouble.sentence for trouble in found if trouble.stops_work]
    warnings = [f"{trouble.sentence} {trouble.remedy}" for trouble in found if not trouble.stops_work]
    answer = {"ok": not stopping, "problems": stopping, "warnings": warnings}
    return JsonResponse(answer, status=503 if stopping else 200)


@never_cache
@require_safe
def ready(_request: HttpRequest) -> JsonResponse:
    """The same, check by check. `ok` is null where what would know is away; a check that failed and does not stop
    work is a warning."""
    with override("en"):
        found = problems()
    stops = [trouble.check for trouble in found if trouble.stops_work]
    answer = {"ok": not stops, "paused": _paused(stops), "checks": {name: _check(name, found) for name in CHECKS}}
    return JsonResponse(answer, status=503 if stops else 200)


def problems() -> list[Trouble]:
    try:
        return look_around().troubles()
    except Error:
        connection.close()  # one that broke stays broken for whoever comes next
        return [Trouble("database", _("The database does not answer: start it, or correct DATABASE_URL."), "")]


NEEDS = {
    "redis": ("database",),
    "workers": ("database", "redis"),
    "sweeper": ("database",),
    "engine": ("database", "sweeper"),
    "cage": ("database", "sweeper", "engine"),
    "disk": ("database", "sweeper"),
    "web": ("database",),
}
"""What a check cannot be made without."""


def _check(name: str, found: list[Trouble]) -> dict[str, Any]:
    own = [trouble for trouble in found if trouble.check == name]
    if own:
        return {
            "ok": False,
            "stops_work": any(trouble.stops_work for trouble in own),
            "problems": [trouble.sentence for trouble in own],
        }
    failed = {trouble.check for trouble in found}
    return {"ok": None if failed.intersection(NEEDS.get(name, ())) else True}


def _paused(stops: list[str]) -> bool | None:
    """Whether what is asked for waits because somebody said so, which is no failure."""
    return None if "database" in stops else Pause.objects.current() is not None
