"""Everything that happened in a run, in order: the events, and the `History` that checkers read.

A history is a file of JSON lines, written as it grows, so that a run that was killed still has one. Index and time are taken under one lock:
a later index never has an earlier time. Times are seconds since the recorder was opened. The lines are chained (`harness.history.chain`), the first
opens the history of one run and the last closes it: what was cut out or changed since is missed when it is read.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from harness.core.errors import BadInput, Problem
from harness.core.traits import from_history
from harness.core.values import (
    HERE,
    Call,
    CallStream,
    Container,
    Effect,
    Endurance,
    Json,
    NodeState,
    Outcome,
    Phase,
    Stage,
    View,
)
from harness.history.chain import Breach, Order
from harness.history.lines import from_line, to_line
from harness.host import untrusted

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
    from pathlib import Path


MOST_BYTES = 1 << 29
"""Bytes of a history that is read at most. Ten minutes of a busy run have some ten million."""
LONGEST_LINE = 1 << 23
"""Bytes of one of its lines at most. The longest, a fingerprint, has some ten thousand."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. Subclasses say what; their `kind` is their name in the file."""

    kind: ClassVar[str] = ""

    @property
    def nodes(self) -> frozenset[str]:
        """The names of all nodes that it tells of: who speaks, whom it is about, and whom it names. None where it names none.

        This machine (`HERE`) is no node.
        """
        return frozenset()


def _names(*names: str | None) -> frozenset[str]:
    return frozenset(name for name in names if name and name != HERE)


@dataclass(frozen=True, slots=True)
class PhaseBegan(Event):
    """The run entered a phase."""

    kind: ClassVar[str] = "phase"
    phase: Phase


@dataclass(frozen=True, slots=True)
class FaultStage(Event):
    """A fault entered a stage of its life. `fault` numbers the faults of a run from 1."""

    kind: ClassVar[str] = "fault"
    fault: int
    name: str  # e.g. net.partition
    targets: tuple[str, ...]  # node names, sorted
    stage: Stage
    parameters: Mapping[str, Json] = field(default_factory=dict)
    detail: str = ""
    traits: Mapping[str, Json] = field(
        default_factory=dict
    )  # as `harness.core.traits.to_history`; empty in histories from before it was recorded

    @property
    def nodes(self) -> frozenset[str]:
        """See `Event.nodes`: its targets, and who is lost to it."""
        kind = from_history(self.traits)
        return _names(*self.targets, *(kind[1] if kind else ()))


@dataclass(frozen=True, slots=True)
class NodeSeen(Event):
    """Node truth: all containers that run on a node at this moment, by its own process table.

    Recorded at every change and at least once a second while the node answers. With `state` off, `containers` is empty and that is known;
    with unreachable it is empty and means nothing.
    """

    kind: ClassVar[str] = "node"
    node: str
    state: NodeState
    containers: tuple[Container, ...] = ()
    detail: str = ""

    @property
    def nodes(self) -> frozenset[str]:
        """See `Event.nodes`."""
        return _names(self.node)


@dataclass(frozen=True, slots=True)
class DockerEvent(Event):
    """What a node's Docker daemon says of a container. `at` is the daemon's own time of the event, on the run's clock."""

    kind: ClassVar[str] = "docker"
    node: str
    action: str  # create, start, die, kill, destroy …
    container: str  # full id
    instance: str  # empty for one that is not ours
    at: float

    @property
    def nodes(self) -> frozenset[str]:
        """See `Event.nodes`."""
        return _names(self.node)


@dataclass(frozen=True, slots=True)
class ApiSeen(Event):
    """The orchestrator's API as asked at one node. `view` is None where it gave no (good) answer; `error` says why."""

    kind: ClassVar[str] = "api"
    node: str
    view: View | None
    error: str = ""

    @property
    def nodes(self) -> frozenset[str]:
        """See `Event.nodes`: where it was asked, and those that the view lists, or on which it says that something is."""
        view = self.view
        return _names(self.node, *(() if view is None else (*view.nodes, *(each.node for each in view.placements))))


@dataclass(frozen=True, slots=True)
class MemberSeen(Event):
    """A quorum member's own status. `leader` is who it follows (a node's name; its own name if it leads), None while it knows of none.

    With an `error`, nothing else is known. A cut-off leader goes on calling itself leader in its old term: judge leaders by term.
    """

    kind: ClassVar[str] = "member"
    node: str
    term: int = 0
    leader: str | None = None
    error: str = ""

    @property
    def nodes(self) -> frozenset[str]:
        """See `Event.nodes`."""
        return _names(self.node, self.leader)


