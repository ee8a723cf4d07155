"""The arithmetic: what one turn measured, medians with their spread, ratios, and the goals."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Side:
    """One release on one side. Seconds and bytes."""

    seconds: float
    parts: dict[str, float] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Turn:
    """What was measured one right after the other: portal, the machine's floor (where there is one), origin."""

    application: str
    case: str
    round: int
    portal: Side
    origin: Side
    floor: Side | None = None


@dataclass(frozen=True, slots=True)
class Spread:
    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        listed = list(values)
        return cls(statistics.median(listed), min(listed), max(listed))


def p95(values: Sequence[float]) -> float:
    """So much or less are 95 of 100."""
    return statistics.quantiles(values, n=20, method="inclusive")[-1] if len(values) > 1 else values[0]


@dataclass(frozen=True, slots=True)
class Row:
    """All rounds of one case of one application. Ratios are of each turn, because the machine drifts between turns."""

    application: str
    case: str
    portal: Spread
    origin: Spread
    faster: Spread
    """How many times."""
    floor: Spread | None
    times_floor: Spread | None
    portal_parts: dict[str, float]
    """Medians."""
    origin_parts: dict[str, float]
    floor_parts: dict[str, float]


@dataclass(frozen=True, slots=True)
class Goal:
    what: str
    wanted: str
    reached: str
    met: bool


def rows(turns: Sequence[Turn]) -> list[Row]:
    """One row for each application and case, in the order in which they were first measured."""
    keys = list(dict.fromkeys((turn.application, turn.case) for turn in turns))
    return [_row([turn for turn in turns if (turn.application, turn.case) == key]) for key in keys]


def _row(turns: Sequence[Turn]) -> Row:
    floors = [(turn.portal, turn.floor) for turn in turns if turn.floor]
    return Row(
        application=turns[0].application,
        case=turns[0].case,
        portal=Spread.of(turn.portal.seconds for turn in turns),
        origin=Spread.of(turn.origin.seconds for turn in turns),
        faster=Spread.of(turn.origin.seconds / turn.portal.seconds for turn in turns),
        floor=Spread.of(floor.seconds for _, floor in floors) if floors else None,
        times_floor=Spread.of(portal.seconds / floor.seconds for portal, floor in floors) if floors else None,
        portal_parts=medians([turn.portal.parts for turn in turns]),
        origin_parts=medians([turn.origin.parts for turn in turns]),
        floor_parts=medians([floor.parts for _, floor in floors]),
    )


def medians(parts: Sequence[dict[str, float]]) -> dict[str, float]:
    """Of each part that any turn has, over the turns that have it."""
    names = dict.fromkeys(name for one in parts for name in one)
    return {name: statistics.median(one[name] for one in parts if name in one) for name in names}


def goals(measured: Sequence[Row], turns: Sequence[Turn]) -> list[Goal]:
    """Those that what was measured can answer."""
    found = {(row.application, row.case): row for row in measured}
    wanted: list[tuple[str, str, Callable[[Row], Spread | None], float, bool]] = [
        ("source changed: against the origin", "source", lambda row: row.faster, 25.0, True),
        ("source changed: against the floor", "source", lambda row: row.times_floor, 3.0, False),
        ("one requirement changed: against the origin", "requirement", lambda row: row.faster, 3.0, True),
        ("first release: against the origin", "first", lambda row: row.faster, 1.5, True),
    ]
    listed = [
        _ratio(f"modern, {what}", spread.median, limit, at_least=at_least)
        for what, case, reading, limit, at_least in wanted
        if (row := found.get(("modern", case))) and (spread := reading(row))
    ]
    return [*listed, *_size_goals(turns)]


def _ratio(what: str, reached: float, limit: float, *, at_least: bool) -> Goal:
    if at_least:
        return Goal(what, f"≥ {limit:g}x faster", f"{reached:.1f}x", reached >= limit)
    return Goal(what, f"≤ {limit:g}x", f"{reached:.2f}x", reached <= limit)


def _size_goals(turns: Sequence[Turn]) -> list[Goal]:
    found = []
    if turns:
        found.append(_size("runtime image before the application", turns[-1].portal.sizes["runtime"], 40))
    tiny = [turn for turn in turns if turn.application == "tiny"]
    if tiny:
        found.append(_size("runtime image with Flask (tiny)", max(turn.portal.sizes["image"] for turn in tiny), 45))
    return found


def _size(what: str, reached: int, limit: int) -> Goal:
    return Goal(what, f"≤ {limit} MB", f"{reached / MB:.1f} MB", reached <= limit * MB)
