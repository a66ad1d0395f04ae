"""The one-screen timeline: a lane a node, what ran where by node truth, who led, when calls were answered, and the faults over it all.

It is read from the history alone. Every sign it uses is explained below it, and the exact times stand in the list of moments.
"""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.text import Text

from harness.core.figures import at
from harness.core.instances import app_of, number_of
from harness.core.naming import natural
from harness.core.plain import in_line
from harness.core.units import counted
from harness.core.values import NodeState, Outcome, Phase, Stage
from harness.history.absence import Voters
from harness.history.leaders import leaders
from harness.history.reigns import members_of
from harness.reports.folding import folded
from harness.reports.lanes import Bar
from harness.reports.moments import Moment
from harness.reports.narrative import READING_BACK, FaultLife, Narrative

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from rich.console import Console, ConsoleOptions, RenderResult

    from harness.history.events import History
    from harness.reports.lanes import Calls

MANY_NODES = 8
"""With more nodes than this, those to which nothing happened share one line."""

MANY_CALLS = 8
"""With more lanes of calls than this, those of the instances of one app are drawn as one, as far as needed."""

MARGIN = 1
NARROWEST = 40
FEWEST = 8
"""Columns in which the beginning of a title still says something."""
AT_ONCE = 1.0  # seconds within which what ran on a machine ends when it is off
TICK_ROOM = 9  # columns that a time label is given at least

TONES = {"good": "green", "bad": "bold red", "fault": "yellow", "plain": "", "quiet": "dim"}
COLOURS = ("cyan", "magenta", "blue", "bright_green", "bright_yellow", "bright_magenta")


@dataclass(frozen=True, slots=True)
class Signs:
    """The characters of a picture: one set for terminals that speak Unicode, one for those that do not."""

    run: str = "━"
    off: str = "×"
    unknown: str = "?"
    idle: str = "·"
    band: str = "▓"
    edge: str = "░"
    turn: str = "▒"
    guide: str = "┊"
    phase: str = "│"
    wrong: str = "≠"
    tick: str = "┼"
    rule: str = "─"
    all_ok: str = "█"
    some_ok: str = "▄"
    none_ok: str = "x"


LEAST = 8
"""Columns of a picture at least, whatever its labels take."""

UNICODE = Signs()
ASCII = Signs("=", "X", "?", ".", "%", "~", "^", ":", "|", "!", "+", "-", "#", "*", "x")


@dataclass(frozen=True, slots=True)
class Axis:
    """Maps times to columns."""

    start: float
    end: float
    width: int

    def cell(self, time: float) -> int:
        """Column of a time, at the border for one that lies outside."""
        share = (time - self.start) / (self.end - self.start)
        return min(self.width - 1, max(0, int(share * self.width)))

    def cells(self, span: Bar) -> range:
        """Columns of a span: at least one, so that nothing short is lost; none for one that lies outside."""
        if span.end < self.start or span.start > self.end:
            return range(0)
        first = self.cell(span.start)
        return range(first, max(first + 1, self.cell(span.end) + (1 if span.end >= self.end else 0)))

    def ticks(self) -> list[float]:
        """Round times, far enough apart for their labels."""
        least = (self.end - self.start) * TICK_ROOM / self.width
        step = next((each for each in (0.5, 1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 1800, 3600) if each >= least), least)
        first = math.ceil(self.start / step)
        return [number * step for number in range(first, math.floor(self.end / step) + 1)]


@dataclass(slots=True)
class Row:
    """One line of the picture."""

    label: str
    width: int
    cells: list[tuple[str, str]] = field(default_factory=list)  # a character and its style

    def __post_init__(self) -> None:
        self.label = in_line(self.label)
        self.cells = [(" ", "")] * self.width

    def fill(self, columns: range, sign: str, style: str, word: str = "") -> None:
        """Fill columns with a sign, a word written over their start where it fits with a column to spare."""
        for column in columns:
            self.cells[column] = (sign, style)
        if len(word) < len(columns):
            self.write(columns.start, word, style)

    def write(self, column: int, word: str, style: str = "") -> None:
        """Write a word, cut at the right edge."""
        for offset, char in enumerate(in_line(word)[: self.width - column]):
            self.cells[column + offset] = (char, style)

    def free(self, columns: range) -> bool:
        """Whether nothing but idle signs stands there."""
        return all(not self.cells[column][1].strip("dim ") and self.cells[column][0] in " ·." for column in columns)

    def text(self, label_width: int) -> Text:
        """Give the line, its label in front."""
        line = Text(f"{self.label:<{label_width}} ", no_wrap=True)
        for char, style in self.cells:
            line.append(char, style or None)
        line.rstrip()
        return line