@dataclass(frozen=True, slots=True)
class Watching(Event):
    """An observer is alive (at least once a second) or could not ask (`alive` False, with the reason)."""

    kind: ClassVar[str] = "watching"
    observer: str  # placement, membership, host, docker
    node: str
    alive: bool
    detail: str = ""

    @property
    def nodes(self) -> frozenset[str]:
        """See `Event.nodes`."""
        return _names(self.node)


@dataclass(frozen=True, slots=True)
class Invoked(Event):
    """A workload began a call. `op` is unique in the run."""

    kind: ClassVar[str] = "invoked"
    op: int
    workload: str
    call: Call
    stream: CallStream | None = (
        None  # what the call is of, where the workload's name does not say it; see `harness.history.calls.stream_of`
    )


@dataclass(frozen=True, slots=True)
class Answered(Event):
    """A call ended. A call without an answer is unknown: the run ended, or the harness was killed."""

    kind: ClassVar[str] = "answered"
    op: int
    workload: str
    outcome: Outcome
    value: str | None = None
    by: str | None = None  # node that answered
    error: str = ""
    ours: bool = False  # the trouble was the harness's or its machine's, and says nothing of whom it called

    @property
    def nodes(self) -> frozenset[str]:
        """See `Event.nodes`."""
        return _names(self.by)


@dataclass(frozen=True, slots=True)
class Checked(Event):
    """One check, asked of one node. `outcome` unknown: the node could not be asked."""

    kind: ClassVar[str] = "checked"
    check: str  # the check in words, e.g. ``service docker is_running``
    node: str  # empty where its target expression was nobody
    when: str  # before, during, after
    outcome: Outcome
    saw: str = ""

    @property
    def nodes(self) -> frozenset[str]:
        """See `Event.nodes`."""
        return _names(self.node)


@dataclass(frozen=True, slots=True)
class Fingerprinted(Event):
    """What a node looked like before or after the run's faults; see `harness.undo.fingerprint`."""

    kind: ClassVar[str] = "fingerprint"
    node: str
    when: str  # before, after
    marks: Mapping[str, Json]  # aspect → what was there; empty where the node could not be asked (`error` says why)
    error: str = ""

    @property
    def nodes(self) -> frozenset[str]:
        """See `Event.nodes`."""
        return _names(self.node)


@dataclass(frozen=True, slots=True)
class Wholeness(Event):
    """How a wait for a whole cluster ended: all nodes up and listed, all work running once and serving, one leader, writes acknowledged.

    If it was not whole in time, `missing` says what was lacking, and `unasked` what of that is not known for want of a call of ours. Before the first
    fault nothing is broken then, and the run goes straight to its end.
    """

    kind: ClassVar[str] = "whole"
    when: str  # before the first fault, or after the last heal
    whole: bool
    seconds: float  # how long it was waited for
    missing: tuple[str, ...] = ()
    unasked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Awaited(Event):
    """A step that waits until something is so begins, or ends: see `harness.history.awaits` for what that can be, and what it means if not."""

    kind: ClassVar[str] = "awaited"
    number: int  # from 1, among those of the run
    goal: str
    app: str  # that it is about; empty where it is about none
    at_most: float  # seconds
    otherwise: str  # what it means if it does not come in time
    outcome: Outcome | None = None  # None: it begins; ok: it came; unknown: what was missing is only what nobody asked
    seconds: float = 0.0  # how long it was waited for
    missing: tuple[str, ...] = ()  # what was lacking then, in words
    unasked: tuple[str, ...] = ()  # what of that is not known for want of a call of ours


@dataclass(frozen=True, slots=True)
class Acted(Event):
    """An action of a run begins, or ends. What it does to the cluster (`effect`) counts from its end on; in between nobody can tell."""

    kind: ClassVar[str] = "action"
    number: int  # from 1, among those of the run
    name: str  # e.g. app.scale
    targets: tuple[str, ...]  # node names, sorted; none where it is done to no node
    at_most: float  # seconds
    may_fail: bool  # whether it is fine if it is not done
    outcome: Outcome | None = None  # None: it begins; ok: it was done; fail: it was not; unknown: nobody can tell
    seconds: float = 0.0  # how long it took
    parameters: Mapping[str, Json] = field(default_factory=dict)
    detail: str = ""  # why it was not done, or what was done
    effect: Effect = field(default_factory=Effect)
    was: Mapping[str, int] = field(default_factory=dict)  # app → how many instances of it were to run before


