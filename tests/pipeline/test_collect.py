"""`app.tar.gz` is put together from kept parts and the source, and every tool reads it as one archive."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from releases.errors import LimitExceeded
from releases.pipeline.bench import Bench
from releases.pipeline.checkout import check_out
from releases.pipeline.collect import collect
from releases.specs import BuiltFile, Limits
from tests.git.conftest import Origin
from tests.pipeline import shop


def make(bench: Bench, origin: Origin, limits: Limits | None = None) -> BuiltFile:
    spec = shop.spec(origin, limits=limits)
    commit = check_out(spec, bench).commit
    return collect(spec, commit, shop.environment(bench.blobs), bench)


def test_collect_gives_one_archive_of_environment_and_source(bench: Bench, origin: Origin) -> None:
    made = make(bench, origin)
    with bench.blobs.open(made.sha256) as file:
        content = file.read()
    assert (hashlib.sha256(content).hexdigest(), len(content)) == (made.sha256, made.size)
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        names = archive.getnames()
        application = archive.extractfile("app/app/app.py")
        assert application is not None
        assert application.read() == shop.FILES["app/app.py"]
        assert {(member.uid, member.gid, member.uname) for member in archive} == {(0, 0, "")}
    assert {"app/env/bin/python", f"{shop.SITE}/flask/__init__.py", "app/requirements.txt"} <= set(names)
    assert len(names) == len(set(names))


def test_collect_makes_what_gnu_tar_and_gzip_take(bench: Bench, origin: Origin, tmp_path: Path) -> None:
    path = bench.blobs.path(make(bench, origin).sha256)
    assert subprocess.run(["gzip", "--test"], stdin=path.open("rb"), check=False).returncode == 0
    listed = subprocess.run(["tar", "tzf", path], capture_output=True, text=True, check=True)
    assert "app/app/app.py" in listed.stdout.splitlines()
    assert listed.stderr == ""


def test_collect_makes_the_same_bytes_again(bench: Bench, origin: Origin) -> None:
    assert make(bench, origin) == make(bench, origin)


def test_collect_knows_where_each_member_lies(bench: Bench, origin: Origin) -> None:
    made = make(bench, origin)
    assert [member.name for member in made.members] == ["environment", "flask-3.1.3", "its-dangerous-2.2.0", "source"]
    with bench.blobs.open(made.sha256) as file:
        file.seek(made.members[0].size)
        assert file.read(made.members[1].size) == shop.part(shop.PARTS["flask-3.1.3.tar.gz"])


def test_collect_keeps_nothing_above_the_limit(bench: Bench, origin: Origin) -> None:
    before = sorted(bench.blobs.root.rglob("*"))
    with pytest.raises(LimitExceeded, match="larger than"):
        make(bench, origin, Limits(artifact_bytes=500))
    assert len(list(bench.blobs.root.rglob("sha256/*/*"))) == len([path for path in before if path.is_file()]) + 3
