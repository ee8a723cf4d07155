"""The words for where a build is and for how it ended. Three questions, three fields: state, outcome, message."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class State(models.TextChoices):
    """Where a build is. QUEUED waits for a worker; FINISHED never changes again; all between hold a lease."""

    QUEUED = "queued", _("Queued")
    CHECKING_OUT = "checking_out", _("Checking out")
    PRODUCING = "producing", _("Producing")
    PACKAGING = "packaging", _("Packaging")
    PROBING = "probing", _("Probing")
    CANCELLING = "cancelling", _("Cancelling")
    FINISHED = "finished", _("Finished")


class Outcome(models.TextChoices):
    """How a build ended: the first is good, the next four are the application's or a person's, the rest are ours."""

    SUCCEEDED = "succeeded", _("Succeeded")
    FAILED = "failed", _("Failed")
    TIMED_OUT = "timed_out", _("Timed out")
    OUT_OF_MEMORY = "out_of_memory", _("Out of memory")
    CANCELLED = "cancelled", _("Cancelled")
    WORKER_LOST = "worker_lost", _("Worker lost")
    ENGINE_UNAVAILABLE = "engine_unavailable", _("Engine unavailable")
    SOURCE_UNAVAILABLE = "source_unavailable", _("Source unavailable")
    INTERNAL_ERROR = "internal_error", _("Internal error")


WORKING = (State.CHECKING_OUT, State.PRODUCING, State.PACKAGING, State.PROBING)
"""A worker is at it and nobody has asked for its end."""
LEASED = (*WORKING, State.CANCELLING)
"""A worker holds a lease."""

NORMAL = 2_000_000
TURNS = {"high": 1_000_000, "normal": NORMAL, "low": 3_000_000}
"""The priorities that a build may be asked for with: who has the smaller turn is taken up sooner. What a person moved
to the front has a turn before these."""
