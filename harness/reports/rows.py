"""Tables that fit: rows by what they weigh, the lightest told together where there is no room, and the room shared between several tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import RenderableType

Cells: TypeAlias = "tuple[RenderableType, ...]"


@dataclass(frozen=True, slots=True)
class Weighed:
    """One row, and how much it matters that it is seen: 0 for what is as it should be."""

    cells: Cells
    weight: float = 0.0


@dataclass(frozen=True, slots=True)
class Section:
    """A table without lines. `rest` is the row for those that have no room, by their places; it is the last one, or the first where they are over.

    `folds`: what weighs nothing is told together as soon as not everything has room.
    """

    columns: Sequence[str]
    rows: Sequence[Weighed]
    rest: Callable[[Sequence[int]], Cells]
    right: int = 0  # columns from the second up to this one are figures
    rest_first: bool = False
    folds: bool = False

    @property
    def wanted(self) -> int:
        """All of them."""
        return len(self.rows)

    @property
    def brief(self) -> int:
        """Those that weigh something, and one for all others."""
        heavy = sum(row.weight > 0 for row in self.rows)
        return min(len(self.rows), heavy + 1)

    def draw(self, room: int) -> Table:
        """Draw the heaviest rows in their order, and one for all others."""
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for number, column in enumerate(self.columns):
            table.add_column(column, justify="right" if 0 < number < self.right else "left", no_wrap=True)
        places = range(len(self.rows))
        shown = set(places)
        if len(self.rows) > room:
            shown = set(sorted(places, key=lambda place: (-self.rows[place].weight, place))[: max(0, room - 1)])
        hidden = [place for place in places if place not in shown]
        cells = [self.rows[place].cells for place in places if place in shown]
        if hidden:
            cells.insert(0 if self.rest_first else len(cells), self.rest(hidden))
        for each in cells:
            table.add_row(*each)
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
