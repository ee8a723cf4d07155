"""An application: its refs and what became of them, its history, its settings."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from releases import actions
from releases.errors import AlreadyUnderWay, InvalidInput
from releases.forms import ApplicationForm
from releases.models import Application, Build, Move, Outcome, Ref, RefKindChoices
from releases.models.rule import check_rule
from releases.sentences import told
from releases.views import acting, say_if_waiting, seeing
from releases.views.moved import alarms, marks
from releases.views.refs import NEWEST_TAGS, RefTable, ref_table, rule_matches
from releases.views.series import RANGES, USUAL, charts, points

BUILDS_SHOWN = 8
KINDS = ("tag", "branch", "other")


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
    table = RefTable()
    if kind != "other":
        table = ref_table(application, kind, request.GET.get("page", ""), request.GET.get("q", ""))
    recent = list(builds[:BUILDS_SHOWN])
    counts = application.refs.aggregate(
        tag=Count("pk", filter=Q(kind=RefKindChoices.TAG)), branch=Count("pk", filter=Q(kind=RefKindChoices.BRANCH))
    )
    context: dict[str, Any] = {
        "application": application,
        "kind": kind,
        "counts": counts,
        "table": table,
        "rows": table.rows,
        "page": table.page,
        "older": counts[kind] - len(table.rows) if table.page is None and kind != "other" else 0,
        "moved": alarms(application),
        "marks": marks(recent),
        "next_read": next_reading(application),
        "recent": recent,
        "totals": builds.aggregate(built=Count("pk"), succeeded=Count("pk", filter=Q(outcome=Outcome.SUCCEEDED))),
        "release": builds.succeeded().first(),
        "compare_with": builds.succeeded().filter(number__lt=recent[0].number).first() if recent else None,
        "charts": charts(points(application, RANGES[USUAL])),
        "is_moving": application.refs_are_being_read or any(build.is_active for build in recent),
        "many": counts[kind] > NEWEST_TAGS if kind != "other" else False,
        "typed": typed,
        "problem": problem,
    }
    return render(request, "application/show.html", context, status=status)


def next_reading(application: Application) -> datetime | None:
    """When the refs are read again by themselves; now, when they wait for a worker alone."""
    due = application.refs_next_at(settings.REFS_EVERY)
    return max(due, timezone.now()) if due else None


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
    matches = rule_matches(application.refs.all(), form["rule"].value() or "")
    context = {"form": form, "application": application, "name": name, "matches": matches}
    return render(request, "application/form.html", context, status=422 if form.errors else 200)


@acting
@require_safe
def rule(request: HttpRequest, name: str) -> HttpResponse:
    """What the rule that is being typed would match; the page asks for it while a person types."""
    typed = request.GET.get("rule", "")
    context: dict[str, Any] = {"problems": []}
    try:
        check_rule(typed)
        context["matches"] = rule_matches(find(name).refs.all(), typed)
    except ValidationError as error:
        context["problems"] = error.messages
    return render(request, "application/_matches.html", context)


@acting
@require_http_methods(["GET", "HEAD", "POST"])
def acknowledge(request: HttpRequest, name: str, pk: int) -> HttpResponseBase:
    """A person has seen that a tag moved; back to where the button was."""
    application = find(name)
    if request.method == "POST":
        move = get_object_or_404(Move, application=application, pk=pk)
        if actions.acknowledge_move(move, by=request.user):
            said = _("You have seen that %(tag)s moved; what was built of it before keeps the mark.")
            messages.success(request, said % {"tag": move.name})
        if request.POST.get("back") == "home":
            return redirect("home")
    return redirect(application)


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
        messages.warning(request, told(error.message))
        return redirect(error.address)
    except InvalidInput as error:
        return render_application(request, application, "other", typed=ref, problem=told(error.message), status=422)
    say_if_waiting(request)
    return redirect(build)


def changed_meanwhile(ref: str, known: Ref | None) -> str:
    """Nothing is built that the person did not see."""
    if known is None:
        return _("%(ref)s is no longer in the repository, so nothing was started.") % {"ref": ref[:80]}
    facts = {"ref": known.name, "commit": known.commit[:7]}
    return _("%(ref)s points to %(commit)s now, not to what you saw: look again, then press Build release.") % facts
