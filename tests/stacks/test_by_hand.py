"""The origin's two commands, without the portal: `docker run … builder`, and `docker build` beside app.tar.gz."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from releases.engine import DockerEngine

pytestmark = pytest.mark.engine

STACK = Path(settings.BASE_DIR) / "releases" / "stacks" / "python3.13-uwsgi"

APP = """\
import os
from itsdangerous import Signer

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    signed = Signer("secret").sign(os.environ.get("FRUIT", "no fruit"))
    return [b"Fruit of the day: " + signed]
"""


def docker_cli(*arguments: str, folder: Path | None = None, fails: bool = False) -> str:
    """What the command line answers; both outputs."""
    environment = {**os.environ, **({"DOCKER_HOST": settings.DOCKER_HOST} if settings.DOCKER_HOST else {})}
    done = subprocess.run(
        ["docker", *arguments], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert (done.returncode != 0) == fails, done.stdout
    return done.stdout.strip()


def through_proxy(option: str) -> list[str]:
    """The same way to the package index that the portal's own builds take."""
    given = [f"{name}={value}" for name, value in settings.BUILD_PROXY.items() if value]
    return [part for pair in given for part in (option, pair)]


def way_to_index(shared: Path) -> list[str]:
    if settings.BUILD_CA_BUNDLE:
        shutil.copyfile(settings.BUILD_CA_BUNDLE, shared / "ca-certificates.pem")
    index = ["-e", f"PIP_INDEX_URL={settings.BUILD_INDEX_URL}"] if settings.BUILD_INDEX_URL else []
    return [*index, *through_proxy("-e")]


@pytest.fixture(scope="module")
def builder(docker: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`docker build -t builder .` in the folder of the builder, beside the site's certificates where it has some."""
    tag = f"portal-test-builder-{docker.instance}"
    folder = tmp_path_factory.mktemp("stack") / "builder"
    shutil.copytree(STACK / "builder", folder)
    if settings.BUILD_CA_BUNDLE:
        shutil.copy(settings.BUILD_CA_BUNDLE, folder / "ca-certificates.pem")
    docker_cli("build", *through_proxy("--build-arg"), "-t", tag, ".", folder=folder)
    yield tag
    docker_cli("rmi", "--force", tag)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small application with the tag v1.0.0; the branch has moved on since, to something that cannot be built."""
    folder = tmp_path_factory.mktemp("repository")
    (folder / "app").mkdir()
    (folder / "app" / "app.py").write_text(APP)
    (folder / "requirements.txt").write_text("itsdangerous==2.2.0\n")
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder, "First")
    git(folder, "tag", "v1.0.0")
    (folder / "requirements.txt").unlink()
    commit(folder, "Lose the requirements")
    return folder


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=Marta Ruiz", "-c", "user.email=marta@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True)


def commit(folder: Path, message: str) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", message)


def get(url: str) -> str:
    """The answer of a server that may still be starting."""
    until = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - of our own making
                return str(answer.read().decode())
        except OSError:
            # The engine's own proxy takes a connection before the server inside listens, and then resets it.
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


def test_origins_two_commands_make_an_image_that_serves(builder: str, repository: Path, tmp_path: Path) -> None:
    runner = tmp_path / "runner"
    shutil.copytree(STACK / "runner", runner)
    owner = 4711 if os.getuid() == 0 else os.getuid()
    os.chown(runner, owner, -1)
    variables = ["-e", "REPO=/repository", "-e", "REF=v1.0.0", *way_to_index(runner)]
    folders = ["-v", f"{repository}:/repository:ro", "-v", f"{runner}:/shared"]

    said = docker_cli("run", "--rm", *variables, *folders, builder)

    assert said.splitlines()[-1].startswith("app.tar.gz is ready: ")
    assert (runner / "app.tar.gz").stat().st_uid == owner
    tag = f"portal-test-runner-{secrets.token_hex(4)}"
    docker_cli("build", *through_proxy("--build-arg"), "-t", tag, ".", folder=runner)
    container = docker_cli("run", "-d", "--read-only", "-p", "127.0.0.1::8080", "-e", "FRUIT=quince", tag)
    try:
        address = docker_cli("port", container, "8080/tcp").splitlines()[0]
        assert get(f"http://{address}/").startswith("Fruit of the day: quince.")
        assert docker_cli("exec", container, "python3", "-c", "import os; print(os.getuid())") == "10001"
        docker_cli("stop", "--time", "60", container)
        # 0 would be as well; 137 would say that it had to be killed after 60 seconds.
        assert docker_cli("inspect", "--format", "{{.State.ExitCode}}", container) != "137"
    finally:
        docker_cli("rm", "--force", "--volumes", container)
        docker_cli("rmi", "--force", tag)


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({}, "REPO is not set: say which repository to build, as in -e REPO="),
        ({"REPO": "/repository"}, "REF is not set: say which tag, branch or commit to build"),
        ({"REPO": "/nowhere", "REF": "v1.0.0"}, "The repository /nowhere cannot be cloned"),
        (
            {"REPO": "/repository", "REF": "v9"},
            "The repository /repository has no tag, branch or commit v9: check REF.",
        ),
        ({"REPO": "/repository", "REF": "main"}, "The repository has no requirements file requirements.txt"),
        ({"REPO": "--upload-pack=touch /shared/owned", "REF": "v1.0.0"}, "cannot be cloned"),
        ({"REPO": "ext::touch /shared/owned", "REF": "v1.0.0"}, "cannot be cloned"),
        ({"REPO": "/repository", "REF": "--output=/shared/owned"}, "has no tag, branch or commit --output"),
        (
            {"REPO": "https://marta:geheim@127.0.0.1:9/x.git", "REF": "v1"},
            "https://***@127.0.0.1:9/x.git cannot be cloned",
        ),
    ],
)
def test_builder_refuses_by_hand_with_a_sentence(
    builder: str, repository: Path, tmp_path: Path, variables: dict[str, str], sentence: str
) -> None:
    given = [part for name, value in variables.items() for part in ("-e", f"{name}={value}")]
    folders = ["-v", f"{repository}:/repository:ro", "-v", f"{tmp_path}:/shared"]
    said = docker_cli("run", "--rm", *given, *folders, builder, fails=True)
    assert sentence in said.splitlines()[-1]
    assert "geheim" not in said.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["limits.json"]


def test_runner_without_a_callable_ends_with_an_error(docker: DockerEngine, tmp_path: Path) -> None:
    runner = tmp_path / "runner"
    shutil.copytree(STACK / "runner", runner)
    (tmp_path / "app" / "app").mkdir(parents=True)
    (tmp_path / "app" / "app" / "app.py").write_text("nothing = None\n")
    subprocess.run(["python3", "-m", "venv", "--without-pip", "app/env"], cwd=tmp_path, check=True)
    subprocess.run(["tar", "czf", "runner/app.tar.gz", "app"], cwd=tmp_path, check=True)
    tag = f"portal-test-empty-{docker.instance}"
    docker_cli("build", *through_proxy("--build-arg"), "-t", tag, ".", folder=runner)
    try:
        assert "no app loaded" in docker_cli("run", "--rm", tag, fails=True)
    finally:
        docker_cli("rmi", "--force", tag)
