"""The artifact's door: the very bytes of the record, or none. And the list of packages that are in them."""

from __future__ import annotations

import base64
import re
from collections.abc import Generator
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from releases.errors import StorageError
from releases.models import Actor, Artifact, Build, Event
from releases.sentences import told
from releases.storage import Blobs
from releases.views import seeing
from releases.views.build import find
from releases.views.log import PLAIN

DAMAGED = "artifact.damaged"
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


class UnsatisfiableRange(Exception):
    """The range lies outside of the file."""


@dataclass(frozen=True, slots=True)
class Part:
    """Which bytes are asked for: from `start` up to, not including, `stop`."""

    start: int
    stop: int
    whole: bool


@seeing
@require_safe
def download(request: HttpRequest, name: str, number: int) -> HttpResponseBase:
    """`app.tar.gz`: conditional requests and one range are answered, and every byte is held against the sha256."""
    build = find(name, number)
    if build.artifact is None:
        what = _("Build %(build)s has no app.tar.gz.") % {"build": build}
        return nothing(request, build, 404, what, _no_artifact(build))
    etag = f'"{build.artifact.sha256}"'
    try:
        if known := get_conditional_response(request, etag=etag):
            return _described(known, build.artifact)
        _check_if_doubtful(build.artifact)
        response = _answer(request, build, build.artifact, _part(request, build.artifact.size, etag))
    except UnsatisfiableRange:
        response = HttpResponse(status=416, content_type=PLAIN)
        response["Content-Range"] = f"bytes */{build.artifact.size}"
    except StorageError as error:
        _record_damage(build, error, by=request.user)
        what = _("The app.tar.gz of build %(build)s cannot be given out.") % {"build": build}
        return nothing(request, build, 410, what, told(error.message))
    return _described(response, build.artifact)


@seeing
@require_safe
def packages(request: HttpRequest, name: str, number: int) -> HttpResponseBase:
    """What was installed, one `name==version --hash=sha256:…` a line, as pip reads it."""
    build = find(name, number)
    lines = [
        f"{package.name}=={package.version}" + (f" --hash=sha256:{package.sha256}" if package.sha256 else "")
        for package in build.packages.order_by("name")
    ]
    if not lines:
        about = _("Packages are recorded when the step produce has ended well.")
        return nothing(request, build, 404, _("Build %(build)s has no list of packages.") % {"build": build}, about)
    response = HttpResponse("\n".join(lines) + "\n", content_type=PLAIN)
    response["Content-Disposition"] = f'inline; filename="{build.application.name}-{build.number}-packages.txt"'
    response["X-Content-Type-Options"] = "nosniff"
    return response


def nothing(request: HttpRequest, build: Build, status: int, what: str, why: str) -> HttpResponse:
    """A page of the build with the sentence that says why there is nothing here."""
    return render(request, "build/nothing.html", {"build": build, "what": what, "why": why}, status=status)


def _no_artifact(build: Build) -> str:
    if build.is_active:
        return _("It is not made yet: it is there as soon as the step collect has ended.")
    return _("The build ended before one was kept; its page says why.")


def _answer(request: HttpRequest, build: Build, artifact: Artifact, part: Part) -> HttpResponseBase:
    status = 200 if part.whole else 206
    chunks = Blobs(settings.BLOBS_DIR).verified_chunks(artifact.sha256, artifact.size, start=part.start, stop=part.stop)
    response: HttpResponseBase
    if request.method == "HEAD":
        chunks.close()
        response = HttpResponse(status=status, content_type="application/gzip")
    else:
        if part.start == 0:  # what follows of a download that is taken in pieces is the same download
            Event.objects.record("artifact.downloaded", by=request.user, build=build, data={"sha256": artifact.sha256})
        sent = _sent(chunks, build, by=request.user)
        response = StreamingHttpResponse(sent, status=status, content_type="application/gzip")
    response["Content-Length"] = str(part.stop - part.start)
    if not part.whole:
        response["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{artifact.size}"
    return response


def _sent(chunks: Generator[bytes, None, None], build: Build, *, by: Actor) -> Generator[bytes, None, None]:
    """The chunks on their way. When the last of them is refused, the error ends the connection before the promised
    length is reached, so that nobody takes what came for the whole."""
    try:
        yield from chunks
    except StorageError as error:
        _record_damage(build, error, by=by)
        raise


def _check_if_doubtful(artifact: Artifact) -> None:
    """A file that was found damaged is read to its end before the first byte is promised: it may be mended by now."""
    if Event.objects.filter(verb=DAMAGED, build__artifact=artifact).exists():
        for _chunk in Blobs(settings.BLOBS_DIR).verified_chunks(artifact.sha256, artifact.size):
            pass


def _record_damage(build: Build, error: StorageError, *, by: Actor) -> None:
    """Say it in the trail, once for each build: the page of every later attempt says it again by itself."""
    if not Event.objects.filter(verb=DAMAGED, build=build).exists():
        Event.objects.record(DAMAGED, by=by, build=build, data={"message": str(error)})


def _described(response: HttpResponseBase, artifact: Artifact) -> HttpResponseBase:
    digest = base64.b64encode(bytes.fromhex(artifact.sha256)).decode()
    response["ETag"] = f'"{artifact.sha256}"'
    response["Cache-Control"] = "private, no-cache"
    response["X-Content-Type-Options"] = "nosniff"
    if response.status_code in (200, 206):
        response["Accept-Ranges"] = "bytes"
        response["Repr-Digest"] = f"sha-256=:{digest}:"
        response["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=artifact.name) or ""
    return response


def _part(request: HttpRequest, size: int, etag: str) -> Part:
    """The range of a GET, as RFC 9110 reads it: what is malformed, manifold or of another version is passed over."""
    everything = Part(0, size, whole=True)
    asked = _RANGE.fullmatch(request.headers.get("Range", "").replace(" ", ""))
    if request.method != "GET" or asked is None or request.headers.get("If-Range", etag) != etag:
        return everything
    first, last = asked.groups()
    if not first:
        return _last_bytes(int(last), size) if last else everything
    if last and int(last) < int(first):
        return everything
    if int(first) >= size:
        raise UnsatisfiableRange
    return Part(int(first), min(int(last) + 1 if last else size, size), whole=False)


def _last_bytes(count: int, size: int) -> Part:
    if not count or not size:
        raise UnsatisfiableRange
    return Part(max(0, size - count), size, whole=False)
