"""Two builds of one application on one page, and as JSON for other programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from releases import actions
from releases.forms import CompareForm
from releases.models import Application, Build, builds_to_compare, last_good
from releases.views import between_words as words
from releases.views import say_if_waiting, seeing
from releases.views.application import find
from releases.views.between import Between, between
from releases.views.between_json import as_facts
from releases.views.frozen import with_who

COMMITS_SHOWN, PACKAGES_SHOWN = 50, 100
FILES_AT_ONCE, FILES_SHOWN = 20, 200
"""The rest of those that are shown lies folded below the first."""
OFFERED = 50
"""Builds that the two fields offer; any other may be typed."""


@seeing
@require_safe
def choose(request: HttpRequest, name: str) -> HttpResponseBase:
    """`?old=40&new=42` leads to the page of these two; what is no build is said beside its field."""
    application = find(name)
    asked = request.GET if {"old", "new"} & request.GET.keys() else None
    form = CompareForm(asked, application=application, offered=offered(application), initial=likely(application))
    if form.is_valid():
        return redirect("compare", name, form.cleaned_data["old"], form.cleaned_data["new"])
    context = {"application": application, "form": form}
    return render(request, "compare/choose.html", context, status=422 if form.errors else 200)


@seeing
@require_safe
def show(request: HttpRequest, name: str, old: int, new: int) -> HttpResponseBase:
    application = find(name)
    builds = {
        build.number: build for build in builds_to_compare().filter(application=application, number__in={old, new})
    }
    if old == new or len(builds) < 2:  # the form says what is wrong, beside the field
        form = CompareForm({"old": old, "new": new}, application=application, offered=offered(application))
        context = {"application": application, "form": form}
        return render(request, "compare/choose.html", context, status=404 if len(builds) < 2 else 422)
    if request.GET.get("format") == "json":
        return JsonResponse(as_facts(builds[old], builds[new]), json_dumps_params={"indent": 2})
    found = between(builds[old], builds[new], actions.comparison_of(builds[old], builds[new]))
    return render(request, "compare/show.html", page_of(application, found))


@seeing
@require_POST
def again(request: HttpRequest, name: str, old: int, new: int) -> HttpResponse:
    """Have commits and files read once more, after that failed."""
    builds = {
        build.number: build for build in builds_to_compare().filter(application__name=name, number__in={old, new})
    }
    if len(builds) == 2:
        actions.comparison_of(builds[old], builds[new], again=True)
        say_if_waiting(request)
    return redirect("compare", name, old, new)


def likely(application: Application) -> dict[str, int]:
    """The newest build, and the release before it."""
    newest = application.builds.order_by("-number").first()
    good = last_good(newest) if newest else None
    return {"old": good.number, "new": newest.number} if newest and good else {}


def offered(application: Application) -> list[tuple[int, str]]:
    """The newest builds, for the fields to offer."""
    return list(application.builds.order_by("-number").values_list("number", "ref")[:OFFERED])


def page_of(application: Application, found: Between) -> dict[str, Any]:
    numbers = {"old": found.old.number, "new": found.new.number}
    read, packages = found.source.difference, found.packages.changed
    environment = found.sizes.packages
    files = words.file_rows(read.files[:FILES_SHOWN]) if read else []
    return {
        "application": application,
        "form": CompareForm(initial=numbers, application=application, offered=offered(application)),
        "between": found,
        "old": found.old,
        "new": found.new,
        "builds": (found.old, found.new),
        "title": title_of(found.old, found.new),
        "reverse": reverse("compare", args=[application.name, found.new.number, found.old.number]),
        "settings": with_who(found.settings, found.old, found.new),
        "settings_head": words.of_settings(found),
        "shown_packages": packages[:PACKAGES_SHOWN],
        "packages_more": max(0, len(packages) - PACKAGES_SHOWN),
        "packages_head": words.of_packages(found.packages),
        "package_words": words.in_kinds(change.look for change in packages),
        "environment": environment[:PACKAGES_SHOWN],
        "environment_more": max(0, len(environment) - PACKAGES_SHOWN),
        "files": files[:FILES_AT_ONCE],
        "more_files": files[FILES_AT_ONCE:],
        "files_left": read.files_count - len(files) if read else 0,
        "file_words": words.in_numbers(read.changed, read.added, read.removed) if read else "",
        "commit_lists": commit_lists(found),
        "commits_head": words.of_commits(found),
        "commits_note": words.about_commits(found),
        "people": words.people(read) if read else "",
        "host_range": host_range(found),
    }


def title_of(old: Build, new: Build) -> str:
    """The refs, and the numbers where the refs are the same."""
    if old.ref == new.ref:
        return f"#{old.number} → #{new.number} · {new.ref}"
    return f"{old.ref} → {new.ref}"


def host_range(found: Between) -> str:
    """Where the host of the repository shows what lies between the two; empty when it is not known."""
    host, read = found.source.host, found.source.difference
    if host is None or read is None or not read.base or not (read.come_count or read.gone_count):
        return ""
    ends = found.old.commit, found.new.commit
    return host.between(*(ends if read.come_count else ends[::-1]))


def commit_lists(found: Between) -> list[dict[str, Any]]:
    """Commits that come and commits that go: which they are, a few of them, and how many more there are."""
    read, host = found.source.difference, found.source.host
    if read is None:
        return []
    lists = []
    for look, commits, count in (("plus", read.come, read.come_count), ("minus", read.gone, read.gone_count)):
        if commits:
            shown = [
                {**asdict(commit), "address": host.commit(commit.commit) if host else ""}
                for commit in commits[:COMMITS_SHOWN]
            ]
            lists.append({"look": look, "commits": shown, "count": count, "more": count - len(shown)})
    return lists
