"""People who come and go, as lines of the audit trail: whoever signed in, signed out, or was refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import Permission, User
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db.models.functions import Now
from django.http import HttpRequest

from releases.models import Event

MOST_REFUSED = 20
"""Refused sign-ins that are told within a minute: a machine that tries passwords shall not fill the trail."""
FLAGS = ("username", "first_name", "last_name", "email", "is_active", "is_staff", "is_superuser")


def watch() -> None:
    """Have every sign-in, sign-out and refusal told. Called once, when Django is ready."""
    user_logged_in.connect(_began, dispatch_uid="releases.people")
    user_logged_out.connect(_ended, dispatch_uid="releases.people")
    user_login_failed.connect(_refused, dispatch_uid="releases.people")


def _began(*, request: HttpRequest | None = None, user: User, **_rest: Any) -> None:
    Event.objects.record("session.began", by=user, data=_address(request))


def _ended(*, request: HttpRequest | None = None, user: User | None = None, **_rest: Any) -> None:
    if user is not None:
        Event.objects.record("session.ended", by=user, data=_address(request))


def _refused(*, credentials: dict[str, Any], request: HttpRequest | None = None, **_rest: Any) -> None:
    """The name is told only when it is an account's: else it may be a password that was typed into the wrong field."""
    lately = Event.objects.filter(verb="session.refused", at__gt=Now() - timedelta(minutes=1))
    if lately[:MOST_REFUSED].count() >= MOST_REFUSED:
        return
    typed = str(credentials.get("username") or "")[:150].replace("\0", "")
    known = User.objects.filter(username=typed).exists()
    Event.objects.record("session.refused", data={"account": typed if known else None, **_address(request)})


def _address(request: HttpRequest | None) -> dict[str, str]:
    """Where the request came from, as the server itself sees it: behind a proxy, the proxy's address."""
    address = str(request.META.get("REMOTE_ADDR") or "") if request is not None else ""
    return {"address": address} if address else {}


def facts_of(user: User) -> dict[str, Any]:
    """What an account may, for the audit trail; never its password."""
    return {
        **{name: getattr(user, name) for name in FLAGS},
        "groups": sorted(user.groups.values_list("name", flat=True)),
        "permissions": _names(user.user_permissions.all()),
    }


def facts_of_group(group: Any) -> dict[str, Any]:
    return {"group": group.name, "permissions": _names(group.permissions.all())}


def _names(permissions: Any) -> list[str]:
    found: list[Permission] = list(permissions.select_related("content_type"))
    return sorted(f"{permission.content_type.app_label}.{permission.codename}" for permission in found)


def changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Each fact that differs, before and after."""
    return {name: [before[name], after[name]] for name in after if before[name] != after[name]}
