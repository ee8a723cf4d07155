"""A small shop for these tests: its repository, what its builder leaves behind, and an engine that knows its stack."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path

from releases.pipeline.members import END
from releases.pipeline.result import read_result
from releases.pipeline.sheets import sheets_of
from releases.specs import (
    BuildSpec,
    ImageConfig,
    ImagePlan,
    KeptEnvironment,
    Layer,
    Layout,
    Limits,
    NeverStop,
    Part,
    ProbePolicy,
    Usage,
)
from releases.stacks import stack as stacks
from releases.storage import Blobs
from tests.fakes.engine import Answer, FakeContainer, FakeEngine, Script, Special
from tests.git.conftest import Origin, make_origin

STACK = "python3.13-uwsgi"
FILES = {"requirements.txt": b"Flask\n", "app/app.py": b"app = object()\n"}
FLASK_SHA256 = hashlib.sha256(b"flask").hexdigest()
DANGEROUS_SHA256 = hashlib.sha256(b"its-dangerous").hexdigest()
RESULT: dict[str, object] = {
    "installer": "uv",
    "python": "3.13.5",
    "packages": [
        {"name": "Flask", "version": "3.1.3", "sha256": FLASK_SHA256, "filename": "flask-3.1.3-py3-none-any.whl",
         "source": "wheel"},
        {"name": "its_dangerous", "version": "2.2.0", "sha256": DANGEROUS_SHA256, "source": "wheel",
         "filename": "its_dangerous-2.2.0-py3-none-any.whl"},
    ],
    "parts": [
        {"file": "environment.tar.gz", "name": "environment", "wheel": ""},
        {"file": "flask-3.1.3.tar.gz", "name": "flask-3.1.3", "wheel": FLASK_SHA256},
        {"file": "its-dangerous-2.2.0.tar.gz", "name": "its-dangerous-2.2.0", "wheel": DANGEROUS_SHA256},
    ],
}  # fmt: skip
LINES = ("$ uv pip compile requirements.txt", "$ uv pip install 2 of 2 packages", "The environment is ready: 3 parts.")
SITE = "app/env/lib/python3.13/site-packages"
PARTS = {
    "environment.tar.gz": {"app/env/bin/python": b""},
    "flask-3.1.3.tar.gz": {f"{SITE}/flask/__init__.py": b"app = 1\n"},
    "its-dangerous-2.2.0.tar.gz": {f"{SITE}/itsdangerous.py": b"no = 1\n"},
}
USAGE = Usage(memory=50_000_000, memory_peak=60_000_000, memory_limit_hits=0, pids=3)
BUILDER, PROBE, PREVIEW = (f"release-portal.role={role}" for role in ("builder", "probe", "preview"))


def part(files: Mapping[str, bytes], *, end: bytes = b"") -> bytes:
    """A part as the builder packs it: entries without an end of archive, always the same bytes for the same files."""
    entries = b""
    for name, content in sorted(files.items()):
        member = tarfile.TarInfo(name)
        if name == PYTHON:
            member.type, member.linkname = tarfile.SYMTYPE, "/usr/bin/python3"
        else:
            member.size = len(content)
        entries += member.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % 512)
    return gzip.compress(entries + end, mtime=0)


PYTHON = "app/env/bin/python"


def left_behind(
    parts: Mapping[str, bytes | Special] | None = None, result: object = RESULT, **counters: int
) -> dict[str, bytes | Special]:
    """What a builder leaves in `/shared`."""
    limits = {"memory_limit_hits": 0, "oom_kills": 0, "pids_limit_hits": 0, **counters}
    packed = {name: part(files) for name, files in PARTS.items()} if parts is None else parts
    return {
        **{f"/shared/parts/{name}": content for name, content in packed.items()},
        "/shared/environment.json": json.dumps(result).encode(),
        "/shared/limits.json": json.dumps(limits).encode(),
    }


def good_builder(container: FakeContainer) -> Script:
    """Makes what it is not told to be known, as the real one does."""
    said = container.files.get("/shared/known.json", b"[]")
    known = set(json.loads(said)) if isinstance(said, bytes) else set()
    parts = [one for one in RESULT["parts"] if one["wheel"] not in known]  # type: ignore[attr-defined]
    return Script(lines=LINES, files=left_behind(result={**RESULT, "parts": parts}), usage=USAGE)


def environment(blobs: Blobs) -> KeptEnvironment:
    """The environment of `RESULT`, its parts in the store."""
    parts = []
    for one in read_result(RESULT).parts:
        content = part(PARTS[one.file])
        kept, entries = blobs.put([content]), gzip.decompress(content)
        layer = hashlib.sha256(entries + END).hexdigest()
        parts.append(Part(one.name, one.wheel, kept.sha256, kept.size, layer, len(entries)))
    packages = read_result(RESULT).packages
    return KeptEnvironment("", "3.13.5", "uv", packages, tuple(parts), sheets_of(parts, blobs))


RUNNER = bytes(10240)
"""The one layer of the runner; a portal keeps its bytes, as `keep_runner` does."""


def keep_runner(blobs: Blobs) -> Blobs:
    """What a portal has that has prepared the stack."""
    blobs.put([RUNNER])
    return blobs


def workshop() -> FakeEngine:
    """An engine that has the default stack's images; its builders build and its applications answer."""
    engine, stack = FakeEngine(), stacks.load(STACK)
    engine.add_image(stack.base, size=120_000_000)
    engine.add_image(stack.builder_tag, size=400_000_000)
    layer = Layer(hashlib.sha256(RUNNER).hexdigest(), len(RUNNER), lambda: iter([RUNNER]), "runner")
    config = ImageConfig(entrypoint=("uwsgi",), user="10001:10001", ports=("8080/tcp",), architecture="amd64")
    plan = ImagePlan((layer,), config, {}, "1980-01-01T00:00:00Z")
    engine.assemble(plan, tag=stack.runner_tag, output=lambda _: None, stop=NeverStop())
    engine.assembled.clear()
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
