"""The workshop: who works, what waits, and what keeps the portal from working; and the switch that pauses it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from releases import actions
from releases.errors import InvalidInput
from releases.views import OPERATE, may_act, operating, seeing
from releases.views.expectation import line
from releases.views.statistics import DAYS, by_application
from releases.views.surroundings import look_around
from releases.views.workforce import with_tasks

SHOWN = 20
"""Builds of the line that the page lists."""


@seeing
@require_safe
def show(request: HttpRequest) -> HttpResponseBase:
    return render(request, "workers/show.html", page_of(request))


@operating
@require_POST
def pause(request: HttpRequest) -> HttpResponseBase:
    why = request.POST.get("why", "")
    try:
        actions.pause_builds(why, by=request.user)
    except InvalidInput as error:
        return render(request, "workers/show.html", {**page_of(request), "why": why, "problem": str(error)}, status=422)
    messages.success(request, _("No new builds are taken from now on. What runs is finished."))
    return redirect("workers")


@operating
@require_POST
def resume(request: HttpRequest) -> HttpResponseBase:
    try:
        actions.resume_builds(by=request.user)
    except InvalidInput as error:
        messages.warning(request, str(error))
    else:
        messages.success(request, _("Builds are taken again."))
    return redirect("workers")


def page_of(request: HttpRequest) -> dict[str, Any]:
    """Everything that the page shows; its part that moves is read by the same template."""
    around = look_around()
    queues = around.queues
    if queues is not None:
        with_tasks(queues)
    listening = next((queue.alive for queue in queues or () if queue.name == "builds"), None)
    now = line(now=timezone.now(), workers=listening, ask=False)
    for queue in queues or ():
        if queue.name == "builds":  # a pause answers the rings, and builds wait all the same
            queue.waiting = max(queue.waiting, len(now.waiting))
    return {
        "around": around,
        "queues": queues,
        "troubles": around.troubles(),
        "line": now,
        "waiting": now.waiting[:SHOWN],
        "more": max(0, len(now.waiting) - SHOWN),
        "may_act": may_act(request.user),
        "may_operate": request.user.has_perm(OPERATE),
        "statistics": () if request.headers.get("HX-Request") else by_application(),
        "days": DAYS,
    }
