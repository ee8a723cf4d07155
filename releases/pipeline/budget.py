"""Whether a release keeps its budgets. All that it weighs is known before its image is made, so what is too large is
never loaded into the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from releases.pipeline.bench import Bench
from releases.specs import Budget, Budgets, BuiltFile, Crossing, Grown, StackImages, Weight, Weights

GROWN_NAMED = 3
"""How many of the parts that grew are named."""
Before = tuple[int, Weights] | None
"""The release that is compared with: its number, and what it weighs."""


def size_of_image(artifact: BuiltFile, images: StackImages, bench: Bench) -> int:
    """Bytes of the image that `package` will make: the sum of its layers, as the engine counts them."""
    return bench.blobs.size(images.runner_layer) + sum(sheet.size for sheet in artifact.sheets)


def judge_archive(budgets: Budgets, now: Weights, before: Before) -> Crossing | None:
    """None when the archive keeps its budget, or has none."""
    budget = budgets.archive
    if budget is None or now.archive <= budget.most:
        return None
    number, was = (before[0], before[1].archive) if before else (0, 0)
    grew = tuple(_grown(now, before, _packed))
    return Crossing("archive", budget.policy, now.archive, budget.most, 0, number, was, grew=grew)


def judge_image(budgets: Budgets, now: Weights, before: Before) -> list[Crossing]:
    """Its budget and that of its growth may both be crossed."""
    number, was = (before[0], before[1].image) if before else (0, 0)
    grew, found = tuple(_grown(now, before, _unpacked)), []
    if budgets.image is not None and now.image > budgets.image.most:
        found.append(Crossing("image", budgets.image.policy, now.image, budgets.image.most, 0, number, was, grew=grew))
    growth = budgets.growth
    if growth is not None and was and now.image > (most := _allowed(was, growth)):
        found.append(
            Crossing("growth", growth.policy, now.image, most, number, number, was, percent=growth.most, grew=grew)
        )
    return found


def _allowed(was: int, growth: Budget) -> int:
    return was * (100 + growth.most) // 100


def _packed(part: Weight) -> int:
    return part.packed


def _unpacked(part: Weight) -> int:
    return part.unpacked


def _grown(now: Weights, before: Before, size: Callable[[Weight], int]) -> Iterator[Grown]:
    """The parts with the largest differences; none when there is nothing to compare with, or it is not known."""
    if before is None or not before[1].parts:
        return
    then = {(part.kind, part.name): part for part in before[1].parts}
    more = [(size(part) - (size(old) if (old := then.get((part.kind, part.name))) else 0), part) for part in now.parts]
    for difference, part in sorted(more, key=lambda pair: -pair[0])[:GROWN_NAMED]:
        if difference > 0:
            was = then.get((part.kind, part.name))
            yield Grown(part.kind, part.name, was.version if was else "", part.version, difference)
