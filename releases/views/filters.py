"""The filters of the history, all of them in the address. What is not known is refused with what is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, ClassVar, cast

from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db.models import Exists, OuterRef
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from releases.errors import InvalidInput, StackError
from releases.models import Application, Build, Outcome, RefKindChoices, State, Wanted
from releases.stacks import stack as stacks
from releases.views import name_of
from releases.views.search import PORTAL

MOST_NAMED = 12
"""Known values that are listed one by one; of more only those that are spelt alike, and how many there are."""
BESIDE = ("page", "format", "top")
"""What the address may hold that is no filter."""
Choices = Iterable[tuple[str, Any]]


class ApplicationField(forms.CharField):
    """The name of an application; there may be too many for a list."""

    def validate(self, value: Any) -> None:
        super().validate(value)
        if value and not Application.objects.filter(name=value).exists():
            raise ValidationError(unknown(value, Application.objects.by_name().values_list("name", flat=True)))


class StackField(forms.ChoiceField):
    """A stack that there is, or one that builds were made with when it still was."""

    def valid_value(self, value: str) -> bool:
        return super().valid_value(value) or Build.objects.filter(stack=value).exists()


class HistoryFilter(forms.Form):
    q = forms.CharField(label=gettext_lazy("Commit, sha256, image id, ref or package"), required=False, max_length=200)
    application = ApplicationField(label=gettext_lazy("Application"), required=False, max_length=100)
    ref = forms.CharField(label=gettext_lazy("Ref"), required=False, max_length=255)
    outcome = forms.ChoiceField(label=gettext_lazy("Outcome"), required=False)
    package = forms.CharField(label=gettext_lazy("With package"), required=False, max_length=200)
    kind = forms.ChoiceField(label=gettext_lazy("Kind"), required=False)
    by = forms.ChoiceField(label=gettext_lazy("Asked by"), required=False)
    stack = StackField(label=gettext_lazy("Stack"), required=False)
    top = forms.IntegerField(required=False, min_value=1, max_value=2**62, widget=forms.HiddenInput)
    """The newest build when leafing began, so that new ones do not push rows from page to page."""

    groups: ClassVar[Choices] = (
        ("active", gettext_lazy("Queued or running")),
        ("unsuccessful", gettext_lazy("Any but succeeded")),
    )
    kinds: ClassVar[Choices] = (
        (RefKindChoices.TAG, gettext_lazy("Of a tag")),
        (RefKindChoices.BRANCH, gettext_lazy("Of a branch")),
        (RefKindChoices.COMMIT, gettext_lazy("Of a commit")),
        ("first", gettext_lazy("Neither rebuild nor rebase")),
        ("rebuild", gettext_lazy("Rebuild")),
        ("rebase", gettext_lazy("Rebase")),
    )
    more: ClassVar[tuple[str, ...]] = ("package", "kind", "by", "stack", "from", "to")
    """Folded away while none of them is set."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        super().__init__(data, label_suffix="", auto_id="f-%s")
        self._choose("outcome", _("Any"), [*self.groups, *Outcome.choices, *State.choices[:-1]])
        self._choose("kind", _("Any"), self.kinds)
        self._choose("by", _("Anyone"), people())
        self._choose("stack", _("Any"), [(name, name) for name in stack_names()])
        for name, label in (("from", _("From")), ("to", _("To"))):
            self.fields[name] = forms.DateField(
                label=label, required=False, input_formats=["%Y-%m-%d"],
                widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
                error_messages={"invalid": _("write the date as 2026-11-23.")},
            )  # fmt: skip
        for field in self.fields.values():
            field.widget.attrs["class"] = "form-select" if isinstance(field.widget, forms.Select) else "form-control"
        plain = {"spellcheck": "false", "autocapitalize": "off"}
        self.fields["ref"].widget.attrs |= {"placeholder": "v1.*", **plain}
        self.fields["package"].widget.attrs |= {"placeholder": "flask==2.*", **plain}
        self.fields["application"].widget.attrs |= {"list": "applications", "autocomplete": "off", **plain} | {
            "hx-get": reverse("history-names"), "hx-target": "#applications", "hx-trigger": "input changed delay:150ms",
        }  # fmt: skip
        self.fields["q"].widget.attrs |= {"placeholder": "9f3c1ab, flask==3.1.3, v1.4.0…", "type": "search", **plain}

    def clean_package(self) -> Wanted | None:
        try:
            return Wanted.read(text) if (text := self.cleaned_data["package"]) else None
        except InvalidInput as error:
            raise ValidationError(error.message) from error

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        filters = [name for name in self.fields if name != "top"]
        for name in self.data:
            if name not in self.fields and name not in BESIDE:
                said = _("“%(name)s” is no filter here; there are: %(known)s.")
                self.add_error(None, said % {"name": name[:40], "known": ", ".join(filters)})
        if given.get("from") and given.get("to") and given["from"] > given["to"]:
            self.add_error("to", _("the last day is before the first: no build can match."))
        return given

    def problems(self) -> list[str]:
        """Each refused filter as a sentence."""
        return [
            str(sentence) if name == NON_FIELD_ERRORS else f"{self[name].label}: {sentence}"
            for name, sentences in self.errors.items()
            for sentence in sentences
        ]

    def has_more(self) -> bool:
        """Whether one of the folded filters is set, or refused."""
        return any(self.data.get(name, "").strip() for name in self.more)

    def _choose(self, name: str, nothing: str, known: Choices) -> None:
        known = list(known)
        field = cast(forms.ChoiceField, self.fields[name])
        field.choices = [("", nothing), *known]
        listed = unknown("%(value)s", [value.replace("%", "%%") for value, _word in known], whole=True)
        field.error_messages["invalid_choice"] = listed


def unknown(value: str, known: Iterable[str], *, whole: bool = False) -> str:
    """The sentence about a value that is none of these."""
    names = list(known)
    if whole or len(names) <= MOST_NAMED:
        return _("“%(value)s” is not known here; known are: %(known)s.") % {
            "value": value,
            "known": ", ".join(names) or _("none"),
        }
    alike = get_close_matches(value, names, n=5, cutoff=0.5) or names[:5]
    said = ngettext(
        "“%(value)s” is not known here; known are %(known)s and %(n)d other.",
        "“%(value)s” is not known here; known are %(known)s and %(n)d others.",
        len(names) - len(alike),
    )
    return said % {"value": value[:62], "known": ", ".join(alike), "n": len(names) - len(alike)}


def people() -> list[tuple[str, str]]:
    """Those who have asked for a build, and the portal itself."""
    asked = User.objects.filter(Exists(Build.objects.filter(requested_by=OuterRef("pk")))).order_by("username")
    return [*((someone.username, name_of(someone)) for someone in asked), (PORTAL, _("The portal itself"))]


def stack_names() -> list[str]:
    """Those that there are, and those that applications are set to."""
    try:
        known = set(stacks.names())
    except StackError:
        known = set()
    return sorted(known.union(Application.objects.order_by().values_list("stack", flat=True).distinct()))
