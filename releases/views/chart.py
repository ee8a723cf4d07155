"""A trend as a picture: where each build stands on a sheet, what its shape is, and the same figures as rows.

Across, places are per cent of the sheet, so that one picture fits a side column, a page and a phone; down, they are
pixels. Both are attributes: a strict policy allows no style. Nothing is told by colour alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _

if TYPE_CHECKING:
    from releases.views.series import Point

Named = tuple[str, str, int | None]
"""What a figure is, how it reads, and the number of its build."""
Columns = Callable[[int], tuple[float, float, float]]
"""The middle, the left edge and the width of a build's column, in per cent."""
TOP, FOOT = 20.0, 18.0
"""Pixels above the highest and below the lowest line of the scale: room for labels."""
LABEL_WIDTH, LABEL_HEIGHT = 24.0, 13.0
"""What a label takes at most, in per cent of the narrowest sheet and in pixels."""


@dataclass(frozen=True, slots=True)
class Tick:
    y: str
    text: str


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of the budget's line: it held for the builds between these places."""

    x1: str
    x2: str
    y: str


@dataclass(frozen=True, slots=True)
class Bar:
    x: str
    width: str
    y: str
    height: str
    look: str


@dataclass(frozen=True, slots=True)
class Mark:
    """One build: a link over its whole column, its shape, and what is said of it."""

    number: int
    address: str
    words: str
    x: str
    """The middle of its column."""
    left: str
    width: str
    y: str
    shape: str
    bar: Bar | None = None


@dataclass(frozen=True, slots=True)
class Label:
    x: str
    y: str
    text: str
    anchor: str
    is_last: bool


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the table behind the picture."""

    number: int
    address: str
    ref: str
    value: str
    exact: str
    note: str


@dataclass(slots=True)
class Chart:
    name: str
    title: str
    height: int
    head: str = ""
    """The one figure beside the title."""
    empty: str = ""
    """Why there is no picture yet, and when there will be one."""
    ticks: list[Tick] = field(default_factory=list)
    path: str = ""
    budget: list[Segment] = field(default_factory=list)
    budget_words: str = ""
    marks: list[Mark] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    facts: list[Named] = field(default_factory=list)
    """First, last, least and most, each with its build; one for all of them where they read alike."""
    note: str = ""
    """What the figures leave out."""
    legend: list[tuple[str, str]] = field(default_factory=list)
    rows: list[Line] = field(default_factory=list)
    """Newest first."""
    words: str = ""

    @property
    def bottom(self) -> str:
        return f"{self.height - FOOT:.1f}"

    @property
    def end(self) -> str:
        """Where the last column ends: of a few builds, before the sheet does."""
        return f"{float(self.last.left.rstrip('%')) + float(self.last.width.rstrip('%')):.3f}%"

    @property
    def first(self) -> Mark:
        return self.marks[0]

    @property
    def last(self) -> Mark:
        return self.marks[-1]


def columns(count: int) -> Columns:
    width = 100 / max(count, 6)
    return lambda index: (width * (index + 0.5), width * index, width)


def mark(row: Line, column: tuple[float, float, float], y: float, shape: str, bar: Bar | None = None) -> Mark:
    """The build of a row where it stands in the picture; above its bar, if it has one."""
    middle, left, width = column
    said = f"#{row.number} {row.ref[:24]}: {row.value}, {row.exact}"
    return Mark(
        number=row.number,
        address=row.address,
        words=f"{said}, {row.note}" if row.note else said,
        x=f"{middle:.3f}%",
        left=f"{left:.3f}%",
        width=f"{width:.3f}%",
        y=f"{y - 7 if bar else y:.1f}",
        shape=shape,
        bar=bar,
    )


def extremes(
    values: Sequence[tuple[int, Point, float]],
    at: Columns,
    place: Callable[[float], float],
    words: Callable[[float], str],
    *,
    ground: float = 0.0,
    taken: Sequence[tuple[float, float]] = (),
) -> tuple[list[Named], list[Label]]:
    """First, last, least and most in words; and as labels in the picture, as far as they do not cover each other.

    Above `ground`, the foot of a line, there is room for a label below the least; bars, which have none, hide it."""
    if not values:
        return [], []
    least, most = min(values, key=lambda one: one[2]), max(values, key=lambda one: one[2])
    is_flat = len(values) > 1 and words(least[2]) == words(most[2])
    covered = list(taken)
    labels = []
    for index, _point, value in (
        (values[-1],) if is_flat else (values[-1], most, *((least, values[0]) if ground else ()))
    ):
        middle, y = at(index)[0], place(value)
        below = index == least[0] and value < most[2] and y + 16 < ground
        y += 15 if below else -8
        if all(abs(middle - x) > LABEL_WIDTH or abs(y - other) > LABEL_HEIGHT for x, other in covered):
            covered.append((middle, y))
            anchor = "start" if middle < LABEL_WIDTH / 2 else "end" if middle > 100 - LABEL_WIDTH / 2 else "middle"
            labels.append(Label(f"{middle:.3f}%", f"{y:.1f}", words(value), anchor, index == values[-1][0]))
    if is_flat:
        return [(_("each of them about"), words(most[2]), None)], labels
    named = [(_("first"), values[0]), (_("last"), values[-1]), (_("least"), least), (_("most"), most)]
    return [(name, words(value), point.number) for name, (_index, point, value) in named], labels


def legend(marks: Iterable[Mark]) -> list[tuple[str, str]]:
    """The shapes that are there and what they mean, in a fixed order."""
    words = {
        "keep": _("environment reused"),
        "cast": _("a new environment was made"),
        "over": _("over budget"),
        "refused": _("refused: over budget"),
        "fail": _("failed"),
        "no": _("did not succeed"),
    }
    there = {shape for mark in marks for shape in (mark.shape, mark.bar.look if mark.bar else "")}
    return [(shape, said) for shape, said in words.items() if shape in there]


def nothing_yet(count: int) -> str:
    if count:
        return _("One release so far: from the second on, a line shows how it grows.")
    return _("Nothing to draw yet: from the second release on, it is drawn here.")
