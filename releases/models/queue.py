"""Who is taken up next, and whether anybody is. PostgreSQL says both; a job in Redis only wakes a worker that asks.

The line is ordered by turn and then by age. A build that a person moved to the front has a turn before all others.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models, transaction
from django.db.models import OuterRef, Q, Subquery
from django.db.models.functions import Coalesce, Now
from django.utils.translation import gettext_lazy as _

from releases.errors import IllegalTransition, InvalidInput, say
from releases.models.build import Build
from releases.models.event import Actor, Event
from releases.models.states import TURNS, State


def turn_of(priority: str) -> int:
    """Raises `InvalidInput` for a word that is no priority."""
    if priority not in TURNS:
        raise InvalidInput(
            say("“%(word)s” is no priority: choose high, normal or low.", word=priority[:60]), field="priority"
        )
    return TURNS[priority]


def in_line() -> models.QuerySet[Build]:
    """Those that wait, as they are taken up."""
    return Build.objects.queued().order_by("turn", "id")


def priority_of(build: Build) -> str:
    """`next` for one that a person moved to the front, else `high`, `normal` or `low`."""
    return next((word for word, turn in TURNS.items() if turn == build.turn), "next")


def next_build() -> Build | None:
    """The build that a worker who asks now takes up; None when none waits, or none may be begun."""
    if Pause.objects.current() is not None:
        return None
    return in_line().select_related("application").first()


def measures() -> dict[int, int]:
    """The build by which each that is not over is measured, both by their keys: what `Build.comparable` finds for one,
    for all of them at once. Those without a measure are left out."""
    like = Build.objects.succeeded().filter(
        application=OuterRef("application"), stack=OuterRef("stack"), rebase_of=None, number__lt=OuterRef("number")
    )
    measure = Coalesce("rebase_of_id", Subquery(like.order_by("-number").values("pk")[:1]))
    return dict(Build.objects.active().annotate(measure=measure).exclude(measure=None).values_list("pk", "measure"))


@transaction.atomic
def move_to_front(build: Build, *, by: Actor) -> None:
    """Before all that wait now. Raises `IllegalTransition` for a build that waits no more."""
    waiting = list(in_line().select_for_update())  # two hands at once get two turns, not one
    now = next((other for other in waiting if other.pk == build.pk), None)
    if now is None:
        raise IllegalTransition(say("Build %(build)s waits no more: a worker has it, or it is over.", build=str(build)))
    if waiting[0].pk == build.pk:
        return
    turn = min(waiting[0].turn, TURNS["high"]) - 1
    Build.objects.filter(pk=build.pk, state=State.QUEUED).update(turn=turn)
    Event.objects.record("build.moved_first", by=by, build=build, data={"place": waiting.index(now) + 1})
    build.refresh_from_db()


class PauseQuerySet(models.QuerySet["Pause"]):
    def current(self) -> Pause | None:
        return self.filter(ended_at__isnull=True).select_related("begun_by").first()

    @transaction.atomic
    def begin(self, why: str, *, by: Actor) -> Pause:
        """From now on nothing new is begun. A second one at once is refused by the database."""
        name = by.get_username() if by is not None and by.pk is not None else ""
        made = self.create(why=why, begun_by_id=by.pk if by is not None else None, begun_by_name=name)
        Event.objects.record("workshop.paused", by=by, data={"why": why})
        made.refresh_from_db()
        return made


class Pause(models.Model):
    """A time in which workers begin nothing new: builds and preparations wait, what runs is finished."""

    why = models.CharField(_("why"), max_length=200)
    begun_at = models.DateTimeField(_("begun"), db_default=Now())
    begun_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("begun by")
    )
    begun_by_name = models.CharField(_("name then"), max_length=150, blank=True)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)

    objects = PauseQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("pause")
        verbose_name_plural = _("pauses")
        permissions = [("operate_workshop", "May pause the taking of builds, and end the pause")]
        constraints = [
            models.UniqueConstraint(
                models.ExpressionWrapper(Q(ended_at__isnull=True), models.BooleanField()),
                condition=Q(ended_at__isnull=True),
                name="pause_one_at_once",
            ),
            models.CheckConstraint(condition=~Q(why=""), name="pause_says_why"),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | Q(ended_at__gte=models.F("begun_at")),
                name="pause_ends_after_begin",
            ),
        ]

    def __str__(self) -> str:
        return self.why

    def end(self, *, by: Actor) -> None:
        """Raises `IllegalTransition` when it is over already."""
        with transaction.atomic():
            if not Pause.objects.filter(pk=self.pk, ended_at__isnull=True).update(ended_at=Now()):
                raise IllegalTransition(say("The pause is over already: builds are taken."))
            Event.objects.record("workshop.resumed", by=by, data={"why": self.why})
        self.refresh_from_db()
