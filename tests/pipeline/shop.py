"""A small shop for these tests: its repository, what its builder leaves behind, and an engine that knows its stack."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path

from releases.specs import BuildSpec, Layout, Limits, ProbePolicy, Usage
from releases.stacks import stack as stacks
from tests.fakes.engine import Answer, FakeContainer, FakeEngine, Script, Special
from tests.git.conftest import Origin, make_origin

STACK = "python3.13-uwsgi"
FILES = {"requirements.txt": b"Flask\n", "app/app.py": b"app = object()\n"}
FLASK_SHA256 = hashlib.sha256(b"flask").hexdigest()
REPORT = {
    "version": "1",
    "install": [
        {
            "metadata": {"name": "Flask", "version": "3.1.3"},
            "download_info": {
                "url": "https://packages.example.org/flask-3.1.3-py3-none-any.whl",
                "archive_info": {"hashes": {"sha256": FLASK_SHA256}},
            },
        },
        {
            "metadata": {"name": "its_dangerous", "version": "2.2.0"},
            "download_info": {"url": "https://packages.example.org/its_dangerous-2.2.0.tar.gz", "archive_info": {}},
        },
    ],
}
LINES = ("$ python3 -m venv --without-pip /app/env", "$ pip install -r requirements.txt", "app.tar.gz is ready.")
USAGE = Usage(memory=50_000_000, memory_peak=60_000_000, memory_limit_hits=0, pids=3)
BUILDER, PROBE, PREVIEW = (f"release-portal.role={role}" for role in ("builder", "probe", "preview"))


def app_tar(files: Mapping[str, bytes] | None = None) -> bytes:
    """An `app.tar.gz` as the builder packs it, always the same bytes for the same files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        python = tarfile.TarInfo("app/env/bin/python")
        python.type, python.linkname = tarfile.SYMTYPE, "/usr/bin/python3"
        tar.addfile(python)
        for name, content in sorted((FILES if files is None else files).items()):
            member = tarfile.TarInfo(f"app/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), mtime=0)


def left_behind(
    artifact: bytes | Special | None = None, report: object = REPORT, **counters: int
) -> dict[str, bytes | Special]:
    """What a builder leaves in `/shared`."""
    limits = {"memory_limit_hits": 0, "oom_kills": 0, "pids_limit_hits": 0, **counters}
    return {
        "/shared/app.tar.gz": app_tar() if artifact is None else artifact,
        "/shared/report.json": json.dumps(report).encode(),
        "/shared/limits.json": json.dumps(limits).encode(),
    }


def good_builder(container: FakeContainer) -> Script:
    """Packs what was put into it, as the real one does."""
    sources = {
        path.removeprefix("/app/"): content
        for path, content in container.files.items()
        if path.startswith("/app/") and isinstance(content, bytes)
    }
    return Script(lines=LINES, files=left_behind(app_tar(sources)), usage=USAGE)


def workshop() -> FakeEngine:
    """An engine that has the default stack's images; its builders build and its applications answer."""
    engine, stack = FakeEngine(), stacks.load(STACK)
    engine.add_image(stack.base, size=120_000_000)
    engine.add_image(stack.builder_tag, size=400_000_000)
    engine.add_image(stack.runner_tag, size=170_000_000)
    engine.on_run(BUILDER, good_builder)
    welcome = Script(lines=("spawned uWSGI worker 1",), forever=True, answer=Answer(200, b"Welcome to the fruit shop"))
    engine.on_run(PROBE, welcome)
    engine.on_run(PREVIEW, welcome)
    return engine


def repository(root: Path, name: str = "shop", files: Mapping[str, bytes] | None = None) -> Origin:
    """A repository with one commit, tagged v1.0.0."""
    origin = make_origin(root, name)
    origin.commit("Sell apples", dict(FILES if files is None else files))
    origin.git("tag", "v1.0.0")
    origin.push()
    return origin


def copy_of(origin: Origin, root: Path) -> Origin:
    """The same repository in another folder: quicker than to make it anew."""
    return Origin(*(shutil.copytree(path, root / path.name) for path in (origin.bare, origin.work)))


def move_tag(origin: Origin) -> str:
    """v1.0.0 becomes another commit; the new one is given."""
    commit = origin.commit("Sell rotten apples", {"app/app.py": b"app = None\n"})
    origin.git("tag", "--force", "v1.0.0")
    origin.push()
    return commit


def remove(origin: Origin) -> None:
    shutil.rmtree(origin.bare)


def spec(
    origin: Origin | None = None,
    *,
    ref: str = "v1.0.0",
    commit: str = "",
    layout: Layout | None = None,
    limits: Limits | None = None,
    policy: ProbePolicy = "record",
    environment: Mapping[str, str] | None = None,
) -> BuildSpec:
    return BuildSpec(
        build_id=42,
        attempt=1,
        application="shop",
        number=7,
        repository=origin.url if origin else "https://git.example.org/shop.git",
        mirror="1.git",
        ref=ref,
        ref_full="",
        commit=commit,
        layout=layout or Layout(),
        limits=limits or Limits(),
        stack=STACK,
        probe_path="/",
        probe_policy=policy,
        environment=environment or {},
    )
