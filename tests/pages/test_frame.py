"""What every page has: a door, a frame, and a policy that it keeps."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client, override_settings
from django.urls import reverse

from releases.models import Outcome
from tests import factories
from tests.pages.reading import body, see, source, words

VENDOR = Path(settings.BASE_DIR) / "static" / "vendor"
PLAIN = ("home", "history", "stacks", "workers", "help", "application-register", "password_change")


@pytest.mark.django_db
@pytest.mark.parametrize("name", [*PLAIN])
def test_page_asks_for_sign_in_and_leads_back(client: Client, name: str) -> None:
    address = reverse(name)
    response = client.get(address)
    assert response.status_code == 302
    assert response.headers["Location"] == f"{reverse('login')}?next={address}"


@pytest.mark.django_db
def test_login_with_wrong_password_says_so_and_keeps_the_name(client: Client) -> None:
    factories.user(username="marta")
    response = client.post(reverse("login"), {"username": "marta", "password": "no"})
    assert "User and password do not belong together" in words(response)
    assert 'value="marta"' in body(response)


@pytest.mark.django_db
def test_login_then_logout(client: Client) -> None:
    factories.user(username="marta", first_name="Marta", last_name="Ruiz")
    response = client.post(reverse("login"), {"username": "marta", "password": factories.PASSWORD}, follow=True)
    assert "Marta Ruiz" in words(response)
    response = client.post(reverse("logout"), follow=True)
    assert "Sign in" in words(response)
    assert client.get(reverse("home")).status_code == 302


@pytest.mark.django_db
def test_person_without_a_group_is_told_whom_to_ask(client: Client) -> None:
    client.force_login(factories.user(role=""))
    assert "ask an administrator to add you to viewers" in see(client, reverse("home"), 403)


def test_viewer_may_see_but_not_act(viewer: Client) -> None:
    app = factories.application("shop")
    factories.ref(app, "v1.0.0")
    page = see(viewer, reverse("application", args=["shop"]))
    assert "v1.0.0" in page
    assert "Build release" not in page
    assert "Read again" not in page
    for name, arguments in (
        ("application-refresh", ["shop"]),
        ("build-create", ["shop"]),
        ("application-edit", ["shop"]),
        ("application-register", []),
        ("stack-prepare", ["python3.13-uwsgi"]),
    ):
        response = viewer.post(reverse(name, args=arguments), {"ref": "v1.0.0"})
        assert response.status_code == 403
        assert "Only release managers may do this" in words(response)
    assert not app.builds.exists()


@pytest.mark.parametrize(
    "address",
    [
        "/nowhere", "/applications/none/", "/applications/none/builds/1/", "/stacks/none/",
        "/applications/%00/", "/applications/%00/builds/1/", "/stacks/%00/", "/stacks/%00/log",
    ],
)  # fmt: skip
def test_unknown_address_is_a_page_of_ours(manager: Client, address: str) -> None:
    page = see(manager, address, 404)
    assert "Not found" in page
    assert "Go to the applications" in page
    assert "Traceback" not in page
    assert "matches the given query" not in page


def test_unknown_application_is_named(manager: Client) -> None:
    assert "No application is called fruit-shap." in see(manager, "/applications/fruit-shap/", 404)


def test_form_without_its_token_is_refused_in_words() -> None:
    response = Client(enforce_csrf_checks=True).post("/accounts/login/", {"username": "a", "password": "b"})
    assert response.status_code == 403
    assert "The form was too old" in words(response)


@pytest.mark.django_db
def test_act_without_the_token_of_its_form_does_nothing() -> None:
    """Django's own page of signing in looks at its token by itself; everything else stands behind the middleware."""
    build = factories.running_build()
    client = Client(enforce_csrf_checks=True)
    client.force_login(factories.user())
    assert client.post(reverse("build-cancel", args=[build.application.name, build.number])).status_code == 403
    build.refresh_from_db()
    assert build.can_be_cancelled


@pytest.mark.django_db
def test_cookies_are_for_this_site_and_no_script_alone(client: Client) -> None:
    factories.user(username="marta")
    client.post(reverse("login"), {"username": "marta", "password": factories.PASSWORD})
    assert len(client.cookies) == 2, "of the session, and for the forms"
    for cookie in client.cookies.values():
        assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")


