"""The page of a deploy key and an access token: what it shows, what it never shows, and who may use it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from releases import access
from releases.models import Application, Credential, Event
from releases.specs import fingerprint
from releases.vault.opening import opened
from tests import factories
from tests.pages.reading import body, see, words
from tests.pages.test_register import USUAL, beside

TOKEN = "canary-token-1a2b3c"
ACCESS = "/applications/shop/access/"


@pytest.fixture(autouse=True)
def key_file(settings: Settings, tmp_path: Path) -> Path:
    settings.SECRETS_KEY = tmp_path / "portal" / "secrets_key"
    return tmp_path / "portal" / "secrets_key"


@pytest.fixture
def by_https(db: None) -> Application:
    return factories.application("shop", repository="https://git.example.org/team/shop.git")


@pytest.fixture
def by_ssh(db: None) -> Application:
    return factories.application("shop", repository="git@git.example.org:team/shop.git")


def secret_of(row: Credential, key_file: Path) -> str:
    return opened(key_file, row.sealed, row.about)


# ---- the key -----------------------------------------------------------------------------------------------


def test_deploy_key_is_made_shown_and_recorded(manager: Client, by_ssh: Application, key_file: Path) -> None:
    assert "Make a deploy key" in see(manager, ACCESS)
    page = body(manager.post(f"{ACCESS}key/", follow=True))
    row = Credential.objects.get()
    assert re.fullmatch(r"ssh-ed25519 [A-Za-z0-9+/=]+ shop@release-portal-\w+", row.public_key)
    assert f'data-copy="{row.public_key}"' in page
    assert fingerprint(row.public_key) in page
    assert "made by Marta Ruiz" in page
    private = secret_of(row, key_file)
    assert "OPENSSH PRIVATE KEY" in private
    assert private.splitlines()[2] not in page + row.sealed
    event = Event.objects.get(verb="access.key_made")
    assert (event.actor_name, event.data) == ("marta", {"fingerprint": row.fingerprint, "replaced": ""})


def test_new_key_replaces_the_old_one_and_the_record_has_both(manager: Client, by_ssh: Application) -> None:
    manager.post(f"{ACCESS}key/")
    old = Credential.objects.get()
    assert 'data-confirm="The present key is replaced' in body(manager.get(ACCESS))
    manager.post(f"{ACCESS}key/")
    new = Credential.objects.get()
    assert new.public_key != old.public_key
    assert Event.objects.filter(verb="access.key_made").latest("id").data["replaced"] == old.fingerprint
    response = manager.post(f"{ACCESS}key/remove/", follow=True)
    assert "take its public half off the host" in words(response)
    assert not Credential.objects.exists()
    assert Event.objects.get(verb="access.key_removed").data == {"fingerprint": new.fingerprint}
    manager.post(f"{ACCESS}key/remove/")
    assert Event.objects.filter(verb="access.key_removed").count() == 1, "what is not there cannot be removed"


# ---- the token ---------------------------------------------------------------------------------------------


def test_token_is_kept_and_never_shown_again(manager: Client, by_https: Application, key_file: Path) -> None:
    page = see(manager, ACCESS)
    assert "given to https://git.example.org alone" in page
    response = manager.post(f"{ACCESS}token/", {"account": "deploy", "token": TOKEN}, follow=True)
    assert "the refs are being read with it" in words(response)
    row = Credential.objects.get()
    assert secret_of(row, key_file) == TOKEN
    assert TOKEN not in row.sealed
    page = body(manager.get(ACCESS))
    assert "A token of <b>deploy</b> for <b>https://git.example.org</b>" in page
    assert "set by Marta Ruiz" in page
    assert TOKEN not in page
    events = Event.objects.filter(verb="access.token_set")
    assert [(event.actor_name, event.data) for event in events] == [
        ("marta", {"username": "deploy", "host": "https://git.example.org"})
    ]
    by_https.refresh_from_db()
    assert by_https.refs_are_being_read
    manager.post(f"{ACCESS}token/", {"account": "deploy", "token": f"{TOKEN}-2"})
    assert secret_of(Credential.objects.get(), key_file) == f"{TOKEN}-2"
    manager.post(f"{ACCESS}token/remove/")
    assert not Credential.objects.exists()
    assert Event.objects.get(verb="access.token_removed").data == events[0].data


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("token", "", "required"),
        ("token", "short", "8 to 500 plain characters"),
        ("token", f"{TOKEN} and more", "plain characters without spaces"),
        ("token", f"{TOKEN}\x1b[31m", "plain characters"),
        ("token", f"{TOKEN}é", "plain characters"),
        ("token", TOKEN * 40, "at most 500"),
        ("account", "", "required"),
        ("account", "deploy:shop", "without spaces and “:”"),
        ("account", "deploy shop", "without spaces and “:”"),
        ("account", "a" * 101, "at most 100"),
    ],
)
def test_token_refused_has_its_reason_and_is_not_repeated(
    manager: Client, by_https: Application, field: str, value: str, sentence: str
) -> None:
    response = manager.post(f"{ACCESS}token/", {"account": "deploy", "token": TOKEN, field: value})
    assert response.status_code == 422
    assert sentence in beside(body(response), field)
    assert "canary" not in body(response)
    assert not Credential.objects.exists()
    assert not Event.objects.filter(verb__startswith="access.").exists()


def test_token_for_an_address_by_ssh_is_refused(manager: Client, by_ssh: Application) -> None:
    response = manager.post(f"{ACCESS}token/", {"account": "deploy", "token": TOKEN})
    assert response.status_code == 422
    assert not Credential.objects.exists()


def test_page_says_that_a_token_is_not_for_the_new_host(manager: Client, by_https: Application) -> None:
    access.set_token(by_https, "deploy", TOKEN, by=None)
    assert "It is not used" not in see(manager, ACCESS)
    Application.objects.update(repository="https://git.example.com/team/shop.git")
    assert "the repository has another host now, which is not given it" in see(manager, ACCESS)
    Application.objects.update(repository="http://git.example.com/team/shop.git")
    assert "everybody on the way to the host can read the token" in see(manager, ACCESS)
    Application.objects.update(repository="git@git.example.com:team/shop.git")
    assert "A token of deploy for https://git.example.org" in see(manager, ACCESS)
    assert 'name="token"' not in body(manager.get(ACCESS))


def test_portal_without_a_place_for_its_key_says_so(manager: Client, by_https: Application, key_file: Path) -> None:
    key_file.parent.write_text("a file where a folder must be")
    response = manager.post(f"{ACCESS}token/", {"account": "deploy", "token": TOKEN})
    assert response.status_code == 422
    assert "The key of the portal's secrets cannot be kept in" in words(response)
    Application.objects.update(repository="git@git.example.org:team/shop.git")
    assert "cannot be kept in" in words(manager.post(f"{ACCESS}key/", follow=True))
    assert not Credential.objects.exists()


# ---- who, and the way there --------------------------------------------------------------------------------


@pytest.mark.parametrize("door", ["", "key/", "token/", "key/remove/", "token/remove/"])
def test_only_release_managers_may(viewer: Client, by_https: Application, door: str) -> None:
    access.set_token(by_https, "deploy", TOKEN, by=None)
    ask = viewer.post if door else viewer.get
    assert ask(ACCESS + door, {"account": "viewer", "token": TOKEN}).status_code == 403
    assert Credential.objects.get().account == "deploy"


@pytest.mark.parametrize("door", ["key/", "token/", "key/remove/", "token/remove/"])
def test_looking_changes_nothing(manager: Client, by_https: Application, door: str) -> None:
    access.set_token(by_https, "deploy", TOKEN, by=None)
    assert manager.get(ACCESS + door).headers["Location"] == ACCESS
    assert Credential.objects.get().account == "deploy"
    assert manager.post(f"{ACCESS}password/remove/").status_code == 404


def test_who_registers_a_private_repository_is_led_there(manager: Client, viewer: Client) -> None:
    assert "A private one needs a deploy key (ssh) or an access token (https)" in see(manager, "/applications/new/")
    manager.post("/applications/new/", USUAL | {"repository": "git@git.example.org:team/shop.git"})
    app = Application.objects.get()
    app.note_refs_error("It was not found, or it refuses us.")
    assert f'href="{ACCESS}"' in body(manager.get("/applications/shop/"))
    assert f'href="{ACCESS}"' in body(manager.get("/applications/shop/settings/"))
    assert ACCESS not in body(viewer.get("/applications/shop/"))


def test_page_of_a_failure_tells_no_token(
    manager: Client, by_https: Application, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Django's own page for developers, too, which shows what was posted and what each function held."""
    settings.DEBUG = True
    manager.raise_request_exception = False

    def defect(*_given: object) -> str:
        raise RuntimeError("a defect")

    monkeypatch.setattr("releases.access.sealed", defect)
    response = manager.post(f"{ACCESS}token/", {"account": "deploy", "token": TOKEN})
    assert response.status_code == 500
    assert "a defect" in body(response)
    assert "deploy" in body(response)
    assert TOKEN not in body(response)


def test_admin_shows_who_and_when_and_never_what(admin_client: Client, by_https: Application) -> None:
    access.set_token(by_https, "deploy", TOKEN, by=None)
    row = Credential.objects.get()
    for address in ("/admin/releases/credential/", f"/admin/releases/credential/{row.pk}/change/"):
        page = body(admin_client.get(address))
        assert "https://git.example.org" in page
        assert row.sealed not in page
        assert TOKEN not in page
