"""Makes the adapters from the settings: the one place where they are joined."""

from __future__ import annotations

from django.conf import settings

from releases import engine
from releases.engine import Cage, Firewall, reached_by_builds
from releases.git import Git
from releases.jobs.access import git_of
from releases.models import Application
from releases.pipeline.bench import Bench, Surroundings
from releases.specs import Engine, Output, Stop
from releases.storage import Blobs


def connect() -> Engine:
    """The engine of the settings. Tests put their own here."""
    return engine.connect()


def make_cage() -> Cage:
    """The closed networks of the settings. Tests put their own here."""
    builds = reached_by_builds(settings.BUILD_INDEX_URL, _proxies(), settings.BUILD_REACH)
    return Cage(
        engine=connect(),
        firewall=Firewall(settings.PORTAL_INSTANCE),
        reach={"build": builds, "run": settings.RUN_REACH},
        required=settings.CAGE_REQUIRED,
        runtime=settings.RUNTIME,
    )


def _proxies() -> list[str]:
    return [url for name, url in settings.BUILD_PROXY.items() if name != "no_proxy"]


def make_bench(*, output: Output, stop: Stop, application: Application | None = None) -> Bench:
    """With an application, git shows to its repository's host what that has for it."""
    return Bench(
        engine=connect(),
        git=git_of(application) if application else Git.from_settings(),
        blobs=Blobs(settings.BLOBS_DIR),
        output=output,
        stop=stop,
        surroundings=Surroundings(
            ca_bundle=settings.BUILD_CA_BUNDLE,
            index_url=settings.BUILD_INDEX_URL,
            proxy=settings.BUILD_PROXY,
            log_bytes=settings.LOG_LIMIT_BYTES,
        ),
        locks=settings.TEMP_DIR / "locks",
        cage=make_cage(),
    )