def test_policy_of_every_page_lets_nothing_in_from_elsewhere(client: Client) -> None:
    headers = client.get(reverse("login")).headers
    assert headers["X-Frame-Options"] == "DENY", "for browsers that know no policy"
    policy = headers["Content-Security-Policy"]
    told = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert told.pop("img-src") == "'self' data:"
    shut = {"default-src", "frame-ancestors", "base-uri"}
    assert {name for name, sources in told.items() if sources == "'none'"} == shut
    assert {sources for name, sources in told.items() if name not in shut} == {"'self'"}
    assert {"script-src", "style-src", "form-action", "connect-src"} <= told.keys()


def test_failing_page_is_a_page_of_ours(manager: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object) -> None:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr("releases.views.home.application_rows", broken)
    manager.raise_request_exception = False
    page = see(manager, "/", 500)
    assert "The fault is ours" in page
    assert "secret detail" not in page


@override_settings(DEBUG=False, ALLOWED_HOSTS=["localhost"])
def test_foreign_host_is_refused_in_words() -> None:
    response = Client(raise_request_exception=False).get("/healthz", headers={"host": "evil.example"})
    assert response.status_code == 400
    assert "could not read this request" in words(response)


def test_no_page_breaks_its_own_policy(manager: Client) -> None:
    """No style attribute, no inline script, nothing from elsewhere: what the policy would block is not there."""
    app = factories.application("shop")
    factories.ref(app, "v1.0.0")
    factories.succeeded_build(app)
    factories.succeeded_build(app)
    factories.finished_build(app, Outcome.FAILED)
    factories.running_build(app)
    addresses = [reverse(name) for name in PLAIN]
    addresses += ["/stacks/python3.13-uwsgi/", "/applications/shop/", "/applications/shop/settings/", "/nowhere"]
    addresses += ["/applications/shop/?kind=other", "/history/?q=flask&outcome=nonsense"]
    for address in addresses:
        response = manager.get(address)
        page = body(response)
        assert "style-src 'self'" in response.headers["Content-Security-Policy"]
        assert not re.search(r"<[^>]+\sstyle=", page), address
        assert "<style" not in page, address
        assert not re.search(r"\son[a-z]+=", page), address
        assert re.findall(r"<script(?![^>]*\bsrc=)", page) == [], address
        assert re.findall(r"(?:src|href)=\"(?:https?:)?//", page) == [], address
        assert page.count("<h1") == 1, address


def test_page_has_title_skip_link_and_search(manager: Client) -> None:
    page = source(manager.get("/history/"))
    assert re.search(r"<title>\s*History\s*·\s*Release Portal</title>", page)
    assert '<a class="skip" href="#main">' in page
    assert '<form class="find" role="search" action="/history/">' in page
    assert '<a href="/history/" aria-current="page">' in page


def test_vendored_files_are_what_the_manifest_says() -> None:
    entries = json.loads((VENDOR / "manifest.json").read_text())
    listed = {}
    for entry in entries:
        assert entry["name"]
        assert entry["licence"]
        assert entry["source"]
        assert all(file.startswith(f"{entry['name']}-{entry['version']}/") for file in entry["files"])
        assert any(file.endswith("LICENSE") for file in entry["files"])
        listed.update(entry["files"])
    on_disk = {path.relative_to(VENDOR).as_posix() for path in VENDOR.rglob("*") if path.is_file()} - {"manifest.json"}
    assert on_disk == set(listed)
    for file, sha256 in listed.items():
        assert hashlib.sha256((VENDOR / file).read_bytes()).hexdigest() == sha256, file


def test_each_icon_that_a_template_names_is_drawn() -> None:
    templates = Path(settings.BASE_DIR) / "templates"
    drawn = set(re.findall(r'<symbol id="i-([a-z]+)"', (templates / "_icons.html").read_text()))
    for path in templates.rglob("*.html"):
        named = set(re.findall(r'{% icon "([a-z]+)"', path.read_text()))
        assert named <= drawn, path


def test_password_is_changed(manager: Client) -> None:
    fields = {"old_password": factories.PASSWORD, "new_password1": "pear", "new_password2": "pear"}
    assert "too short" in words(manager.post(reverse("password_change"), fields))
    fields |= {"new_password1": "medlar-and-quince", "new_password2": "medlar-and-quince"}
    assert "Password changed" in words(manager.post(reverse("password_change"), fields, follow=True))


def test_help_explains_each_outcome(manager: Client) -> None:
    page = see(manager, "/help/")
    for outcome in Outcome:
        assert str(outcome.label) in page
    assert "sha256sum app.tar.gz" in page
    assert "docker run" in page
