"""Who stands at the door: the address that wrong passwords are counted by, and the page of one that is locked out."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.forms import AuthenticationForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def address_of(request: HttpRequest) -> str:
    """The peer; behind the TLS proxy (PORTAL_HTTPS), what the proxy itself added to the end of X-Forwarded-For."""
    peer: str = request.META.get("REMOTE_ADDR", "")
    if settings.HTTPS and (forwarded := request.headers.get("X-Forwarded-For", "")):
        return forwarded.rsplit(",", 1)[-1].strip()
    return peer


def locked_out(request: HttpRequest, *_response: Any, **_credentials: Any) -> HttpResponse:
    """429, with the sign-in page and when to come back."""
    seconds = int(settings.AXES_COOLOFF_TIME.total_seconds())
    context = {"form": AuthenticationForm(request), "minutes": seconds // 60, "next": request.POST.get("next", "")}
    response = render(request, "registration/login.html", context, status=429)
    response["Retry-After"] = str(seconds)
    return response
