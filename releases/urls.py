"""The names of the doors. Addresses are stable: people keep them in tickets."""

from __future__ import annotations

from django.urls import URLPattern, path

from releases.views import (
    access,
    application,
    artifact,
    audit,
    build,
    compare,
    evidence,
    health,
    history,
    home,
    image,
    metrics,
    preview,
    stack,
    trends,
    workers,
)
from releases.views import help as guide

ONE = "applications/<slug:name>/"
BUILD = f"{ONE}builds/<int:number>/"
COMPARE = f"{ONE}compare/<int:old>...<int:new>/"
PREVIEW = f"{BUILD}previews/<int:pk>/"

urlpatterns: list[URLPattern] = [
    path("", home.show, name="home"),
    path("now/", home.now, name="home-now"),
    path("history/", history.show, name="history"),
    path("audit/", audit.show, name="audit"),
    path("history/applications/", history.names, name="history-names"),
    path("stacks/", stack.show_all, name="stacks"),
    path("stacks/<str:name>/", stack.show, name="stack"),
    path("stacks/<str:name>/prepare/", stack.prepare, name="stack-prepare"),
    path("stacks/<str:name>/log", stack.log, name="stack-log"),
    path("stacks/<str:name>/log.txt", stack.log_text, name="stack-log-text"),
    path("workers/", workers.show, name="workers"),
    path("workers/pause/", workers.pause, name="workers-pause"),
    path("workers/resume/", workers.resume, name="workers-resume"),
    path("help/", guide.show, name="help"),
    path("healthz", health.show, name="healthz"),
    path("livez", health.live, name="livez"),
    path("readyz", health.ready, name="readyz"),
    path("metrics", metrics.show, name="metrics"),
    path("applications/new/", application.register, name="application-register"),
    path(ONE, application.show, name="application"),
    path(f"{ONE}settings/", application.edit, name="application-edit"),
    path(f"{ONE}access/", access.show, name="application-access"),
    path(f"{ONE}access/key/", access.make_key, name="access-key"),
    path(f"{ONE}access/token/", access.set_token, name="access-token"),
    path(f"{ONE}access/<str:kind>/remove/", access.remove, name="access-remove"),
    path(f"{ONE}settings/rule/", application.rule, name="application-rule"),
    path(f"{ONE}moves/<int:pk>/seen/", application.acknowledge, name="move-seen"),
    path(f"{ONE}refresh/", application.refresh, name="application-refresh"),
    path(f"{ONE}trends/", trends.show, name="application-trends"),
    path(f"{ONE}trend.json", trends.as_json, name="application-trend-json"),
    path(f"{ONE}builds/new/", application.create_build, name="build-create"),
    path(f"{ONE}compare/", compare.choose, name="compare-choose"),
    path(COMPARE, compare.show, name="compare"),
    path(f"{COMPARE}again/", compare.again, name="compare-again"),
    path(BUILD, build.show, name="build"),
    path(f"{BUILD}live/", build.live, name="build-live"),
    path(f"{BUILD}log", build.log, name="build-log"),
    path(f"{BUILD}log.txt", build.log_text, name="build-log-text"),
    path(f"{BUILD}cancel/", build.cancel, name="build-cancel"),
    path(f"{BUILD}first/", build.first, name="build-first"),
    path(f"{BUILD}rebuild/", build.rebuild, name="build-rebuild"),
    path(f"{BUILD}rebase/", build.rebase, name="build-rebase"),
    path(f"{BUILD}app.tar.gz", artifact.download, name="build-artifact"),
    path(f"{BUILD}packages.txt", artifact.packages, name="build-packages"),
    path(f"{BUILD}evidence.json", evidence.show, name="build-evidence"),
    path(f"{BUILD}image/", image.show, name="build-image"),
    path(f"{BUILD}previews/new/", preview.create, name="preview-create"),
    path(PREVIEW, preview.show, name="preview"),
    path(f"{PREVIEW}live/", preview.live, name="preview-live"),
    path(f"{PREVIEW}stop/", preview.stop, name="preview-stop"),
    path(f"{PREVIEW}log", preview.log, name="preview-log"),
    path(f"{PREVIEW}log.txt", preview.log_text, name="preview-log-text"),
]
