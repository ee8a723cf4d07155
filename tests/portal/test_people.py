"""The first administrator and release manager: made once, their passwords shown once."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User

from portal.setup import people


def test_people_are_made_once_and_can_sign_in(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    people.ensure(admin_password="", manager_password="")
    shown = dict(re.findall(r"account  (\w+) +password (\S+) ", capsys.readouterr().out))
    assert set(shown) == {"admin", "manager"}
    for name, password in shown.items():
        assert User.objects.get(username=name).check_password(password)
    assert User.objects.get(username="admin").is_superuser
    assert not User.objects.get(username="manager").is_staff
    assert User.objects.get(username="manager").groups.get().name == "release managers"
    people.ensure(admin_password="", manager_password="")
    assert capsys.readouterr().out == ""
    assert User.objects.count() == 2


def test_people_get_the_passwords_of_the_environment_which_are_not_shown(
    db: None, capsys: pytest.CaptureFixture[str]
) -> None:
    people.ensure(admin_password="correct horse", manager_password="battery staple")
    assert User.objects.get(username="admin").check_password("correct horse")
    assert User.objects.get(username="manager").check_password("battery staple")
    output = capsys.readouterr().out
    assert "horse" not in output
    assert "staple" not in output


def test_people_of_before_keep_their_passwords(db: None) -> None:
    User.objects.create_superuser("admin", password="as it was")
    people.ensure(admin_password="changed", manager_password="")
    assert User.objects.get(username="admin").check_password("as it was")
