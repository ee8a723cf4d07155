"""Which releases can be rebased: put, as they are, on a newer runtime of their stack."""

from __future__ import annotations

from releases.errors import InvalidInput, say
from releases.models.artifact import Artifact
from releases.models.build import Build
from releases.models.environment import Environment


def rebasable(build: Build, python: str) -> tuple[Artifact, Environment]:
    """What the image of a rebase is made of. `python` is the stack's of today, such as `3.13`.

    Raises `InvalidInput` for what is no release, and for one that its stack cannot serve any more as it is."""
    if not build.succeeded:
        raise InvalidInput(
            say("%(build)s did not succeed, so there is no release to rebase: press Rebuild.", build=build)
        )
    kept, artifact = build.kept_environment, build.artifact
    if kept is None or artifact is None or not artifact.sheets:
        raise InvalidInput(
            say(
                "%(build)s was made before environments were kept, so it cannot be rebased: press Rebuild.", build=build
            )
        )
    if _minor(kept.python) != _minor(python):
        raise InvalidInput(
            say(
                "The environment of %(build)s was made for Python %(python)s, and the stack %(stack)s has Python "
                "%(today)s now: press Rebuild, which makes it again.",
                build=build,
                python=kept.python,
                stack=build.stack,
                today=python,
            )
        )
    return artifact, kept


def _minor(python: str) -> list[str]:
    """A virtualenv belongs to one minor version: `3.13` of `3.13.5`."""
    return python.split(".")[:2]