@dataclass(frozen=True, slots=True)
class Endures(Event):
    """How long a stall of the machines the cluster's timers stand, and whose own lateness is measured: so that slowness is not taken for a fault."""

    kind: ClassVar[str] = "endures"
    endurance: Endurance
    beats: tuple[str, ...] = ()  # nodes that say how late they were themselves

    @property
    def nodes(self) -> frozenset[str]:
        """See `Event.nodes`."""
        return _names(*self.beats)


HARNESS = "harness"
"""Who stalled, if it is our own process."""
MACHINE = "machine"
"""Who stalled, if the harness's whole machine stood still, as when it is suspended."""


@dataclass(frozen=True, slots=True)
class Stalled(Event):
    """Somebody's own heartbeat was late: it was not let run, and neither saw nor did anything from `since` until now."""

    kind: ClassVar[str] = "stalled"
    who: str  # `HARNESS`, `MACHINE`, or a node's name
    since: float  # on the run's clock
    seconds: float  # how long; a suspended machine's clock stood still as well, so that `since` may be now
    why: str = ""

    @property
    def nodes(self) -> frozenset[str]:
        """See `Event.nodes`."""
        return _names(self.who) - {HARNESS, MACHINE}


@dataclass(frozen=True, slots=True)
class Pressure(Event):
    """The harness's own machine was overloaded, in the `seconds` that end now. Not recorded while that is not worth a word.

    `cpu`, `io` and `memory` are the shares of that time in which somebody had to wait for it (the kernel's PSI, "some"), 0 where it does not say.
    """

    kind: ClassVar[str] = "pressure"
    seconds: float
    cores: int
    ready: float  # processes that ran or could have run, at the mean
    steal: float = 0.0  # share of the time that the machine's own host took
    cpu: float = 0.0
    io: float = 0.0
    memory: float = 0.0


@dataclass(frozen=True, slots=True)
class Note(Event):
    """A sentence for the timeline."""

    kind: ClassVar[str] = "note"
    text: str


@dataclass(frozen=True, slots=True)
class Opened(Event):
    """The first line of a file: which run it is the history of (its id; empty for none)."""

    kind: ClassVar[str] = "opened"
    run: str


@dataclass(frozen=True, slots=True)
class Closed(Event):
    """The last line of a file: its recorder wrote all that it was told, and was closed."""

    kind: ClassVar[str] = "closed"
    lines: int  # that stand before it


KINDS: Mapping[str, type[Event]] = {
    event.kind: event
    for event in (
        PhaseBegan,
        FaultStage,
        NodeSeen,
        DockerEvent,
        ApiSeen,
        MemberSeen,
        Watching,
        Invoked,
        Answered,
        Checked,
        Fingerprinted,
        Wholeness,
        Awaited,
        Acted,
        Note,
        Opened,
        Closed,
        Endures,
        Stalled,
        Pressure,
    )
}

ENDED_EARLY = "ended early: "
"""What the note begins with that a harness leaves which could not bring a run to its end; the reason follows."""
STOPPED_EARLY = f"{ENDED_EARLY}it was asked to stop"
TEST_ENDED = "its test ended in its "
"""What the note begins with of a run whose test, in Python, failed by itself; the phase and the reason follow."""
_STOPPED_BEFORE = (f"{ENDED_EARLY}Stopped: ", f"{ENDED_EARLY}KeyboardInterrupt: ")
"""How earlier versions noted a run that was asked to stop."""

E = TypeVar("E", bound=Event)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry:
    """An event with its place in the run."""

    index: int  # from 0, without gaps
    time: float  # seconds since the history was opened
    event: Event

    def body(self) -> bytes:
        """Give the entry as one JSON object: a line of the file without its digest (`harness.history.chain`)."""
        return to_line(self.index, self.time, self.event.kind, self.event)


def parse(line: bytes, number: int = 0, file: str = "history") -> Entry:
    """Read one line back, with its digest or without. Raises `BadInput` for a line that is none of ours."""
    try:
        return Entry(*from_line(line, KINDS))
    except (ValueError, RecursionError) as error:
        problem = Problem(
            file,
            number,
            1,
            f"a line that is not an event: {line[:80]!r}",
            "a line that a recorder wrote",
            f"the history is damaged or from another version ({error})",
        )
        raise BadInput([problem]) from error


