"""What a person types about an application. Every refusal stands beside its field."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, cast
from urllib.parse import unquote

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db.models import Field
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_variables

from releases import access, actions
from releases.errors import InvalidInput, StackError, StorageError
from releases.models import Actor, Application
from releases.sentences import told
from releases.specs.variables import check_environment
from releases.stacks import stack as stacks

if TYPE_CHECKING:
    ApplicationModelForm = forms.ModelForm[Application]
else:  # at run time the class takes no parameter
    ApplicationModelForm = forms.ModelForm


class EnvironmentField(forms.CharField):
    """`NAME=value`, one a line; empty lines and lines that begin with `#` are passed over.

    A value that holds line breaks, or begins with a quotation mark, is written as a JSON string."""

    widget = forms.Textarea(attrs={"rows": 6, "spellcheck": "false", "autocapitalize": "off"})

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return "\n".join(f"{name}={_written(text)}" for name, text in value.items())

    def to_python(self, value: Any) -> Any:
        found: dict[str, str] = {}
        problems = []
        for number, line in enumerate((super().to_python(value) or "").splitlines(), start=1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            try:
                name, text = _read(line)
                if name in found:
                    raise InvalidInput(_("%(name)s stands in an earlier line already.") % {"name": name})
                found.update(check_environment({name: text}))
            except InvalidInput as error:
                problems.append(_("Line %(number)d: %(problem)s") % {"number": number, "problem": told(error.message)})
        if problems:
            raise ValidationError(problems)
        return found


def _read(line: str) -> tuple[str, str]:
    name, separator, text = line.partition("=")
    name = name.strip().removeprefix("export ").strip()
    if not separator or not name:
        raise InvalidInput(_("write NAME=value, such as GREETING=Hello."))
    if text.startswith('"'):
        try:
            text = json.loads(text)
        except ValueError as error:
            raise InvalidInput(_("the quotation marks of %(name)s do not close.") % {"name": name}) from error
    return name, text


def _written(text: str) -> str:
    plain = text.isprintable() and not text.startswith('"') and text == text.strip()
    return text if plain or not text else json.dumps(text, ensure_ascii=False)


class BudgetForm(ApplicationModelForm):
    """What happens when a budget is crossed need not be said: it stays as it is, which at first is a warning."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in self._policies():
            self.fields[name].required = False
        for name in set(actions.BUDGET_FIELDS) & set(self.fields) - set(self._policies()):
            # Django's own refusal of negative numbers is of another range than the model's, which says it all.
            field = self.fields[name]
            field.validators = [one for one in field.validators if not isinstance(one, MinValueValidator)]
            field.error_messages["invalid"] = _("Write a whole number, or leave it empty for no budget.")

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        for name in self._policies():
            if name in given:
                given[name] = given[name] or getattr(self.instance, name)
        return given

    def _policies(self) -> list[str]:
        return [name for name in actions.BUDGET_FIELDS if name.endswith("_policy") and name in self.fields]


