"""What is seen while a run goes: a live view on a terminal, plain lines anywhere else.

Both listen to the recorder. A listener runs under the recorder's lock, so it only takes note; drawing and printing are done in a thread of their own.
"""

from __future__ import annotations

import os
import queue
from typing import TYPE_CHECKING, Protocol, Self

from rich.control import Control
from rich.live import Live
from rich.segment import ControlType
from rich.text import Text

from harness.core.clock import Clock, SystemClock
from harness.core.figures import at
from harness.core.plain import sentence
from harness.core.threads import CertainThread
from harness.core.values import Phase, Stage
from harness.history.events import FaultStage, PhaseBegan
from harness.reports.board import Board
from harness.reports.console import Hanging
from harness.reports.folding import Folding
from harness.reports.moments import Moment
from harness.reports.narrative import Narrative
from harness.reports.remaining import at_most
from harness.reports.timeline import TONES
from harness.reports.verdict_table import opened

if TYPE_CHECKING:
    from rich.console import Console, ConsoleRenderable

    from harness.history.events import Entry, Event
    from harness.history.recorder import Recorder
    from harness.plan import Plan
    from harness.reports.board import Doing

REFRESHES = 4
"""A second, at most."""


class Viewer(Protocol):
    """What the commands need of either view. It is a context manager: what it shows stops at its end."""

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(self, *exc: object) -> None:
        """Show what is left, and stop."""

    def progress(self, progress: Doing) -> None:
        """Take note of progress; from any thread."""

    def listen(self, recorder: Recorder) -> None:
        """Take note of everything that is recorded from now on."""

    def say(self, text: str) -> None:
        """Show a sentence of the harness's own."""


def has_terminal(console: Console) -> bool:
    """Whether a picture can be redrawn here: a terminal, not a CI log, and no dumb one."""
    return console.is_terminal and not console.is_dumb_terminal and not os.environ.get("CI")


def view(plan: Plan, console: Console, *, plain: bool, clock: Clock | None = None) -> Viewer:
    """Return the view that suits the console: live, or plain lines where `plain` says so or it has no terminal."""
    if plain or not has_terminal(console):
        return PlainView(console, clock, plan)
    return LiveView(plan, console, clock)


class PlainView:
    """One line an event that matters, with the run's time in seconds in front."""

    def __init__(self, console: Console, clock: Clock | None = None, plan: Plan | None = None) -> None:
        self._console = console
        self._plan = plan
        self._clock = clock or SystemClock()
        self._origin = self._clock.now()
        self._lines: queue.SimpleQueue[Moment | None] = queue.SimpleQueue()
        self._reading = Narrative(keep=False, members=plan.expected.members if plan else ())
        self._folding = Folding()
        self._last = ""
        self._thread = CertainThread(target=self._print, name="plain-view")

    def __enter__(self) -> Self:
        """Begin to print."""
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        """Print what is left."""
        for moment in self._folding.rest(self._clock.now() - self._origin):
            self._lines.put(moment)
        self._lines.put(None)
        self._thread.join(5.0)

    def progress(self, progress: Doing) -> None:
        """Print what is being done; a line that only counts on is left out."""
        if progress.text != self._last:
            self._last = progress.text
            self.say(progress.text)

    def listen(self, recorder: Recorder) -> None:
        """Print what happens, by the run's own clock from now on."""
        self._origin = recorder.origin
        more = f"; {at_most(self._plan)}" if self._plan else ""
        self.say(f"run {recorder.path.parent.name}{more}; log {recorder.path}")
        recorder.listen(self._hear)

    def say(self, text: str) -> None:
        """Print a sentence."""
        self._lines.put(Moment(self._clock.now() - self._origin, text))

    def _hear(self, entry: Entry) -> None:
        for moment in self._folding.feed(entry.time, self._reading.feed(entry)):
            self._lines.put(moment)
        if self._plan and _on_the_way(entry.event):
            self._lines.put(Moment(entry.time, at_most(self._plan, self._reading, entry.time), "quiet"))

    def _print(self) -> None:
        while (moment := self._lines.get()) is not None:
            # soft_wrap: a log's lines are for grep, not for the eye alone.
            line = Text.assemble((f"{at(moment.time):>10}  ", ""), (sentence(moment.what), TONES[moment.tone]))
            self._console.print(line, soft_wrap=True)


class _Picture(Live):
    """A picture that is drawn anew on an empty screen, its title above it, as soon as the window has another size.

    A terminal breaks lines that have no room any more into several: nobody knows then how far up the picture begins.
    """

    def __init__(self, board: Board, console: Console, title: Text) -> None:
        super().__init__(
            get_renderable=lambda: board,
            console=console,
            refresh_per_second=REFRESHES,
            transient=True,
            redirect_stderr=False,
            redirect_stdout=False,
        )
        self._title = title
        self._size = console.size

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Return what is drawn now: the way back to the picture's beginning, what is printed above it, and the picture."""
        before, self._size = self._size, self.console.size
        drawn = super().process_renderables(renderables)
        if before == self._size or not self.console.is_interactive:
            return drawn
        empty = Control(ControlType.HOME, ControlType.CLEAR)
        return [drawn[0], empty, Hanging(self._title), *drawn[1:]]


class LiveView:
    """The whole run at a glance, redrawn a few times a second, gone when it ends (the report follows)."""

    def __init__(self, plan: Plan, console: Console, clock: Clock | None = None) -> None:
        self._console = console
        self._clock = clock or SystemClock()
        self._board = Board(plan, self._now)
        self._origin = self._clock.now()
        self._live = _Picture(self._board, console, opened(plan))

    def __enter__(self) -> Self:
        """Take the screen's last lines."""
        self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        """Give them back."""
        self._live.stop()

    def progress(self, progress: Doing) -> None:
        """Show what is being done."""
        self._board.progress(progress)

    def listen(self, recorder: Recorder) -> None:
        """Show what happens, by the run's own clock from now on."""
        self._origin = recorder.origin
        self._board.begin(recorder.path)
        recorder.listen(self._board.hear)

    def say(self, text: str) -> None:
        """Show a sentence among the last moments."""
        self._board.say(text)

    def _now(self) -> float:
        return self._clock.now() - self._origin


def _on_the_way(event: Event) -> bool:
    """Whether how long a run may still take is said anew: when the cluster is steady, after each fault, and before the last reads."""
    if isinstance(event, PhaseBegan):
        return event.phase in {Phase.STEADY, Phase.FINAL}
    return isinstance(event, FaultStage) and event.stage is Stage.HEALED
