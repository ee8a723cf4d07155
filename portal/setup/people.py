"""The first administrator and the first release manager."""

from __future__ import annotations

import secrets

from django.contrib.auth.models import Group, User

from portal.setup import say


def ensure(*, admin_password: str, manager_password: str) -> None:
    """Make `admin` where no administrator exists, and `manager` where the release managers are nobody.

    An empty password becomes a random one, which the terminal shows this once; only its hash is kept."""
    managers, _ = Group.objects.get_or_create(name="release managers")
    if not User.objects.filter(is_superuser=True).exists():
        _make("admin", admin_password, is_superuser=True, is_staff=True)
    if not managers.user_set.exists():
        managers.user_set.add(_make("manager", manager_password))


def _make(name: str, password: str, **flags: bool) -> User:
    user, _ = User.objects.update_or_create(username=name, defaults=flags)
    chosen = password or secrets.token_urlsafe(12)
    user.set_password(chosen)
    user.save()
    shown = "the password from the environment" if password else f"password {chosen}   (shown only now)"
    say(f"  Made the account  {name:<8} {shown}")
    return user
