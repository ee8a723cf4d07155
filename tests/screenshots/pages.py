"""Which page has which address among the invented rows, and which names of doors are no pages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.urls import URLPattern, URLResolver, get_resolver


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture. `door` is the name of the address in urls.py; a page with two faces has two pictures."""

    name: str
    door: str
    address: str
    signed_in: bool = True


SHOP = "/applications/fruit-shop/"
GOOD, RUNNING, FAILED, OLD = (f"{SHOP}builds/{number}/" for number in (9, 11, 10, 8))

SHOTS = (
    Shot("sign-in", "login", "/accounts/login/", signed_in=False),
    Shot("home", "home", "/"),
    Shot("application", "application", SHOP),
    Shot("application-branches", "application", f"{SHOP}?kind=branch"),
    Shot("application-trends", "application-trends", f"{SHOP}trends/"),
    Shot("compare", "compare", f"{SHOP}compare/8...9/"),
    Shot("compare-choose", "compare-choose", f"{SHOP}compare/"),
    Shot("audit", "audit", "/audit/"),
    Shot("application-new", "application-register", "/applications/new/"),
    Shot("application-settings", "application-edit", f"{SHOP}settings/"),
    Shot("application-access", "application-access", f"{SHOP}access/"),
    Shot("build", "build", GOOD),
    Shot("build-running", "build", RUNNING),
    Shot("build-failed", "build", FAILED),
    Shot("image", "build-image", f"{GOOD}image/"),
    Shot("preview-new", "preview-create", f"{GOOD}previews/new/"),
    Shot("preview", "preview", f"{GOOD}previews/1/"),
    Shot("history", "history", "/history/"),
    Shot("history-search", "history", "/history/?q=flask&outcome=unsuccessful"),
    Shot("stacks", "stacks", "/stacks/"),
    Shot("stack", "stack", "/stacks/python3.13-uwsgi/"),
    Shot("workers", "workers", "/workers/"),
    Shot("help", "help", "/help/"),
    Shot("password", "password_change", "/accounts/password/"),
    Shot("password-changed", "password_change_done", "/accounts/password/done/"),
)

NO_PAGES = {
    "access-key": "only asks",
    "access-remove": "only asks",
    "access-token": "only asks",
    "application-refresh": "only asks",
    "application-rule": "a part of a page",
    "application-trend-json": "for programs",
    "build-artifact": "a file",
    "build-cancel": "only asks",
    "build-create": "only asks",
    "build-evidence": "a file",
    "build-first": "only asks",
    "build-live": "a part of a page",
    "build-log": "a part of a page",
    "build-log-text": "a file",
    "build-packages": "a file",
    "build-rebase": "only asks",
    "build-rebuild": "only asks",
    "compare-again": "only asks",
    "healthz": "for programs",
    "history-names": "a part of a page",
    "home-now": "a part of a page",
    "livez": "for programs",
    "logout": "only asks",
    "metrics": "for programs",
    "move-seen": "only asks",
    "preview-live": "a part of a page",
    "preview-log": "a part of a page",
    "preview-log-text": "a file",
    "preview-stop": "only asks",
    "readyz": "for programs",
    "set_language": "only asks",
    "stack-log": "a part of a page",
    "stack-log-text": "a file",
    "stack-prepare": "only asks",
    "workers-pause": "only asks",
    "workers-resume": "only asks",
}
"""Doors without a picture, and why."""


def doors() -> set[str]:
    """The names of all addresses but the admin's, which are Django's."""
    return set(_names(get_resolver().url_patterns))


def _names(patterns: list[URLPattern | URLResolver]) -> Iterator[str]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            if pattern.app_name != "admin":
                yield from _names(pattern.url_patterns)
        elif pattern.name:
            yield pattern.name
