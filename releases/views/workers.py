"""The workshop: who works, what waits, and what keeps the portal from working."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from releases.models import Build
from releases.views import seeing
from releases.views.surroundings import look_around


@seeing
@require_safe
def show(request: HttpRequest) -> HttpResponse:
    around = look_around()
    context = {
        "around": around,
        "troubles": around.troubles(),
        "queued": Build.objects.queued().for_pages().order_by("id")[:20],
        "queued_count": Build.objects.queued().count(),
    }
    return render(request, "workers.html", context)
