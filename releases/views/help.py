"""The help that stands beside the work."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from releases.models import Outcome
from releases.specs import Layout
from releases.views import seeing


@seeing
@require_safe
def show(request: HttpRequest) -> HttpResponse:
    context = {
        "layout": Layout(),
        "outcomes": Outcome,
        "protocols": settings.GIT_PROTOCOLS,
        "preview_minutes": settings.PREVIEW_SECONDS // 60,
    }
    return render(request, "help.html", context)
