"""The doors that the project itself opens: signing in, the admin, and the policy that every answer carries."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.test import Client

from tests import factories

POLICY = {
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "worker-src 'self'",
    "form-action 'self'",
    "img-src 'self' data:",
    "font-src 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
}


@pytest.mark.parametrize("address", ["/accounts/login/", "/admin/login/", "/nothing-here"])
def test_every_answer_carries_the_whole_policy(client: Client, db: None, address: str) -> None:
    answer = client.get(address)
    assert set(answer["Content-Security-Policy"].split("; ")) == POLICY
    assert answer["X-Frame-Options"] == "DENY"


def test_signing_in_and_out_leads_back(client: Client, db: None) -> None:
    factories.user(username="marta")
    answer = client.post("/accounts/login/", {"username": "marta", "password": factories.PASSWORD})
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert settings.SESSION_COOKIE_NAME in client.cookies
    assert client.post("/accounts/logout/").status_code == 302
    assert client.get("/")["Location"] == "/accounts/login/?next=/"


def test_the_queue_has_no_door(admin_client: Client) -> None:
    assert admin_client.get("/admin/").status_code == 200
    for address in ("/admin/django_rq/dashboard/", "/admin/django_rq/", "/django-rq/"):
        assert admin_client.get(address).status_code == 404


def test_the_admins_door_speaks_the_language_that_a_browser_prefers(client: Client, db: None) -> None:
    text = client.get("/admin/login/", headers={"Accept-Language": "es"}).text
    assert 'lang="es' in text
    assert "Contraseña:" in text
