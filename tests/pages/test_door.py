"""Signing in: who guesses is stopped, who is signed in notices nothing, and nobody borrows another's address."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from releases import actions
from releases.errors import InvalidInput
from tests import factories

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).resolve().parents[2]
SENTENCE = "Too many wrong passwords came from your address: try again in 15 minutes."


@pytest.fixture
def marta() -> User:
    user = factories.user(username="marta")
    user.set_password("quince-plum-pear")
    user.save()
    return user


def sign_in(password: str, *, name: str = "marta", address: str = "192.0.2.7", forwarded: str = "") -> tuple[int, str]:
    headers = {"X-Forwarded-For": forwarded, "X-Forwarded-Proto": "https"} if forwarded else {}
    fields = {"username": name, "password": password}
    answer = Client(REMOTE_ADDR=address).post("/accounts/login/", fields, headers=headers)
    return answer.status_code, answer.text


def test_who_guesses_is_locked_out_at_that_address_alone(marta: User, settings: Settings) -> None:
    settings.AXES_FAILURE_LIMIT = 5
    inside = Client(REMOTE_ADDR="192.0.2.7")
    inside.force_login(marta)
    answers = [sign_in(f"guess {n}", name=f"somebody-{n % 3}") for n in range(6)]
    assert [status for status, _ in answers[:4]] == [200] * 4
    assert answers[5][0] == 429
    assert SENTENCE in answers[5][1]
    assert sign_in("quince-plum-pear")[0] == 429
    assert inside.get("/").status_code == 200
    assert sign_in("quince-plum-pear", address="192.0.2.8")[0] == 302
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=16))
    assert sign_in("quince-plum-pear")[0] == 302


def test_of_two_hundred_guesses_all_but_the_first_are_refused(marta: User, settings: Settings) -> None:
    statuses = [sign_in(f"guess {n}", name=f"user-{n}")[0] for n in range(200)]
    assert statuses[: settings.AXES_FAILURE_LIMIT - 1] == [200] * (settings.AXES_FAILURE_LIMIT - 1)
    assert set(statuses[settings.AXES_FAILURE_LIMIT :]) == {429}


def test_the_admins_door_is_the_same(marta: User, settings: Settings) -> None:
    settings.AXES_FAILURE_LIMIT = 3
    client = Client(REMOTE_ADDR="192.0.2.9")
    fields = {"username": "marta", "password": "no"}
    assert [client.post("/admin/login/", fields).status_code for _ in range(4)][-1] == 429


def test_a_forwarded_address_is_believed_behind_the_proxy_alone(marta: User, settings: Settings) -> None:
    settings.AXES_FAILURE_LIMIT = 3
    for n in range(4):  # each with another made-up header: the peer is counted
        status, _ = sign_in("no", forwarded=f"198.51.100.{n}")
    assert status == 429
    settings.HTTPS = True
    AccessAttempt.objects.all().delete()
    for n in range(4):  # a browser's own header stands before what the proxy adds
        status, _ = sign_in("no", address="10.0.0.1", forwarded=f"198.51.100.{n}, 203.0.113.5")
    assert status == 429
    assert sign_in("quince-plum-pear", address="10.0.0.1", forwarded="203.0.113.6")[0] == 302


def deployed(home: Path, code: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *code],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PORTAL_HOME": str(home), "PORTAL_HTTPS": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_check_deploy_has_nothing_to_say(tmp_path: Path) -> None:
    done = deployed(tmp_path, ["manage.py", "check", "--deploy", "--fail-level", "WARNING"])
    assert (done.returncode, done.stdout.strip()) == (0, "System check identified no issues (2 silenced)."), done.stderr


def test_plain_http_is_sent_to_https_save_for_the_machines_doors(settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT, settings.SECURE_HSTS_SECONDS = True, 31_536_000
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    client = Client()
    answer = client.get("/accounts/login/")
    assert (answer.status_code, answer.headers["Location"]) == (301, "https://testserver/accounts/login/")
    assert client.get("/healthz").status_code in (200, 503)
    secure = client.get("/accounts/login/", headers={"X-Forwarded-Proto": "https"})
    assert (secure.status_code, secure.headers["Strict-Transport-Security"]) == (200, "max-age=31536000")


def test_passwords_are_kept_with_argon2(tmp_path: Path) -> None:
    code = "import django; django.setup(); from django.contrib.auth.hashers import make_password as m; print(m('pear'))"
    done = deployed(tmp_path, ["-c", code], DJANGO_SETTINGS_MODULE="portal.settings")
    assert done.stdout.startswith("argon2$argon2id$"), done.stderr


def test_one_person_may_not_fill_the_queue(settings: Settings) -> None:
    settings.BUILDS_PER_MINUTE = 2
    app, marta, vera = factories.application(), factories.user(username="marta"), factories.user(username="vera")
    for ref in ("v1", "v2"):
        actions.request_build(app, ref, by=marta)
    with pytest.raises(InvalidInput, match="You have asked for 2 builds within a minute, the most that are taken"):
        actions.request_build(app, "v3", by=marta)
    actions.request_build(app, "v3", by=vera)
    actions.request_build(app, "v4", by=None)
    app.builds.update(created_at=timezone.now() - timedelta(seconds=61))
    actions.request_build(app, "v5", by=marta)
