"""The commands as processes: exit codes and streams as a shell script meets them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from releases.models import Build, State
from tests import factories


def environment(**changes: str) -> dict[str, str]:
    """This test's own database, by its address."""
    database = connection.settings_dict
    parts = {"dbname": database["NAME"], "user": database["USER"], "password": database["PASSWORD"]}
    parts |= {"host": database["HOST"], "port": database["PORT"]}
    address = "postgresql://?" + "&".join(f"{name}={value}" for name, value in parts.items() if value)
    return {**os.environ, "DATABASE_URL": address, "REDIS_URL": settings.REDIS_URL, **changes}


def manage(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), *arguments]
    return subprocess.run(command, env=environment(**changes), capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["register", "shop"], "the following arguments are required: repository"),
        (["register", "shop", "https://git.example.org/x.git", "--entry-point", "app"], "write it as module:callable"),
        (["register", "shop", "https://git.example.org/x.git", "--env", "A"], "write it as NAME=value"),
        (["register", "shop", "https://git.example.org/x.git", "--probe", "maybe"], "invalid choice: 'maybe'"),
        (["release", "shop"], "the following arguments are required: ref"),
        (["release", "shop", "--upload-pack=x"], "required: ref"),
    ],
)
def test_wrong_usage_is_2(arguments: list[str], sentence: str) -> None:
    answer = manage(*arguments)
    assert answer.returncode == 2
    assert sentence in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize("command", [["release", "shop", "v1"], ["register", "shop", "https://git.example.org/x.git"]])
def test_database_away_is_one_sentence(command: list[str]) -> None:
    answer = manage(*command, DATABASE_URL="postgresql://postgres@/portal?host=/nowhere")
    assert answer.returncode == 1
    assert answer.stderr.startswith("PostgreSQL does not answer (")
    assert answer.stderr.count("\n") == 1
    assert answer.stdout == ""


@pytest.mark.django_db(transaction=True)
def test_ctrl_c_in_a_terminal() -> None:
    factories.application("fruit-shop")
    command = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), "release", "fruit-shop", "main", "--wait"]
    waiting = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert waiting.stderr is not None
    until = time.monotonic() + 60
    try:
        assert "nobody builds" in waiting.stderr.readline()
        waiting.send_signal(signal.SIGINT)
        out, err = waiting.communicate(timeout=until - time.monotonic())
    finally:
        waiting.kill()
        waiting.wait()
    assert waiting.returncode == 130
    assert "goes on without this terminal" in err
    assert "Traceback" not in err
    assert out == ""
    assert Build.objects.get().state == State.QUEUED
