"""`manage.py secrets`: what can be opened, and a new key without losing anything."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from django.db import connection
from pytest_django import Settings

from releases import access
from releases.errors import StorageError
from releases.models import Application, Credential
from releases.vault import keys
from releases.vault.opening import opened
from tests import factories
from tests.commands.conftest import Run

TOKEN = "canary-token-1a2b3c"


@pytest.fixture(autouse=True)
def key_file(settings: Settings, tmp_path: Path) -> Path:
    settings.SECRETS_KEY = tmp_path / "secrets_key"
    return tmp_path / "secrets_key"


@pytest.fixture
def app(db: None) -> Application:
    app = factories.application("shop", repository="https://git.example.org/shop.git")
    access.set_token(app, "deploy", TOKEN, by=None)
    access.make_deploy_key(app, by=None)
    return app


def tokens(key_file: Path) -> list[str]:
    return [opened(key_file, row.sealed, row.about) for row in Credential.objects.filter(kind="token")]


def test_key_is_made_once_and_for_its_owner_alone(key_file: Path) -> None:
    keys.make(key_file)
    made = key_file.read_text()
    keys.make(key_file)
    assert key_file.read_text() == made
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert list(key_file.parent.iterdir()) == [key_file]


def test_rotate_seals_all_anew_and_gives_the_old_key_up(run: Run, app: Application, key_file: Path) -> None:
    before, old = list(Credential.objects.values_list("sealed", flat=True)), key_file.read_text()
    said = run("secrets", "rotate")
    assert (said.code, said.err) == (0, "")
    assert "Sealed anew: 2." in said.out
    assert not set(before) & set(Credential.objects.values_list("sealed", flat=True))
    assert len(key_file.read_text().split()) == 1
    assert key_file.read_text() != old
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert tokens(key_file) == [TOKEN]
    assert run("secrets", "check").out.strip() == "All can be opened: 2."
    key_file.write_text(old)
    with pytest.raises(StorageError, match="another key"):
        tokens(key_file)


def test_rotate_that_is_killed_before_its_end_loses_nothing(
    run: Run, app: Application, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, written = keys.write, []

    def killed_at_the_second(path: Path, held: list[str]) -> None:
        written.append(held)
        if len(written) == 2:
            raise KeyboardInterrupt
        real(path, held)

    monkeypatch.setattr(keys, "write", killed_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        run("secrets", "rotate")
    assert tokens(key_file) == [TOKEN]
    monkeypatch.undo()
    assert len(key_file.read_text().split()) == 2


def test_what_cannot_be_opened_is_named_and_the_key_stays(run: Run, app: Application, key_file: Path) -> None:
    key_file.unlink()
    keys.make(key_file)
    held = key_file.read_text()
    said = run("secrets", "check")
    assert said.code == 1
    assert "The deploy key of shop cannot be opened, and must be set anew" in said.out
    assert "The access token of shop cannot be opened" in said.out
    said = run("secrets", "rotate")
    assert said.code == 1
    assert "secrets check" in said.err
    assert key_file.read_text() == held


@pytest.mark.django_db(transaction=True)
def test_token_that_is_set_while_the_key_changes_can_be_opened(
    run: Run, app: Application, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sealed with the old key and committed after the change, it would be lost."""
    real = keys.write

    def set_meanwhile() -> None:
        access.set_token(app, "deploy", f"{TOKEN}-2", by=None)
        connection.close()

    person = threading.Thread(target=set_meanwhile)

    def write(path: Path, held: list[str]) -> None:
        if person.ident is None:
            real(path, held[1:])  # what the person would read
            person.start()
            until = time.monotonic() + 30
            while person.is_alive() and not waiting():
                assert time.monotonic() < until
                time.sleep(0.01)
        real(path, held)

    monkeypatch.setattr(keys, "write", write)
    assert run("secrets", "rotate").code == 0
    person.join(30)
    assert tokens(key_file) == [f"{TOKEN}-2"]


def waiting() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        return bool(cursor.fetchone()[0])
