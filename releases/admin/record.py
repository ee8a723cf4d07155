"""Previews, preparations of stacks, the audit trail, and what the sweeper saw of the workshop."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from releases.admin.columns import computed, link, megabytes, names_of_environment, said, short
from releases.admin.rules import History
from releases.models import Comparison, Credential, Event, Link, Pause, Preparation, Preview, Tally, Workshop


@admin.register(Preview)
class PreviewAdmin(History):
    list_display = (
        "__str__",
        link("build", gettext_lazy("build")),
        "state",
        "address",
        "requested_by",
        "created_at",
        "ends_at",
    )
    list_filter = ("state", "build__application")
    list_select_related = ("build__application", "requested_by")
    search_fields = ("message", "build__application__name")
    exclude = ("environment",)
    readonly_fields = computed(names_of_environment)


@admin.register(Preparation)
class PreparationAdmin(History):
    list_display = (
        "stack",
        short("digest", gettext_lazy("digest")),
        "state",
        "anew",
        said("message", gettext_lazy("message")),
        megabytes("builder_size", gettext_lazy("size of the builder")),
        megabytes("runner_size", gettext_lazy("size of the runner")),
        "requested_by",
        "created_at",
    )
    list_filter = ("state", "anew", "stack")
    list_select_related = ("requested_by",)
    search_fields = ("stack", "digest__startswith", "message")


@admin.register(Comparison)
class ComparisonAdmin(History):
    list_display = (
        "__str__",
        link("application", gettext_lazy("application")),
        short("low", gettext_lazy("one commit")),
        short("high", gettext_lazy("the other commit")),
        "asked_at",
        "read_at",
        "error",
    )
    list_filter = ("application",)
    list_select_related = ("application",)
    search_fields = ("low__startswith", "high__startswith", "application__name", "error")


@admin.register(Credential)
class CredentialAdmin(History):
    list_display = (
        "__str__",
        link("application", gettext_lazy("application")),
        "kind",
        "fingerprint",
        "account",
        "place",
        "set_by",
        "set_at",
    )
    list_filter = ("kind", "application")
    list_select_related = ("application", "set_by")
    search_fields = ("application__name", "account", "place")
    exclude = ("sealed",)


@admin.register(Event)
class EventAdmin(History):
    list_display = (
        "at",
        "who",
        "verb",
        link("application", gettext_lazy("application")),
        link("build", gettext_lazy("build")),
        "data",
    )
    list_filter = ("verb", "application", "actor")
    list_select_related = ("application", "build__application")
    search_fields = ("verb", "actor_name", "application__name", "data")
    date_hierarchy = "at"

    @admin.display(description=gettext_lazy("who"), ordering="actor_name")
    def who(self, event: Event) -> str:
        return event.actor_name or _("the portal")


@admin.register(Link)
class LinkAdmin(History):
    list_display = ("position", link("event", gettext_lazy("event")), short("hash", gettext_lazy("hash")), "record")
    list_select_related = ("event",)
    search_fields = ("hash__startswith", "record__startswith")


@admin.register(Workshop)
class WorkshopAdmin(History):
    list_display = (
        "__str__",
        "engine_answers",
        "engine",
        said("engine_problem", gettext_lazy("what is wrong with the engine")),
        "disk_free",
        "disk_total",
        "repairs",
        "seen_at",
    )


@admin.register(Pause)
class PauseAdmin(History):
    list_display = ("why", "begun_at", "begun_by_name", "ended_at")
    search_fields = ("why", "begun_by_name")
    date_hierarchy = "begun_at"


@admin.register(Tally)
class TallyAdmin(History):
    list_display = ("noun", "label", "bucket", "count", "seconds")
    list_filter = ("noun", "label")
    search_fields = ("label",)