class Timeline:
    """A rich renderable of the whole: picture, legend, moments. `width` columns, or as wide as the console. `voters` make up the quorum."""

    def __init__(
        self,
        history: History,
        nodes: Sequence[str],
        *,
        width: int | None = None,
        evidence: Collection[int] = (),
        voters: Voters | None = None,
    ) -> None:
        self._width = width
        voters = voters or Voters()
        self.reading = Narrative(members=members_of(history, voters.members), led=leaders(history, voters))
        self.moments: list[Moment] = []
        self.convicting: list[Moment] = []  # those of the entries that `evidence` names
        for entry in history.entries:
            made = self.reading.feed(entry)
            self.moments += made
            if entry.index in evidence:
                self.convicting += made
        # What came after the final reads is tear-down: it says nothing about the cluster.
        self.end = max(self.reading.phases.get(Phase.DONE, history.end), 0.001)
        self.moments += self.reading.close(history.end)
        start = self.reading.phases.get(Phase.STEADY, 0.0)
        self.start = start if start < self.end else 0.0
        self.nodes = sorted({*nodes, *self.reading.nodes}, key=natural)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines. The console's encoding decides about Unicode."""
        width = max(NARROWEST, min(self._width or options.max_width, options.max_width))
        yield from self.lines(width, ASCII if options.ascii_only else UNICODE)

    def lines(self, width: int, signs: Signs = UNICODE) -> list[Text]:
        """Return the picture, its legend and the list of moments as lines of at most `width` columns."""
        rows = self._labels()
        label_width = max(len(in_line(label)) for label in rows)
        axis = Axis(self.start, self.end, max(LEAST, width - label_width - 1 - MARGIN))
        drawn = _Drawing(self, axis, signs)
        lines = [row.text(label_width) for row in drawn.rows()]
        lines += [Text(""), *wrapped(drawn.legend(), width, " " * (label_width + 1), "dim", between="   "), Text("")]
        return lines + self._moment_lines(width)

    def _labels(self) -> list[str]:
        """Return every label that a picture may need, for the width of their column."""
        lanes = [label for label, _ in call_lanes(self.reading)]
        wrong = [f"API {lane[1]}" for lane in self.reading.spans if lane[0] == "wrong"]
        faults = [f"fault {number}" for number in self.reading.faults]
        turns = [turn.label for turn in self.reading.turns]
        return ["leader", "phase", *faults, *turns, *self.nodes, *wrong, *lanes]

    def _moment_lines(self, width: int) -> list[Text]:
        chosen = [each for each in self.moments if each.time <= self.end and (each.early or each.time >= self.start)]
        shown = folded(sorted(chosen, key=lambda moment: moment.time), {id(moment) for moment in self.convicting})
        lines = [Text("What happened (seconds of the run)", style="bold")]
        for moment in shown:
            head = f"{at(moment.time).removesuffix(' s'):>8}  "
            body = wrapped(moment.what.split(), width, " " * len(head), TONES[moment.tone])
            body[0] = Text.assemble((head, ""), (body[0].plain.removeprefix(" " * len(head)), TONES[moment.tone]))
            lines += body
        return lines


