"""The builder of `alpine-uwsgi`, where a registry brings Alpine; what it shares with the others is tested there."""

from __future__ import annotations

import json

import pytest

from releases.engine import DockerEngine
from releases.specs import ImageInfo
from tests.stacks.test_build_script import FRUITS, PARTS, SHELF, SHOP, Builder

pytestmark = pytest.mark.engine


@pytest.fixture
def build(docker: DockerEngine, builder_of_alpine: ImageInfo) -> Builder:
    return Builder(docker, builder_of_alpine.image_id)


def test_uv_makes_the_same_parts_again(build: Builder) -> None:
    first, again = (build(SHELF, {"MODE": "uv"}, ("environment.tar.gz", "fruits-1.0.tar.gz")) for _ in range(2))
    assert first.status.exit_code == 0, first.lines
    said = json.loads(first.files["environment.json"])
    assert (said["packages"], said["python"][:5]) == ([FRUITS], "3.14.")
    assert [again.files[name] for name in PARTS] == [first.files[name] for name in PARTS]


def test_pip_installs_what_uv_leaves(build: Builder) -> None:
    assert build(SHOP, {"MODE": "uv"}).status.exit_code == 20
    result = build(SHOP, {"MODE": "pip"})
    assert result.status.exit_code == 0, result.lines
    assert json.loads(result.files["environment.json"])["packages"] == [FRUITS]


def test_product_by_hand_is_packed(build: Builder) -> None:
    result = build(SHOP)
    assert result.status.exit_code == 0, result.lines
    assert result.lines[-1].startswith("app.tar.gz is ready: ")
