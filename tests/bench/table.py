"""The result for people: aligned, at most 120 columns."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from tests.bench.figures import MB, Goal, Row, Spread, Turn
from tests.bench.turns import Measured

CASES = {
    "first": "first release",
    "again": "again",
    "source": "source changed",
    "requirement": "requirement changed",
}
OF_PORTAL = """\
The portal's parts, seconds (medians). “POST” is when the browser has its answer; the build may be on its way by then.
All columns from “click” to “seen” together are the whole time. “seen” is the end of the last transaction and the delay
of a look at the database every 10 ms; a browser's page asks once a second."""
OF_ORIGIN = """\
The origin's parts, seconds (medians). “clone” is git clone and git archive; “start” to “tar” are in “docker run”,
“context” and “ADD” in “docker build”; both together are the whole time."""
OF_CLICK = ("click to row", "queue", "between steps", "seen")
"""What a portal adds to the steps; together with them it is the whole time."""


def text(rows: Sequence[Row], measured: Measured, goals: Sequence[Goal]) -> str:
    """All tables, with a blank line between them."""
    parts = [
        "Seconds: median (least–most). Ratios: of each turn, then their median.",
        _times(rows),
        OF_PORTAL,
        _portal(rows),
        *_probes(measured.probes),
        OF_ORIGIN,
        _parts(rows, "origin"),
        *_floor(rows),
        "Sizes, MB, as the engine counts them.",
        _sizes(measured.turns),
        "Goals",
        reached(goals),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def aligned(lines: Sequence[Sequence[str]], left: int = 2) -> str:
    """Columns of one width each; the first `left` are text, the others numbers."""
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    shown = (
        "  ".join(cell.ljust(width) if at < left else cell.rjust(width) for at, (cell, width) in enumerate(pairs))
        for pairs in (list(zip(line, widths, strict=True)) for line in lines)
    )
    return "\n".join(line.rstrip() for line in shown)


def _times(rows: Sequence[Row]) -> str:
    lines = [["application", "case", "portal", "origin", "faster", "floor", "of floor"]]
    for row in rows:
        floor = _spread(row.floor) if row.floor else ""
        times = _spread(row.times_floor, "x") if row.times_floor else ""
        faster = _spread(row.faster, "x")
        lines.append([row.application, CASES[row.case], _spread(row.portal), _spread(row.origin), faster, floor, times])
    return aligned(lines)


def _portal(rows: Sequence[Row]) -> str:
    steps = _names(rows, "portal", but=("POST answered", *OF_CLICK))
    columns = ["click to row", "queue", *steps, "between steps", "seen"]
    heads = ["click", "queue", *steps, "between", "seen"]
    lines = [["application", "case", "POST", *heads, "whole"]]
    for row in rows:
        found = [_number(row.portal_parts.get(name)) for name in ("POST answered", *columns)]
        lines.append([row.application, CASES[row.case], *found, _number(row.portal.median)])
    return aligned(lines)


def _parts(rows: Sequence[Row], side: str) -> str:
    names = _names(rows, side)
    lines = [["application", "case", *names]]
    for row in rows:
        parts = getattr(row, f"{side}_parts")
        if parts:
            lines.append([row.application, CASES[row.case], *(_number(parts.get(name)) for name in names)])
    return aligned(lines) if len(lines) > 1 else ""


def _floor(rows: Sequence[Row]) -> list[str]:
    table = _parts(rows, "floor")
    return ["The floor's parts, seconds (medians): the same work done bare.", table] if table else []


def _probes(probes: Mapping[str, Sequence[float]]) -> list[str]:
    found = ", ".join(f"{name} {_spread(Spread.of(values))}" for name, values in probes.items())
    return [f"The probe is off above. It would add, seconds: {found}."] if found else []


def _sizes(turns: Sequence[Turn]) -> str:
    lines = [["application", "", "portal", "origin", "times smaller"]]
    for name in dict.fromkeys(turn.application for turn in turns):
        last = [turn for turn in turns if turn.application == name]
        for key, what in _SIZES.items():
            ours, theirs = (
                statistics.median(getattr(turn, side).sizes[key] for turn in last) for side in ("portal", "origin")
            )
            lines.append([name, what, f"{ours / MB:.1f}", f"{theirs / MB:.1f}", f"{theirs / ours:.2f}"])
    return aligned(lines)


_SIZES = {
    "builder": "builder image",
    "runtime": "runtime before the application",
    "image": "runtime with the application",
    "archive": "app.tar.gz",
}


def reached(goals: Sequence[Goal]) -> str:
    """Which goals were met."""
    lines = [["goal", "wanted", "reached", "met"]]
    lines += [[goal.what, goal.wanted, goal.reached, "yes" if goal.met else "NO"] for goal in goals]
    return aligned(lines, left=1)


def _names(rows: Sequence[Row], side: str, *, but: Sequence[str] = ()) -> list[str]:
    """Of all parts that take time in any row, in the order in which they come."""
    longest = sorted((getattr(row, f"{side}_parts") for row in rows), key=len, reverse=True)
    taking_time = (
        name for parts in longest for name in parts if any(getattr(row, f"{side}_parts").get(name) for row in rows)
    )
    return [name for name in dict.fromkeys(taking_time) if name not in but]


def three(values: Sequence[float]) -> list[str]:
    """Median, least and most, each for a column of its own."""
    spread = Spread.of(values)
    return [f"{value:.2f}" for value in (spread.median, spread.least, spread.most)]


def _spread(spread: Spread, unit: str = "") -> str:
    least, most = _number(spread.least), _number(spread.most)
    return f"{_number(spread.median)}{unit}" + (f" ({least}–{most})" if least != most else "")


def _number(value: float | None) -> str:
    """Three digits are more than such a measure holds."""
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 99.95 else f"{value:.1f}" if abs(value) >= 9.995 else f"{value:.2f}"
