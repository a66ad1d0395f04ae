"""Everything that happened in a run, in order: the events, the `Recorder` that writes them, and the `History` that checkers read.

A history is a file of JSON lines, written as it grows, so that a run that was killed still has one. Index and time are taken under one lock:
a later index never has an earlier time. Times are seconds since the recorder was opened.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import threading
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from harness.errors import BadInput, Problem
from harness.values import (
    Call,
    Container,
    Json,
    NodeState,
    Outcome,
    Phase,
    Stage,
    View,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from harness.clock import Clock


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. Subclasses say what; their `kind` is their name in the file."""

    kind: ClassVar[str] = ""


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


@dataclass(frozen=True, slots=True)
class DockerEvent(Event):
    """What a node's Docker daemon says of a container. `at` is the daemon's own time of the event, on the run's clock."""

    kind: ClassVar[str] = "docker"
    node: str
    action: str  # create, start, die, kill, destroy …
    container: str  # full id
    instance: str  # empty for one that is not ours
    at: float


@dataclass(frozen=True, slots=True)
class ApiSeen(Event):
    """The orchestrator's API as asked at one node. `view` is None where it gave no (good) answer; `error` says why."""

    kind: ClassVar[str] = "api"
    node: str
    view: View | None
    error: str = ""


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


@dataclass(frozen=True, slots=True)
class Watching(Event):
    """An observer is alive (at least once a second) or could not ask (`alive` False, with the reason)."""

    kind: ClassVar[str] = "watching"
    observer: str  # placement, membership, host, docker
    node: str
    alive: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Invoked(Event):
    """A workload began a call. `op` is unique in the run."""

    kind: ClassVar[str] = "invoked"
    op: int
    workload: str
    call: Call


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


@dataclass(frozen=True, slots=True)
class Checked(Event):
    """One testinfra property, asked of one node. `outcome` unknown: the node could not be asked."""

    kind: ClassVar[str] = "checked"
    check: str  # the check in words, e.g. ``service docker is_running``
    node: str
    when: str  # before, during, after
    outcome: Outcome
    saw: str = ""


@dataclass(frozen=True, slots=True)
class Fingerprinted(Event):
    """What a node looked like before or after the run's faults; see `harness.fingerprint`."""

    kind: ClassVar[str] = "fingerprint"
    node: str
    when: str  # before, after
    marks: Mapping[str, Json]  # aspect → what was there; empty where the node could not be asked (`error` says why)
    error: str = ""


@dataclass(frozen=True, slots=True)
class Wholeness(Event):
    """How a wait for a whole cluster ended: all nodes up and listed, all work running once and serving, one leader, writes acknowledged.

    If it was not whole in time, `missing` says what was lacking. Before the first fault nothing is broken then, and the run goes straight to its end.
    """

    kind: ClassVar[str] = "whole"
    when: str  # before the first fault, or after the last heal
    whole: bool
    seconds: float  # how long it was waited for
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Note(Event):
    """A sentence for the timeline."""

    kind: ClassVar[str] = "note"
    text: str


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
        Note,
    )
}

E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True)
class Entry:
    """An event with its place in the run."""

    index: int  # from 0, without gaps
    time: float  # seconds since the history was opened
    event: Event

    def line(self) -> bytes:
        """Give the entry as one line of the file."""
        body: dict[str, Any] = {"i": self.index, "t": round(self.time, 6), "kind": self.event.kind}
        for name, default in _fields_of(self.event):
            value = getattr(self.event, name)
            if value is not default and value != default:
                body[name] = _plain(value)
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


@functools.cache
def _fields(cls: Any) -> tuple[tuple[str, Any], ...]:
    """Field names of a dataclass with their defaults (a unique object where there is none)."""
    found = []
    for each in dataclasses.fields(cls):
        default = each.default_factory() if each.default_factory is not dataclasses.MISSING else each.default
        found.append((each.name, default))
    return tuple(found)


def _fields_of(value: Any) -> tuple[tuple[str, Any], ...]:
    cls: Any = type(value)
    return _fields(cls)


def _plain(value: Any) -> Any:
    """Turn values into what `json.dumps` takes."""
    if dataclasses.is_dataclass(value):
        return {name: _plain(getattr(value, name)) for name, _ in _fields_of(value)}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    return value


@functools.cache
def _hints(cls: Any) -> Mapping[str, Any]:
    # Json refers to itself by name, which only a type checker follows; what it holds is passed on as it is.
    return typing.get_type_hints(cls, localns={"Json": Any, "Mapping": Mapping})


def _typed(hint: Any, value: Any) -> Any:  # noqa: PLR0911 - one line a shape
    """Undo `_plain`, led by a field's type."""
    origin = typing.get_origin(hint)
    if origin in {typing.Union, types.UnionType}:
        if value is None:
            return None
        return _typed(next(each for each in typing.get_args(hint) if each is not types.NoneType), value)
    if origin is tuple:
        inner = typing.get_args(hint)[0]
        return tuple(_typed(inner, each) for each in value)
    if isinstance(hint, type):
        if dataclasses.is_dataclass(hint):
            hints = _hints(hint)
            return hint(**{name: _typed(hints[name], each) for name, each in value.items()})
        if hint in {Phase, Stage, Outcome, NodeState}:
            return hint(value)
        if hint is float:
            return float(value)
    return value


