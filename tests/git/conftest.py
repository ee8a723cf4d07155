"""Real repositories in a folder of the test's own."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from releases.git import Git

AUTHOR = {
    "GIT_AUTHOR_NAME": "Ana",
    "GIT_AUTHOR_EMAIL": "ana@example.org",
    "GIT_AUTHOR_DATE": "2026-01-05T10:00:00Z",
    "GIT_COMMITTER_NAME": "Ana",
    "GIT_COMMITTER_EMAIL": "ana@example.org",
    "GIT_COMMITTER_DATE": "2026-01-05T10:00:00Z",
}


@dataclass
class Origin:
    """A bare repository, as another team would keep it, and the folder from which it is pushed."""

    bare: Path
    work: Path

    @property
    def url(self) -> str:
        return f"file://{self.bare}"

    def git(self, *arguments: str, feed: bytes = b"", when: str = "") -> str:
        environment = {**os.environ, **AUTHOR, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
        if when:
            environment |= {"GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when}
        done = subprocess.run(
            ["git", "-C", str(self.work), *arguments], env=environment, input=feed, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def commit(self, message: str, files: dict[str, bytes], *, when: str = "") -> str:
        for name, content in files.items():
            path = self.work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message, when=when)
        return self.git("rev-parse", "HEAD")

    def push(self) -> None:
        self.git("push", "--quiet", "--force", "--prune", "--mirror", str(self.bare))


def make_origin(root: Path, name: str) -> Origin:
    origin = Origin(root / f"{name}.git", root / f"{name}.work")
    origin.work.mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet", "--bare", str(origin.bare)], check=True)
    origin.git("init", "--quiet", "--initial-branch=main")
    return origin


@pytest.fixture
def local_root(tmp_path: Path) -> Path:
    root = tmp_path / "local"
    root.mkdir()
    return root


@pytest.fixture
def empty_origin(local_root: Path) -> Origin:
    return make_origin(local_root, "shop")


@pytest.fixture(scope="session")
def first_origin(tmp_path_factory: pytest.TempPathFactory) -> Origin:
    """Made once, then copied for each test."""
    origin = make_origin(tmp_path_factory.mktemp("origin"), "shop")
    origin.commit("Sell apples", {"requirements.txt": b"Flask\n", "app/app.py": b"app = 1\n"})
    origin.git("tag", "-a", "v1.0.0", "-m", "The first release")
    origin.commit("Sell pears", {"app/app.py": b"app = 2\n"}, when="2026-02-05T10:00:00Z")
    origin.git("tag", "v1.1.0")
    origin.push()
    return origin


@pytest.fixture
def origin(first_origin: Origin, local_root: Path) -> Origin:
    """Two commits on `main`, an annotated tag on the first, a light one on the second."""
    copies = [shutil.copytree(path, local_root / path.name) for path in (first_origin.bare, first_origin.work)]
    return Origin(*copies)


@pytest.fixture
def git(tmp_path: Path, local_root: Path) -> Git:
    return Git(mirrors=tmp_path / "mirrors", protocols=("https", "ssh", "http"), local_root=local_root, near=True)
