"""The build's page: what it makes, where it is, how it ended; and the doors to cancel it and to build it again."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import F, Max, Q
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from releases import actions
from releases.errors import AlreadyUnderWay, InvalidInput
from releases.models import (
    Application,
    Build,
    Environment,
    Outcome,
    ProbePolicyChoices,
    State,
    builds_to_compare,
    last_good,
)
from releases.sentences import told
from releases.storage import log_path
from releases.views import acting, may_act, say_if_waiting, seeing
from releases.views.application import find as application_of
from releases.views.changes import changes
from releases.views.expectation import line
from releases.views.layers import layers
from releases.views.log import piece, whole
from releases.views.moved import facts
from releases.views.since import since
from releases.views.timeline import timeline
from releases.views.trail import trail
from releases.views.units import binary


def find(name: str, number: int) -> Build:
    """The build of an address, with what its pages show; 404, with the builds that there are, when there is none."""
    build = builds_to_compare().filter(application__name=name, number=number).first()
    if build is None:
        raise Http404(_none_such(application_of(name), number))
    return build


def _none_such(application: Application, number: int) -> str:
    facts = {"name": application.name, "number": number, "newest": application.builds.aggregate(n=Max("number"))["n"]}
    if facts["newest"] is None:
        return _("%(name)s has no build #%(number)s: nothing of it was built yet.") % facts
    return _("%(name)s has no build #%(number)s; its newest is #%(newest)s.") % facts


@seeing
@require_safe
def show(request: HttpRequest, name: str, number: int) -> HttpResponseBase:
    return render(request, "build/show.html", page_of(request, find(name, number)))


@seeing
@require_safe
def live(request: HttpRequest, name: str, number: int) -> HttpResponseBase:
    """What moves on a page whose build still stands at `?standing=`; all but the log when it stands elsewhere now."""
    build = find(name, number)
    if request.GET.get("standing") == build.standing:
        return render(request, "build/_moving.html", _moving_of(build))
    return render(request, "build/_changed.html", page_of(request, build))


@seeing
@require_safe
def log(request: HttpRequest, name: str, number: int) -> HttpResponseBase:
    build = find(name, number)
    good = None if build.outcome == Outcome.CANCELLED else build.succeeded
    return piece(request, log_path(build.pk), over=build.is_finished, good=good)


@seeing
@require_safe
def log_text(_request: HttpRequest, name: str, number: int) -> HttpResponseBase:
    build = find(name, number)
    return whole(log_path(build.pk), filename=f"{name}-{number}-log.txt")


@acting
@require_POST
def cancel(request: HttpRequest, name: str, number: int) -> HttpResponseBase:
    build = find(name, number)
    try:
        actions.cancel_build(build, by=request.user)
    except InvalidInput as error:
        messages.warning(request, told(error.message))
    return redirect(build)


@acting
@require_POST
def first(request: HttpRequest, name: str, number: int) -> HttpResponseBase:
    """To the front of the line; back to the page on which it was pressed."""
    build = find(name, number)
    try:
        actions.build_next(build, by=request.user)
    except InvalidInput as error:
        messages.warning(request, str(error))
    return redirect("workers") if "workers" in request.POST else redirect(build)


@acting
@require_POST
def rebuild(request: HttpRequest, name: str, number: int) -> HttpResponseBase:
    build = find(name, number)
    if build.is_active:
        said = _("Build %(build)s is not over yet: follow it, or cancel it first.") % {"build": build}
        messages.warning(request, said)
        return redirect(build)
    try:
        again = actions.rebuild(build, by=request.user, without_cache="without_cache" in request.POST)
    except AlreadyUnderWay as error:
        messages.warning(request, told(error.message))
        return redirect(error.address)
    except InvalidInput as error:
        messages.error(request, told(error.message))
        return redirect(build)
    say_if_waiting(request)
    return redirect(again)


@acting
@require_POST
def rebase(request: HttpRequest, name: str, number: int) -> HttpResponseBase:
    build = find(name, number)
    try:
        rebased = actions.request_rebase(build, by=request.user)
    except AlreadyUnderWay as error:
        messages.warning(request, told(error.message))
        return redirect(error.address)
    except InvalidInput as error:
        messages.error(request, told(error.message))
        return redirect(build)
    say_if_waiting(request)
    return redirect(rebased)


def page_of(request: HttpRequest, build: Build) -> dict[str, Any]:
    """Everything that the page shows, moving or not."""
    acts = may_act(request.user)
    before, moving, good = build.comparable(), _moving_of(build), last_good(build)
    return {
        **moving,
        "application": build.application,
        "may_act": acts,
        "changes": changes(build, before),
        "limits": limits_in_words(build),
        "environment": [(name, value if acts else "") for name, value in sorted(build.environment.items())],
        "previews": build.previews.select_related("requested_by"),
        "retries": build.retries.order_by("number"),
        "rebases": build.rebases.order_by("number"),
        "newer_runtime": actions.newer_runtime(build),
        "trail": trail(build),
        "moves": facts(build),
        "good": good,
        "since": since(build, good),
        "probe_is_off": build.probe_policy == ProbePolicyChoices.OFF,
        "layers": layers(build, before),
        **weights(build),
    }


def _moving_of(build: Build) -> dict[str, Any]:
    """What changes from one second to the next while a build is at work."""
    return {
        "build": build,
        "timeline": timeline(build, measure(build), now=timezone.now()),
        "limits_hit": [_limit_word(hit) for hit in build.limits_hit],
        "memory_limit": binary(build.spec().limits.memory),
        "queued_for": (build.started_at - build.created_at).total_seconds() if build.started_at else None,
        **_waiting(build),
    }


def measure(build: Build) -> Build | None:
    """Whose times stand beside its steps: as soon as it is known whether the environment was made or reused, the last
    release of the same kind, for the other says nothing of how long this one should take."""
    if build.rebase_of_id is None and build.kept_environment_id is not None:
        earlier = Build.objects.succeeded().filter(
            application=build.application_id, stack=build.stack, rebase_of=None, number__lt=build.number
        )
        made = Q(kept_environment__made_by=F("pk"))
        is_made = Environment.objects.filter(pk=build.kept_environment_id, made_by=build).exists()
        same = earlier.filter(made if is_made else ~made, kept_environment__isnull=False).order_by("-number").first()
        if same is not None:
            return same
    return build.comparable()


def weights(build: Build) -> dict[str, Any]:
    """The runtime image against the builder's: the length of its bar, and the bytes that stay behind."""
    if build.image is None or not build.image.builder_size:
        return {"runtime_width": "0%", "runner_width": "0%", "left_behind": 0}
    whole = build.image.builder_size
    return {
        "runtime_width": f"{100 * min(1.0, build.image.size / whole):.2f}%",
        "runner_width": f"{100 * min(1.0, (build.image.runner_size or 0) / whole):.2f}%",
        "left_behind": max(0, build.image.builder_size - build.image.size),
    }


def _waiting(build: Build) -> dict[str, Any]:
    """Where a build that waits stands in the line; nothing for one that waits no more."""
    if build.state != State.QUEUED:
        return {"expected": None, "pause": None}
    now = line(now=timezone.now())
    return {"expected": now.of(build), "pause": now.pause, "listening": now.workers}


def limits_in_words(build: Build) -> list[str]:
    """The frozen limits, in the units in which they were set."""
    limits = build.spec().limits
    return [
        _("%(n)s CPUs") % {"n": number_format(f"{limits.cpus:g}")},
        _("%(size)s memory") % {"size": binary(limits.memory)},
        _("%(n)s processes") % {"n": limits.pids},
        _("%(n)s min") % {"n": number_format(f"{limits.seconds / 60:.3g}")},
        _("app.tar.gz at most %(size)s") % {"size": binary(limits.artifact_bytes)},
        _("%(size)s of disk") % {"size": binary(limits.disk_bytes)},
        _("%(n)s files") % {"n": number_format(limits.files, force_grouping=True)},
    ]


def _limit_word(hit: str) -> str:
    return {"memory": _("memory"), "processes": _("processes")}.get(hit, hit)
