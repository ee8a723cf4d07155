"""People who sign in to the admin."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests import factories


@pytest.fixture
def root(db: None) -> User:
    return User.objects.create_superuser("root", password=factories.PASSWORD)


@pytest.fixture
def admin(client: Client, root: User) -> Client:
    """A browser in which a superuser is signed in."""
    client.force_login(root)
    return client


@pytest.fixture
def staff(client: Client, db: None) -> Client:
    """A browser in which a release manager is signed in who may enter the admin."""
    client.force_login(factories.user(username="marta", is_staff=True))
    return client


@pytest.fixture
def onlooker(client: Client, db: None) -> Client:
    """A browser in which a viewer is signed in who may enter the admin."""
    client.force_login(factories.user(role="viewers", username="vera", is_staff=True))
    return client
