"""`build.sh` as the portal runs it: unprivileged, read-only, its files put in and taken out through the engine.

Nothing here needs a package index: what is installed is a wheel that the repository brings along.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import secrets
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pytest

from releases.engine import DockerEngine
from releases.errors import BuildFailed
from releases.specs import ContainerSpec, ExitStatus, ImageInfo, NeverStop

pytestmark = pytest.mark.engine

MIB = 1024 * 1024


def wheel(name: str = "fruits") -> bytes:
    """A package with one module."""
    whole, about = io.BytesIO(), f"{name}-1.0.dist-info"
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr(f"{name}.py", "NAMES = ['apple', 'pear']\n")
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{about}/RECORD", f"{name}.py,,\n{about}/METADATA,,\n{about}/WHEEL,,\n{about}/RECORD,,\n")
    return whole.getvalue()


WHEEL = wheel()
SHOP: dict[str, bytes | None] = {
    "app": None,
    "app/app.py": b"def app(environ, start_response): ...\n",
    "wheels": None,
    "wheels/fruits-1.0-py3-none-any.whl": WHEEL,
    "requirements.txt": b"./wheels/fruits-1.0-py3-none-any.whl\n",
}


def package(backend: str) -> dict[str, bytes | None]:
    """A requirement that is built from its source, by a backend of its own that needs nothing from outside."""
    return {
        "pkg": None,
        "pkg/pyproject.toml": b'[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "pkg/backend.py": f"def build_wheel(*a, **k):\n    {backend}\n".encode(),
        "requirements.txt": b"./pkg\n",
    }


@dataclass
class Result:
    lines: list[str]
    status: ExitStatus
    files: dict[str, bytes]

    @property
    def limits(self) -> dict[str, int | None]:
        found: dict[str, int | None] = json.loads(self.files["limits.json"])
        return found


def source(files: Mapping[str, bytes | None]) -> Iterator[bytes]:
    """As the portal puts a checkout into /app; None makes a folder."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.uid = member.gid = 10001
            member.mode = 0o755 if data is None else 0o644
            member.type = tarfile.DIRTYPE if data is None else tarfile.REGTYPE
            member.size = len(data or b"")
            archive.addfile(member, io.BytesIO(data or b""))
    return iter([whole.getvalue()])


@dataclass
class Builder:
    engine: DockerEngine
    image: str

    def __call__(
        self,
        files: Mapping[str, bytes | None],
        environment: Mapping[str, str] | None = None,
        parts: Sequence[str] | None = None,
        known: Sequence[str] = (),
        **limits: int,
    ) -> Result:
        spec = ContainerSpec(
            name=f"test-{secrets.token_hex(4)}",
            image=self.image,
            labels={},
            user="10001:10001",
            volumes=("/app", "/shared"),
            environment={"PIP_NO_INDEX": "1", **(environment or {})},
            **{"memory": 512 * MIB, "pids": 100, "file_bytes": 100 * MIB, **limits},  # type: ignore[arg-type] # numbers all
        )
        self.engine.create(spec)
        try:
            self.engine.put(spec.name, "/app", source(files))
            self.engine.put(spec.name, "/shared", source({"known.json": json.dumps(list(known)).encode()}))
            self.engine.start(spec.name)
            lines: list[str] = []
            status = self.engine.follow(spec.name, output=lines.append, stop=NeverStop())
            return Result(lines, status, self._left(spec.name, parts or ()))
        finally:
            self.engine.remove(spec.name)

    def _left(self, name: str, parts: Sequence[str]) -> dict[str, bytes]:
        found = {}
        for file in ("app.tar.gz", "environment.json", "limits.json", *(f"parts/{part}" for part in parts)):
            try:
                found[file] = b"".join(self.engine.take_file(name, f"/shared/{file}", limit=100 * MIB))
            except BuildFailed:
                continue
        return found


@pytest.fixture
def build(docker: DockerEngine, builder: ImageInfo) -> Builder:
    return Builder(docker, builder.image_id)


def members(artifact: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(artifact)) as archive:
        return archive.getmembers()


# ---- builds that succeed -------------------------------------------------------------------------------------


def test_build_leaves_source_and_environment(build: Builder) -> None:
    result = build(SHOP)
    assert result.status == ExitStatus(0, oom_killed=False)
    names = {member.name for member in members(result.files["app.tar.gz"])}
    assert names >= {
        "app/app/app.py",
        "app/requirements.txt",
        "app/env/bin/python",
        "app/env/lib/python3.13/site-packages/fruits.py",
    }
    assert not [name for name in names if ".build-" in name or "/pip/" in name or "/.cache" in name]
    assert result.lines[-1].startswith("app.tar.gz is ready: ")
    assert [line for line in result.lines if line.startswith("$ ")] == [
        "$ uv pip compile requirements.txt",
        "$ pip install -r requirements.txt",  # a wheel of the repository itself is left to pip
        "$ tar czf /shared/app.tar.gz -C / app",
    ]


