"""The origin's side: its four files (origin/, translated to Debian word for word), run as it says, with a watch."""

from __future__ import annotations

import re
import shutil
import time
import urllib.request
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from django.conf import settings

from tests.bench import commands
from tests.bench.commands import BenchFailed
from tests.bench.figures import Side
from tests.stacks.test_by_hand import through_proxy

FILES = Path(__file__).parent / "origin"
SCRIPT = (
    ("+ mkdir /app", "clone"),
    ("+ python3 -m venv", "venv"),
    ("+ /app/env/bin/pip", "pip"),
    ("+ tar czf", "tar"),
)
"""What `sh -x` prints when a part of build.sh begins, and the part's name."""
STEP = re.compile(r"Step \d+/\d+ : (\w+)")
STARTED, LAYER, CACHED = re.compile(r" ---> Running in ([0-9a-f]+)"), re.compile(r" ---> ([0-9a-f]+)$"), "Using cache"


class Origin:
    """`folder` is for its own files; below `repositories` lies what it clones; `token` is in all that it names."""

    def __init__(self, folder: Path, repositories: Path, token: str) -> None:
        self.folder, self.repositories = folder, repositories
        self.name = f"portal-bench-{token}"
        self._made: list[str] = []
        """What steps of builds left in the engine: containers and images by their ids, in their order."""

    def tag(self, what: str) -> str:
        return f"{self.name}/{what}"

    # ---- once ------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """The builder, and of the runner what its Dockerfile says before the application: cached from now on."""
        shutil.copytree(FILES, self.folder, dirs_exist_ok=True)
        self._site()
        self._build("builder", self.folder / "builder", through_proxy("--build-arg"))
        before = self.folder / "before"
        before.mkdir()
        head = (FILES / "runner" / "Dockerfile").read_text().partition("ADD ")[0]
        (before / "Dockerfile").write_text(head)
        self._build("before", before, through_proxy("--build-arg"))

    def _site(self) -> None:
        """What the network asks for here, beside the origin's files and not in them."""
        site = self.folder / "site"
        site.mkdir()
        (site / "gitconfig").write_text("[safe]\n\tdirectory = *\n")  # the repositories belong to another user
        if settings.BUILD_CA_BUNDLE:
            shutil.copyfile(settings.BUILD_CA_BUNDLE, site / "ca-certificates.pem")

    def clear(self) -> None:
        """Nothing of it stays in the engine."""
        commands.quietly("docker", "rm", "--force", "--volumes", self.name)
        for tag in ("runner", "before", "builder"):
            commands.quietly("docker", "rmi", "--force", self.tag(tag))
        for left in reversed(self._made):
            commands.quietly("docker", "rm", "--force", "--volumes", left)
            commands.quietly("docker", "rmi", left)

    # ---- each time -------------------------------------------------------------------------------------

    def release(self, repository: str, ref: str) -> Side:
        """One release as the origin makes it: `docker run` of the builder, `docker build` of the runner."""
        began = time.perf_counter()
        parts = self._bundle(repository, ref)
        bundled = time.perf_counter()
        parts |= self._runner()
        ended = time.perf_counter()
        sizes = {
            "builder": commands.size_of(self.tag("builder")),
            "runtime": commands.size_of(self.tag("before")),
            "image": commands.size_of(self.tag("runner")),
            "archive": (self.folder / "runner" / "app.tar.gz").stat().st_size,
        }
        return Side(ended - began, {**parts, "docker run": bundled - began, "docker build": ended - bundled}, sizes)

    def check(self) -> None:
        """That what was timed is a release at all: its image is booted once and asked, off the clock."""
        commands.run("docker", "run", "-d", "--name", self.name, "-p", "127.0.0.1::8080", self.tag("runner"))
        try:
            address = commands.run("docker", "port", self.name, "8080/tcp").splitlines()[0]
            _await(f"http://{address}/")
        finally:
            commands.quietly("docker", "rm", "--force", "--volumes", self.name)

    def forget(self) -> None:
        """Remove the last release, so that the next finds what a machine has before it."""
        commands.quietly("docker", "rmi", "--force", self.tag("runner"))
        (self.folder / "runner" / "app.tar.gz").unlink(missing_ok=True)

    def _bundle(self, repository: str, ref: str) -> dict[str, float]:
        given = {"REPO": f"file:///repositories/{repository}.git", "REF": ref, **self._network()}
        command = ["docker", "run", "--rm", "--name", self.name]
        command += [part for name, value in given.items() for part in ("-e", f"{name}={value}")]
        command += ["-v", f"{self.folder / 'runner'}:/shared/", "-v", f"{self.repositories}:/repositories:ro"]
        command += ["-v", f"{self.folder / 'site'}:/site:ro", *through_proxy("-e")]
        # The origin's own script, whose shell says what it does: so each part has its time.
        command += ["--entrypoint", "sh", self.tag("builder"), "-x", "build.sh"]
        marks, last, began = [("start", 0.0)], "", time.perf_counter()
        for at, line in commands.lines(*command):
            last = line.strip() or last
            if line.startswith("ERROR: "):
                raise BenchFailed(f"The origin's builder could not make {repository} {ref}: {line.strip()}")
            marks += [(name, at) for start, name in SCRIPT if line.startswith(start)]
        if len(marks) != len(SCRIPT) + 1 or not (self.folder / "runner" / "app.tar.gz").is_file():
            raise BenchFailed(
                f"The origin's builder made no app.tar.gz of {repository} {ref}; its last line was: {last}"
            )
        return _spans([*marks, ("end", time.perf_counter() - began)])

    def _network(self) -> dict[str, str]:
        network = {"GIT_CONFIG_GLOBAL": "/site/gitconfig"}
        if settings.BUILD_INDEX_URL:
            network["PIP_INDEX_URL"] = settings.BUILD_INDEX_URL
        if settings.BUILD_CA_BUNDLE:
            network |= dict.fromkeys(("PIP_CERT", "SSL_CERT_FILE", "GIT_SSL_CAINFO"), "/site/ca-certificates.pem")
        return network

    def _runner(self) -> dict[str, float]:
        steps = self._build("runner", self.folder / "runner", through_proxy("--build-arg"))
        added = dict(zip([name for name, _ in steps], [at for _, at in steps], strict=True))
        if not {"FROM", "ADD", "COPY"} <= set(added):
            raise BenchFailed(
                "The engine's build said nothing of its steps: the bench reads the classic builder's words."
            )
        return {"context": added["FROM"], "ADD": added["COPY"] - added["ADD"]}

    def _build(self, what: str, folder: Path, options: Sequence[str]) -> list[tuple[str, float]]:
        """`docker build`; its instructions, and when each began."""
        steps, cached = [], False
        command = ("docker", "build", "--force-rm", *options, "-t", self.tag(what), ".")
        for at, line in commands.lines(*command, folder=folder):
            if found := STEP.match(line):
                steps.append((found[1], at))
            elif made := STARTED.match(line) or (None if cached else LAYER.match(line)):
                self._made += [made[1]] if steps[-1][0] != "FROM" else []
            cached = CACHED in line
        return steps


def _spans(marks: Iterable[tuple[str, float]]) -> dict[str, float]:
    """From each mark to the next."""
    return {name: following - at for (name, at), (_, following) in pairwise(marks)}


def _await(url: str) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - of our own making
            if answer.status == 200:
                return
        time.sleep(0.1)
    raise BenchFailed(f"The origin's image does not answer at {url} within 30 s, so there is nothing to compare with.")
