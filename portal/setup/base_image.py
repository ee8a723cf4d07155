"""The image that the default stack starts from; that of any other is had when it is first prepared."""

from __future__ import annotations

from django.conf import settings

from portal.setup import SetupFailed, packages, say
from releases.engine import DockerEngine
from releases.errors import PortalError, StackError
from releases.pipeline.bases import have_base
from releases.specs import NeverStop
from releases.stacks import stack as stacks
from releases.stacks.base import PROGRAM


def ensure(host: str, *, may_install: bool) -> None:
    """Leave with the base of the default stack in the engine at `host`; raises `SetupFailed` with a sentence for each
    stack whose folder is broken, and one for a base that cannot be had."""

    def get_tools() -> None:
        if may_install and packages.can_install():
            packages.install([PROGRAM])

    missing = _broken()
    try:
        stack = stacks.load(settings.DEFAULT_STACK)
        engine = DockerEngine(host, instance=settings.PORTAL_INSTANCE)
        have_base(stack, engine, output=say, stop=NeverStop(), get_tools=get_tools)
    except PortalError as error:
        missing.append(str(error))
    if missing:
        raise SetupFailed(" ".join(dict.fromkeys(missing)))


def _broken() -> list[str]:
    """What is wrong with stacks whose folders cannot be read."""
    found = []
    try:
        for name in stacks.names():
            try:
                stacks.load(name)
            except StackError as error:
                found.append(str(error))
    except StackError as error:
        found.append(str(error))
    return found
