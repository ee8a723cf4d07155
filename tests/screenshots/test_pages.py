"""Every page has a picture: a new door must say which, or why it has none."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client

from tests.screenshots import rows
from tests.screenshots.__main__ import parse
from tests.screenshots.album import write_index
from tests.screenshots.pages import NO_PAGES, SHOTS, doors


def test_every_door_has_a_picture_or_a_reason() -> None:
    pictured = {shot.door for shot in SHOTS}
    assert pictured | NO_PAGES.keys() == doors(), (
        "add the new address to SHOTS or NO_PAGES of tests/screenshots/pages.py"
    )
    assert not pictured & NO_PAGES.keys()


@pytest.mark.django_db
def test_every_picture_has_a_page(client: Client) -> None:
    client.force_login(rows.make())
    for shot in SHOTS:
        if shot.signed_in:
            assert client.get(shot.address).status_code == 200, shot


def test_names_of_pictures_are_theirs_alone() -> None:
    assert len({shot.name for shot in SHOTS}) == len(SHOTS)


def test_many_looks_need_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--all-looks"])
    assert "--into FOLDER" in capsys.readouterr().err


def test_index_names_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "build.webp").touch()
    write_index(["home", "build"], tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert "![build](build.webp)" in text
    assert "home.webp" not in text
