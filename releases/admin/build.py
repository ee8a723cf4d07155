"""Builds and what they leave. Nothing here can be changed; a build can be cancelled and made again."""

from __future__ import annotations

from django.contrib import admin
from django.db import models
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from releases import actions
from releases.admin.columns import computed, link, megabytes, names_of_environment, rows, said, short
from releases.admin.rules import Asked, History, about, queued
from releases.models import Artifact, Build, Environment, Event, Image, Package, Preview, Step


@admin.register(Build)
class BuildAdmin(History):
    list_display = (
        "__str__",
        "ref",
        short("commit", _("commit"), length=7),
        "state",
        "outcome",
        said("message", _("message")),
        link("artifact", _("artifact")),
        link("image", _("image")),
        "requested_by",
        "rule",
        "created_at",
        "finished_at",
    )
    list_filter = ("state", "outcome", "application", "stack", "requested_by")
    list_select_related = ("application", "artifact", "image", "requested_by")
    search_fields = ("=number", "ref", "commit__startswith", "message", "artifact__sha256", "image__image_id")
    date_hierarchy = "created_at"
    exclude = ("environment",)
    readonly_fields = computed(
        names_of_environment,
        rows(Step, "build__id__exact", _("steps")),
        rows(Package, "build__id__exact", _("packages")),
        rows(Preview, "build__id__exact", _("previews")),
        rows(Event, "build__id__exact", _("events")),
    )
    actions = ("cancel", "rebuild", "rebase")

    @admin.action(description=_("Cancel"), permissions=["release"])
    def cancel(self, request: HttpRequest, queryset: models.QuerySet[Build]) -> None:
        Asked(self, request).each(
            queryset.select_related("application"),
            lambda build: actions.cancel_build(build, by=request.user),
            lambda _record, build: about(build, f"{build.get_standing_display()}."),
        )

    @admin.action(description=_("Rebuild"), permissions=["release"])
    def rebuild(self, request: HttpRequest, queryset: models.QuerySet[Build]) -> None:
        Asked(self, request).each(
            queryset.select_related("application"), lambda build: actions.rebuild(build, by=request.user), queued
        )

    @admin.action(description=_("Rebase on the newest runtime of its stack"), permissions=["release"])
    def rebase(self, request: HttpRequest, queryset: models.QuerySet[Build]) -> None:
        Asked(self, request).each(
            queryset.select_related("application"),
            lambda build: actions.request_rebase(build, by=request.user),
            queued,
        )


@admin.register(Step)
class StepAdmin(History):
    list_display = (
        link("build", _("build")),
        "position",
        "name",
        "result",
        "seconds",
        said("detail", _("detail")),
        "started_at",
    )
    list_display_links = ("name",)
    list_filter = ("name", "result", ("build", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("build__application",)
    search_fields = ("detail", "build__application__name")


@admin.register(Artifact)
class ArtifactAdmin(History):
    list_display = (
        "__str__",
        short("sha256", "sha256"),
        megabytes("size", _("size")),
        rows(Build, "artifact__id__exact", _("builds")),
        "created_at",
    )
    search_fields = ("sha256__startswith", "name")
    date_hierarchy = "created_at"


@admin.register(Image)
class ImageAdmin(History):
    list_display = (
        "tag",
        short("image_id", _("id")),
        megabytes("size", _("size")),
        megabytes("builder_size", _("size of the builder")),
        link("artifact", _("artifact")),
        "created_at",
    )
    list_select_related = ("artifact",)
    search_fields = ("tag", "image_id__startswith", "artifact__sha256__startswith")
    date_hierarchy = "created_at"


@admin.register(Package)
class PackageAdmin(History):
    list_display = ("name", "version", link("build", _("build")), short("sha256", "sha256"), "filename")
    list_filter = (("build__application", admin.RelatedOnlyFieldListFilter),)
    list_select_related = ("build__application",)
    search_fields = ("name", "version", "sha256__startswith")


@admin.register(Environment)
class EnvironmentAdmin(History):
    list_display = (
        "__str__",
        link("application", _("application")),
        link("made_by", _("made by")),
        "stack",
        "python",
        "installer",
        "is_reproducible",
        "created_at",
    )
    list_filter = ("installer", "is_reproducible", "stack", "application")
    list_select_related = ("application", "made_by__application")
    search_fields = ("key__startswith", "inputs__startswith", "application__name")
    date_hierarchy = "created_at"
