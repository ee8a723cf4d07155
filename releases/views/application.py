"""An application: its refs and what became of them, its history, its settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.paginator import Page, Paginator
from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from releases import actions
from releases.errors import AlreadyUnderWay, InvalidInput
from releases.forms import ApplicationForm
from releases.models import Application, Build, Outcome, Ref, RefKindChoices
from releases.views import acting, say_if_waiting, seeing
from releases.views.moved import moved_tags

NEWEST_TAGS = 7
REFS_A_PAGE = 100
BUILDS_SHOWN = 8
TREND = 12
"""Releases in the pictures of size and time."""
KINDS = ("tag", "branch", "other")


@dataclass(slots=True)
class RefRow:
    """One ref in the table, and the newest build of its commit."""

    ref: Ref
    build: Build | None
    is_next: bool = False
    """The likely next act: the newest tag that nobody has built yet."""


def find(name: str) -> Application:
    """The application of an address; 404 when there is none."""
    application = Application.objects.select_related("created_by").filter(name=name).first()
    if application is None:
        raise Http404(_("No application is called %(name)s.") % {"name": name[:62]})
    return application


@seeing
@require_safe
def show(request: HttpRequest, name: str) -> HttpResponse:
    application = find(name)
    kind = request.GET.get("kind", "tag")
    return render_application(request, application, kind if kind in KINDS else "tag")


def render_application(
    request: HttpRequest, application: Application, kind: str, *, typed: str = "", problem: str = "", status: int = 200
) -> HttpResponse:
    """The page; `problem` stands beside the field in which `typed` was typed."""
    builds = Build.objects.filter(application=application).for_pages().order_by("-number")
    releases = list(builds.succeeded()[:TREND])[::-1]
    rows, page = ref_rows(application, kind, request.GET.get("page", "")) if kind != "other" else ([], None)
    recent = list(builds[:BUILDS_SHOWN])
    counts = application.refs.aggregate(
        tag=Count("pk", filter=Q(kind=RefKindChoices.TAG)), branch=Count("pk", filter=Q(kind=RefKindChoices.BRANCH))
    )
    context: dict[str, Any] = {
        "application": application,
        "kind": kind,
        "counts": counts,
        "rows": rows,
        "page": page,
        "older": counts[kind] - len(rows) if page is None and kind != "other" else 0,
        "moved": moved_tags(application),
        "recent": recent,
        "totals": builds.aggregate(built=Count("pk"), succeeded=Count("pk", filter=Q(outcome=Outcome.SUCCEEDED))),
        "release": releases[-1] if releases else None,
        "compare_with": next((good for good in releases[::-1] if good.number < recent[0].number), None),
        "sizes": [(build.number, build.image.size) for build in releases if build.image],
        "times": [(build.number, build.seconds) for build in releases if build.seconds is not None],
        "is_moving": application.refs_are_being_read or any(build.is_active for build in recent),
        "typed": typed,
        "problem": problem,
    }
    return render(request, "application/show.html", context, status=status)


def ref_rows(application: Application, kind: str, number: str) -> tuple[list[RefRow], Page[Ref] | None]:
    """The newest refs of a kind, or with a page number that page of all of them; each with its last build."""
    refs = application.refs.filter(kind=kind).newest()
    page = Paginator(refs, REFS_A_PAGE).get_page(number) if number else None
    shown = list(page if page is not None else refs[: NEWEST_TAGS if kind == "tag" else REFS_A_PAGE])
    builds = Build.objects.filter(application=application, commit__in=[ref.commit for ref in shown]).order_by("number")
    newest = {build.commit: build for build in builds}
    rows = [RefRow(ref, newest.get(ref.commit)) for ref in shown]
    if kind == "tag" and (page is None or page.number == 1):
        mark_next(rows)
    return rows, page


def mark_next(rows: list[RefRow]) -> None:
    """The newest unbuilt tag, unless something newer has been released already."""
    for row in rows:
        if row.build is None:
            row.is_next = True
            return
        if row.build.succeeded:
            return


@acting
@require_http_methods(["GET", "HEAD", "POST"])
def register(request: HttpRequest) -> HttpResponseBase:
    form = ApplicationForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        application = form.ask(by=request.user)
        if application is not None:
            say_if_waiting(request)
            return redirect(application)
    return render(request, "application/form.html", {"form": form}, status=422 if form.errors else 200)


@acting
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, name: str) -> HttpResponseBase:
    application = find(name)
    form = ApplicationForm(request.POST or None, instance=application)
    if request.method == "POST" and form.is_valid() and form.ask(by=request.user) is not None:
        messages.success(request, _("The settings of %(name)s are saved; the next build uses them.") % {"name": name})
        return redirect(application)
    context = {"form": form, "application": application, "name": name}
    return render(request, "application/form.html", context, status=422 if form.errors else 200)


@acting
@require_http_methods(["GET", "HEAD", "POST"])
def refresh(request: HttpRequest, name: str) -> HttpResponseBase:
    application = find(name)
    if request.method != "POST":  # where signing in again leads after the session ran out
        return redirect(application)
    actions.refresh_refs(application, by=request.user)
    say_if_waiting(request)
    return redirect(application)


@acting
@require_http_methods(["GET", "HEAD", "POST"])
def create_build(request: HttpRequest, name: str) -> HttpResponseBase:
    """`ref` is a known ref's full name, with the `commit` that stood beside it, or what a person typed."""
    application = find(name)
    if request.method != "POST":
        return redirect(application)
    ref, seen = request.POST.get("ref", "").strip(), request.POST.get("commit", "")
    known = application.refs.filter(full_name=ref).first() if seen and ref.isprintable() else None
    if seen and (known is None or known.commit != seen):
        messages.warning(request, changed_meanwhile(ref, known))
        return redirect(f"{application.get_absolute_url()}?{urlencode({'kind': known.kind if known else 'tag'})}")
    try:
        build = actions.request_build(application, known or ref, by=request.user)
    except AlreadyUnderWay as error:
        messages.warning(request, error.message)
        return redirect(error.address)
    except InvalidInput as error:
        return render_application(request, application, "other", typed=ref, problem=error.message, status=422)
    say_if_waiting(request)
    return redirect(build)


def changed_meanwhile(ref: str, known: Ref | None) -> str:
    """Nothing is built that the person did not see."""
    if known is None:
        return _("%(ref)s is no longer in the repository, so nothing was started.") % {"ref": ref[:80]}
    facts = {"ref": known.name, "commit": known.commit[:7]}
    return _("%(ref)s points to %(commit)s now, not to what you saw: look again, then press Build release.") % facts
