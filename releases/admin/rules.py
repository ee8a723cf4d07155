"""What holds for every record in the admin, and how a request for several of them is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _

from releases import actions
from releases.errors import AlreadyUnderWay, InvalidInput
from releases.models import Build
from releases.sentences import told

if TYPE_CHECKING:
    Shelf = admin.ModelAdmin[Any]
else:  # Django's class takes no parameter at run time
    Shelf = admin.ModelAdmin

RELEASE = "releases.release_application"


class History(Shelf):
    """A record that only the portal writes: to be seen by whoever may see it, never added, changed or deleted."""

    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_release_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(RELEASE)


class Asked:
    """Tells per row what became of a request, and once that Redis is away."""

    def __init__(self, shelf: Shelf, request: HttpRequest) -> None:
        self.shelf, self.request, self.done = shelf, request, 0

    def each(self, records: Iterable[Any], ask: Callable[[Any], Any], sentence: Callable[[Any, Any], str]) -> None:
        """Ask for every record; `sentence` tells what a request that was taken has led to."""
        for record in records:
            try:
                made = ask(record)
            except AlreadyUnderWay as error:
                self._tell(format_html('<a href="{}">{}</a>', error.address, told(error.message)), messages.WARNING)
            except InvalidInput as error:
                self._tell(about(record, told(error.message)), messages.ERROR)
            except ValidationError as error:
                self._tell(about(record, " ".join(error.messages)), messages.ERROR)
            else:
                self.done += 1
                self._tell(sentence(record, made), messages.SUCCESS)
        if self.done and not actions.queue_answers():
            self._tell(_("Redis does not answer: what was asked stands and starts when it is back."), messages.WARNING)

    def _tell(self, sentence: str, level: int) -> None:
        self.shelf.message_user(self.request, sentence, level)


def about(record: Model, sentence: str) -> str:
    """A sentence about a record, which it leads to."""
    address = reverse(f"admin:releases_{record._meta.model_name}_change", args=[record.pk])
    return format_html('<a href="{}">{}</a>: {}', address, record, sentence)


def queued(_record: Any, build: Build) -> str:
    """The sentence for a build that was asked for."""
    return format_html(
        '<a href="{}">{}</a> {}', build.get_absolute_url(), build, _("is queued: {ref}.").format(ref=build.ref)
    )
