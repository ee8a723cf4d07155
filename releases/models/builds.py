"""All builds: which are meant, how very many are read (an index for each question of the history, and rows without what
they do not show), and how one is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.postgres.indexes import OpClass
from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import Now, Upper

from releases.models.application import Application
from releases.models.event import Actor, Event
from releases.models.states import LEASED, Outcome, State

if TYPE_CHECKING:
    from releases.models.build import Build

FROZEN = (
    "repository", "directory", "module", "callable", "requirements",
    "probe_path", "probe_policy", "environment", "stack",
)  # fmt: skip
"""The settings that a build takes over when it is asked for: its application's, or those of the release it rebases."""
WIDE = ("environment", "limits", "probe_body", "artifact__members", "artifact__sheets", "image__runner_config")
"""What no table of builds shows."""
NARROW = (
    "application", "number", "state", "outcome", "requested_by", "stack", "ref", "ref_kind", "retry_of", "rebase_of",
    "created_at",
)  # fmt: skip
"""What the history filters by and counts: an index holds it apart from the wide rows of the table."""


def indexes() -> list[models.Index]:
    """Of the table of builds."""
    return [
        models.Index(fields=["application", "-number"], name="build_of_application"),
        models.Index(
            fields=["application", "-number"], condition=Q(outcome="succeeded"), name="build_release_of_application"
        ),
        models.Index(fields=["state"], condition=~Q(state="finished"), name="build_active"),
        models.Index(fields=["worker", "id"], condition=Q(state="finished"), name="build_of_worker"),
        models.Index(fields=["finished_at"], include=["application", "outcome"], name="build_ended"),
        models.Index(fields=["-finished_at"], condition=~Q(outcome="succeeded"), name="build_not_succeeded"),
        models.Index(fields=["commit"], opclasses=["varchar_pattern_ops"], name="build_by_commit_start"),
        models.Index(OpClass(Upper("ref"), "varchar_pattern_ops"), name="build_by_ref_start"),
        models.Index(fields=["-id"], include=NARROW, name="build_narrow"),
    ]


class BuildQuerySet(models.QuerySet["Build"]):
    def queued(self) -> BuildQuerySet:
        return self.filter(state=State.QUEUED)

    def leased(self) -> BuildQuerySet:
        return self.filter(state__in=LEASED)

    def active(self) -> BuildQuerySet:
        return self.exclude(state=State.FINISHED)

    def finished(self) -> BuildQuerySet:
        return self.filter(state=State.FINISHED)

    def succeeded(self) -> BuildQuerySet:
        return self.filter(outcome=Outcome.SUCCEEDED)

    def lease_ran_out(self) -> BuildQuerySet:
        """By the database's clock, the only one that all workers share."""
        return self.leased().filter(lease_until__lt=Now())

    def for_pages(self) -> BuildQuerySet:
        """With what every row of a table of builds shows."""
        return self.select_related("application", "artifact", "image", "requested_by", "retry_of", "rebase_of")

    def for_rows(self) -> BuildQuerySet:
        """For tables of very many builds, which show nothing that is wide and, but for its number in `with_origins`,
        no build beside."""
        return self.select_related("application", "artifact", "image", "requested_by").defer(*WIDE)

    def with_origins(self) -> BuildQuerySet:
        """`for_rows`, with the number of the build that each is a rebuild or a rebase of."""
        names = [field.name for field in self.model._meta.concrete_fields]
        others = [name for name in names if name not in ("id", "number", "application")]
        left_out = [f"{one}__{name}" for one in ("retry_of", "rebase_of") for name in others]
        return self.for_rows().select_related("retry_of", "rebase_of").defer(*left_out)

    @transaction.atomic
    def request(self, application: Application, *, by: Actor, **frozen: Any) -> Build:
        """A new queued build with the application's next number, and its Event. Enqueueing is the caller's."""
        # NO KEY: a worker that takes up the build whose double is asked for here writes an Event of the application,
        # which a full lock would hold up, while its build holds up our row: a deadlock.
        Application.objects.select_for_update(no_key=True).get(pk=application.pk)
        last = self.filter(application=application).aggregate(models.Max("number"))["number__max"] or 0
        build = self.create(
            application=application,
            number=last + 1,
            requested_by_id=by.pk if by is not None else None,
            budgets=application.budgets().as_json(),
            **{name: getattr(frozen.get("rebase_of") or application, name) for name in FROZEN},
            **frozen,
        )
        facts: dict[str, Any] = {"ref": build.ref, "commit": build.commit}
        if build.rebase_of is not None:
            facts["rebase_of"] = build.rebase_of.number
        facts |= {"rule": build.rule} if build.rule else {}
        Event.objects.record("build.requested", by=by, build=build, data=facts)
        return build
