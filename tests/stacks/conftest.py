"""The default stack's builder on the real engine."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from django.conf import settings

from releases.engine import DockerEngine
from releases.specs import ImageInfo, NeverStop
from releases.stacks import stack
from tests.engine.conftest import docker as docker


def certificates() -> dict[str, tuple[int, Iterable[bytes]]]:
    """This machine's, for what a Dockerfile fetches, as the portal hands them over."""
    if not settings.BUILD_CA_BUNDLE:
        return {}
    data = Path(settings.BUILD_CA_BUNDLE).read_bytes()
    return {"ca-certificates.pem": (len(data), [data])}


@pytest.fixture(scope="session")
def builder(docker: DockerEngine) -> ImageInfo:
    """Built from the very context that the portal uses."""
    return docker.build_image(
        stack.load("python3.13-uwsgi").context("builder", certificates()),
        tag=f"portal-test/{docker.instance}-builder:x",
        labels={},
        arguments={},
        output=print,
        stop=NeverStop(),
    )
