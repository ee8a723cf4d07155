"""What every room's tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection
from django.test import Client
from django.utils import translation
from pytest_django import DjangoDbBlocker, Settings

from portal.words import compile_catalogues
from tests import factories

compile_catalogues()  # as ./run does; before Django reads them


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """The database as it is, save that tests which commit may empty it afterwards."""
    with django_db_blocker.unblock():
        let_records_be_emptied()


def let_records_be_emptied() -> None:
    """The triggers that refuse it sleep; the migrations wake them."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE releases_event DISABLE TRIGGER event_whole")
        cursor.execute("ALTER TABLE releases_link DISABLE TRIGGER link_whole")


@pytest.fixture
def manager(db: None) -> Client:
    """A browser in which a release manager, Marta Ruiz, is signed in."""
    client = Client()
    client.force_login(factories.user(username="marta", first_name="Marta", last_name="Ruiz"))
    return client


@pytest.fixture
def viewer(db: None) -> Client:
    """A browser in which somebody is signed in who may only look."""
    client = Client()
    client.force_login(factories.user(role="viewers", username="vera"))
    return client


@pytest.fixture(autouse=True)
def in_english() -> Iterator[None]:
    """Whatever language the last request of a test was answered in, the next test begins in English."""
    yield
    translation.deactivate()


@pytest.fixture(autouse=True)
def quick_passwords(settings: Settings) -> None:
    """The real hash is slow on purpose; signing in is not what most tests are about."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
