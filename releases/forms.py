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
from django.db.models import Field
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from releases import actions
from releases.errors import InvalidInput, StackError
from releases.models import Actor, Application
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
                found.update(actions.check_environment({name: text}))
            except InvalidInput as error:
                problems.append(_("Line %(number)d: %(problem)s") % {"number": number, "problem": error.message})
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


class ApplicationForm(ApplicationModelForm):
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
    limits: ClassVar[tuple[str, ...]] = ("memory_mb", "cpus", "pids", "seconds", "artifact_mb")

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
        for field_name in ("repository", "name", *self.contract, "probe_path"):
            self.fields[field_name].widget.attrs |= {"spellcheck": "false", "autocapitalize": "off"}
        self.fields["repository"].widget.attrs |= {"placeholder": "https://git.example.org/shop/fruit-shop.git"}

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
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
            self.refuse(error.field, [error.message])
        except ValidationError as error:
            for field, sentences in getattr(error, "message_dict", {None: error.messages}).items():
                self.refuse(field, sentences)
        return None

    def refuse(self, field: str | None, sentences: Iterable[str]) -> None:
        for sentence in sentences:
            self.add_error(field if field in self.fields else None, sentence)

    def open_parts(self) -> set[str]:
        """Which folded parts must be seen: those that hold something of this application's own, or an error."""
        return {part for part in ("contract", "probing", "limits") if any(map(self._is_notable, getattr(self, part)))}

    def _is_notable(self, name: str) -> bool:
        usual = cast("Field[Any, Any]", Application._meta.get_field(name)).get_default()
        value = self[name].value()
        if isinstance(value, str) and not isinstance(usual, str):
            value = value.strip() or usual
        return name in self.errors or (value or None) != (usual or None)


def stack_choices(current: str = "") -> list[tuple[str, str]]:
    """The stacks that can be read; one that an application has already is named even when it cannot."""
    choices = []
    try:
        known = stacks.names()
    except StackError:
        known = []
    for name in known:
        try:
            choices.append((name, f"{stacks.load(name).title} ({name})"))
        except StackError:  # its own page says what is wrong with it
            continue
    if current and current not in dict(choices):
        choices.append((current, _("%(name)s (cannot be read)") % {"name": current}))
    return choices


def suggested_name(repository: str) -> str:
    """The repository's last part as a name: `…/Fruit_Shop.git` → `fruit-shop`."""
    last = re.split(r"[/:]", unquote(repository).rstrip("/").removesuffix(".git"))[-1]
    return re.sub(r"[^a-z0-9]+", "-", last.lower()).strip("-")[:62].strip("-")
