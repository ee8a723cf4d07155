"""The runtime image of a build: what it is, what it weighs, and how it is run by hand."""

from __future__ import annotations

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from releases.models import Build
from releases.views import may_act, seeing
from releases.views.artifact import nothing
from releases.views.build import find, weights


@seeing
@require_safe
def show(request: HttpRequest, name: str, number: int) -> HttpResponseBase:
    build = find(name, number)
    if build.image is None:
        why = _("Only a build whose step package has ended well has one; the build's page says where it is.")
        return nothing(request, build, 404, _("Build %(build)s has no runtime image.") % {"build": build}, why)
    same = Build.objects.filter(image__image_id=build.image.image_id).exclude(pk=build.pk).for_pages()
    return render(
        request,
        "image/show.html",
        {
            "build": build,
            "image": build.image,
            "labels": labels(build),
            "same": same,
            "may_act": may_act(request.user),
            "command": command(build.image.tag, sorted(build.environment) or ["NAME"]),
            **weights(build),
        },
    )


def labels(build: Build) -> dict[str, str]:
    """The labels that say where an image comes from, to whoever finds it on an engine."""
    return {
        "org.opencontainers.image.title": build.application.name,
        "org.opencontainers.image.version": build.ref,
        "org.opencontainers.image.revision": build.commit,
        "org.opencontainers.image.source": build.repository,
        "release-portal.application": build.application.name,
        "release-portal.artifact": build.artifact.sha256 if build.artifact else "",
    }


def command(tag: str, names: list[str]) -> str:
    """What a person types to serve the image; values are theirs to fill in."""
    variables = "".join(f" -e {name}=value" for name in names)
    return f"docker run --rm -p 8888:8080{variables} {tag}"
