"""`/metrics` for Prometheus: worked out from the rows and from Redis at each scrape, so that however many web processes
there are, all of them answer the same.

Counts that would grow with the builds are kept as tallies, and no label is an application's name: a portal has a
thousand of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from django.conf import settings
from django.db.models import Count, Min
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry

import portal as product
from releases.models import (
    BOUNDS,
    NO_TIME,
    Application,
    Build,
    Outcome,
    Pause,
    Preparation,
    PreparationState,
    State,
    StepName,
    Tally,
    Workshop,
)
from releases.views.workforce import QueueRow, queues

LOOPBACK = ("127.0.0.1", "::1")
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP")
"""Headers by which a proxy on this machine says for whom it asks."""
PREFIX = "release_portal"


@never_cache
@require_safe
def show(request: HttpRequest) -> HttpResponse:
    """With the token that is set; without one for this machine alone."""
    if (refusal := refused(request)) is not None:
        return refusal
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Portal())
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(registry), content_type=content_type)


def refused(request: HttpRequest) -> HttpResponse | None:
    """The answer to somebody who may not read them; None for somebody who may."""
    if not settings.METRICS_TOKEN:
        forwarded = any(name in request.headers for name in FORWARDED)
        if request.META.get("REMOTE_ADDR") in LOOPBACK and not forwarded:
            return None
        return _said("Without PORTAL_METRICS_TOKEN the metrics are for this machine alone: set one.\n", 403)
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer" and constant_time_compare(token.strip(), settings.METRICS_TOKEN):
        return None
    answer = _said("Send the token of PORTAL_METRICS_TOKEN: Authorization: Bearer ….\n", 401)
    answer.headers["WWW-Authenticate"] = 'Bearer realm="metrics"'
    return answer


def _said(sentence: str, status: int) -> HttpResponse:
    return HttpResponse(sentence, status=status, content_type="text/plain; charset=utf-8")


class Portal(Collector):
    """Everything, in a fixed number of queries."""

    def collect(self) -> Iterator[Metric]:
        seen, rows = Workshop.objects.seen(), queues()
        yield gauge("info", "The version that runs.", [({"version": product.__version__}, 1)])
        yield from _builds()
        yield from _durations()
        yield from _queue()
        yield from _workers(rows)
        yield from _workshop(seen)


def _builds() -> Iterator[Metric]:
    active = Build.objects.active().order_by()
    states = dict(active.values_list("state").annotate(n=Count("pk")))
    words = [state.value for state in State if state != State.FINISHED]
    yield gauge("builds", "Builds that are not over, by state.", [({"state": w}, states.get(w, 0)) for w in words])
    yield gauge("applications", "Registered applications.", [({}, Application.objects.count())])


def _durations() -> Iterator[Metric]:
    tallies: dict[tuple[str, str], list[Tally]] = defaultdict(list)
    for tally in Tally.objects.all():
        tallies[tally.noun, tally.label].append(tally)
    ended = CounterMetricFamily(f"{PREFIX}_builds_finished", "Builds that ended, by outcome.", labels=["outcome"])
    took = HistogramMetricFamily(
        f"{PREFIX}_build_duration_seconds", "From the take-up to the end of a build.", labels=["outcome"]
    )
    for outcome in Outcome.values:
        counted = tallies["build", outcome]
        ended.add_metric([outcome], sum(tally.count for tally in counted))
        took.add_metric([outcome], *histogram(counted))
    steps = HistogramMetricFamily(f"{PREFIX}_step_duration_seconds", "How long steps took.", labels=["step"])
    for step in StepName.values:
        steps.add_metric([step], *histogram(tallies["step", step]))
    yield from (ended, took, steps)


def histogram(tallies: Iterable[Tally]) -> tuple[list[tuple[str, float]], float]:
    """Each bound with how many did not exceed it, and the seconds of all."""
    counts, seconds = defaultdict[int, int](int), 0.0
    for tally in tallies:
        if tally.bucket != NO_TIME:
            counts[tally.bucket] += tally.count
            seconds += tally.seconds
    buckets, below = [], 0
    for place, bound in enumerate((*BOUNDS, None), start=1):
        below += counts[place]
        buckets.append(("+Inf" if bound is None else str(bound), float(below)))
    return buckets, seconds


def _queue() -> Iterator[Metric]:
    queued = Build.objects.queued().order_by().aggregate(n=Count("pk"), oldest=Min("created_at"))
    asked = Preparation.objects.filter(state=PreparationState.QUEUED).order_by()
    preparing = asked.aggregate(n=Count("pk"), oldest=Min("created_at"))
    kinds = {"build": queued, "preparation": preparing}
    yield gauge("queue_length", "What waits for a build worker.", [({"kind": k}, f["n"]) for k, f in kinds.items()])
    now = timezone.now()
    ages = [({"kind": k}, (now - f["oldest"]).total_seconds() if f["oldest"] else 0) for k, f in kinds.items()]
    yield gauge("queue_oldest_seconds", "How long the oldest of them has waited.", ages)
    yield gauge("paused", "1 while no new builds are taken.", [({}, Pause.objects.current() is not None)])


def _workers(rows: list[QueueRow] | None) -> Iterator[Metric]:
    yield gauge("redis_up", "1 when Redis answers.", [({}, rows is not None)])
    states = [
        ({"queue": row.name, "state": state}, count)
        for row in rows or ()
        for state, count in (("busy", row.busy), ("idle", row.alive - row.busy))
    ]
    yield gauge("workers", "Workers that listen; absent while Redis is away.", states, labels=["queue", "state"])


def _workshop(seen: Workshop | None) -> Iterator[Metric]:
    if seen is None:
        return
    age = (timezone.now() - seen.seen_at).total_seconds()
    yield gauge("sweep_age_seconds", "Since the sweeper's last round; what follows is as old.", [({}, age)])
    if seen.round_seconds is not None:
        yield gauge("sweep_duration_seconds", "How long its last round took.", [({}, seen.round_seconds)])
    repairs = CounterMetricFamily(f"{PREFIX}_repairs", "What the sweeper closed, rang again or removed.")
    repairs.add_metric([], seen.repairs)
    yield repairs
    yield gauge("engine_up", "1 when the container engine answered the sweeper.", [({}, seen.engine_answers)])
    yield gauge("cage_closed", "1 when the networks of builds and previews are closed.", [({}, not seen.cage_problem)])
    disks = [({"place": "+".join(place["names"])}, place) for place in seen.places]
    for what in ("free", "total"):
        yield gauge(
            f"disk_{what}_bytes",
            f"Bytes {'free' if what == 'free' else 'in all'} on each disk in use.",
            [(labels, place[what]) for labels, place in disks],
            labels=["place"],
        )
    kept = seen.holds
    for unit, suffix in (("", "s"), ("_bytes", "_bytes")):
        found = [({"what": what}, kept.get(f"{what}{suffix}", 0)) for what in ("artifact", "image")]
        yield gauge(f"kept{unit}", "Archives, and images by their own word (shared layers count in each).", found)


def gauge(
    name: str, about: str, values: Iterable[tuple[dict[str, str], float]], labels: list[str] | None = None
) -> GaugeMetricFamily:
    found = list(values)
    names = labels if labels is not None else list(found[0][0])
    family = GaugeMetricFamily(f"{PREFIX}_{name}", about, labels=names)
    for given, value in found:
        family.add_metric([given[label] for label in names], float(value))
    return family
