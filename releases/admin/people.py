"""Accounts and groups, as Django has them; who gave whom which right is told in the audit trail."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db import models, transaction
from django.http import HttpRequest, HttpResponse

from releases import people
from releases.models import Event

admin.site.unregister(User)
admin.site.unregister(Group)

if TYPE_CHECKING:
    Told = admin.ModelAdmin[Any]
else:  # beside Django's own class, which brings the rest
    Told = object


class ToldAdmin(Told):
    """Writes an Event in the transaction of each change."""

    noun = ""
    facts: Callable[[Any], dict[str, Any]]

    def save_model(self, request: HttpRequest, obj: Any, form: forms.Form, change: bool) -> None:
        form.facts_before = type(self).facts(type(obj).objects.get(pk=obj.pk)) if change else {}  # type: ignore[attr-defined] # our own fact on Django's form
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        before, after = form.facts_before, type(self).facts(form.instance)
        if not change:
            self.tell(request, "created", form.instance, after)
        elif changed := people.changes(before, after):
            self.tell(request, "changed", form.instance, changed)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        with transaction.atomic():
            self.tell(request, "deleted", obj, {})
            super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> None:
        with transaction.atomic():
            for record in queryset:
                self.tell(request, "deleted", record, {})
            super().delete_queryset(request, queryset)

    def tell(self, request: HttpRequest, what: str, record: Any, data: dict[str, Any]) -> None:
        by = request.user
        Event.objects.record(f"{self.noun}.{what}", by=by, data={self.noun: str(record), **data})


@admin.register(User)
class AccountAdmin(ToldAdmin, UserAdmin):  # type: ignore[type-arg] # Django's classes take no parameter at run time
    noun = "account"
    facts = staticmethod(people.facts_of)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002 (Django's name)
        before = self.get_object(request, unquote(id))  # None also for what is no number
        response = super().user_change_password(request, id, form_url)
        user = self.get_object(request, unquote(id))
        if before is not None and user is not None and user.password != before.password:
            self.tell(request, "password_changed", user, {})
        return response


@admin.register(Group)
class RightsAdmin(ToldAdmin, GroupAdmin):
    noun = "group"
    facts = staticmethod(people.facts_of_group)
