"""The settings and inputs that two builds froze, side by side: what differs and who set it, and what is the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from django.utils.translation import gettext as _

from releases.models import Build, Event, ProbePolicyChoices
from releases.specs import Budget
from releases.templatetags.portal import address, megabytes
from releases.views.trail import short
from releases.views.units import binary

LOOKED_AT = 100
"""Changes of the application's settings that are looked through for who made them."""


@dataclass(frozen=True, slots=True)
class Setting:
    key: str
    """Its name for other programs."""
    label: str
    was: str
    now: str
    fields: tuple[str, ...] = ()
    """The application's fields that it comes from; none for what no person sets."""
    is_code: bool = False
    group: str = "setting"
    """What it is a part of: `setting`, `builder`, `base`, `runtime` or `variable`."""
    who: str = ""
    at: datetime | None = None

    @property
    def differs(self) -> bool:
        return self.was != self.now


def frozen_of(old: Build, new: Build) -> list[Setting]:
    """Every one of them, in the order in which they are shown. Of environment variables the names alone are told, for
    their values may be secrets."""
    return [*_asked(old, new), *_limits(old, new), *_budgets(old, new), *_used(old, new), *_variables(old, new)]


def with_who(rows: Iterable[Setting], old: Build, new: Build) -> list[Setting]:
    """The rows, with whoever changed the application's settings between the two builds."""
    early, late = sorted((old.created_at, new.created_at))
    changes = Event.objects.filter(application=new.application_id, verb="application.changed")
    found: dict[str, Event] = {}
    for event in changes.order_by("-id")[:LOOKED_AT]:
        if early < event.at <= late:
            for name in event.data:
                found.setdefault(name, event)
    return [_told(row, found) for row in rows]


def _told(row: Setting, found: dict[str, Event]) -> Setting:
    event = next((found[name] for name in row.fields if name in found), None)
    return row if event is None else replace(row, who=event.actor_name or _("the portal"), at=event.at)


def _asked(old: Build, new: Build) -> Iterator[Setting]:
    yield Setting("repository", _("repository"), address(old.repository), address(new.repository), ("repository",))
    yield Setting(
        "entry_point", _("entry point"), old.entry_point, new.entry_point, ("module", "callable"), is_code=True
    )
    for field, label in (
        ("directory", _("working folder")),
        ("requirements", _("requirements file")),
        ("probe_path", _("probe path")),
    ):
        yield Setting(field, label, getattr(old, field), getattr(new, field), (field,), is_code=True)
    policies = short(ProbePolicyChoices, old.probe_policy), short(ProbePolicyChoices, new.probe_policy)
    yield Setting("probe_policy", _("probe"), *policies, ("probe_policy",))
    if old.without_cache != new.without_cache:
        yield Setting("kept_environments", _("kept environments"), _cache(old), _cache(new))


def _limits(old: Build, new: Build) -> Iterator[Setting]:
    was, now = old.spec().limits, new.spec().limits
    yield Setting("memory", _("memory of the builder"), binary(was.memory), binary(now.memory), ("memory_mb",))
    yield Setting("cpus", _("processors of the builder"), f"{was.cpus:g}", f"{now.cpus:g}", ("cpus",))
    yield Setting("pids", _("processes of the builder"), str(was.pids), str(now.pids), ("pids",))
    yield Setting("seconds", _("time limit"), _seconds(was.seconds), _seconds(now.seconds), ("seconds",))
    sizes = binary(was.artifact_bytes), binary(now.artifact_bytes)
    yield Setting("artifact_bytes", _("largest app.tar.gz"), *sizes, ("artifact_mb",))


def _budgets(old: Build, new: Build) -> Iterator[Setting]:
    was, now = old.frozen_budgets(), new.frozen_budgets()
    for name, label, field in (
        ("image", _("budget of the image"), "image_budget"),
        ("archive", _("budget of app.tar.gz"), "archive_budget"),
        ("growth", _("budget of growth"), "growth_budget"),
    ):
        words = _budget(name, getattr(was, name)), _budget(name, getattr(now, name))
        if words != (_("none"), _("none")):
            yield Setting(f"budget.{name}", label, *words, (f"{field}_mb", field, f"{field}_policy"))


def _budget(name: str, budget: Budget | None) -> str:
    if budget is None:
        return _("none")
    most = f"{budget.most}\N{NO-BREAK SPACE}%" if name == "growth" else megabytes(budget.most)
    return f"{most}, {_('fails') if budget.policy == 'fail' else _('warns')}"


def _used(old: Build, new: Build) -> Iterator[Setting]:
    """What is known only when the work begins: a build that ended before that says nothing of it."""
    yield Setting("stack", _("stack"), old.stack, new.stack, ("stack",), group="builder")
    for field, label, group in (
        ("stack_digest", _("files of the stack"), "builder"),
        ("builder_image", _("builder"), "builder"),
        ("base_image", _("base"), "base"),
        ("runner_image", _("runtime"), "runtime"),
    ):
        was, now = getattr(old, field), getattr(new, field)
        if was and now:
            yield Setting(field, label, _short(was), _short(now), is_code=True, group=group)
    kept = old.kept_environment, new.kept_environment
    if kept[0] is not None and kept[1] is not None:
        yield Setting("python", _("Python"), kept[0].python, kept[1].python, group="builder")
        yield Setting("installer", _("installer"), kept[0].installer, kept[1].installer, group="builder")


def _variables(old: Build, new: Build) -> Iterator[Setting]:
    for name in sorted({*old.environment, *new.environment}):
        was, now = old.environment.get(name), new.environment.get(name)
        words = _("set") if was is not None else _("not set"), _("set") if now is not None else _("not set")
        if was is not None and now is not None and was != now:
            words = _("set"), _("another value")
        yield Setting(
            f"environment.{name}", _("variable %(name)s") % {"name": name}, *words, ("environment",), group="variable"
        )


def _cache(build: Build) -> str:
    return _("not used") if build.without_cache else _("used")


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]


def _seconds(seconds: int) -> str:
    return _("%(n)s min") % {"n": f"{seconds / 60:.3g}"}