class History:
    """All entries of a run that are evidence, in order, with the few look-ups that checkers share.

    Without the lines that open and close it, so that the first entry of a file has the index 1. Where the file is not whole (`breach`), the entries
    are those before that place.
    """

    def __init__(self, entries: Iterable[Entry], *, run: str = "", closed: bool = True, breach: Breach | None = None) -> None:
        self.entries: Sequence[Entry] = tuple(entries)
        self.run = run  # id of the run that it is the history of; empty where nobody said
        self.closed = closed  # its recorder was closed: no later line is missing
        self.breach = breach
        self._by_kind: dict[type[Event], list[tuple[Entry, Event]]] = {}
        self._once: dict[Hashable, Any] = {}
        for entry in self.entries:
            self._by_kind.setdefault(type(entry.event), []).append((entry, entry.event))

    @classmethod
    def load(cls, path: Path, run: str = "") -> Self:
        """Read a file that a recorder wrote; see `read`. Raises `FileNotFoundError`, and `BadInput` for what is no ordinary file or too large."""
        with untrusted.lines(path.parent, path.name, MOST_BYTES, LONGEST_LINE) as lines:
            return cls._of_lines(lines, str(path), run)

    @classmethod
    def read(cls, content: bytes, file: str = "history", run: str = "") -> Self:
        """Read what a `Recorder` wrote, for the run of that id where one is given.

        A torn last line (the writer was killed) is left out; any other line that is no event raises `BadInput`. Where a line is an event, but not the
        one that was written there, the history ends before it, and `breach` says why.
        """
        *lines, _ = content.split(b"\n")
        return cls._of_lines((line + b"\n" for line in lines), file, run)

    @classmethod
    def _of_lines(cls, lines: Iterable[bytes], file: str, run: str) -> Self:
        order = Order(run)
        entries: list[Entry] = []
        for number, line in enumerate(lines, 1):
            entry = parse(line, number, file)
            event = entry.event
            opens = event.run if isinstance(event, Opened) else None
            closes = event.lines if isinstance(event, Closed) else None
            if why := order.takes(line, entry.index, entry.time, opens=opens, closes=closes):
                return cls(entries, run=order.run, closed=False, breach=order.breach(number, why))
            if opens is None and closes is None:
                entries.append(entry)
        return cls(entries, run=order.run, closed=order.closed)

    @classmethod
    def of_events(cls, *timed: tuple[float, Event]) -> Self:
        """Make a history by hand, for tests: pairs of time and event, in any order of time. It counts as whole."""
        ordered = sorted(timed, key=lambda pair: pair[0])
        return cls(Entry(index, time, event) for index, (time, event) in enumerate(ordered))

    def each(self, kind: type[E]) -> Iterator[tuple[Entry, E]]:
        """Every event of one kind with its entry, in order."""
        return iter(typing.cast("list[tuple[Entry, E]]", self._by_kind.get(kind, [])))

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what is worked out of this history, once for whoever asks for it by that key: a history never changes."""
        if key not in self._once:
            self._once[key] = make()
        return typing.cast("T", self._once[key])

    @property
    def end(self) -> float:
        """Time of the last entry; 0 for an empty history."""
        return self.entries[-1].time if self.entries else 0.0

    @property
    def length(self) -> float:
        """Seconds that the run took: until its last phase began, or else until the last entry. What comes after is tear-down."""
        done = self.phase(Phase.DONE)
        return self.end if done is None else done

    @property
    def observed(self) -> float:
        """Until when observers surely went on: to the last reads, or else to the last phase, or the last entry."""
        ends = [time for phase in (Phase.FINAL, Phase.DONE) if (time := self.phase(phase)) is not None]
        return min(ends, default=self.end)

    @property
    def failure(self) -> str:
        """Why the harness could not bring the run to its end, in its own words; empty where it could, was asked to stop, or nobody said."""
        return "" if self.stopped else self._ended_early.removeprefix(ENDED_EARLY)

    @property
    def stopped(self) -> bool:
        """Whether the run did not come to its end because it was asked to stop."""
        return self._ended_early.startswith((STOPPED_EARLY, *_STOPPED_BEFORE))

    @property
    def test_ended(self) -> str:
        """In which phase, and why, a test in Python failed whose run this is; empty where it did not, or where it is none's."""
        return next((event.text for _, event in self.each(Note) if event.text.startswith(TEST_ENDED)), "")

    @property
    def stopped_by(self) -> str:
        """What asked a run to stop, where that is more than a signal; else empty."""
        return self._ended_early.removeprefix(f"{STOPPED_EARLY}: ") if self._ended_early.startswith(f"{STOPPED_EARLY}: ") else ""

    @property
    def _ended_early(self) -> str:
        if self.phase(Phase.DONE) is not None:
            return ""
        return next((event.text for _, event in self.each(Note) if event.text.startswith(ENDED_EARLY)), "")

    def phase(self, phase: Phase) -> float | None:
        """When a phase began, or None."""
        return next((entry.time for entry, event in self.each(PhaseBegan) if event.phase is phase), None)