def parse(line: bytes, number: int = 0, file: str = "history") -> Entry:
    """Read one line back. Raises `BadInput` for a line that is none of ours."""
    try:
        body = json.loads(line)
        index, time = int(body.pop("i")), float(body.pop("t"))
        cls: Any = KINDS[body.pop("kind")]
        hints = _hints(cls)
        return Entry(index, time, cls(**{name: _typed(hints[name], value) for name, value in body.items()}))
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        problem = Problem(
            file,
            number,
            1,
            f"a line that is not an event: {line[:80]!r}",
            "a line that a recorder wrote",
            f"the history is damaged or from another version ({error})",
        )
        raise BadInput([problem]) from error


class Recorder:
    """Where every thread of a run puts what it saw.

    `record` may be called from any thread. Listeners are called in the order of the entries, under the recorder's lock: they must be quick, and
    must not record. The file is written without a buffer of ours, so a line is with the kernel when `record` returns.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self.clock = clock
        self._lock = threading.RLock()
        self._waiters: list[threading.Event] = []
        self._next = 0
        self._listeners: list[Callable[[Entry], None]] = []
        self.failure: OSError | None = None  # why nothing is written any more (a full disk); whoever walks the run must look
        self._file: int | None = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self.origin = clock.now()  # the run's zero on the clock
        self.wall_origin = clock.wall()

    def __enter__(self) -> Self:
        """Return the recorder; it is closed on the way out."""
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def now(self) -> float:
        """Seconds since the history was opened."""
        return self.clock.now() - self.origin

    def record(self, event: Event) -> Entry:
        """Write one event and tell the listeners.

        After `close`, or once the file could not be written (`failure` says why), it is dropped: no thread is brought down by it.
        """
        with self._lock:
            entry = Entry(self._next, self.now(), event)
            if self._file is None:
                return entry
            try:
                os.write(self._file, entry.line())
            except OSError as error:
                self.failure = error
                os.close(self._file)
                self._file = None
                return entry
            self._next += 1
            for listener in self._listeners:
                listener(entry)
            for waiter in self._waiters:
                waiter.set()
            return entry

    def listen(self, listener: Callable[[Entry], None]) -> Callable[[], None]:
        """Call `listener` with every entry from now on. Returns what ends it."""
        with self._lock:
            self._listeners.append(listener)

        def unlisten() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return unlisten

    def wait_for(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until `condition` is true, asked after every entry; False after `seconds`.

        Called under the recorder's lock: it must be quick and look only at what listeners gathered.
        """
        end = self.clock.now() + seconds
        woken = threading.Event()
        with self._lock:
            self._waiters.append(woken)
        try:
            while True:
                woken.clear()
                with self._lock:
                    if condition():
                        return True
                left = end - self.clock.now()
                if left <= 0:
                    return False
                # Bounded, so that a condition that depends on time is asked too.
                self.clock.wait(woken, min(left, 0.25))
        finally:
            with self._lock:
                self._waiters.remove(woken)

    def close(self) -> None:
        """Write no more. Twice is fine."""
        with self._lock:
            if self._file is not None:
                os.fsync(self._file)
                os.close(self._file)
                self._file = None


class History:
    """All entries of a run, in order, with the few look-ups that checkers share."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries: Sequence[Entry] = tuple(entries)
        self._by_kind: dict[type[Event], list[Entry]] = {}
        for entry in self.entries:
            self._by_kind.setdefault(type(entry.event), []).append(entry)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file that a `Recorder` wrote. A torn last line (the writer was killed) is left out; any other bad line raises `BadInput`."""
        lines = path.read_bytes().splitlines(keepends=True)
        if lines and not lines[-1].endswith(b"\n"):
            lines.pop()
        return cls(parse(line, number, str(path)) for number, line in enumerate(lines, 1))

    @classmethod
    def of_events(cls, *timed: tuple[float, Event]) -> Self:
        """Make a history by hand, for tests: pairs of time and event, in any order of time."""
        ordered = sorted(timed, key=lambda pair: pair[0])
        return cls(Entry(index, time, event) for index, (time, event) in enumerate(ordered))

    def each(self, kind: type[E]) -> Iterator[tuple[Entry, E]]:
        """Every event of one kind with its entry, in order."""
        for entry in self._by_kind.get(kind, ()):
            yield entry, typing.cast("E", entry.event)

    @property
    def end(self) -> float:
        """Time of the last entry; 0 for an empty history."""
        return self.entries[-1].time if self.entries else 0.0

    def phase(self, phase: Phase) -> float | None:
        """When a phase began, or None."""
        return next((entry.time for entry, event in self.each(PhaseBegan) if event.phase is phase), None)
