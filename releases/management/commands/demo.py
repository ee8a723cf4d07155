"""`manage.py demo`: the demo's repository, its application, and its first release."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.core.management.base import CommandParser
from django.db import transaction

from releases import actions
from releases.errors import WorkshopError
from releases.git import Version, make_repository
from releases.management.plain import FAILED, PlainCommand
from releases.models import Application

NAME = "fruit-shop"


class Command(PlainCommand):
    help = "Make the demo's repository; register the application fruit-shop and ask for its release, once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--repository-only", action="store_true", help="touch no application")
        parser.add_argument("--quiet", action="store_true", help="print nothing unless something is wrong")

    def handle(self, *, repository_only: bool, quiet: bool, **_: Any) -> None:
        try:
            said = make_demo(repository_only=repository_only)
        except WorkshopError as error:
            self.refuse(error.message, FAILED)
        if not quiet:
            self.stdout.write("\n".join(said))


def make_demo(*, repository_only: bool = False) -> list[str]:
    """Make what is missing; says in a line each what is there now. Raises `WorkshopError` or what an action raises."""
    versions = read_versions(Path(settings.BASE_DIR) / "demo" / NAME)
    repository = make_repository(Path(settings.LOCAL_REPOSITORIES).resolve() / f"{NAME}.git", versions)
    said = [f"The demo's repository is {repository}, with the tags {', '.join(version.tag for version in versions)}."]
    if repository_only:
        return said
    if Application.objects.filter(name=NAME).exists():
        return [*said, f"The application {NAME} is registered already; its releases are left alone."]
    newest = versions[-1].tag
    with transaction.atomic():
        application = actions.register_application(by=None, name=NAME, repository=f"file://{quote(str(repository))}")
        actions.request_build(application, newest, by=None)
    return [*said, f"The application {NAME} is registered, and its release {newest} is queued."]


def read_versions(folder: Path) -> list[Version]:
    """The versions that `versions.toml` names, oldest first; each lies over the ones before it."""
    versions: list[Version] = []
    files: dict[str, bytes] = {}
    for entry in tomllib.loads((folder / "versions.toml").read_text())["version"]:
        tree = folder / entry["tag"]
        files |= {
            path.relative_to(tree).as_posix(): path.read_bytes()
            for path in tree.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        versions.append(Version(entry["tag"], entry["message"], entry["released_at"], dict(files)))
    return versions
