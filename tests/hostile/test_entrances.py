"""Each attack at each entrance where a person may name a repository or a ref: the form, the command, the admin's form.

It is refused with a sentence beside its field (the command: on stderr, and with the exit status of bad input); or what
it names is harmless, and the real git is let loose on it. Neither may leave a canary behind, nor reach a local
listener."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from releases.errors import PortalError
from releases.git import Git, near
from releases.models import Application, Build
from tests import factories
from tests.admin.test_actions import ADD, FIELDS
from tests.commands.conftest import Run
from tests.commands.conftest import run as run
from tests.git.conftest import make_origin
from tests.git.test_mirrors import Ended
from tests.hostile.corpus import ADDRESSES, REFS
from tests.pages.reading import body
from tests.pages.test_register import NEW, USUAL, beside

pytestmark = pytest.mark.django_db
Entrance = Callable[[str], str | None]
"""Tries what was typed: the sentence of its refusal, or None when it was taken."""


@dataclass
class Traps:
    """What must not come to be, and who must not be spoken to."""

    canary: Path
    secret: Path
    local: Path
    port: int
    heard: list[str] = field(default_factory=list)

    def spelled(self, attack: str) -> str:
        words = {
            "CANARY": str(self.canary), "SECRET": str(self.secret), "LOCAL": str(self.local),
            "LISTENER": f"127.0.0.1:{self.port}", "PORT": str(self.port),
        }  # fmt: skip
        return re.sub("|".join(words), lambda word: words[word[0]], attack)

    def sprung(self) -> str:
        """What has happened; empty while nothing has."""
        left = [str(path) for path in self.canary.parent.rglob("*CANARY*")] + ["the canary"] * self.canary.exists()
        return ", ".join([*left, *self.heard])


@pytest.fixture
def traps(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Traps]:
    """A folder to be in, with a secret repository beside the allowed folder; and a listener on every local address."""
    local = tmp_path / "local"
    local.mkdir()
    secret = make_origin(tmp_path, "secret")
    secret.commit("Nobody's business", {"secret": b"geheim"})
    secret.push()
    secret.git("bundle", "create", "-q", f"{secret.bare}.bundle", "--all")
    (local / "link.git").symlink_to(secret.bare)
    (local / "bundle").write_bytes(Path(f"{secret.bare}.bundle").read_bytes())
    settings.LOCAL_REPOSITORIES, settings.MIRRORS_DIR = local, tmp_path / "mirrors"
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        traps = Traps(tmp_path / "canary", secret.bare, local, listener.getsockname()[1])

        def listen() -> None:
            with suppress(OSError):
                while True:
                    connection, address = listener.accept()
                    traps.heard.append(f"a visitor from {address[0]}")
                    connection.close()

        threading.Thread(target=listen, daemon=True).start()
        yield traps
        traps.heard.clear()
        socket.create_connection(("127.0.0.1", traps.port)).close()
        for _ in range(1000):
            if traps.heard:
                break
            threading.Event().wait(0.01)
        assert traps.heard, "nobody listened, so nothing was tested"
        listener.shutdown(socket.SHUT_RDWR)


# ---- addresses -------------------------------------------------------------------------------------


def by_form(client: Client) -> Entrance:
    client.force_login(factories.user())

    def ask(typed: str) -> str | None:
        answer = client.post(NEW, USUAL | {"name": "never", "repository": typed})
        return None if answer.status_code == 302 else beside(body(answer), "repository")

    return ask


def by_settings(client: Client) -> Entrance:
    client.force_login(factories.user())
    app = factories.application("never")

    def ask(typed: str) -> str | None:
        answer = client.post(f"/applications/{app.name}/settings/", USUAL | {"repository": typed})
        return None if answer.status_code == 302 else beside(body(answer), "repository")

    return ask


def by_admin(client: Client) -> Entrance:
    client.force_login(User.objects.create_superuser("root", password=factories.PASSWORD))

    def ask(typed: str) -> str | None:
        answer = client.post(reverse(ADD), {**FIELDS, "name": "never", "repository": typed})
        return None if answer.status_code == 302 else " ".join(answer.context["adminform"].form.errors["repository"])

    return ask


def by_command(run: Run) -> Entrance:
    def ask(typed: str) -> str | None:
        said = run("register", "--", "never", typed)
        assert said.code in (0, 2)
        return None if said.code == 0 else said.err.strip()

    return ask


def refused(entrance: Entrance, corpus: tuple[str, ...], traps: Traps) -> tuple[list[str], list[str]]:
    """What was taken, and what is wrong with the refusals; what was asked is taken back each time."""
    taken, wrong = [], []
    for attack in corpus:
        with transaction.atomic():
            said = entrance(traps.spelled(attack))
            transaction.set_rollback(True)
        if said is None:
            taken.append(attack)
        elif not said.endswith(".") or not said.isprintable() or "hunter2" in said or "CANARY" in said:
            wrong.append(f"{attack!r}: {said!r}")
        if sprung := traps.sprung():
            wrong.append(f"{attack!r}: {sprung}")
    return taken, wrong


ENTRANCES = {"form": by_form, "settings": by_settings, "admin": by_admin}


@pytest.mark.parametrize("entrance", [*ENTRANCES, "command"])
def test_address_is_refused_or_harmless(
    entrance: str, client: Client, run: Run, traps: Traps, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = by_command(run) if entrance == "command" else ENTRANCES[entrance](client)
    taken, wrong = refused(ask, ADDRESSES, traps)
    monkeypatch.setattr(near, "pinned", lambda *_: {})  # a name that is not known would end it before git begins
    for attack in taken:
        with pytest.raises(PortalError):
            Git.from_settings().refresh("never", traps.spelled(attack).strip(), stop=Ended(after=150))
        if sprung := traps.sprung():
            wrong.append(f"git, let loose on {attack!r}: {sprung}")
    assert wrong == []
    assert len(ADDRESSES) - len(taken) > 100, taken
    assert ask("https://git.example.org/team/shop.git") is None, "nothing at all is taken"


# ---- refs ------------------------------------------------------------------------------------------


def ref_by_form(client: Client) -> Entrance:
    client.force_login(factories.user())

    def ask(typed: str) -> str | None:
        answer = client.post("/applications/shop/builds/new/", {"ref": typed})
        if answer.status_code == 302:
            return None
        assert answer.status_code == 422
        found = re.search(r'id="typed-problem">(?:<svg.*?</svg>)?(.*?)</p>', body(answer), re.DOTALL)
        return found[1].strip() if found else ""

    return ask


def ref_by_command(run: Run) -> Entrance:
    def ask(typed: str) -> str | None:
        said = run("release", "--", "shop", typed)
        assert said.code in (0, 2)
        return None if said.code == 0 else said.err.strip()

    return ask


@pytest.mark.parametrize("entrance", ["form", "command"])
def test_ref_is_refused_or_harmless(entrance: str, client: Client, run: Run, traps: Traps, settings: Settings) -> None:
    settings.BUILDS_PER_MINUTE = 1000
    factories.application("shop")
    ask = ref_by_form(client) if entrance == "form" else ref_by_command(run)
    taken, wrong = refused(ask, REFS, traps)
    origin = make_origin(traps.local, "shop")
    commit = origin.commit("Sell apples", {"app": b"1", "file": b"1", "text": b"1"})
    origin.git("update-ref", "refs/notes/x", commit)
    origin.push()
    git = Git.from_settings()
    git.refresh("shop", origin.url)
    for attack in taken:
        with pytest.raises(PortalError):
            git.resolve("shop", traps.spelled(attack).strip())
        if sprung := traps.sprung():
            wrong.append(f"git, asked for {attack!r}: {sprung}")
    assert wrong == []
    assert len(REFS) - len(taken) > 60, taken
    assert git.resolve("shop", "main") == ("refs/heads/main", commit)
    assert not Build.objects.exists()
    assert Application.objects.count() == 1
