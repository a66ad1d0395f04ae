"""What is seen while a run goes: a live view on a terminal, plain lines anywhere else.

Both listen to the recorder. A listener runs under the recorder's lock, so it only takes note; drawing and printing are done in a thread of their own.
"""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from typing import TYPE_CHECKING, Protocol, Self

from rich.columns import Columns
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from harness.core.clock import Clock, SystemClock
from harness.core.figures import about, at, given, lasted
from harness.core.plain import in_line, sentence
from harness.core.units import counted
from harness.core.values import NodeState, Outcome, Phase, Stage
from harness.history.events import PhaseBegan
from harness.reports.folding import Folding
from harness.reports.narrative import Moment, Narrative, natural
from harness.reports.timeline import ASCII, TONES, UNICODE, call_lanes, wrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from harness.history.events import Entry, Recorder
    from harness.plan import Plan
    from harness.reports.narrative import Calls, FaultLife
    from harness.reports.timeline import Signs

REFRESHES = 4
"""A second, at most."""

LAST_MOMENTS = 5
FEWEST_MOMENTS = 3
"""Lines that the last moments have at least: where there is no room for them, blank lines go first, then what is over or in order."""
BESIDES = "plus making and mending"
"""What is not in `Plan.limit`."""
BAR = 20  # columns
WIDE = 110  # columns from which tables stand side by side

STATE_STYLES = {NodeState.UP: "green", NodeState.OFF: "bold red", NodeState.UNREACHABLE: "yellow"}
STAGE_WORDS = {
    Stage.DECIDED: "decided",
    Stage.INJECTED: "injected",
    Stage.IN_FORCE: "in force",
    Stage.HEALING: "healing",
    Stage.HEALED: "healed",
    Stage.FAILED: "FAILED",
}


class Doing(Protocol):
    """What is being done, in words, and how far it is where that can be counted; see `harness.conductor.Progress`."""

    @property
    def text(self) -> str:
        """What is being done."""

    @property
    def done(self) -> int | None:
        """How much of it is done."""

    @property
    def total(self) -> int | None:
        """How much there is to do."""


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
        self._reading = Narrative(keep=False)
        self._folding = Folding()
        self._last = ""
        self._thread = threading.Thread(target=self._print, name="plain-view", daemon=True)

    def __enter__(self) -> Self:
        """Begin to print."""
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        """Print what is left."""
        for moment in self._folding.rest():
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
        if self._plan and isinstance(entry.event, PhaseBegan) and entry.event.phase is Phase.STEADY:
            self._lines.put(Moment(entry.time, at_most(self._plan, self._reading, entry.time), "quiet"))

    def _print(self) -> None:
        while (moment := self._lines.get()) is not None:
            # soft_wrap: a log's lines are for grep, not for the eye alone.
            line = Text.assemble((f"{at(moment.time):>10}  ", ""), (sentence(moment.what), TONES[moment.tone]))
            self._console.print(line, soft_wrap=True)


class LiveView:
    """The whole run at a glance, redrawn a few times a second, gone when it ends (the report follows)."""

    def __init__(self, plan: Plan, console: Console, clock: Clock | None = None) -> None:
        self._console = console
        self._clock = clock or SystemClock()
        self._board = Board(plan, self._now)
        self._origin = self._clock.now()
        self._live = Live(
            get_renderable=lambda: self._board,
            console=console,
            refresh_per_second=REFRESHES,
            transient=True,
            redirect_stderr=False,
            redirect_stdout=False,
        )

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