class ApplicationForm(BudgetForm):
    """Registers an application, or changes one; the rules themselves are the model's and the actions'."""

    environment = EnvironmentField(
        label=gettext_lazy("Environment"),
        required=False,
        strip=False,
        help_text=gettext_lazy(
            "NAME=value, one a line. For the probe and for previews; they are not part of the image."
        ),
    )

    class Meta:
        model = Application
        fields = ("repository", "name", *actions.SETTINGS_FIELDS[1:])

    contract: ClassVar[tuple[str, ...]] = ("directory", "module", "callable", "requirements")
    probing: ClassVar[tuple[str, ...]] = ("probe_policy", "probe_path", "environment")
    tags: ClassVar[tuple[str, ...]] = ("rule",)
    limits: ClassVar[tuple[str, ...]] = ("memory_mb", "cpus", "pids", "seconds", "artifact_mb")
    budgets: ClassVar[tuple[str, ...]] = actions.BUDGET_FIELDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["label_suffix"] = ""
        super().__init__(*args, **kwargs)
        self.is_new = self.instance.pk is None
        if self.is_new:
            self.initial["stack"] = settings.DEFAULT_STACK
        self.fields["stack"] = forms.ChoiceField(
            label=gettext_lazy("Stack"),
            choices=stack_choices(self.instance.stack),
            help_text=self.fields["stack"].help_text,
        )
        name = self.fields["name"]
        name.required, name.disabled = False, not self.is_new
        for field_name, field in self.fields.items():
            field.label = str(field.label)[:1].upper() + str(field.label)[1:]
            style = "form-select" if isinstance(field.widget, forms.Select) else "form-control"
            field.widget.attrs |= {"class": style, "aria-describedby": f"about-{field_name}"}
        for field_name in ("repository", "name", *self.contract, "probe_path", "rule"):
            self.fields[field_name].widget.attrs |= {"spellcheck": "false", "autocapitalize": "off"}
        if not self.is_new:
            self.fields["rule"].widget.attrs |= {
                "hx-get": reverse("application-rule", args=[self.instance.name]),
                "hx-trigger": "input changed delay:300ms",
                "hx-target": "#rule-matches",
            }
        self.fields["rule"].widget.attrs["placeholder"] = "v*"
        self.fields["repository"].widget.attrs |= {"placeholder": "https://git.example.org/shop/fruit-shop.git"}

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        if self.is_new and not given.get("name") and "name" not in self.errors:
            given["name"] = suggested_name(given.get("repository", ""))
            if not given["name"]:
                self.add_error(
                    "name", _("Give the application a name: none could be read from the repository's address.")
                )
        return given

    def ask(self, *, by: Actor) -> Application | None:
        """Do what was asked; None when it was refused, and the reason stands beside its field."""
        try:
            if self.is_new:
                return actions.register_application(by=by, **self.cleaned_data)
            return actions.change_application(self.instance, by=by)
        except InvalidInput as error:
            self.refuse(error.field, [told(error.message)])
        except ValidationError as error:
            for field, sentences in getattr(error, "message_dict", {None: error.messages}).items():
                self.refuse(field, sentences)
        return None

    def refuse(self, field: str | None, sentences: Iterable[str]) -> None:
        for sentence in sentences:
            self.add_error(field if field in self.fields else None, sentence)

    def open_parts(self) -> set[str]:
        """Which folded parts must be seen: those that hold something of this application's own, or an error."""
        parts = ("contract", "probing", "tags", "limits", "budgets")
        return {part for part in parts if any(map(self._is_notable, getattr(self, part)))}

    def _is_notable(self, name: str) -> bool:
        usual = cast("Field[Any, Any]", Application._meta.get_field(name)).get_default()
        value = self[name].value()
        if isinstance(value, str) and not isinstance(usual, str):
            value = value.strip() or usual
        return name in self.errors or (value or None) != (usual or None)


class TokenForm(forms.Form):
    """An access token is only ever written: neither the page nor a refused form repeats it."""

    account = forms.CharField(
        label=gettext_lazy("User name"),
        max_length=access.LONGEST_ACCOUNT,
        help_text=gettext_lazy("Many hosts take any name beside a token; a deploy token of a project has its own."),
    )
    token = forms.CharField(
        label=gettext_lazy("Access token"),
        max_length=access.LONGEST_TOKEN,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=gettext_lazy("One that may read this repository and nothing else."),
    )

    def __init__(self, data: Mapping[str, Any] | None = None, *, account: str = "") -> None:
        super().__init__(data, initial={"account": account or "git"}, label_suffix="")
        for name, field in self.fields.items():
            field.widget.attrs |= {"class": "form-control", "aria-describedby": f"about-{name}"}
            field.widget.attrs |= {"spellcheck": "false", "autocapitalize": "off"}

    @sensitive_variables("given")
    def ask(self, application: Application, *, by: Actor) -> bool:
        """False when it was refused, and the reason stands beside its field."""
        given = self.cleaned_data
        try:
            access.set_token(application, given["account"], given["token"], by=by)
        except (InvalidInput, StorageError) as error:
            self.add_error(getattr(error, "field", None), told(error.message))
            return False
        return True


def stack_choices(current: str = "") -> list[tuple[str, str]]:
    """The stacks that can be read; one that an application has already is named even when it cannot."""
    choices = []
    try:
        known = stacks.names()
    except StackError:
        known = []
    for name in known:
        try:
            choices.append((name, f"{_(stacks.load(name).title)} ({name})"))
        except StackError:  # its own page says what is wrong with it
            continue
    if current and current not in dict(choices):
        choices.append((current, _("%(name)s (cannot be read)") % {"name": current}))
    return choices


def suggested_name(repository: str) -> str:
    """The repository's last part as a name: `…/Fruit_Shop.git` → `fruit-shop`."""
    last = re.split(r"[/:]", unquote(repository).rstrip("/").removesuffix(".git"))[-1]
    return re.sub(r"[^a-z0-9]+", "-", last.lower()).strip("-")[:62].strip("-")


