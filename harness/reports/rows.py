"""Tables that fit: rows by what they weigh, the lightest told together where there is no room, and the room shared between several tables."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from rich.cells import cell_len
from rich.measure import Measurement
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from rich.console import Console, ConsoleOptions, RenderableType

Cells: TypeAlias = "tuple[RenderableType, ...]"


WIDEST = 1000
"""Columns that any table has room in."""
LEAST = 15
"""Letters of the last cell of a row, at least, before others are cut as well."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """One row, and how much it matters that it is seen: 0 for what is as it should be."""

    cells: Cells
    weight: float = 0.0


@dataclass(frozen=True, slots=True)
class Section:
    """A table without lines. `rest` is the row for those that have no room, by their places; it is the last one, or the first where they are over.

    `folds`: what weighs nothing is told together as soon as not everything has room. `spare` are the columns, by their places, that are left out one
    after the other where a console is too narrow for all: a name that is cut is another one's.
    """

    columns: Sequence[str]
    rows: Sequence[Weighed]
    rest: Callable[[Sequence[int]], Cells]
    right: int = 0  # columns from the second up to this one are figures
    rest_first: bool = False
    folds: bool = False
    spare: Sequence[int] = ()
    scarce: Sequence[int] = ()  # as `spare`, but only once the last one has been cut

    @property
    def wanted(self) -> int:
        """All of them."""
        return len(self.rows)

    @property
    def brief(self) -> int:
        """Those that weigh something, and one for all others."""
        heavy = sum(row.weight > 0 for row in self.rows)
        return min(len(self.rows), heavy + 1)

    def fitting(self, console: Console, options: ConsoleOptions, room: int) -> Table:
        """Draw it with as many columns as a console is wide enough for; where it is too narrow for the least of them, the last one is cut."""
        wide = options.update(max_width=WIDEST)
        for left in range(len(self.spare) + 1):
            drawn = self.draw(room, self.spare[:left])
            beyond = Measurement.get(console, wide, drawn).maximum - options.max_width
            if beyond <= 0:
                return drawn
        last = drawn.columns[-1]
        length = max(cell_len(str(each)) for each in (last.header, *last.cells))
        if length - beyond < LEAST and self.scarce:
            return replace(self, spare=(*self.spare, *self.scarce), scarce=()).fitting(console, options, room)
        last.max_width = max(LEAST, length - beyond)
        return drawn

    def draw(self, room: int, without: Collection[int] = ()) -> Table:
        """Draw the heaviest rows in their order, and one for all others."""
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        kept = [number for number in range(len(self.columns)) if number not in without]
        for number in kept:
            figures = 0 < number < self.right
            table.add_column(self.columns[number], justify="right" if figures else "left", no_wrap=True)
        places = range(len(self.rows))
        shown = set(places)
        if len(self.rows) > room:
            shown = set(sorted(places, key=lambda place: (-self.rows[place].weight, place))[: max(0, room - 1)])
        hidden = [place for place in places if place not in shown]
        cells = [self.rows[place].cells for place in places if place in shown]
        if hidden:
            cells.insert(0 if self.rest_first else len(cells), self.rest(hidden))
        for each in cells:
            table.add_row(*(each[number] for number in kept))
        return table


@dataclass(frozen=True, slots=True)
class Beside:
    """Two tables side by side."""

    left: Section
    right: Section

    @property
    def wanted(self) -> int:
        """As many as the longer one has."""
        return max(self.left.wanted, self.right.wanted)

    @property
    def brief(self) -> int:
        """As many as are enough for both."""
        return max(self.left.brief, self.right.brief)

    @property
    def folds(self) -> bool:
        """They are told together only where they must be."""
        return False

    def fitting(self, console: Console, options: ConsoleOptions, room: int) -> Table:  # noqa: ARG002 - they are side by side only where they fit
        """Draw both."""
        return self.draw(room)

    def draw(self, room: int) -> Table:
        """Draw both, each with so many rows at most."""
        grid = Table.grid(padding=(0, 4, 0, 0))
        grid.add_row(self.left.draw(room), self.right.draw(room))
        return grid


def shared(sections: Sequence[Section | Beside], room: int) -> list[int]:
    """Share out `room` rows: each section gets 1 at least, then those that weigh something have theirs, then all others; earlier sections first."""
    given = [1] * len(sections)
    for wishes in ([each.brief for each in sections], [each.brief if each.folds else each.wanted for each in sections]):
        while sum(given) < room:
            lacking = [place for place, wish in enumerate(wishes) if given[place] < wish]
            if not lacking:
                break
            least = min(lacking, key=lambda place: (given[place], place))
            given[least] += 1
    return given
