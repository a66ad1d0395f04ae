"""What the live view shows: the whole run at a glance, on whatever terminal there is. Calls and the last moments are always there."""

from __future__ import annotations

import dataclasses
import threading
from collections import deque
from typing import TYPE_CHECKING, Protocol

from rich.console import Group
from rich.measure import Measurement
from rich.text import Text

from harness.core.figures import at, given, lasted
from harness.core.naming import natural
from harness.core.plain import in_line, sentence
from harness.core.units import counted
from harness.core.values import NodeState, Outcome, Stage
from harness.reports.folding import Folding
from harness.reports.moments import Moment
from harness.reports.narrative import READING_BACK, Narrative
from harness.reports.remaining import at_most
from harness.reports.rows import Beside, Cells, Section, Weighed, shared
from harness.reports.timeline import ASCII, TONES, UNICODE, call_lanes, wrapped
from harness.reports.ways_back import WaysBack, look

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from harness.history.events import Entry
    from harness.plan import Plan
    from harness.reports.lanes import Calls
    from harness.reports.narrative import FaultLife
    from harness.reports.timeline import Signs

LAST_MOMENTS = 5
FEWEST_MOMENTS = 3
"""Lines that the last moments have at least: where there is no room for them, blank lines go first, then what is over or in order."""
LOWEST = 12
"""Lines of a terminal from which on it is said which run it is, and where it is written."""
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