class Board:
    """What the live view shows: a rich renderable over a `Narrative`, with a lock of its own. `now` gives the run's time in seconds."""

    def __init__(self, plan: Plan, now: Callable[[], float]) -> None:
        self._plan = plan
        self._now = now
        self._lock = threading.Lock()
        self._reading = Narrative(keep=False)
        self._folding = Folding()
        self._moments: deque[Moment] = deque(maxlen=50)
        self._progress: Doing | None = None
        self._history: Path | None = None

    def begin(self, history: Path) -> None:
        """Take note of where the run is written."""
        with self._lock:
            self._history = history

    def hear(self, entry: Entry) -> None:
        """Take in one entry. Quick: it is called under the recorder's lock."""
        with self._lock:
            self._moments.extend(self._folding.feed(entry.time, self._reading.feed(entry)))

    def progress(self, progress: Doing) -> None:
        """Take note of progress."""
        with self._lock:
            self._progress = progress

    def say(self, text: str) -> None:
        """Take note of a sentence."""
        with self._lock:
            self._moments.append(Moment(self._now(), text))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the picture, a line less than the console is tall: above it the title of the run was printed."""
        signs = ASCII if options.ascii_only else UNICODE
        height = console.size.height - 1
        with self._lock:
            now = self._now()
            for blank, brief in ((1, False), (0, False), (0, True)):
                parts = self._parts(now, options.max_width, height, signs, blank=blank, brief=brief)
                room = height - len(console.render_lines(Group(*parts), options, pad=False)) - blank
                if room >= FEWEST_MOMENTS:
                    break
            parts += [""] * blank + [*self._last(min(LAST_MOMENTS, room), options.max_width)]
        yield Group(*parts)

    def _parts(self, now: float, width: int, height: int, signs: Signs, *, blank: int, brief: bool) -> list[RenderableType]:
        """Return what stands above the last moments: tables with `blank` lines between them, `brief` ones of what is of interest alone."""
        parts: list[RenderableType] = [self._head(now), *self._where(now, width)]
        waiting = self._waiting(signs)
        if waiting is not None:
            parts.append(waiting)
        nodes, placements = self._nodes(max(3, height - 18)), self._placements()
        if width >= WIDE and placements.row_count:
            parts += [*[""] * blank, Columns([nodes, placements], padding=(0, 4))]
        else:
            parts += [*[""] * blank, nodes]
            parts += [*[""] * blank, placements] if placements.row_count else []
        for table in (self._faults(now, signs, brief=brief), self._calls(now, brief=brief)):
            if table.row_count:
                parts += [*[""] * blank, table]
        return parts

    def _head(self, now: float) -> Text:
        phase = str(self._reading.phase) if self._reading.phase else "starting"
        head = Text(no_wrap=True, overflow="ellipsis")
        head.append(f"{at(now):>8}  ", "bold")
        head.append(phase, "bold cyan")
        return head

    def _where(self, now: float, width: int) -> Sequence[Text]:
        """Say which run this is, where it is written, and when it is over at the latest."""
        if self._history is None:
            return ()
        lines = (f"          {at_most(self._plan, self._reading, now)}", f"run {self._history.parent.name}", f"log {self._history}")
        # A name that is cut cannot be pasted: it goes on in the next line.
        shown = [Text(in_line(line), style="dim", overflow="fold") for line in lines]
        # Where there is room for it, one line; its folder is named by the run's id.
        return [Text("  ").join(shown)] if sum(map(len, shown)) + 4 <= width else [shown[0], shown[2]]

    def _waiting(self, signs: Signs) -> Text | None:
        progress = self._progress
        if progress is None or self._reading.faults or self._reading.calls:
            return None
        line = Text(f"          {sentence(progress.text)}", no_wrap=True, overflow="ellipsis", style="dim")
        if progress.total:
            share = (progress.done or 0) / progress.total
            line.append("  ")
            line.append_text(bar(share, signs))
            line.append(f" {progress.done or 0} of {progress.total}")
        return line

    def _nodes(self, room: int) -> Table:
        table = _table("node", "state", "leader", "listed by", "runs")
        reading = self._reading
        names = sorted({*(node.name for node in self._plan.nodes), *reading.nodes}, key=natural)
        # Where there is no room for all, those that have something to say come first.
        if len(names) > room:
            dull = [name for name in names if name in reading.nodes and reading.nodes[name].state is NodeState.UP]
            keep = [name for name in names if name not in dull]
            names = sorted([*keep, *dull][: room - 1], key=natural)
        answering = list(reading.answering().values())
        for name in names:
            seen, member = reading.nodes.get(name), reading.members.get(name)
            state = Text(str(seen.state), STATE_STYLES[seen.state]) if seen else Text("-", "dim")
            runs = sorted((each.instance for each in seen.containers if each.instance), key=natural) if seen else []
            table.add_row(
                in_line(name),
                state,
                self._leads(name, member is not None and bool(member.error)),
                f"{sum(name in view.nodes for view in answering)} of {len(answering)}" if answering else "-",
                _few(runs, 30, "instances") or "-",
            )
        hidden = len(self._plan.nodes) - len(names)
        if hidden > 0:
            table.add_row("…", Text(f"{hidden} more, up", "dim"), "", "", "")
        return table

    def _leads(self, name: str, silent: bool) -> Text:
        if self._reading.leads(name):
            return Text(f"leader, term {self._reading.term}", "bold cyan")
        return Text("no answer", "yellow") if silent else Text("-", "dim")

    def _placements(self) -> Table:
        table = _table("instance", "nodes say", "API says")
        for instance in sorted({*(name for app in self._plan.apps for name in app.names), *self._reading.instances()}, key=natural):
            homes = self._reading.homes(instance)
            said = {", ".join(where) or "nowhere" for where in self._reading.told(instance).values()}
            agree = not self._reading.doubted(instance)
            word = in_line(" / ".join(sorted(said))) or "-"
            table.add_row(
                in_line(instance),
                Text(in_line(", ".join(homes)), "green") if homes else Text("nowhere", "bold red" if self._reading.nodes else "dim"),
                Text(word) if agree else Text(f"{word} (differs)", "yellow"),
            )
        return table

    def _faults(self, now: float, signs: Signs, *, brief: bool) -> Table:
        table = _table("fault", "targets", "stage", "since in force, against the budget")
        lives = list(self._reading.faults.values())
        over = [life for life in lives[:-1] if life.over and life.stage is not Stage.FAILED] if brief else []
        if over:
            table.add_row(counted(len(over), "earlier fault"), "", Text(STAGE_WORDS[Stage.HEALED], "green"), "")
        for life in lives:
            if life in over:
                continue
            style = "bold red" if life.stage is Stage.FAILED else "green" if life.stage is Stage.HEALED else "yellow"
            targets = _few(life.targets, 12, "nodes", ",")
            table.add_row(in_line(life.name), targets, Text(STAGE_WORDS[life.stage], style), self._against(life, now, signs))
        return table

    def _against(self, life: FaultLife, now: float, signs: Signs) -> Text:
        """Say how long a fault has been in force, and how its work stands against the budget: over only while something is missing and late."""
        force = life.stages.get(Stage.IN_FORCE)
        if force is None:
            return Text(sentence(life.detail) if life.stage is Stage.FAILED else "-", "dim")
        back = max(life.back.values(), default=None)
        came = f"; work back after {lasted(max(0.0, back - force))}" if back is not None and not life.waiting else ""
        if life.over:
            return Text(f"was in force for {lasted(life.stages.get(Stage.HEALING, now) - force)}{came}", "dim")
        seconds = now - force
        if not life.waiting:
            return Text(f"{lasted(seconds)}{came or '; no work is missing'}", "green" if came else "")
        budget = self._plan.budget_after(life.number, life.name)
        if budget is None or not budget.terms:
            return Text(f"{lasted(seconds)} (no budget)")
        text = bar(seconds / budget.seconds, signs, over="red")
        text.append(f" {lasted(seconds)} of {given(budget.seconds)}")
        if seconds > budget.seconds:
            text.append(", over", "bold red")
        return text

    def _calls(self, now: float, *, brief: bool) -> Table:
        table = _table("calls", "a second", "ok", "fail", "unknown", "gap", right=5)
        every = call_lanes(self._reading)
        dull = [each for each in every if all(lane.gap(now) < 1.0 and not lane.last_gap for lane in each[1])] if brief else []
        for label, lanes in every:
            if (label, lanes) not in dull or len(dull) == 1:
                self._call_row(table, in_line(label), lanes, now)
        if len(dull) > 1:
            self._call_row(table, f"{len(dull)} without a gap", [lane for _, lanes in dull for lane in lanes], now)
        return table

    def _call_row(self, table: Table, label: str, lanes: Sequence[Calls], now: float) -> None:
        count = {outcome: sum(lane.counts[outcome] for lane in lanes) for outcome in Outcome}
        going = max(lane.gap(now) for lane in lanes)
        last = max(lane.last_gap for lane in lanes)
        gap = Text("-", "dim")
        if going >= 1.0:
            gap = Text(f"{lasted(going)}, no answer now", "bold red")
        elif last:
            gap = Text(f"{lasted(last)}, ended")
        table.add_row(
            label,
            f"{sum(lane.rate(now) for lane in lanes):.1f}",
            Text(str(count[Outcome.OK]), "green"),
            Text(str(count[Outcome.FAIL]), "red" if count[Outcome.FAIL] else "dim"),
            Text(str(count[Outcome.UNKNOWN]), "yellow" if count[Outcome.UNKNOWN] else "dim"),
            gap,
        )

    def _last(self, room: int, width: int) -> Sequence[Text]:
        """Return the newest moments, each whole, as far as there is room; the newest of all is shortened rather than left out."""
        lines: list[Text] = []
        for moment in reversed(self._moments):
            head = f"{at(moment.time):>8}  "
            body = wrapped(moment.what.split(), width, " " * len(head), TONES[moment.tone])
            body[0] = Text.assemble((head, "dim"), (body[0].plain.removeprefix(" " * len(head)), TONES[moment.tone]), no_wrap=True)
            if len(lines) + len(body) > room:
                if not lines and room > 0:
                    lines = body[:room]
                    lines[-1].append("…")
                break
            lines = [*body, *lines]
        return lines


def at_most(plan: Plan, reading: Narrative | None = None, now: float = 0.0) -> str:
    """Say how long a run may still take, by its plan; how long it takes until the cluster stands nobody knows."""
    began = reading.phases.get(Phase.STEADY) if reading is not None else None
    if began is None:
        return f"{about(plan.limit)} at most once the cluster stands, {BESIDES}"
    return f"{about(max(0.0, began + plan.limit - now))} more at most, {BESIDES}"


def bar(share: float, signs: Signs, *, over: str = "cyan") -> Text:
    """Return a bar, filled to a share of it; filled wholly, in the style `over`, from a share of 1."""
    filled = min(BAR, max(0, round(share * BAR)))
    return Text.assemble((signs.band * filled, over if share >= 1.0 else "cyan"), (signs.edge * (BAR - filled), "dim"))


def _few(names: Sequence[str], room: int, what: str, between: str = ", ") -> str:
    """Give names in a cell, or how many they are where they have no room: half a name would be another one's."""
    text = in_line(between.join(names))
    return text if len(text) <= room or len(names) == 1 else f"{len(names)} {what}"


def _table(*columns: str, right: int = 0) -> Table:
    """Return a table without lines. Its columns from the second up to `right` are figures."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if 0 < number < right else "left", no_wrap=True)
    return table