def call_lanes(reading: Narrative) -> list[tuple[str, list[Calls]]]:
    """Return the lanes of calls to show: each its own, but where they are many those of the instances of one app.

    First only such in which nothing but good answers was seen, and all of an app where that is not enough: another workload, or a probe, is no other
    instance of the same, and what one of them had would be hidden by the rest.
    """
    labels = sorted({*reading.calls} - {READING_BACK}, key=natural)
    good = {label for label in labels if all(not count or outcome is Outcome.OK for outcome, count in reading.calls[label].counts.items())}
    for merged in ((), good, labels):
        together: dict[str, list[str]] = {}
        for label in labels:
            together.setdefault(_app_lane(label) if label in merged else label, []).append(label)
        if len(together) <= MANY_CALLS:
            break
    apart = {_app_lane(among[0]) for among in together.values() if len(among) == 1}
    return [
        (among[0] if len(among) == 1 else f"{lane}, rest" if lane in apart else lane, [reading.calls[label] for label in among])
        for lane, among in together.items()
    ]


def _app_lane(label: str) -> str:
    """Return the lane of all instances of the app of which one has a lane; of what is called otherwise its own."""
    return app_of(label)


class _Drawing:
    """One picture being drawn."""

    def __init__(self, timeline: Timeline, axis: Axis, signs: Signs) -> None:
        self.timeline = timeline
        self.reading = timeline.reading
        self.axis = axis
        self.signs = signs
        self.used: dict[str, str] = {}

    def rows(self) -> list[Row]:
        """Return all lines, from the phases down to the times."""
        lanes = [*self._nodes(), *self._leader(), *self._wrong(), *self._calls()]
        self._guide(lanes)
        return [self._phases(), *self._faults(), *self._turns(), *lanes, *self._times()]

    def legend(self) -> Iterable[str]:
        """Return what every sign in the picture means."""
        return [f"{sign} {meaning}" for sign, meaning in self.used.items()]

    def _row(self, label: str = "") -> Row:
        return Row(label, self.axis.width)

    def _use(self, sign: str, meaning: str) -> str:
        self.used.setdefault(sign, meaning)
        return sign

    def _phases(self) -> Row:
        row = self._row("phase")
        began = sorted((time, phase) for phase, time in self.reading.phases.items() if phase is not Phase.DONE)
        # Of the phases before the picture only the last, which it begins in.
        began = [each for each, later in zip(began, [*began, (math.inf, Phase.DONE)][1:], strict=True) if later[0] > self.axis.start]
        for index, (time, phase) in enumerate(began):
            column = self.axis.cell(time)
            end = self.axis.cell(began[index + 1][0]) if index + 1 < len(began) else self.axis.width
            row.write(column, self.signs.phase, "dim")
            if end - column > len(phase) + 1:
                row.write(column + 1, str(phase), "dim")
        return row

    def _faults(self) -> list[Row]:
        """Draw the faults, one a line, or several on one line where they are many and do not touch."""
        rows = []
        for life in self.reading.faults.values():
            row = self._row(f"fault {life.number}")
            self._band(row, life)
            rows.append(row)
        return rows

    def _turns(self) -> list[Row]:
        """Draw the steps that awaited or did something, one a line."""
        rows = []
        for turn in self.reading.turns:
            row = self._row(turn.label)
            columns = self.axis.cells(Bar(turn.begun, self.axis.end if turn.ended is None else turn.ended, ""))
            row.fill(columns, self._use(self.signs.turn, "a step waits, or acts"), "blue")
            if turn.outcome not in {None, Outcome.OK} and columns:
                row.write(columns[-1], self._use("F", "fault FAILED, or a step failed"), "bold yellow")
            if columns:
                self._titled(row, [f" {turn.title} "], columns, columns, "bold blue")
            rows.append(row)
        return rows

    def _band(self, row: Row, life: FaultLife) -> None:
        at = life.stages
        decided = at.get(Stage.DECIDED, min(at.values(), default=0.0))
        force, healing = at.get(Stage.IN_FORCE), at.get(Stage.HEALING)
        end = at.get(Stage.HEALED, at.get(Stage.FAILED, self.axis.end))
        edge = self._use(self.signs.edge, "fault is made or mended")
        row.fill(self.axis.cells(Bar(decided, end, "")), edge, "yellow")
        if force is not None:
            band = self._use(self.signs.band, "fault in force")
            row.fill(self.axis.cells(Bar(force, healing if healing is not None else end, "")), band, "yellow")
        marks = ((decided, "D", "fault decided"), (healing, "H", "healing begins"), (at.get(Stage.FAILED), "F", "fault FAILED"))
        columns = [self.axis.cell(decided)]
        for time, mark, meaning in marks:
            if time is not None:
                column = self.axis.cell(time)
                if mark == "H" and column == columns[0]:
                    column = min(column + 1, self.axis.width - 1)
                row.write(column, self._use(mark, meaning), "bold yellow")
                columns.append(column)
        whole, brief = f" {life.title} ", f" {life.called} {counted(len(life.targets), 'node')} "  # the moments name them all
        titles = [whole, brief] if len(whole) <= max(len(brief), self.axis.width // 2) else [brief]
        last = self.axis.cell(end)
        stop = self.axis.cell(healing) if healing is not None else last
        self._titled(row, titles, range(columns[0], max(last, *columns) + 1), range(columns[0] + 2, stop - 1), "bold yellow")

    def _titled(self, row: Row, titles: Sequence[str], drawn: range, inside: range, style: str) -> None:
        """Write the first title that has room inside what is drawn, to the right of it or to the left; else as much of the last one as has room.

        It is written over no mark: what was done when is told by nothing else in the row.
        """
        right, left = range(drawn[-1] + 1, self.axis.width - 1), range(drawn[0])
        for title in titles:
            for room in (inside, right, left):
                if len(title) < len(room) or (room is left and len(title) == len(room)):
                    row.write(room.stop - len(title) if room is left else room.start, title, style)
                    return
        room = max((inside, right, left), key=len)
        if len(room) >= FEWEST:
            row.write(room.start, f"{titles[-1][: len(room) - 1]}…" if self.signs is UNICODE else titles[-1][: len(room)], style)

    def _nodes(self) -> list[Row]:
        rows: list[Row] = []
        quiet: list[str] = []
        many = len(self.timeline.nodes) > MANY_NODES
        hit = {target for life in self.reading.faults.values() for target in (*life.targets, *(life.cut_off or ()))}
        for node in self.timeline.nodes:
            lanes = sorted((lane for lane in self.reading.spans if lane[:2] == ("runs", node)), key=lambda lane: natural(lane[2]))
            states = self.reading.spans.get(("node", node), [])
            changed = any(span.what != NodeState.UP for span in states) or any(not self._whole(lane) for lane in lanes)
            if many and not changed and node not in hit:
                quiet.append(node)
            else:
                rows += self._node(node, states, lanes)
        if quiet:
            words = f"{len(quiet)} more nodes, up and unchanged: {', '.join(quiet)}".split()
            for number, line in enumerate(wrapped(words, self.axis.width, "", "")):
                row = self._row("" if number else "others")
                row.write(0, line.plain, "dim")
                rows.append(row)
        return rows

    def _whole(self, lane: tuple[str, ...]) -> bool:
        """Whether a container ran all the time that is drawn."""
        return any(span.start <= self.axis.start + 0.5 and span.end >= self.axis.end - 0.5 for span in self.reading.spans[lane])

    def _node(self, node: str, states: list[Bar], lanes: list[tuple[str, ...]]) -> list[Row]:
        rows = [self._row(node)]
        for span in states:
            columns = self.axis.cells(span)
            if span.what == NodeState.UP:
                rows[0].fill(columns, self._use(self.signs.idle, "node is up, nothing of ours runs"), "dim")
        unnamed: list[tuple[float, str]] = []  # when what has no room for its name ended
        for lane in lanes:
            style = self._colour(lane[2])
            for span in self.reading.spans[lane]:
                columns = self.axis.cells(span)
                row = next((each for each in rows if each.free(columns)), None)
                if row is None:
                    # A second container at the same time gets a line of its own below.
                    row = self._row("")
                    rows.append(row)
                number = str(number_of(lane[2]) or "")
                fits = len(number) < len(columns)  # the first digits of a number would be another one's
                word = lane[2] if len(lane[2]) < len(columns) else number if fits else ""
                row.fill(columns, self._use(self.signs.run, "container runs"), style)
                row.write(columns.start, word, style)
                if word != lane[2] and columns:
                    unnamed.append((span.end, lane[2]))
        for span in states:
            columns = self.axis.cells(span)
            if span.what == NodeState.OFF:
                # Off is the last thing that is seen of them here.
                gone = [name for end, name in unnamed if abs(end - span.start) <= AT_ONCE]
                words = [f"off, and {', '.join(gone)}" if gone else "off", "off"]
                rows[0].fill(
                    columns, self._use(self.signs.off, "node is off"), "red", next((each for each in words if len(each) < len(columns)), "")
                )
            elif span.what == NodeState.UNREACHABLE:
                rows[0].fill(columns, self._use(self.signs.unknown, "node cannot be asked"), "yellow", "unreachable")
        return rows

    def _colour(self, instance: str) -> str:
        return COLOURS[self.reading.instances().index(instance) % len(COLOURS)]

    def _leader(self) -> list[Row]:
        row = self._row("leader")
        for span in self.reading.spans.get(("leader",), []):
            row.fill(self.axis.cells(span), self.signs.rule, "bold", span.what)
        return [row] if self.reading.members else []  # where there are no members, nobody could lead

    def _wrong(self) -> list[Row]:
        rows = []
        for lane in sorted((each for each in self.reading.spans if each[0] == "wrong"), key=lambda each: natural(each[1])):
            row = self._row(f"API {lane[1]}")
            for span in self.reading.spans[lane]:
                row.fill(self.axis.cells(span), self._use(self.signs.wrong, "API contradicts the nodes"), "bold red")
            if any(sign == self.signs.wrong for sign, _ in row.cells):
                rows.append(row)
        return rows

    def _calls(self) -> list[Row]:
        rows = []
        for label, lanes in call_lanes(self.reading):
            row = self._row(label)
            good = [0] * self.axis.width
            every = [0] * self.axis.width
            for calls in lanes:
                for time, outcome in calls.answers:
                    if self.axis.start <= time <= self.axis.end:
                        column = self.axis.cell(time)
                        every[column] += 1
                        good[column] += outcome is Outcome.OK
            for column, count in enumerate(every):
                if count and good[column] == count:
                    row.cells[column] = (self._use(self.signs.all_ok, "all calls ok"), "green")
                elif good[column]:
                    row.cells[column] = (self._use(self.signs.some_ok, "some ok"), "yellow")
                elif count:
                    row.cells[column] = (self._use(self.signs.none_ok, "none ok"), "red")
            rows.append(row)
        return rows

    def _guide(self, rows: list[Row]) -> None:
        """Carry the edges of every fault through the lanes, where nothing else stands."""
        for life in self.reading.faults.values():
            for stage in (Stage.IN_FORCE, Stage.HEALED):
                time = life.stages.get(stage)
                if time is None:
                    continue
                column = self.axis.cell(time)
                for row in rows:
                    if row.cells[column][0] in {" ", self.signs.idle}:
                        guide = self._use(self.signs.guide, "start or end of a fault")
                        row.cells[column] = (guide, "yellow")

    def _times(self) -> list[Row]:
        rule, labels = self._row(""), self._row("seconds")
        rule.fill(range(self.axis.width), self.signs.rule, "dim")
        for time in self.axis.ticks():
            column = self.axis.cell(time)
            rule.write(column, self.signs.tick, "dim")
            word = f"{time:g}"
            if column + len(word) <= self.axis.width:
                labels.write(column, word)
        return [rule, labels]


def wrapped(words: Iterable[str], width: int, pad: str, style: str, between: str = " ") -> list[Text]:
    """Break words into lines of at most `width` columns, each behind `pad`; what is too long for one at its blanks, and only else anywhere."""
    lines: list[str] = []
    line = ""
    room = max(20, width - len(pad) - MARGIN)
    # A path may be longer than a line: it is broken, not cut.
    for word in (part for each in map(in_line, words) for part in ([each] if len(each) <= room else _broken(each, room))):
        if line and len(line) + len(between) + len(word) > room:
            lines.append(line)
            line = word
        else:
            line = f"{line}{between}{word}" if line else word
    return [Text(pad + each, style=style, no_wrap=True) for each in (*lines, line)]


def _broken(text: str, room: int) -> list[str]:
    return textwrap.wrap(text, room, break_on_hyphens=False) or [""]