def test_product_belongs_to_root_and_is_readable_by_all(build: Builder) -> None:
    for member in members(build(SHOP).files["app.tar.gz"]):
        assert (member.uid, member.gid) == (0, 0)
        assert member.issym() or member.mode & 0o444 == 0o444, member.name


SHELF = SHOP | {"requirements.txt": b"--no-index\n--find-links ./wheels\nfruits\n"}
FRUITS = {
    "name": "fruits", "version": "1.0", "sha256": hashlib.sha256(WHEEL).hexdigest(),
    "filename": "fruits-1.0-py3-none-any.whl", "source": "wheel",
}  # fmt: skip
SITE = "app/env/lib/python3.13/site-packages"


def names(part: bytes) -> set[str]:
    """Of the entries of a part, which has no end of archive."""
    return {member.name for member in members(gzip.compress(gzip.decompress(part) + bytes(1024)))}


def test_uv_makes_a_part_of_each_wheel(build: Builder) -> None:
    result = build(SHELF, {"MODE": "uv"}, ("environment.tar.gz", "fruits-1.0.tar.gz"))
    assert result.status.exit_code == 0, result.lines
    said = json.loads(result.files["environment.json"])
    assert (said["installer"], said["packages"]) == ("uv", [FRUITS])
    assert said["parts"] == [
        {"file": "environment.tar.gz", "name": "environment", "wheel": ""},
        {"file": "fruits-1.0.tar.gz", "name": "fruits-1.0", "wheel": FRUITS["sha256"]},
    ]
    fruits = names(result.files["parts/fruits-1.0.tar.gz"])
    assert {f"{SITE}/fruits.py", f"{SITE}/__pycache__/fruits.cpython-313.pyc"} <= fruits
    assert f"{SITE}/fruits.py" not in names(result.files["parts/environment.tar.gz"])
    assert result.lines[-1] == "The environment is ready: 2 parts."


def test_uv_makes_the_same_bytes_again_and_leaves_out_what_is_known(build: Builder) -> None:
    first = build(SHELF, {"MODE": "uv"}, ("environment.tar.gz", "fruits-1.0.tar.gz"))
    again = build(SHELF, {"MODE": "uv"}, ("environment.tar.gz", "fruits-1.0.tar.gz"))
    assert [again.files[name] for name in PARTS] == [first.files[name] for name in PARTS]
    known = build(SHELF, {"MODE": "uv"}, ("environment.tar.gz",), known=[str(FRUITS["sha256"])])
    said = json.loads(known.files["environment.json"])
    assert said["packages"] == [FRUITS]
    assert [part["name"] for part in said["parts"]] == ["environment"]
    assert known.files[PARTS[0]] == first.files[PARTS[0]]


PARTS = ("parts/environment.tar.gz", "parts/fruits-1.0.tar.gz")


@pytest.mark.parametrize(
    "requirements", [b"./wheels/fruits-1.0-py3-none-any.whl\n", b"./pkg\n", b"--no-index\nnosuch\n", b"\xff\xfea\x00"]
)
def test_uv_leaves_the_rest_to_pip(requirements: bytes, build: Builder) -> None:
    result = build(SHOP | package("pass") | {"requirements.txt": requirements}, {"MODE": "uv"}, ())
    assert result.status.exit_code == 20
    assert result.lines[-1].endswith(".")


def test_uv_refuses_a_wheel_whose_hash_is_another(build: Builder) -> None:
    requirements = b"--no-index\n--find-links ./wheels\nfruits==1.0 --hash=sha256:" + b"0" * 64 + b"\n"
    assert build(SHOP | {"requirements.txt": requirements}, {"MODE": "uv"}, ()).status.exit_code == 20
    assert build(SHOP | {"requirements.txt": requirements}, {"MODE": "pip"}, ()).status.exit_code == 11


def test_hash_for_one_package_asks_for_one_of_each(build: Builder) -> None:
    """As pip has it; else whoever can put a package into the index would come in beside those that are held to."""
    files = SHOP | {"wheels/nuts-1.0-py3-none-any.whl": wheel("nuts")}
    requirements = f"--no-index\n--find-links ./wheels\nfruits==1.0 --hash=sha256:{FRUITS['sha256']}\n".encode()
    alone = build(files | {"requirements.txt": requirements}, {"MODE": "uv"}, ())
    assert alone.status.exit_code == 0, alone.lines[-5:]
    files |= {"requirements.txt": requirements + b"nuts==1.0\n"}
    declined = build(files, {"MODE": "uv"}, ())
    assert declined.status.exit_code == 20
    assert "none for nuts" in declined.lines[-1]
    refused = build(files, {"MODE": "pip"}, ())
    assert refused.status.exit_code == 11
    assert any("--require-hashes" in line for line in refused.lines)