class Filter(forms.Form):
    """Filters in an address. What is not known is refused with what is."""

    def __init__(self, data: Mapping[str, Any], known: Mapping[str, list[tuple[str, str]]]) -> None:
        super().__init__(data, label_suffix="", auto_id="f-%s")
        for name, choices in known.items():
            field = cast(forms.ChoiceField, self.fields[name])
            field.choices = choices
            field.error_messages["invalid_choice"] = _("“%(value)s” is not known here; known are: %(known)s.") % {
                "value": "%(value)s",
                "known": ", ".join(value.replace("%", "%%") for value, _word in choices if value) or _("none"),
            }
        for name, label in (("from", _("From")), ("to", _("To"))):
            self.fields[name] = forms.DateField(
                label=label, required=False, input_formats=["%Y-%m-%d"],
                widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
                error_messages={"invalid": _("write the date as 2026-11-23.")},
            )  # fmt: skip
        for field_ in self.fields.values():
            field_.widget.attrs["class"] = "form-select" if isinstance(field_.widget, forms.Select) else "form-control"

    def problems(self) -> list[str]:
        """Each refused filter as a sentence."""
        return [f"{self[name].label}: {sentence}" for name, sentences in self.errors.items() for sentence in sentences]


PORTAL = "(portal)"
"""In the filter of people: what nobody asked for. No account can be called so."""


class AuditFilter(Filter):
    """The filters of the audit trail, all of them in the address, and the event at which a page ends."""

    application = forms.ChoiceField(label=gettext_lazy("Application"), required=False)
    build = forms.IntegerField(label=gettext_lazy("Build"), required=False, min_value=1, max_value=2**31 - 1)
    by = forms.ChoiceField(label=gettext_lazy("Who"), required=False)
    verb = forms.ChoiceField(label=gettext_lazy("What"), required=False)
    before = forms.IntegerField(required=False, min_value=1, max_value=2**62, widget=forms.HiddenInput)
    after = forms.IntegerField(required=False, min_value=1, max_value=2**62, widget=forms.HiddenInput)

    def __init__(
        self,
        data: Mapping[str, Any],
        *,
        applications: Iterable[str],
        people: Iterable[tuple[str, str]],
        verbs: Iterable[tuple[str, str]],
    ) -> None:
        known = {
            "application": [("", _("All")), *((name, name) for name in applications)],
            "by": [("", _("Anyone")), (PORTAL, _("The portal itself")), *people],
            "verb": [("", _("Anything")), *verbs],
        }
        super().__init__(data, known)
        self.fields["build"].widget.attrs |= {"placeholder": "42", "inputmode": "numeric"}

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        if given.get("build") and not given.get("application") and "application" not in self.errors:
            self.add_error("build", _("numbers count per application: choose the application, too."))
        return given


class BuildNumberField(forms.CharField):
    """`42` or `#42`."""

    def clean(self, value: Any) -> int:
        typed = str(super().clean(value)).strip().removeprefix("#")
        if not typed.isascii() or not typed.isdigit():
            raise ValidationError(_("Write the number of a build, such as 42."))
        return int(typed[:20])


class CompareForm(forms.Form):
    """Two builds of one application. `offered` are numbers and refs to choose from; others may be typed."""

    old = BuildNumberField(label=gettext_lazy("Compare build"), max_length=20)
    new = BuildNumberField(label=gettext_lazy("with build"), max_length=20)

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        application: Application,
        offered: Iterable[tuple[int, str]],
        initial: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(data, initial=dict(initial or {}), label_suffix="", auto_id="compare-%s")
        self.application, self.offered = application, list(offered)
        for field in self.fields.values():
            field.widget.attrs |= {"class": "form-control", "list": "compare-builds", "inputmode": "numeric"}

    def clean(self) -> dict[str, Any]:
        wanted = {name: self.cleaned_data[name] for name in ("old", "new") if name in self.cleaned_data}
        there = set(self.application.builds.filter(number__in=wanted.values()).values_list("number", flat=True))
        for name, number in wanted.items():
            if number not in there:
                self.add_error(name, self._missing(number))
        if len(wanted) == 2 and wanted["old"] == wanted["new"] and not self.errors:
            self.add_error(
                "new",
                _("Choose another build than #%(n)d here: one is not compared with itself.") % {"n": wanted["new"]},
            )
        return self.cleaned_data

    def _missing(self, number: int) -> str:
        last = self.offered[0][0] if self.offered else None
        if last is None:
            return _("%(application)s has no builds yet: release a tag first.") % {"application": self.application}
        facts = {"application": self.application, "n": number, "last": last}
        return _("%(application)s has no build #%(n)d; its last is #%(last)d.") % facts
