"""A release is held to the budgets that were frozen on its build: what is over is written down, told in the log, and
ends the build where the application says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from django.db import transaction
from django.db.models import QuerySet

from releases.errors import BuildFailed, Sentence, joined, say
from releases.models import Build, Event
from releases.pipeline import budget
from releases.pipeline.bench import Bench
from releases.specs import BuiltFile, Crossing, StackImages, weigh

MEASURED = {"image": "image__size", "archive": "artifact__size"}


def judge_archive(build: Build, artifact: BuiltFile, bench: Bench) -> None:
    """To be asked before the image is made. Raises `BuildFailed` when it is over a budget that must be kept."""
    over = budget.judge_archive(build.frozen_budgets(), weigh(artifact, 0), _before(build))
    _write_down(build, [over] if over else [], bench)


def judge_image(build: Build, artifact: BuiltFile, images: StackImages, bench: Bench) -> None:
    """To be asked before the image is made. Raises `BuildFailed` when it would be over a budget that must be kept."""
    size = budget.size_of_image(artifact, images, bench)
    _write_down(build, budget.judge_image(build.frozen_budgets(), weigh(artifact, size), _before(build)), bench)


def over_in_words(build: Build) -> list[Sentence]:
    """The end of the message of a release that is over a budget; nothing for any other."""
    crossed = [one.short() for one in build.crossed()]
    return [say("Over budget: %(what)s.", what=joined(", ", crossed))] if crossed else []


def _before(build: Build) -> budget.Before:
    """The release that is rebased, or the last one of the application, whatever its stack."""
    last = build.rebase_of or _earlier(build).select_related("artifact", "image").order_by("-number").first()
    if last is None or last.artifact is None or last.image is None:
        return None
    return last.number, weigh(last.artifact.kept(), last.image.size)


def _write_down(build: Build, crossed: Sequence[Crossing], bench: Bench) -> None:
    crossed = [replace(one, since=_since(build, one)) for one in crossed]
    with transaction.atomic():
        if crossed:
            build.note(crossings=[*build.crossings, *(one.as_json() for one in crossed)])
        for one in crossed:
            facts = {"budget": one.budget, "policy": one.policy, "size": one.size, "most": one.most}
            Event.objects.record("budget.crossed", build=build, data=facts)
    for one in crossed:
        bench.output(f"{'Over budget' if one.policy == 'fail' else 'Warning'}: {one.sentence()}")
    if refused := [one.sentence() for one in crossed if one.policy == "fail"]:
        raise BuildFailed(_refusal(build, joined(" ", refused)))


def _refusal(build: Build, why: str) -> Sentence:
    if build.rebase_of is not None:
        return say(
            "Over budget, so nothing was released: %(why)s Raise the budget in the application's settings and rebase "
            "#%(number)s again, or make the runtime smaller.",
            why=why,
            number=build.rebase_of.number,
        )
    return say(
        "Over budget, so nothing was released: %(why)s Make it smaller, or raise the budget in the application's "
        "settings and press Rebuild.",
        why=why,
    )


def _earlier(build: Build) -> QuerySet[Build]:
    return Build.objects.succeeded().filter(application=build.application_id, number__lt=build.number)


def _since(build: Build, one: Crossing) -> int:
    """The first of the releases before this one, without a gap, that are over the same size; 0 when there is none."""
    if one.budget == "growth":
        return one.since
    size = MEASURED[one.budget]
    earlier = _earlier(build)
    within = earlier.filter(**{f"{size}__lte": one.most}).order_by("-number").values_list("number", flat=True).first()
    over = earlier.filter(number__gt=within or 0).order_by("number").values_list("number", flat=True)
    return over.first() or 0
