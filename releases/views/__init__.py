"""The pages: each view fetches, asks and renders. Who may see and who may act is said here, once."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _

from releases import actions
from releases.models import Pause

View = Callable[..., HttpResponseBase]

SEE = "releases.view_build"
ACT = "releases.release_application"
OPERATE = "releases.operate_workshop"


def seeing(view: View) -> View:
    """For a page that shows: signed in, and in one of the portal's groups."""

    @login_required
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.has_perm(SEE):
            raise PermissionDenied(
                _("Your account is in none of the portal's groups yet: ask an administrator to add you to viewers.")
            )
        return view(request, *args, **kwargs)

    return guarded


def acting(view: View) -> View:
    """For a door that changes something: release managers alone."""

    @seeing
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not may_act(request.user):
            raise PermissionDenied(
                _("Only release managers may do this: ask an administrator to add you to that group.")
            )
        return view(request, *args, **kwargs)

    return guarded


def operating(view: View) -> View:
    """For a switch of the workshop: operators alone."""

    @seeing
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.has_perm(OPERATE):
            raise PermissionDenied(_("Only operators may do this: ask an administrator to add you to that group."))
        return view(request, *args, **kwargs)

    return guarded


def may_act(user: User | AnonymousUser) -> bool:
    """Whether this person registers, builds, cancels and previews; others only look."""
    return user.has_perm(ACT)


def name_of(user: User | None) -> str:
    """The name that colleagues know; nobody is the portal itself."""
    return (user.get_full_name() or user.get_username()) if user is not None else _("the portal")


def say_if_waiting(request: HttpRequest) -> None:
    """After a request of a person: a warning when no worker could be rung for, or none may begin anything."""
    if (pause := Pause.objects.current()) is not None:
        messages.warning(
            request, _("What you asked for waits, because no new builds are taken: %(why)s") % {"why": pause.why}
        )
    if not actions.queue_answers():
        messages.warning(request, _("What you asked for stands; Redis does not answer, so it starts when it is back."))
