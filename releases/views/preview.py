"""Previews: the image of a build booted for a person to look at, with the environment that they give it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from releases import actions
from releases.errors import InvalidInput
from releases.forms import EnvironmentField
from releases.models import Build, Preview
from releases.storage import preview_log_path
from releases.views import acting, may_act, say_if_waiting, seeing
from releases.views.artifact import nothing
from releases.views.build import find
from releases.views.log import piece, whole


class PreviewForm(forms.Form):
    """The variables that the container is given."""

    environment = EnvironmentField(
        label=gettext_lazy("Environment"),
        required=False,
        strip=False,
        help_text=gettext_lazy("NAME=value, one a line. Given to this preview alone; they are no part of the image."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        described = {"class": "form-control", "aria-describedby": "about-environment"}
        self.fields["environment"].widget.attrs.update(described)


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
        return _form(request, build, PreviewForm(initial={"environment": build.application.environment}))
    form = PreviewForm(request.POST)
    if not form.is_valid():
        return _form(request, build, form)
    try:
        preview = actions.request_preview(build, environment=form.cleaned_data["environment"], by=request.user)
    except InvalidInput as error:
        form.add_error("environment", str(error))
        return _form(request, build, form)
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


@seeing
@require_safe
def log_text(_request: HttpRequest, name: str, number: int, pk: int) -> HttpResponseBase:
    preview = find_preview(name, number, pk)
    return whole(preview_log_path(preview.pk), filename=f"{name}-{number}-preview-{pk}-log.txt")


def _form(request: HttpRequest, build: Build, form: PreviewForm) -> HttpResponseBase:
    minutes = settings.PREVIEW_SECONDS // 60
    context = {"build": build, "form": form, "minutes": minutes}
    return render(request, "preview/create.html", context, status=422 if form.errors else 200)


def _page_of(request: HttpRequest, preview: Preview) -> dict[str, Any]:
    acts = may_act(request.user)
    return {
        "preview": preview,
        "build": preview.build,
        "may_act": acts,
        "can_stop": acts and preview.state in ("asked", "running"),
        "environment": [(name, value if acts else "") for name, value in sorted(preview.environment.items())],
    }
