"""Previews: the image of a build booted for a person to look at, with the environment that they give it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from releases import actions
from releases.errors import InvalidInput
from releases.models import Build, Preview
from releases.storage import preview_log_path
from releases.views import acting, may_act, say_if_waiting, seeing
from releases.views.artifact import nothing
from releases.views.build import find
from releases.views.log import piece


def find_preview(name: str, number: int, pk: int) -> Preview:
    previews = Preview.objects.select_related("build__application", "build__image", "requested_by")
    return get_object_or_404(previews, build__application__name=name, build__number=number, pk=pk)


@acting
@require_http_methods(["GET", "HEAD", "POST"])
def create(request: HttpRequest, name: str, number: int) -> HttpResponseBase:
    """The form with the application's variables in it; sent, it has the image booted."""
    build = find(name, number)
    if build.image is None:
        why = _("Only a build whose step package has ended well has an image to boot.")
        return nothing(request, build, 404, _("Build %(build)s cannot be previewed.") % {"build": build}, why)
    if request.method != "POST":
        return _form(request, build, as_lines(build.application.environment))
    written = request.POST.get("environment", "")
    try:
        preview = actions.request_preview(build, environment=as_environment(written), by=request.user)
    except InvalidInput as error:
        return _form(request, build, written, str(error))
    say_if_waiting(request)
    return redirect(preview)


@seeing
@require_safe
def show(request: HttpRequest, name: str, number: int, pk: int) -> HttpResponseBase:
    return render(request, "preview/show.html", _page_of(request, find_preview(name, number, pk)))


@seeing
@require_safe
def live(request: HttpRequest, name: str, number: int, pk: int) -> HttpResponseBase:
    """Nothing while the preview stands at `?state=`; all but the log when it has moved on."""
    preview = find_preview(name, number, pk)
    if request.GET.get("state") == preview.state:
        return render(request, "preview/_same.html", {"preview": preview})
    return render(request, "preview/_changed.html", _page_of(request, preview))


@acting
@require_POST
def stop(request: HttpRequest, name: str, number: int, pk: int) -> HttpResponseBase:
    preview = find_preview(name, number, pk)
    try:
        actions.stop_preview(preview, by=request.user)
    except InvalidInput as error:
        messages.warning(request, str(error))
    return redirect(preview)


@seeing
@require_safe
def log(request: HttpRequest, name: str, number: int, pk: int) -> HttpResponseBase:
    preview = find_preview(name, number, pk)
    return piece(request, preview_log_path(preview.pk), over=not preview.is_live)


def as_lines(environment: dict[str, str]) -> str:
    """Variables as a person edits them, one `NAME=value` a line."""
    return "".join(f"{name}={value}\n" for name, value in sorted(environment.items()))


def as_environment(lines: str) -> dict[str, str]:
    """The variables of a text with one `NAME=value` a line; blank lines and those that begin with # are passed over.

    Raises `InvalidInput` for a line without a name."""
    found = {}
    for number, line in enumerate(lines.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, sign, value = line.partition("=")
        if not sign or not name.strip():
            raise InvalidInput(
                _("Line %(n)d has no name and “=”: write one variable a line, such as GREETING=Hello.") % {"n": number},
                field="environment",
            )
        found[name.strip()] = value
    return found


def _form(request: HttpRequest, build: Build, written: str, error: str = "") -> HttpResponseBase:
    context = {"build": build, "written": written, "error": error}
    return render(request, "preview/create.html", context, status=422 if error else 200)


def _page_of(request: HttpRequest, preview: Preview) -> dict[str, Any]:
    acts = may_act(request.user)
    return {
        "preview": preview,
        "build": preview.build,
        "may_act": acts,
        "can_stop": acts and preview.state in ("asked", "running"),
        "environment": [(name, value if acts else "") for name, value in sorted(preview.environment.items())],
    }
