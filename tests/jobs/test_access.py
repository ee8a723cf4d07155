"""Private repositories from the settings to the release: on real hosts, and with a canary that must be nowhere."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from pytest_django.fixtures import Settings

from portal.setup import postgres
from releases import access, actions
from releases.errors import StorageError
from releases.jobs import desk
from releases.jobs.access import secrets_of
from releases.jobs.sweeper import Sweeper
from releases.models import Application, Build, Credential, CredentialKind, Event, Outcome
from releases.vault import keys
from tests import factories
from tests.fakes.engine import FakeEngine, Script
from tests.git.conftest import Origin
from tests.git.private import PrivateSsh, PrivateWeb
from tests.git.test_showing import TOKEN, USER, assert_nowhere, files
from tests.jobs.conftest import assert_ended, lines, run, typed
from tests.pipeline import shop


@pytest.fixture(autouse=True)
def near(settings: Settings) -> None:
    settings.GIT_NEAR = True  # its hosts listen here


@pytest.fixture
def web(origin: Origin, settings: Settings) -> Iterator[PrivateWeb]:
    settings.GIT_PROTOCOLS = ("https", "ssh", "http")
    host = PrivateWeb(origin.bare.parent, USER, TOKEN)
    yield host
    host.close()


@pytest.fixture
def ssh() -> Iterator[PrivateSsh]:
    host = PrivateSsh()
    yield host
    host.close()


@pytest.fixture
def private_shop(web: PrivateWeb) -> Application:
    return factories.application("private-shop", repository=f"{web.url}/shop.git")


@pytest.fixture
def ssh_shop(ssh: PrivateSsh, origin: Origin) -> Application:
    return factories.application("ssh-shop", repository=ssh.url(origin.bare))


def read(app: Application) -> str:
    """Why the refs could not be read; empty when they were."""
    desk.refresh_refs(app.pk)
    app.refresh_from_db()
    return app.refs_error


def private_half(app: Application) -> str:
    return secrets_of(app)[0]


def dump() -> str:
    """The whole database as SQL, as a backup or a thief would have it."""
    facts = connection.settings_dict
    address = f"postgresql://{facts['USER']}@/{facts['NAME']}?host={facts['HOST']}"
    done = subprocess.run([str(postgres.client("pg_dump")), address], capture_output=True, text=True, check=True)
    return done.stdout


def exports(person: User, build: Build) -> list[str]:
    """What the portal hands out as files."""
    client = Client()
    client.force_login(person)
    said = [client.get(f"{build.get_absolute_url()}evidence.json"), client.get("/audit/?format=json")]
    assert [answer.status_code for answer in said] == [200, 200]
    return ["".join(map(bytes.decode, answer)) for answer in said]


# ---- from nothing to a release -----------------------------------------------------------------------------


def test_private_repository_is_registered_first_and_read_when_its_token_is_set(
    private_shop: Application, engine: FakeEngine
) -> None:
    assert "access token, which is set on the application's settings" in read(private_shop)
    access.set_token(private_shop, USER, TOKEN, by=factories.user())
    assert private_shop.refs_are_being_read
    assert read(private_shop) == ""
    assert private_shop.refs.count() == 2
    assert_ended(run(typed(private_shop)), Outcome.SUCCEEDED)


def test_deploy_key_is_made_and_entered_and_then_the_repository_can_be_read(
    ssh_shop: Application, ssh: PrivateSsh, engine: FakeEngine
) -> None:
    assert "deploy key, which is made on the application's settings" in read(ssh_shop)
    made = access.make_deploy_key(ssh_shop, by=factories.user())
    assert "refuses the deploy key" in read(ssh_shop)
    ssh.allowed = [made.public_key]
    assert read(ssh_shop) == ""
    assert_ended(run(typed(ssh_shop)), Outcome.SUCCEEDED)
    again = access.make_deploy_key(ssh_shop, by=None)
    assert again.fingerprint != made.fingerprint
    assert "refuses the deploy key" in read(ssh_shop)
    assert access.remove(ssh_shop, CredentialKind.KEY, by=None)
    assert "deploy key, which is made on" in read(ssh_shop)
    assert not access.remove(ssh_shop, CredentialKind.KEY, by=None)


def test_build_of_a_private_repository_without_its_token_says_what_is_needed(
    private_shop: Application, engine: FakeEngine
) -> None:
    assert_ended(run(typed(private_shop)), Outcome.SOURCE_UNAVAILABLE, "refuses us", "access token")


def test_token_stays_with_its_host_when_the_address_changes(private_shop: Application, web: PrivateWeb) -> None:
    """A release manager who may change an address must not be able to send the token elsewhere."""
    access.set_token(private_shop, USER, TOKEN, by=None)
    other = PrivateWeb(web.root, USER, TOKEN)
    private_shop.repository = f"{other.url}/shop.git"
    actions.change_application(private_shop, by=None)
    assert "a private repository needs an access token" in read(private_shop)
    assert other.asked
    assert set(other.asked) == {""}
    other.close()


# ---- nowhere -----------------------------------------------------------------------------------------------


def test_secrets_stand_nowhere_after_a_whole_life(
    private_shop: Application, ssh_shop: Application, web: PrivateWeb, ssh: PrivateSsh, engine: FakeEngine, home: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    marta = factories.user(username="marta")
    access.set_token(private_shop, USER, TOKEN, by=marta)
    ssh.allowed = [access.make_deploy_key(ssh_shop, by=marta).public_key]
    key = private_half(ssh_shop)
    assert read(private_shop) == read(ssh_shop) == ""
    builds = [run(typed(app)) for app in (private_shop, ssh_shop)]
    assert [build.outcome for build in builds] == [Outcome.SUCCEEDED] * 2
    web.token = "revoked-" + web.token  # and what git says of a refusal
    ssh.allowed = []
    assert "refuses the access token" in read(private_shop)
    assert "refuses the deploy key" in read(ssh_shop)
    build = run(typed(private_shop, "main"))
    assert build.outcome == Outcome.SOURCE_UNAVAILABLE
    events = json.dumps(list(Event.objects.values_list("data", flat=True)))
    assert "SHA256:" in events
    builders = repr([(asked.environment, asked.command, sorted(asked.labels.items())) for asked in engine.runs])
    everything = [dump(), events, builders, *exports(marta, builds[0]), files(home), caplog.text, *web.seen, *ssh.seen]
    assert "v1.0.0" in everything[0]
    assert len(web.seen) > 1
    for secret in (TOKEN, key):
        assert_nowhere(secret, *everything, repr(Credential.objects.all()), "\n".join(lines(build)))


def test_log_hides_a_token_that_a_build_prints(private_shop: Application, engine: FakeEngine) -> None:
    """No builder is given one; should one come by it elsewhere, the log does not tell it."""
    access.set_token(private_shop, USER, TOKEN, by=None)
    engine.on_run(shop.BUILDER, lambda _container: Script(lines=(f"pip install {TOKEN}",), exit_code=1))
    build = run(typed(private_shop))
    said = "\n".join(lines(build))
    assert "pip install ********" in said
    assert TOKEN not in said + build.message


# ---- the portal's key --------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["lost", "another", "nonsense"])
def test_without_the_right_key_the_sentence_says_what_to_do(
    private_shop: Application, ssh_shop: Application, engine: FakeEngine, fault: str
) -> None:
    access.set_token(private_shop, USER, TOKEN, by=None)
    access.make_deploy_key(ssh_shop, by=None)
    path = settings.SECRETS_KEY
    path.unlink()
    if fault == "another":
        keys.make(path)
    if fault == "nonsense":
        path.write_text("nonsense\n")
    for app, words in ((private_shop, "enter it again"), (ssh_shop, "make a new one")):
        said = read(app)
        assert "cannot be opened with this portal's key" in said
        assert words in said
        assert_ended(run(typed(app)), Outcome.SOURCE_UNAVAILABLE, "cannot be opened")
    if fault == "nonsense":
        with pytest.raises(StorageError, match="cannot be used: it is no key"):
            access.set_token(private_shop, USER, TOKEN, by=None)
        path.unlink()
    access.set_token(private_shop, USER, TOKEN, by=None)
    assert read(private_shop) == ""


@pytest.mark.parametrize("change", ["host", "application", "account"])
def test_row_that_was_changed_in_the_database_opens_nothing(
    private_shop: Application, web: PrivateWeb, change: str
) -> None:
    """Who may write the database can neither send a token to another host nor lend it to another application."""
    access.set_token(private_shop, USER, TOKEN, by=None)
    thief = PrivateWeb(web.root, USER, TOKEN)
    reader, row = private_shop, Credential.objects.all()
    if change == "host":
        row.update(place=thief.url)
        Application.objects.update(repository=f"{thief.url}/shop.git")
    if change == "application":
        reader = factories.application("thief", repository=private_shop.repository)
        row.update(application=reader)
    if change == "account":
        row.update(account="somebody")
    assert "its row was changed in the database" in read(Application.objects.get(pk=reader.pk))
    assert thief.asked == web.asked == []
    thief.close()


def test_sweeper_removes_what_a_killed_worker_has_left(
    home: Path, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("releases.git.showing.SETTLED", 0.0)
    left = home / "tmp" / "access" / "x"
    left.mkdir(parents=True)
    (left / "key").write_text("canary")
    Sweeper().sweep()
    assert not left.exists()
