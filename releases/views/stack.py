"""The stacks: the builder/runner folders, their prepared images, and the door to prepare them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from django.contrib import messages
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from releases import actions
from releases.errors import AlreadyUnderWay, InvalidInput, StackError
from releases.models import Application, Build, Preparation, PreparationState
from releases.models.builds import BuildQuerySet
from releases.sentences import told
from releases.specs import Anew
from releases.stacks import stack as stacks
from releases.stacks.stack import Stack
from releases.storage import preparation_log_path
from releases.views import acting, say_if_waiting, seeing
from releases.views.log import piece, whole

LONGEST_FILE = 64 * 1024
"""Bytes of a stack's file that are shown."""
FEW = 40
"""Applications that are named; of more only the number is told."""


@dataclass(frozen=True, slots=True)
class StackRow:
    """A stack as a list shows it; `problem` instead of the stack when its folder is broken."""

    name: str
    stack: Stack | None
    problem: str
    prepared: Preparation | None = None


@dataclass(frozen=True, slots=True)
class StackFile:
    name: str
    size: int
    text: str | None
    """None for a file that is no text."""


@seeing
@require_safe
def show_all(request: HttpRequest) -> HttpResponse:
    try:
        rows, problem = [look_at(name) for name in stacks.names()], ""
    except StackError as error:
        rows, problem = [], told(error.message)
    return render(request, "stacks/list.html", {"rows": rows, "problem": problem})


def look_at(name: str) -> StackRow:
    try:
        stack = stacks.load(name)
    except StackError as error:
        return StackRow(name, None, told(error.message))
    return StackRow(name, stack, "", Preparation.objects.latest_success(stack.name, stack.digest))


@seeing
@require_safe
def show(request: HttpRequest, name: str) -> HttpResponse:
    row = known(name)
    files, problem = [], row.problem
    try:
        files = files_of(row.stack) if row.stack else []
    except OSError as error:
        problem = _("A file of the stack cannot be read: %(why)s.") % {"why": error}
    newest = latest(name)
    context = {
        "name": name,
        "stack": row.stack,
        "problem": problem,
        "prepared": row.prepared,
        "latest": newest,
        "latest_key": str(newest.pk) if newest else "",
        # A preparation that was part of a build has its lines in that build's log.
        "has_log": newest is not None and (newest.is_live or preparation_log_path(newest.pk).exists()),
        "files": files,
        **first("applications", Application.objects.by_name().filter(stack=name)),
        **first("outdated", on_an_older_runtime(row.prepared) if row.prepared else Build.objects.none()),
    }
    return render(request, "stacks/show.html", context)


@acting
@require_http_methods(["GET", "HEAD", "POST"])
def prepare(request: HttpRequest, name: str) -> HttpResponseBase:
    if request.method != "POST":  # where signing in again leads after the session ran out
        return redirect("stack", name)
    try:
        anew = cast(Anew, request.POST.get("anew", ""))
        actions.prepare_stack(known(name).name, by=request.user, anew=anew)
        say_if_waiting(request)
    except AlreadyUnderWay as error:
        messages.warning(request, told(error.message))
    except (StackError, InvalidInput) as error:
        messages.error(request, told(error.message))
    return redirect("stack", name)


@seeing
@require_safe
def log(request: HttpRequest, name: str) -> HttpResponseBase:
    """The log of the newest preparation; `?preparation=` names an earlier one, so that a page never mixes two."""
    preparation = _wanted(request, name)
    good = preparation.state == PreparationState.SUCCEEDED
    return piece(request, preparation_log_path(preparation.pk), over=not preparation.is_live, good=good)


@seeing
@require_safe
def log_text(request: HttpRequest, name: str) -> HttpResponseBase:
    preparation = _wanted(request, name)
    return whole(preparation_log_path(preparation.pk), filename=f"{name}-preparation-{preparation.pk}-log.txt")


def _wanted(request: HttpRequest, name: str) -> Preparation:
    wanted = request.GET.get("preparation", "")
    found = Preparation.objects.filter(stack=known(name).name)
    preparation = found.filter(pk=int(wanted)).first() if wanted.isdecimal() and len(wanted) < 16 else found.first()
    if preparation is None:
        raise Http404(_("The stack %(name)s has not been prepared yet, so there is no log.") % {"name": name})
    return preparation


def first(name: str, rows: QuerySet[Any]) -> dict[str, Any]:
    """The first few rows, and how many more there are."""
    shown, count = list(rows[:FEW]), rows.count()
    return {name: shown, f"more_{name}": count - len(shown)}


def known(name: str) -> StackRow:
    """A stack that there is, broken or not; 404 otherwise."""
    try:
        names = stacks.names()
    except StackError as error:
        return StackRow(name, None, told(error.message))
    if name not in names:
        listed = ", ".join(names) or _("none")
        raise Http404(_("There is no stack %(name)s; there are: %(known)s.") % {"name": name[:60], "known": listed})
    return look_at(name)


def latest(name: str) -> Preparation | None:
    """The newest preparation of a stack, of whatever digest; its log is the one that is shown."""
    return Preparation.objects.filter(stack=name).select_related("requested_by").first()


def on_an_older_runtime(prepared: Preparation) -> BuildQuerySet:
    """The last release of each application, where it stands on another runtime of this stack than the newest."""
    newest = Build.objects.succeeded().filter(application=OuterRef("pk")).order_by("-number").values("pk")[:1]
    last = Application.objects.order_by().values_list(Subquery(newest), flat=True)
    older = Build.objects.filter(pk__in=last, stack=prepared.stack).exclude(runner_image=prepared.runner_image)
    return older.for_rows().order_by("application__name")


def files_of(stack: Stack) -> list[StackFile]:
    """The stack's files, by name, with their text."""
    return [StackFile(name, path.stat().st_size, as_text(path.read_bytes())) for name, path in stack.files().items()]


def as_text(data: bytes) -> str | None:
    """The beginning of a file as text; None when it is none."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text[:LONGEST_FILE]
