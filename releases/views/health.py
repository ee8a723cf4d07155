"""One answer for machines: does the portal take work?"""

from __future__ import annotations

from django.db import Error
from django.http import HttpRequest, JsonResponse
from django.utils.translation import gettext as _
from django.utils.translation import override
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from releases.views.surroundings import look_around


@never_cache
@require_safe
def show(_request: HttpRequest) -> JsonResponse:
    """200 when a build that is asked for now would be made; 503 with sentences that say what is missing."""
    with override("en"):  # programs read this, whatever the language of who calls
        found = problems()
    return JsonResponse({"ok": not found, "problems": found}, status=503 if found else 200)


def problems() -> list[str]:
    try:
        around = look_around()
    except Error:
        return [_("The database does not answer: start it, or correct DATABASE_URL.")]
    return [trouble.sentence for trouble in around.troubles() if trouble.stops_work]
