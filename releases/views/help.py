"""The help that stands beside the work."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from releases.models import Outcome
from releases.specs import Layout
from releases.views import seeing


@dataclass(frozen=True, slots=True)
class Ending:
    """One outcome, explained."""

    outcome: Outcome
    meaning: Promise | str

    @property
    def standing(self) -> str:
        return self.outcome.value

    def get_standing_display(self) -> str:
        return str(self.outcome.label)


MEANINGS: dict[Outcome, Promise | str] = {
    Outcome.SUCCEEDED: _("Nobody's: artifact and image are kept. Download, preview or run them."),
    Outcome.FAILED: _(
        "The application's: its repository, requirements or code. The sentence on the build's page names the place; "
        "mend it there, push a new tag, and build that."
    ),
    Outcome.TIMED_OUT: _(
        "A limit's: the build took longer than it may. Shorten it, or raise the limit in the settings."
    ),
    Outcome.OUT_OF_MEMORY: _("A limit's: the builder needed more memory than it may use. Raise it in the settings."),
    Outcome.CANCELLED: _("A person's: somebody pressed Cancel. Rebuild when it is wanted after all."),
    Outcome.WORKER_LOST: _("Ours: the worker stopped in the middle. Nothing half-made is left; press Rebuild."),
    Outcome.ENGINE_UNAVAILABLE: _("Ours: the container engine did not answer. The Workers page says what mends it."),
    Outcome.SOURCE_UNAVAILABLE: _(
        "Ours or the host's: the repository or the package index could not be reached. Try again, or check the address."
    ),
    Outcome.INTERNAL_ERROR: _(
        "Ours: the portal itself failed. Press Rebuild; if it repeats, show an operator the log."
    ),
}


@seeing
@require_safe
def show(request: HttpRequest) -> HttpResponse:
    context = {
        "layout": Layout(),
        "endings": [Ending(outcome, meaning) for outcome, meaning in MEANINGS.items()],
        "protocols": settings.GIT_PROTOCOLS,
        "preview_minutes": settings.PREVIEW_SECONDS // 60,
        "refs_every": settings.REFS_EVERY,
        "rule_builds": settings.RULE_BUILDS,
    }
    return render(request, "help.html", context)
