"""What a requirements file may say, in the default stack's builder: whoever installs it, the right thing is there.

As in test_build_script.py, all comes from wheels that the repository brings along.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping

import pytest

from releases.engine import DockerEngine
from releases.specs import ImageInfo
from tests.stacks.test_build_script import SITE, WHEEL, Builder, members

pytestmark = pytest.mark.engine


def newer() -> bytes:
    """`fruits` 2.0: the same, under another version."""
    whole = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(WHEEL)) as old, zipfile.ZipFile(whole, "w") as new:
        for name in old.namelist():
            text = (
                old.read(name).decode().replace("fruits-1.0", "fruits-2.0").replace("Version: 1.0\n", "Version: 2.0\n")
            )
            new.writestr(name.replace("1.0", "2.0"), text.replace("Wheel-Version: 2.0", "Wheel-Version: 1.0"))
    return whole.getvalue()


OLD, NEW = "wheels/fruits-1.0-py3-none-any.whl", "wheels/fruits-2.0-py3-none-any.whl"
SHOP: dict[str, bytes | None] = {"app": None, "app/app.py": b"", "wheels": None, OLD: WHEEL, NEW: newer()}
SHELF = b"--no-index\n--find-links ./wheels\n"
SHA256 = hashlib.sha256(WHEEL).hexdigest().encode()
BACKEND = b"""\
import zipfile

def build_editable(folder, *a, **k):
    with zipfile.ZipFile(folder + "/shop-3.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("shop.pth", "/app/source")
        wheel.writestr("shop-3.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: shop\\nVersion: 3.0\\n")
        wheel.writestr("shop-3.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("shop-3.0.dist-info/RECORD", "")
    return "shop-3.0-py3-none-any.whl"
"""
PROJECT = b'[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
LOCKED = b"""\
[project]
name = "shop"
version = "1"
requires-python = ">=3.13"
dependencies = ["fruits"]
[tool.uv.sources]
fruits = { path = "wheels/fruits-1.0-py3-none-any.whl" }
"""
LOCK = b"""\
version = 1
revision = 3
requires-python = ">=3.13"

[[package]]
name = "fruits"
version = "1.0"
source = { path = "wheels/fruits-1.0-py3-none-any.whl" }
wheels = [{ filename = "fruits-1.0-py3-none-any.whl", hash = "sha256:%s" }]

[[package]]
name = "shop"
version = "1"
source = { virtual = "." }
dependencies = [{ name = "fruits" }]

[package.metadata]
requires-dist = [{ name = "fruits", path = "wheels/fruits-1.0-py3-none-any.whl" }]
"""

LINK = b'<a href="../../wheels/fruits-1.0-py3-none-any.whl">fruits-1.0-py3-none-any.whl</a>'
FORMS: dict[str, tuple[dict[str, bytes | None], str]] = {
    "nested": (
        {"requirements.txt": b"-r deps/base.txt\n", "deps": None, "deps/base.txt": SHELF + b"fruits<2\n"},
        "1.0",
    ),
    "newest": ({"requirements.txt": SHELF + b"fruits\n"}, "2.0"),
    "constraint": ({"requirements.txt": SHELF + b"-c limits.txt\nfruits\n", "limits.txt": b"fruits<2\n"}, "1.0"),
    "hash": ({"requirements.txt": SHELF + b"fruits==1.0 --hash=sha256:" + SHA256 + b"\n"}, "1.0"),
    "marker": (
        {"requirements.txt": SHELF + b'fruits<2; python_version >= "3"\nfruits>=2; python_version < "3"\n'},
        "1.0",
    ),
    "extra index": (
        {
            "requirements.txt": b"--extra-index-url file:///app/index\nfruits<2\n",
            "index": None,
            "index/fruits": None,
            "index/fruits/index.html": LINK,
        },
        "1.0",
    ),
    "pyproject": (
        {"pyproject.toml": b'[project]\nname = "shop"\ndependencies = ["fruits @ file:///app/%s"]\n' % OLD.encode()},
        "1.0",
    ),
    "lock": ({"pyproject.toml": LOCKED, "uv.lock": LOCK % SHA256}, "1.0"),
}


@pytest.fixture
def build(docker: DockerEngine, builder: ImageInfo) -> Builder:
    return Builder(docker, builder.image_id)


def site(build: Builder, files: Mapping[str, bytes | None]) -> set[str]:
    """What lies in the environment's site-packages, by its first name."""
    requirements = next(name for name in ("requirements.txt", "pyproject.toml") if name in files)
    elsewhere = {"PIP_NO_INDEX": "", "PIP_INDEX_URL": "file:///app/nothing"} if "index" in files else {}
    result = build(SHOP | dict(files), {"REQUIREMENTS": requirements, **elsewhere})
    assert result.status.exit_code == 0, result.lines
    names = [member.name for member in members(result.files["app.tar.gz"])]
    return {name.removeprefix(f"{SITE}/").split("/")[0] for name in names if name.startswith(f"{SITE}/")}


@pytest.mark.parametrize("form", FORMS)
def test_form_of_requirements_is_understood(build: Builder, form: str) -> None:
    files, version = FORMS[form]
    assert {name for name in site(build, files) if name.endswith(".dist-info")} == {f"fruits-{version}.dist-info"}


def test_editable_project_is_led_to_where_it_lies(build: Builder) -> None:
    files = {"requirements.txt": b"-e .\n", "backend.py": BACKEND, "setup": None}
    assert {"shop.pth", "shop-3.0.dist-info"} <= site(build, {**files, "pyproject.toml": PROJECT})
