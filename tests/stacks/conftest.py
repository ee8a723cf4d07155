"""The default stack's builder on the real engine."""

from __future__ import annotations

import pytest

from releases.engine import DockerEngine
from releases.specs import ImageInfo, NeverStop
from releases.stacks import stack
from tests.engine.conftest import docker as docker


@pytest.fixture(scope="session")
def builder(docker: DockerEngine) -> ImageInfo:
    """Built from the very context that the portal uses."""
    return docker.build_image(
        stack.load("python3.13-uwsgi").context("builder"),
        tag=f"portal-test/{docker.instance}-builder:x",
        labels={},
        arguments={},
        output=print,
        stop=NeverStop(),
    )