def test_pip_makes_one_part_of_all(build: Builder) -> None:
    result = build(SHOP, {"MODE": "pip"}, ("environment.tar.gz",))
    said = json.loads(result.files["environment.json"])
    assert (said["installer"], said["packages"]) == ("pip", [FRUITS])
    assert said["parts"] == [{"file": "environment.tar.gz", "name": "environment", "wheel": ""}]
    assert {f"{SITE}/fruits.py", "app/env/bin/python"} <= names(result.files["parts/environment.tar.gz"])
    assert not [name for name in names(result.files["parts/environment.tar.gz"]) if "/app/app" in name]


def test_limits_that_were_not_hit_are_counted_as_none(build: Builder) -> None:
    assert build(SHOP).limits == {"memory_limit_hits": 0, "oom_kills": 0, "pids_limit_hits": 0}


def test_limit_that_a_successful_build_hit_is_told(build: Builder) -> None:
    backend = "import shutil, subprocess, os; [subprocess.Popen(['sleep', '1']) for _ in range(50)]"
    result = build(SHOP | package(backend), pids=30)
    assert (result.limits["pids_limit_hits"] or 0) > 0


REQUIREMENT = "./wheels/fruits-1.0-py3-none-any.whl"


@pytest.mark.parametrize(
    "written",
    [
        f"\ufeff{REQUIREMENT}\n".encode(),
        f"{REQUIREMENT}\r\n".encode(),
        f"{REQUIREMENT}\r\n".encode("utf-16"),
        f"# größe\n{REQUIREMENT}".encode(),
    ],
    ids=["mark", "crlf", "utf-16", "no line end"],
)
def test_requirements_may_be_written_by_any_editor(build: Builder, written: bytes) -> None:
    result = build(SHOP | {"requirements.txt": written})
    assert result.status.exit_code == 0, result.lines


def test_other_layout_is_built_by_saying_so(build: Builder) -> None:
    files = {
        "web": None,
        "web/main.py": b"",
        "deps": None,
        "deps/prod.txt": SHOP["requirements.txt"],
        "wheels": None,
        "wheels/fruits-1.0-py3-none-any.whl": WHEEL,
    }
    result = build(files, {"DIRECTORY": "web", "REQUIREMENTS": "deps/prod.txt"})
    assert result.status.exit_code == 0, result.lines


# ---- builds that fail ------------------------------------------------------------------------------------------

FAILURES: dict[str, tuple[dict[str, bytes | None], dict[str, str], int, str]] = {
    "nothing to build": ({}, {}, 2, "REPO is not set: say which repository to build"),
    "requirements missing": (
        SHOP,
        {"REQUIREMENTS": "deps/prod.txt"},
        10,
        "The repository has no requirements file deps/prod.txt: add it, or set REQUIREMENTS",
    ),
    "utf-16 without mark": (
        SHOP | {"requirements.txt": "fruits\n".encode("utf-16-le")},
        {},
        10,
        "The requirements file requirements.txt is neither UTF-8 nor UTF-16 with a byte order mark: save it as UTF-8",
    ),
    "latin-1": (SHOP | {"requirements.txt": b"# gr\xf6\xdfe\n"}, {}, 10, "save it as UTF-8"),
    "does not resolve": (
        SHOP | {"requirements.txt": b"no-such-fruit==9\n"},
        {},
        11,
        "The requirements in requirements.txt cannot be met: No matching distribution found for no-such-fruit==9",
    ),
    "not a requirement": (
        SHOP | {"requirements.txt": b"fruits ===== 9\n"},
        {},
        11,
        "cannot be met: Invalid requirement",
    ),
    "does not compile": (
        SHOP | package("raise SystemExit('x.c:1: error')"),
        {},
        12,
        "A package could not be built from its source, mostly because it does not compile here",
    ),
    "folder missing": (SHOP, {"DIRECTORY": "web"}, 15, "The repository has no folder web for the application"),
    "env in the way": (SHOP | {"env": b""}, {}, 15, "The repository holds a file or folder named env"),
    "index away": (
        SHOP | {"requirements.txt": b"no-such-fruit\n"},
        {"PIP_NO_INDEX": "", "PIP_INDEX_URL": "https://127.0.0.1:9/simple", "PIP_RETRIES": "1"},
        17,
        "pip could not reach the package index: check the network, the index, the proxy and the CA bundle",
    ),
    "memory": (SHOP | package("bytearray(900_000_000)"), {}, 18, "raise the memory limit"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_failed_build_ends_with_its_code_and_a_sentence(build: Builder, failure: str) -> None:
    files, environment, code, sentence = FAILURES[failure]
    result = build(files, environment, memory=256 * MIB)
    assert result.status.exit_code == code, result.lines
    assert sentence in result.lines[-1]
    assert "app.tar.gz" not in result.files
    assert set(result.limits) == {"memory_limit_hits", "oom_kills", "pids_limit_hits"}


def test_product_over_the_limit_of_a_file_is_not_left_half(build: Builder) -> None:
    result = build(SHOP | {"app/noise": secrets.token_bytes(2 * MIB)}, file_bytes=MIB)
    assert result.status.exit_code == 14
    assert "app.tar.gz could not be written" in result.lines[-1]
    assert "app.tar.gz" not in result.files
