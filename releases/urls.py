"""The names of the doors. Addresses are stable: people keep them in tickets."""

from __future__ import annotations

from django.urls import URLPattern, path

from releases.views import application, artifact, build, health, history, home, image, preview, stack, workers
from releases.views import help as guide

ONE = "applications/<slug:name>/"
BUILD = f"{ONE}builds/<int:number>/"
PREVIEW = f"{BUILD}previews/<int:pk>/"

urlpatterns: list[URLPattern] = [
    path("", home.show, name="home"),
    path("history/", history.show, name="history"),
    path("stacks/", stack.show_all, name="stacks"),
    path("stacks/<str:name>/", stack.show, name="stack"),
    path("stacks/<str:name>/prepare/", stack.prepare, name="stack-prepare"),
    path("stacks/<str:name>/log", stack.log, name="stack-log"),
    path("stacks/<str:name>/log.txt", stack.log_text, name="stack-log-text"),
    path("workers/", workers.show, name="workers"),
    path("help/", guide.show, name="help"),
    path("healthz", health.show, name="healthz"),
    path("applications/new/", application.register, name="application-register"),
    path(ONE, application.show, name="application"),
    path(f"{ONE}settings/", application.edit, name="application-edit"),
    path(f"{ONE}refresh/", application.refresh, name="application-refresh"),
    path(f"{ONE}builds/new/", application.create_build, name="build-create"),
    path(BUILD, build.show, name="build"),
    path(f"{BUILD}live/", build.live, name="build-live"),
    path(f"{BUILD}log", build.log, name="build-log"),
    path(f"{BUILD}log.txt", build.log_text, name="build-log-text"),
    path(f"{BUILD}cancel/", build.cancel, name="build-cancel"),
    path(f"{BUILD}rebuild/", build.rebuild, name="build-rebuild"),
    path(f"{BUILD}rebase/", build.rebase, name="build-rebase"),
    path(f"{BUILD}app.tar.gz", artifact.download, name="build-artifact"),
    path(f"{BUILD}packages.txt", artifact.packages, name="build-packages"),
    path(f"{BUILD}image/", image.show, name="build-image"),
    path(f"{BUILD}previews/new/", preview.create, name="preview-create"),
    path(PREVIEW, preview.show, name="preview"),
    path(f"{PREVIEW}live/", preview.live, name="preview-live"),
    path(f"{PREVIEW}stop/", preview.stop, name="preview-stop"),
    path(f"{PREVIEW}log", preview.log, name="preview-log"),
    path(f"{PREVIEW}log.txt", preview.log_text, name="preview-log-text"),
]