class Board:
    """What the live view shows: a rich renderable over a `Narrative`, with a lock of its own. `now` gives the run's time in seconds."""

    def __init__(self, plan: Plan, now: Callable[[], float]) -> None:
        self._plan = plan
        self._voters = plan.expected.voters
        self._now = now
        self._lock = threading.Lock()
        self._reading = Narrative(keep=False, members=plan.expected.members)
        self._ways = WaysBack()
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
            self._ways.feed(entry)

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
        with self._lock:
            due = self._ways.due(now := self._now())
        found = look(due, now, self._voters) if due is not None else {}  # without the lock: whoever records must not wait for it
        with self._lock:
            self._ways.know(found)
            parts = self._parts(console, options)
        yield Group(*parts)

    def _parts(self, console: Console, options: ConsoleOptions) -> list[RenderableType]:
        """Return everything that is shown: what the run is doing, tables, and below them the last moments, whatever else there is."""
        now, width, height = self._now(), options.max_width, console.size.height - 1
        signs = ASCII if options.ascii_only else UNICODE
        head: list[RenderableType] = [self._head(now)]
        if height >= LOWEST:
            waiting = self._waiting(signs) or self._turn(now, signs)
            head += [*self._where(now, width), *([] if waiting is None else [waiting])]
        room = height - len(console.render_lines(Group(*head), options, pad=False))
        sections = self._sections(console, options, now, signs)
        # Where not even a line or two of each have room, the nodes go first, and the calls last.
        while sections and sum(1 + min(2, each.brief) for each in sections) + min(FEWEST_MOMENTS, room // 2) > room:
            sections.pop(0)
        tall = sum(1 + each.wanted for each in sections)
        blank = 1 if room - tall - len(sections) - 1 >= LAST_MOMENTS else 0
        given_rows = [each.wanted for each in sections]
        if not blank and room - tall < LAST_MOMENTS:
            # What is over, or in order, is worth less than what happened last.
            given_rows = [each.brief if each.folds else each.wanted for each in sections]
        if not blank and room - sum(given_rows) - len(sections) < FEWEST_MOMENTS:
            # Calls have their rows before faults, those before nodes.
            given_rows = shared(sections[::-1], room - FEWEST_MOMENTS - len(sections))[::-1]
        parts = head
        for section, rows in zip(sections, given_rows, strict=True):
            parts += [*[""] * blank, section.fitting(console, options, rows)]
        left = room - sum(given_rows) - len(sections) * (1 + blank) - blank
        return [*parts, *[""] * blank, *self._last(min(LAST_MOMENTS, left), width)]

    def _sections(self, console: Console, options: ConsoleOptions, now: float, signs: Signs) -> list[Section | Beside]:
        """Return the tables that have anything to show, from top to bottom."""
        nodes, placements = self._nodes(), self._placements()
        tops: list[Section | Beside] = [nodes, placements]
        if options.max_width >= WIDE and placements.rows:
            wide = [Measurement.get(console, options, each.draw(each.wanted)).maximum for each in (nodes, placements)]
            tops = [Beside(nodes, placements)] if sum(wide) + 4 <= options.max_width else tops
        return [each for each in (*tops, self._faults(now, signs), self._calls(now)) if each.wanted]

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
            line.append(f"  {progress.done or 0} of {progress.total} ")
            line.append_text(bar(share, signs))  # last: where there is no room it is cut, and not the figures
        return line

    def _turn(self, now: float, signs: Signs) -> Text | None:
        """Say what is being awaited, or done, and how much of its time is over."""
        going = next((each for each in reversed(self._reading.turns) if each.ended is None), None)
        if going is None:
            return None
        line = Text(f"          {going.label}: {sentence(going.title)}  ", no_wrap=True, overflow="ellipsis")
        line.append(f"{lasted(now - going.begun)} of {given(going.at_most)} ")
        line.append_text(bar((now - going.begun) / going.at_most if going.at_most else 1.0, signs))  # as above
        return line

    def _nodes(self) -> Section:
        reading = self._reading
        names = sorted({*(node.name for node in self._plan.nodes), *reading.nodes}, key=natural)
        up = {name for name, seen in reading.nodes.items() if seen.state is NodeState.UP}
        answering = list(reading.answering().values())
        rows = []
        for name in names:
            seen, member = reading.nodes.get(name), reading.members.get(name)
            state = Text(str(seen.state), STATE_STYLES[seen.state]) if seen else Text("-", "dim")
            runs = sorted((each.instance for each in seen.containers if each.instance), key=natural) if seen else []
            cells = (
                in_line(name),
                state,
                self._leads(name, member is not None and bool(member.error)),
                f"{sum(name in view.nodes for view in answering)} of {len(answering)}" if answering else "-",
                _few(runs, 30, "instances") or "-",
            )
            rows.append(Weighed(cells, 2 if seen and name not in up else 1 if name not in up or reading.leads(name) else 0))

        def rest(hidden: Sequence[int]) -> Cells:
            unheard = sum(names[place] not in reading.nodes for place in hidden)
            down = sum(names[place] not in up for place in hidden) - unheard
            said = [*([f"{down} not up"] if down else []), *([f"{unheard} not heard of yet"] if unheard else [])]
            words = Text(", ".join([f"{len(hidden)} more", *(said or ["up"])]), "yellow" if down else "dim")
            return ("…", words, "", "", "")

        return Section(("node", "state", "leader", "listed by", "runs"), rows, rest, spare=(3, 2))

    def _leads(self, name: str, silent: bool) -> Text:
        if self._reading.leads(name):
            return Text(f"leader, term {self._reading.term}", "bold cyan")
        return Text("no answer", "yellow") if silent else Text("-", "dim")

    def _placements(self) -> Section:
        rows: list[Weighed] = []
        differs, nowhere = set(), set()
        wanted = [dataclasses.replace(app, instances=self._reading.asked_for.get(app.name, app.instances)) for app in self._plan.apps]
        gone = {name for app in self._plan.apps for name in app.names} - {name for app in wanted for name in app.names}
        there = {name for name in self._reading.instances() if name not in gone or self._reading.homes(name)}
        names = sorted({*(name for app in wanted for name in app.names), *there}, key=natural)
        for place, instance in enumerate(names):
            homes = self._reading.homes(instance)
            said = {", ".join(where) or "nowhere" for where in self._reading.told(instance).values()}
            if self._reading.doubted(instance):
                differs.add(place)
            if not homes and self._reading.nodes:
                nowhere.add(place)
            word = in_line(" / ".join(sorted(said))) or "-"
            cells = (
                in_line(instance),
                Text(in_line(", ".join(homes)), "green")
                if homes
                else Text("nowhere", "bold red")
                if self._reading.nodes
                else Text("-", "dim"),
                Text(f"{word} (differs)", "yellow") if place in differs else Text(word),
            )
            rows.append(Weighed(cells, (place in nowhere) * 2 + (place in differs)))

        seen = ", running" if self._reading.nodes else ""

        def rest(hidden: Sequence[int]) -> Cells:
            gone, wrong = len(nowhere & {*hidden}), len(differs & {*hidden})
            running = Text(f"{len(hidden)} more, {gone} nowhere", "bold red") if gone else Text(f"{len(hidden)} more{seen}", "dim")
            return ("…", running, Text(f"{wrong} differ", "yellow") if wrong else Text("", "dim"))

        return Section(("instance", "nodes say", "API says"), rows, rest, spare=(2,))

    def _faults(self, now: float, signs: Signs) -> Section:
        rows: list[Weighed] = []
        lives = list(self._reading.faults.values())
        for place, life in enumerate(lives):
            # The newest has its row in any case, and of those that failed the newest ones before the others.
            weight = 3.0 if place == len(lives) - 1 else 2.0 if not life.over else 1.0 + place / len(lives) if life.failed else 0.0
            cells = (in_line(life.called), _few(life.names, 12, "nodes", ","), _stage(life), *self._against(life, now, signs))
            rows.append(Weighed(cells, weight))

        def rest(hidden: Sequence[int]) -> Cells:
            failed = sum(bool(lives[place].failed) for place in hidden)
            going = sum(not lives[place].over for place in hidden)
            words = Text(", ".join([*([f"{failed} FAILED"] if failed else []), *([f"{going} not healed"] if going else [])]) or "healed")
            words.stylize("bold red" if failed else "yellow" if going else "green")
            return (counted(len(hidden), "fault" if len(lives) - 1 in hidden else "earlier fault"), "", words, "", "")

        columns = ("fault", "targets", "stage", "against the limit", "since in force")
        return Section(columns, rows, rest, rest_first=True, folds=True, spare=(3, 2))

    def _against(self, life: FaultLife, now: float, signs: Signs) -> tuple[Text, Text]:
        """Say how long a fault has been in force, and how its work stands against what is allowed: over only while something is missing and late.

        A bar, for which there may be no room, and the same in figures.

        What is missing and when it was back is what the report will say of it, and counts from the same moment; see `WaysBack`.
        """
        none = Text()
        force = life.stages.get(Stage.IN_FORCE)
        if life.failed or force is None:
            return none, Text(sentence(life.failed) if life.failed else "-", "red" if life.failed else "dim")
        ways = self._ways.of(life.number)
        missing = [one for one in ways if one.running is None]
        back = max((one.running for one in ways if one.running is not None), default=None)
        came = f"; work back after {lasted(back)}" if back is not None and not missing else ""
        if life.over:
            return none, Text(f"was in force for {lasted(life.stages.get(Stage.HEALING, now) - force)}{came}", "dim")
        if not missing:
            return none, Text(f"{lasted(now - force)}{came or '; no work is missing'}", "green" if came else "")
        allowed = {one.instance: self._plan.allowed(one.instance, one.band) for one in missing}
        worst = max(missing, key=lambda one: (now - one.at) - (allowed[one.instance] or 0.0))
        seconds, limit = max(0.0, now - worst.at), allowed[worst.instance]
        if limit is None:
            return none, Text(f"work missing for {lasted(seconds)} (no limit)")
        text = Text(f"{lasted(seconds)} of {given(limit)}")
        if seconds > limit:
            text.append(", over", "bold red")
        return bar(seconds / limit, signs, over="red"), text

    def _calls(self, now: float) -> Section:
        own = self._reading.calls.get(READING_BACK)
        every = [*call_lanes(self._reading), *([(READING_BACK, [own])] if own is not None else [])]
        rows = []
        for label, lanes in every:
            going, last = max(lane.gap(now) for lane in lanes), max(lane.last_gap for lane in lanes)
            rows.append(Weighed(_call_cells(in_line(label), lanes, now), 2 if going >= 1.0 else 1 if last else 0))

        def rest(hidden: Sequence[int]) -> Cells:
            quiet = all(rows[place].weight == 0 for place in hidden)
            lanes = [lane for place in hidden for lane in every[place][1]]
            return _call_cells(f"{len(hidden)} {'without a gap' if quiet else 'more'}", lanes, now)

        return Section(("calls", "a second", "ok", "fail", "unknown", "gap"), rows, rest, right=5, folds=True, spare=(1, 4), scarce=(2,))

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


def _call_cells(label: str, lanes: Sequence[Calls], now: float) -> Cells:
    """Return the row of one lane of calls, or of several together: then the longest gap of any."""
    count = {outcome: sum(lane.counts[outcome] for lane in lanes) for outcome in Outcome}
    going = max(lane.gap(now) for lane in lanes)
    last = max(lane.last_gap for lane in lanes)
    gap = Text("-", "dim")
    if going >= 1.0:
        gap = Text(f"{lasted(going)}, no answer now", "bold red")
    elif last:
        gap = Text(f"{lasted(last)}, ended")
    return (
        label,
        f"{sum(lane.rate(now) for lane in lanes):.1f}",
        Text(str(count[Outcome.OK]), "green"),
        Text(str(count[Outcome.FAIL]), "red" if count[Outcome.FAIL] else "dim"),
        Text(str(count[Outcome.UNKNOWN]), "yellow" if count[Outcome.UNKNOWN] else "dim"),
        gap,
    )


def _stage(life: FaultLife) -> Text:
    """Say at which stage a fault is, in the colour of the worst that it ever was at: one that failed is mended, and not well."""
    word = STAGE_WORDS[life.stage]
    if life.failed:
        return Text(word if life.stage is Stage.FAILED else f"FAILED, {word}", "bold red")
    return Text(word, "green" if life.stage is Stage.HEALED else "yellow")


def bar(share: float, signs: Signs, *, over: str = "cyan") -> Text:
    """Return a bar, filled to a share of it; filled wholly, in the style `over`, from a share of 1."""
    filled = min(BAR, max(0, round(share * BAR)))
    return Text.assemble((signs.band * filled, over if share >= 1.0 else "cyan"), (signs.edge * (BAR - filled), "dim"))


def _few(names: Sequence[str], room: int, what: str, between: str = ", ") -> str:
    """Give names in a cell, or how many they are where they have no room: half a name would be another one's."""
    text = in_line(between.join(names))
    return text if len(text) <= room or len(names) == 1 else f"{len(names)} {what}"
