"""One attempt to make a release. The row is the truth: what is wanted, where it is, how it ended.

State says where a build is, outcome how it ended, message what a person should know and do. State moves only
through the verbs below; each is one UPDATE that names the states it comes from and the attempt it belongs to, so
that a worker that lost its lease writes nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, cast

from django.conf import settings
from django.db import models, transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from releases.errors import IllegalTransition, LeaseLost, say
from releases.models.application import Application, ProbePolicyChoices
from releases.models.artifact import SHA256, Artifact
from releases.models.budget import BUILD_CONSTRAINTS, BudgetsOfBuild
from releases.models.builds import BuildQuerySet, indexes
from releases.models.checks import known
from releases.models.event import Actor, Event
from releases.models.image import Image
from releases.models.ref import RefKindChoices
from releases.models.states import LEASED, NORMAL, WORKING, Outcome, State
from releases.models.tally import Tally
from releases.sentences import columns
from releases.specs import BuildSpec, Layout, Limits, ProbePolicy


class Build(BudgetsOfBuild):
    application = models.ForeignKey(Application, models.PROTECT, related_name="builds", verbose_name=_("application"))
    number = models.PositiveIntegerField(_("number"))
    state = models.CharField(_("state"), max_length=20, choices=State.choices, default=State.QUEUED)
    outcome = models.CharField(_("outcome"), max_length=20, choices=Outcome.choices, blank=True)
    message = models.CharField(_("message"), max_length=2000, blank=True)
    message_said = models.JSONField(null=True, blank=True, editable=False)

    # what was asked, frozen
    ref = models.CharField(_("ref"), max_length=255)
    ref_kind = models.CharField(_("kind of ref"), max_length=10, choices=RefKindChoices.choices, blank=True)
    ref_full = models.CharField(_("full name of the ref"), max_length=275, blank=True)
    commit = models.CharField(_("commit"), max_length=40, blank=True)
    subject = models.CharField(_("subject of the commit"), max_length=200, blank=True)
    repository = models.CharField(_("repository"), max_length=500)
    directory = models.CharField(_("working folder"), max_length=200)
    module = models.CharField(_("module"), max_length=200)
    callable = models.CharField(_("callable"), max_length=100)
    requirements = models.CharField(_("requirements file"), max_length=200)
    probe_path = models.CharField(_("probe path"), max_length=200)
    probe_policy = models.CharField(_("probe"), max_length=10, choices=ProbePolicyChoices.choices)
    environment = models.JSONField(_("environment"), default=dict, blank=True)
    limits = models.JSONField(_("limits"), default=dict)
    stack = models.CharField(_("stack"), max_length=100)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="builds",
        verbose_name=_("asked by"),
    )
    retry_of = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="retries", verbose_name=_("rebuild of")
    )
    rebase_of = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="rebases", verbose_name=_("rebased from")
    )
    without_cache = models.BooleanField(_("without cache"), default=False)
    rule = models.CharField(_("asked by the rule"), max_length=200, blank=True)
    turn = models.PositiveIntegerField(_("turn"), default=NORMAL)  # among those that wait: smaller is sooner
    created_at = models.DateTimeField(_("asked"), auto_now_add=True)

    # what was used, known when the work begins
    stack_digest = models.CharField(_("digest of the stack"), max_length=64, blank=True)
    builder_image = models.CharField(_("builder image"), max_length=71, blank=True)
    runner_image = models.CharField(_("runner image"), max_length=71, blank=True)
    base_image = models.CharField(_("base image"), max_length=71, blank=True)
    source_files = models.PositiveIntegerField(_("files in the commit"), null=True, blank=True)
    source_size = models.PositiveBigIntegerField(_("bytes in the commit"), null=True, blank=True)
    memory_peak = models.PositiveBigIntegerField(_("most memory used, bytes"), null=True, blank=True)
    limits_hit = models.JSONField(_("limits that were hit"), default=list, blank=True)

    committed_at = models.DateTimeField(_("date of the commit"), null=True, blank=True)
    kept_environment = models.ForeignKey(
        "Environment", models.PROTECT, null=True, blank=True, related_name="builds", verbose_name=_("kept environment")
    )
    environment_note = models.CharField(
        _("how the environment came about"), max_length=300, blank=True,
        help_text=_("Whether it was reused or made, and what changed."),
    )  # fmt: skip
    environment_note_said = models.JSONField(null=True, blank=True, editable=False)

    # what was made
    artifact = models.ForeignKey(
        Artifact, models.PROTECT, null=True, blank=True, related_name="builds", verbose_name=_("artifact")
    )
    image = models.OneToOneField(
        Image, models.PROTECT, null=True, blank=True, related_name="build", verbose_name=_("image")
    )
    probe_status = models.PositiveSmallIntegerField(_("probe: HTTP status"), null=True, blank=True)
    probe_seconds = models.FloatField(_("probe: seconds to the first answer"), null=True, blank=True)
    probe_memory = models.PositiveBigIntegerField(_("probe: bytes of memory"), null=True, blank=True)
    probe_body = models.TextField(_("probe: what was answered"), blank=True)
    probe_message = models.CharField(_("probe: in words"), max_length=500, blank=True)
    probe_message_said = models.JSONField(null=True, blank=True, editable=False)
    error_line = models.PositiveIntegerField(_("line of the first error in the log"), null=True, blank=True)
    error_text = models.CharField(_("first error in the log"), max_length=300, blank=True)

    # who is at it
    job_id = models.UUIDField(_("job"), default=uuid.uuid4, unique=True, editable=False)
    attempt = models.PositiveSmallIntegerField(_("attempt"), default=0)
    worker = models.CharField(_("worker"), max_length=100, blank=True)
    lease_until = models.DateTimeField(_("lease until"), null=True, blank=True)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    cancel_asked_at = models.DateTimeField(_("cancel asked"), null=True, blank=True)

    objects = BuildQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("build")
        verbose_name_plural = _("builds")
        indexes = indexes()
        constraints = [
            known("build", "state", State),
            known("build", "outcome", Outcome, blank=True),
            known("build", "ref_kind", RefKindChoices, blank=True),
            known("build", "probe_policy", ProbePolicyChoices),
            models.UniqueConstraint(fields=["application", "number"], name="build_number_once"),
            models.UniqueConstraint(
                fields=["application", "commit", "stack"],
                condition=~Q(state="finished") & ~Q(commit=""),
                name="build_one_active_per_commit",
            ),
            models.UniqueConstraint(
                fields=["application", "ref", "stack"], condition=~Q(state="finished"), name="build_one_active_per_ref"
            ),
            models.CheckConstraint(
                condition=Q(state="finished", finished_at__isnull=False)
                | ~Q(state="finished") & Q(finished_at__isnull=True),
                name="build_finished_means_finished_at",
            ),
            models.CheckConstraint(
                condition=Q(state="finished") & ~Q(outcome="") & ~Q(message="") | ~Q(state="finished") & Q(outcome=""),
                name="build_finished_means_outcome_and_message",
            ),
            models.CheckConstraint(
                condition=~Q(outcome="succeeded") | Q(artifact__isnull=False, image__isnull=False) & ~Q(commit=""),
                name="build_succeeded_means_artifact_and_image",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=[state.value for state in LEASED])
                | Q(lease_until__isnull=False, started_at__isnull=False, attempt__gte=1),
                name="build_working_means_lease",
            ),
            models.CheckConstraint(
                condition=Q(commit="") | Q(commit__regex=r"^[0-9a-f]{40}$"), name="build_commit_is_40_hex"
            ),
            models.CheckConstraint(
                condition=Q(error_text="") | Q(error_line__isnull=False), name="build_error_has_a_line"
            ),
            models.CheckConstraint(
                condition=Q(rebase_of__isnull=True) | Q(retry_of__isnull=True, without_cache=False),
                name="build_rebase_is_no_rebuild",
            ),
            models.CheckConstraint(condition=Q(rule="") | Q(requested_by=None), name="build_rule_is_nobody_else"),
            models.CheckConstraint(
                condition=Q(stack_digest="") | Q(stack_digest__regex=SHA256), name="build_stack_digest_is_64_hex"
            ),
            *BUILD_CONSTRAINTS,
        ]

    def __str__(self) -> str:
        return f"{self.application.name} #{self.number}"

    def get_absolute_url(self) -> str:
        return reverse("build", args=[self.application.name, self.number])

    # ---- questions ---------------------------------------------------------------------------------

    @property
    def is_finished(self) -> bool:
        return self.state == State.FINISHED

    @property
    def is_active(self) -> bool:
        return not self.is_finished

    @property
    def can_be_cancelled(self) -> bool:
        return self.state in (State.QUEUED, *WORKING)

    @property
    def succeeded(self) -> bool:
        return self.outcome == Outcome.SUCCEEDED

    @property
    def standing(self) -> str:
        """The one word for a badge: the outcome when it is over, the state until then."""
        return self.outcome or self.state

    def get_standing_display(self) -> str:
        return self.get_outcome_display() if self.outcome else self.get_state_display()

    @property
    def seconds(self) -> float | None:
        """From the take-up to the end (or to now); None while nobody has taken it up."""
        if self.started_at is None:
            return None
        return ((self.finished_at or timezone.now()) - self.started_at).total_seconds()

    @property
    def entry_point(self) -> str:
        return f"{self.module}:{self.callable}"

    def spec(self) -> BuildSpec:
        """What the pipeline needs to know."""
        return BuildSpec(
            build_id=self.pk,
            attempt=self.attempt,
            application=self.application.name,
            number=self.number,
            repository=self.repository,
            mirror=self.application.mirror_of(self.repository),
            ref=self.ref,
            ref_full=self.ref_full,
            commit=self.commit,
            layout=Layout(self.directory, self.module, self.callable, self.requirements),
            limits=Limits(**self.limits),
            stack=self.stack,
            probe_path=self.probe_path,
            probe_policy=cast(ProbePolicy, self.probe_policy),
            environment=self.environment,
            without_cache=self.without_cache,
        )

    def comparable(self) -> Build | None:
        """The measure of its steps: the newest release of the same application on the same stack before this one that
        did all of them; for a rebase, the release that it rebases."""
        if self.rebase_of is not None:
            return self.rebase_of
        earlier = Build.objects.succeeded().filter(application=self.application_id, stack=self.stack, rebase_of=None)
        return earlier.filter(number__lt=self.number).order_by("-number").first()

    # ---- verbs of a worker --------------------------------------------------------------------------

    def take_up(self, *, worker: str) -> bool:
        """QUEUED → CHECKING_OUT, with a lease and the next attempt. False when another worker was first."""
        with transaction.atomic():
            won = Build.objects.filter(pk=self.pk, state=State.QUEUED).update(
                state=State.CHECKING_OUT,
                attempt=F("attempt") + 1,
                worker=worker[:100],
                lease_until=_lease(),
                started_at=Now(),
            )
            if not won:
                return False
            self.refresh_from_db()
            Event.objects.record("build.started", build=self, data={"worker": self.worker, "attempt": self.attempt})
        return True

    def renew_lease(self) -> State:
        """Hold the lease for another span and say where the build is now; raises `LeaseLost` when it is not ours."""
        mine = Build.objects.filter(pk=self.pk, attempt=self.attempt, state__in=LEASED)
        if not mine.update(lease_until=_lease()):
            raise self._lost()
        return State(Build.objects.values_list("state", flat=True).get(pk=self.pk))

    @contextmanager
    def fenced(self) -> Iterator[None]:
        """A transaction in which this attempt surely still owns the build; `LeaseLost` otherwise."""
        with transaction.atomic():
            mine = Build.objects.select_for_update().filter(pk=self.pk, attempt=self.attempt, state__in=LEASED)
            if not mine.exists():
                raise self._lost()
            yield

    def note(self, **facts: Any) -> None:
        """Write facts of the work (not the state) on a build that this attempt still owns."""
        with self.fenced():
            Build.objects.filter(pk=self.pk).update(**facts)
        for name, value in facts.items():
            setattr(self, name, value)

    def mark_producing(self) -> None:
        self._move(to=State.PRODUCING, come_from=(State.CHECKING_OUT,))

    def mark_packaging(self) -> None:
        self._move(to=State.PACKAGING, come_from=(State.PRODUCING,))

    def mark_probing(self) -> None:
        self._move(to=State.PROBING, come_from=(State.PACKAGING,))

    def mark_succeeded(self, message: str) -> None:
        """Only from PROBING: a build that is being cancelled cannot succeed any more."""
        self._end(Outcome.SUCCEEDED, message, come_from=(State.PROBING,))

    def mark_ended(self, outcome: Outcome, message: str) -> None:
        """Every other end of a build that this attempt owns."""
        if outcome == Outcome.SUCCEEDED:
            raise IllegalTransition(say("A build succeeds through mark_succeeded alone."))
        self._end(outcome, message, come_from=LEASED)

    # ---- verbs of a person and of the sweeper ---------------------------------------------------------

    def mark_cancelling(self, *, by: Actor) -> None:
        """A person asks for the end: a queued build ends at once, a working one when its worker has let go."""
        with transaction.atomic():
            now = Build.objects.select_for_update().get(pk=self.pk)
            if now.state == State.QUEUED:
                name = by.get_username() if by is not None else say("the portal")
                message = say("Cancelled by %(name)s before a worker took it up.", name=name)
                now._end(Outcome.CANCELLED, message, (State.QUEUED,), by=by)
            elif now.state in WORKING:
                Build.objects.filter(pk=self.pk).update(state=State.CANCELLING, cancel_asked_at=Now())
                Event.objects.record("build.cancel_asked", by=by, build=self)
            else:
                over = now.get_standing_display().lower()
                raise IllegalTransition(
                    say("Build %(build)s is %(standing)s: there is nothing to cancel.", build=self, standing=over)
                )
        self.refresh_from_db()

    def mark_lost(self, message: str) -> bool:
        """The sweeper's verb for a build whose lease ran out; False when its worker came back meanwhile."""
        with transaction.atomic():
            lost = Build.objects.lease_ran_out().select_for_update().filter(pk=self.pk, attempt=self.attempt).first()
            if lost is None:
                return False
            cancelled = lost.state == State.CANCELLING
            outcome = Outcome.CANCELLED if cancelled else Outcome.WORKER_LOST
            gone = say("Cancelled; its worker was gone by then.")
            lost._end(outcome, gone if cancelled else message, come_from=LEASED)
        return True

    # ---- inside ---------------------------------------------------------------------------------------

    def _move(self, *, to: State, come_from: tuple[State, ...]) -> None:
        mine = Build.objects.filter(pk=self.pk, attempt=self.attempt, state__in=come_from)
        if not mine.update(state=to, lease_until=_lease()):
            self._refuse(to)
        self.state = to

    def _end(self, outcome: Outcome, message: str, come_from: tuple[State, ...], by: Actor = None) -> None:
        facts = {"state": State.FINISHED, "outcome": outcome, **columns("message", message, most=2000)}
        with transaction.atomic():
            mine = Build.objects.filter(pk=self.pk, attempt=self.attempt, state__in=come_from)
            if not mine.update(**facts, finished_at=Now(), lease_until=None):
                self._refuse(State.FINISHED)
            # A step that nobody could end any more, because its worker was killed, ends with the build.
            left = "stopped" if outcome == Outcome.CANCELLED else "failed"
            self.steps.filter(result="running").update(result=left, finished_at=Now())
            Event.objects.record(
                "build.finished", by=by, build=self, data={"outcome": outcome.value, "message": facts["message"]}
            )
            self.refresh_from_db()
            Tally.objects.add("build", outcome.value, self.seconds)

    def _lost(self) -> LeaseLost:
        return LeaseLost(
            say("Build %(build)s is no longer this worker's: it was finished by another hand.", build=self)
        )

    def _refuse(self, to: State) -> None:
        now = Build.objects.get(pk=self.pk)
        if now.attempt != self.attempt or now.is_finished:
            raise self._lost()
        raise IllegalTransition(
            say("Build %(build)s cannot become %(to)s while it is %(state)s.", build=self, to=to.value, state=now.state)
        )


def _lease() -> models.expressions.CombinedExpression:
    return Now() + timedelta(seconds=settings.LEASE_SECONDS)
