"""The stacks' builders on the real engine."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from django.conf import settings

from releases.engine import DockerEngine
from releases.errors import StackError
from releases.pipeline.bases import have_base
from releases.specs import ImageInfo, NeverStop
from releases.stacks import stack
from tests.engine.conftest import docker as docker


def certificates() -> dict[str, tuple[int, Iterable[bytes]]]:
    """This machine's, for what a Dockerfile fetches, as the portal hands them over."""
    if not settings.BUILD_CA_BUNDLE:
        return {}
    data = Path(settings.BUILD_CA_BUNDLE).read_bytes()
    return {"ca-certificates.pem": (len(data), [data])}


def made(docker: DockerEngine, name: str) -> ImageInfo:
    """That stack's builder, built from the very context that the portal uses."""
    wanted = stack.load(name)
    try:
        have_base(wanted, docker, output=print, stop=NeverStop())
    except StackError as error:
        # What can be made of packages can be had everywhere; a registry cannot.
        (pytest.fail if wanted.suite else pytest.skip)(str(error))
    return docker.build_image(
        wanted.context("builder", certificates()),
        tag=f"portal-test/{docker.instance}-{name}:x",
        labels={},
        arguments={},
        output=print,
        stop=NeverStop(),
    )


@pytest.fixture(scope="session")
def builder(docker: DockerEngine) -> ImageInfo:
    return made(docker, settings.DEFAULT_STACK)


@pytest.fixture(scope="session")
def builder_of_python2(docker: DockerEngine) -> ImageInfo:
    return made(docker, "python2.7-uwsgi")


@pytest.fixture(scope="session")
def builder_of_alpine(docker: DockerEngine) -> ImageInfo:
    """Skips where no registry brings Alpine, with what to do."""
    return made(docker, "alpine-uwsgi")
