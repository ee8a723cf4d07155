"""The demo's repository and its first release."""

from __future__ import annotations

import io
import re
import tarfile
from pathlib import Path

import pytest
from django.conf import settings as portal
from django.core.management import call_command
from pytest_django import Settings

from releases.git import Git, Version, check_repository, make_repository
from releases.management.commands.demo import read_versions
from releases.models import Application, Build

TAGS = ["v1.0.0", "v1.0.1", "v1.1.0"]
COMMITS = {
    "v1.0.0": "9578708d76b6dbb326446c3dc4253b51ff2cff05",
    "v1.0.1": "9d621167356d325da3bc74f8d07e3679d9ca2272",
    "v1.1.0": "6fc9b38938afa51ed5ed438dccc1bb6b3405189e",
}
"""The same on every machine: when the demo's files change, these change with them, and nothing else may."""


@pytest.fixture
def home(tmp_path: Path, settings: Settings) -> Path:
    settings.LOCAL_REPOSITORIES = tmp_path / "demo"
    settings.MIRRORS_DIR = tmp_path / "mirrors"
    return tmp_path


@pytest.fixture
def versions() -> list[Version]:
    return read_versions(portal.BASE_DIR / "demo" / "fruit-shop")


def repository_of(home: Path) -> Path:
    return home / "demo" / "fruit-shop.git"


def files_of(git: Git, tag: str) -> dict[str, bytes]:
    _, commit = git.resolve("fruit-shop", tag)
    with tarfile.open(fileobj=io.BytesIO(b"".join(git.archive("fruit-shop", commit)))) as archive:
        found = {member.name: archive.extractfile(member) for member in archive if member.isreg()}
        return {name: file.read() for name, file in found.items() if file}


def test_repository_has_three_annotated_tags_with_lasting_ids(home: Path) -> None:
    call_command("demo", "--repository-only", "--quiet")
    found = Git.from_settings().refresh("fruit-shop", f"file://{repository_of(home)}")
    tags = [ref for ref in found if ref.kind == "tag"]
    assert [ref.name for ref in tags] == TAGS[::-1]
    assert all(ref.annotated for ref in tags)
    assert {ref.name: ref.commit for ref in tags} == COMMITS
    assert [ref.name for ref in found if ref.kind == "branch"] == ["main"]


def test_each_version_keeps_the_contract(home: Path) -> None:
    call_command("demo", "--repository-only", "--quiet")
    git = Git.from_settings()
    git.refresh("fruit-shop", f"file://{repository_of(home)}")
    for tag in TAGS:
        files = files_of(git, tag)
        requirements = files["requirements.txt"].decode().splitlines()
        assert all(re.fullmatch(r"[A-Za-z0-9]+==[0-9.]+", line) for line in requirements)
        assert requirements[0].startswith("Flask==")
        assert b"app = Flask(__name__)" in files["app/app.py"]
        assert b'os.environ.get("SHOP_NAME", "Fruits")' in files["app/app.py"]
        compile(files["app/app.py"], "app.py", "exec")
        assert b"<h1>{{ name }}</h1>" in files["app/templates/shop.html"]
    assert files_of(git, "v1.0.0")["requirements.txt"] == files_of(git, "v1.0.1")["requirements.txt"]
    assert files_of(git, "v1.0.1")["requirements.txt"] != files_of(git, "v1.1.0")["requirements.txt"]


def test_command_again_changes_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("demo", "--repository-only", "--quiet")
    assert capsys.readouterr().out == ""
    before = repository_of(home).stat()
    call_command("demo", "--repository-only")
    assert repository_of(home).stat().st_ino == before.st_ino
    assert "v1.0.0, v1.0.1, v1.1.0" in capsys.readouterr().out
    assert [path.name for path in (home / "demo").iterdir()] == ["fruit-shop.git"]


def test_repository_that_was_left_half_made_or_changed_is_made_anew(home: Path, versions: list[Version]) -> None:
    target = repository_of(home)
    (target / "refs").mkdir(parents=True)
    make_repository(target, versions)
    make_repository(target, versions[:1])
    make_repository(target, versions)
    found = Git.from_settings().refresh("fruit-shop", f"file://{target}")
    assert {ref.name: ref.commit for ref in found if ref.kind == "tag"} == COMMITS
    assert [path.name for path in target.parent.iterdir()] == ["fruit-shop.git"]


@pytest.mark.django_db
def test_command_registers_the_shop_and_queues_the_newest_tag_once(home: Path) -> None:
    call_command("demo", "--quiet")
    application = Application.objects.get()
    build = Build.objects.get()
    assert application.name == "fruit-shop"
    assert application.repository == check_repository(
        f"file://{repository_of(home)}", protocols=(), local_root=home / "demo"
    )
    assert (build.application, build.ref, build.state) == (application, "v1.1.0", "queued")
    call_command("demo", "--quiet")
    assert (Application.objects.count(), Build.objects.count()) == (1, 1)


def test_folder_that_cannot_be_written_is_one_sentence(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "demo").write_text("in the way")
    with pytest.raises(SystemExit) as end:
        call_command("demo", "--repository-only")
    assert end.value.code == 1
    assert "cannot be written" in capsys.readouterr().err
