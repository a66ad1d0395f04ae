"""The console on which everything is shown that is more than a line: rich's, but for what others wrote."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import rich.console
from rich.console import ConsoleDimensions
from rich.segment import Segment
from rich.text import Text

from harness.core.plain import plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import ConsoleOptions, RenderableType, RenderResult


LEAST, MOST = 20, 1000
"""Columns at least and, where nobody asked for more, at most; no screen has more lines either."""
HANG = 4
"""Columns by which the rest of a line stands in that has no room in one."""
_SIZES = ("COLUMNS", "LINES", "JUPYTER_COLUMNS", "JUPYTER_LINES")


def _environ() -> dict[str, str]:
    """Return our environment, in which a size is a number that a screen can have, or not there: rich fails at ``²`` and fills memory for 10000000."""
    found = dict(os.environ)
    for name in _SIZES:
        said = found.pop(name, "")
        if said.isascii() and said.isdigit():
            found[name] = said if len(said.lstrip("0")) < len(str(MOST)) else str(MOST)
    return found


class Console(rich.console.Console):
    """A console that takes text for text: no markup, no emoji codes, and no character that a terminal would obey.

    Only rich's own colours and movements reach the terminal. What is to look well as well as be harmless is made plain before its width counts.
    A line that may not be wrapped (`Text` with `no_wrap`: a path, a command) is printed whole, and the terminal breaks it where a copy has no break.
    """

    def __init__(self, *, file: IO[str] | None = None, width: int | None = None, **options: Any) -> None:
        super().__init__(file=file, width=width, markup=False, emoji=False, highlight=False, _environ=_environ(), **options)

    @property
    def size(self) -> ConsoleDimensions:
        """Return how large it is; never narrower than `LEAST`, nor wider than `MOST` by what a terminal says: no picture could be drawn on it."""
        found = super().size
        width = found.width if self._width is not None else min(found.width, MOST)
        return ConsoleDimensions(max(width, LEAST), found.height if self._height is not None else min(found.height, MOST))

    @size.setter
    def size(self, given: tuple[int, int]) -> None:
        self._width, self._height = given

    def print(self, *objects: Any, crop: bool = False, **options: Any) -> None:
        """Print as rich does, but cut nothing off."""
        super().print(*objects, crop=crop, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Give the pieces of a picture, text among them made plain."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(plain(segment.text), segment.style)


def text_of(picture: RenderableType, width: int) -> str:
    """Return a picture as text for a file: so many columns wide, without colours, and without blanks at the ends of lines."""
    file = io.StringIO()
    Console(file=file, width=width, force_terminal=False, color_system=None).print(picture)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


@dataclass(frozen=True, slots=True)
class Whole:
    """Lines of text of which nothing is cut: on a terminal each goes on below (`Hanging`), and a pipe or a file gets it as one line."""

    text: Text

    def __rich_console__(self, console: rich.console.Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines."""
        if console.is_terminal:
            yield Hanging(self.text)
            return
        for line in self.text.split("\n"):
            yield Text.assemble(line, no_wrap=True, overflow="ignore")


@dataclass(frozen=True, slots=True)
class Hanging:
    """Lines of text of which each that has no room goes on below, `HANG` columns in: no word of somebody else's begins a line where ours begin."""

    text: Text

    def __rich_console__(self, console: rich.console.Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines."""
        width = options.max_width
        for line in self.text.split("\n"):
            first, *more = line.wrap(console, width)
            yield first
            rest = line[len(first.plain) :] if more else Text()
            blanks = len(rest.plain) - len(rest.plain.lstrip())
            for each in rest[blanks:].wrap(console, max(1, width - HANG)) if more else ():
                yield Text.assemble(" " * HANG, each)
