"""Applications, which can be registered and changed here, and their refs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db import models
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from releases import actions
from releases.actions import BUDGET_FIELDS
from releases.admin.columns import link, rows, short
from releases.admin.rules import RELEASE, Asked, History, Shelf, queued
from releases.errors import InvalidInput
from releases.forms import BudgetForm, EnvironmentField
from releases.models import Application, Build, Event, Move, Ref
from releases.sentences import told


class ApplicationForm(BudgetForm):
    """Checked by the very function that the pages use, so that what it refuses stands beside the field."""

    environment = EnvironmentField(
        label=gettext_lazy("environment"),
        required=False,
        strip=False,
        help_text=gettext_lazy(
            "NAME=value, one a line. For the probe and for previews; they are not part of the image."
        ),
    )

    class Meta:
        model = Application
        fields = ("name", *actions.SETTINGS_FIELDS)

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc] # Django's own name for the place where instances are checked
        if self.errors:
            return
        try:
            actions.check_application(self.instance)
        except InvalidInput as error:
            self.add_error(error.field if error.field in self.fields else None, told(error.message))
        except ValidationError as error:
            self._update_errors(error)  # type: ignore[attr-defined] # as Django's own _post_clean does


@admin.register(Application)
class ApplicationAdmin(Shelf):
    form = ApplicationForm
    list_display = (
        "name",
        "repository",
        "stack",
        "probe_policy",
        rows(Build, "application__id__exact", gettext_lazy("builds")),
        rows(Ref, "application__id__exact", gettext_lazy("refs")),
        rows(Event, "application__id__exact", gettext_lazy("events")),
        "refs_read_at",
        "created_at",
    )
    list_filter = ("stack", "probe_policy")
    search_fields = ("name", "repository")
    actions = ("build_newest_tag", "refresh_refs")
    readonly_fields = ("created_at", "created_by", "refs_asked_at", "refs_read_at", "refs_error", "rule_note")
    fieldsets = (
        (None, {"fields": ("name", "repository", "stack", "rule")}),
        (gettext_lazy("Layout"), {"fields": ("directory", "module", "callable", "requirements")}),
        (gettext_lazy("Probe"), {"fields": ("probe_path", "probe_policy", "environment")}),
        (gettext_lazy("Limits"), {"fields": ("memory_mb", "cpus", "pids", "seconds", "artifact_mb")}),
        (gettext_lazy("Budgets"), {"fields": BUDGET_FIELDS}),
        (gettext_lazy("Record"), {"fields": readonly_fields}),
    )

    def has_release_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(RELEASE)

    has_add_permission = has_release_permission
    has_change_permission = has_release_permission

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.readonly_fields if obj is None else ("name", *self.readonly_fields)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"stack": settings.DEFAULT_STACK, **super().get_changeform_initial_data(request)}

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Mapping[str, Any] | None = None,
    ) -> HttpResponse:
        try:
            return super().changeform_view(request, object_id, form_url, dict(extra_context or {}))
        except InvalidInput as error:  # it became so between the form's look and the writing
            self.message_user(request, told(error.message), messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    def save_model(self, request: HttpRequest, obj: Application, form: forms.Form, change: bool) -> None:
        if change:
            actions.change_application(obj, by=request.user)
            return
        fields = {name: getattr(obj, name) for name in ("name", *actions.SETTINGS_FIELDS)}
        obj.pk = actions.register_application(by=request.user, **fields).pk
        obj.refresh_from_db()

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: Mapping[str, Any] | None = None
    ) -> HttpResponse:
        """Never: what was released stays on record. Says so in a sentence instead of a bare refusal."""
        application = self.get_object(request, object_id)
        if application is None:
            return redirect("admin:releases_application_changelist")
        builds, events = application.builds.count(), application.events.count()
        sentence = _("{name} is kept: {builds} and {events} of the audit trail name it, and those are never removed.")
        self.message_user(
            request,
            sentence.format(
                name=application,
                builds=ngettext("{n} build", "{n} builds", builds).format(n=builds),
                events=ngettext("{n} line", "{n} lines", events).format(n=events),
            ),
            messages.ERROR,
        )
        return redirect("admin:releases_application_change", application.pk)

    @admin.action(description=gettext_lazy("Build release of the newest tag"), permissions=["release"])
    def build_newest_tag(self, request: HttpRequest, queryset: models.QuerySet[Application]) -> None:
        Asked(self, request).each(queryset, lambda application: _build_newest_tag(application, request), queued)

    @admin.action(description=gettext_lazy("Refresh refs"), permissions=["release"])
    def refresh_refs(self, request: HttpRequest, queryset: models.QuerySet[Application]) -> None:
        Asked(self, request).each(
            queryset,
            lambda application: actions.refresh_refs(application, by=request.user),
            lambda application, _made: _("The refs of {name} are being read again.").format(name=application),
        )


def _build_newest_tag(application: Application, request: HttpRequest) -> Build:
    tag = application.refs.tags().first()
    if tag is None:
        raise InvalidInput(_("no tag is known yet: push one, or use “Refresh refs” and wait a moment."))
    return actions.request_build(application, tag, by=request.user)


@admin.register(Ref)
class RefAdmin(History):
    list_display = (
        "name",
        "kind",
        link("application", gettext_lazy("application")),
        short("commit", gettext_lazy("commit"), length=7),
        "subject",
        "committed_at",
        "signature",
        "moved_at",
    )
    list_filter = ("kind", "signature", "application", ("moved_at", admin.EmptyFieldListFilter))
    list_select_related = ("application",)
    search_fields = ("name", "full_name", "commit", "subject")
    date_hierarchy = "committed_at"
    actions = ("build_release",)

    @admin.action(description=gettext_lazy("Build release"), permissions=["release"])
    def build_release(self, request: HttpRequest, queryset: models.QuerySet[Ref]) -> None:
        Asked(self, request).each(
            queryset.select_related("application"),
            lambda ref: actions.request_build(ref.application, ref, by=request.user),
            queued,
        )


@admin.register(Move)
class MoveAdmin(History):
    list_display = (
        "name",
        link("application", gettext_lazy("application")),
        short("before", gettext_lazy("commit before"), length=7),
        short("after", gettext_lazy("commit after"), length=7),
        "noticed_at",
        "acknowledged_at",
        "acknowledged_by",
    )
    list_filter = ("application", ("acknowledged_at", admin.EmptyFieldListFilter))
    list_select_related = ("application", "acknowledged_by")
    search_fields = ("name", "full_name", "before__startswith", "after__startswith")
    date_hierarchy = "noticed_at"
