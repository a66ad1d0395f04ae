"""Mutants of recorded histories: what was changed, and what must come out. None may survive.

*Held* needs evidence, *broken* needs evidence that stands alone, everything else is *unknown*. `LINES` change the file as it stands, so that the
chain must miss it. `EVENTS` are written anew by one who knows the format, or tell of a world in which it was so: there the content must answer.
"""

from __future__ import annotations

import dataclasses
import functools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from harness.checkers import Assumptions, Availability, Checks, Clean, Conflicts, Quorum, Rescheduled, Settled, Writes
from harness.checkers.expected import Asked, Expected
from harness.errors import BadInput
from harness.history import (
    Answered,
    ApiSeen,
    Checked,
    DockerEvent,
    Event,
    FaultStage,
    Fingerprinted,
    History,
    Invoked,
    MemberSeen,
    NodeSeen,
    Note,
    PhaseBegan,
    Watching,
    Wholeness,
)
from harness.protocols import Checker
from harness.testing.histories import chained, container, node_kill
from harness.testing.mutations import (
    Cut,
    Mutation,
    Timed,
    Where,
    add,
    between,
    both,
    called,
    change,
    drop,
    either,
    move,
    numbered,
    of,
    timed,
)
from harness.values import Call, Container, Finding, NodeState, Outcome, Phase, Placement, Stage, Verdict, View

FOLDER = Path(__file__).parents[2] / "fixtures" / "histories"
HELD, BROKEN, UNKNOWN = Verdict.HELD, Verdict.BROKEN, Verdict.UNKNOWN
RUN = "node-kill-fleet-s7"

NODES = ("n1", "n2", "n3")
EXPECTED = Expected(
    NODES,
    (("http", "web"), ("register", "")),
    observers=(("host", NODES), ("docker", NODES), ("placement", NODES), ("membership", ())),
)
PLANNED = dataclasses.replace(
    EXPECTED,
    faults=("node.kill",),
    checks=(Asked("service docker is_running", "after", NODES),),
    instances=("web@1", "web@2"),
    called=("web@1", "web@2"),
)
ALWAYS: tuple[Checker, ...] = (Assumptions(EXPECTED), Conflicts(), Writes(), Clean(EXPECTED))
MOVED = Rescheduled("web", within=38.5)
SERVED = Availability("web", 0.5, 40.0)

PROMISES: dict[str, tuple[Checker, ...]] = {
    "good": (
        *(Assumptions(PLANNED), Conflicts(), Writes(), Clean(PLANNED), Checks(PLANNED)),
        *(MOVED, SERVED, Quorum("go on", "stays"), Settled(PLANNED)),
    ),
    "node-kill": (*ALWAYS, MOVED, SERVED, Quorum("go on", "stays")),
    "partition-heal": (*ALWAYS, MOVED, SERVED, Quorum("go on", "moves")),
    "real-partition-minority": (*ALWAYS, MOVED, SERVED, Quorum("go on", "moves")),
    "real-etcd-leader-kill": (*ALWAYS, SERVED, Checks(), Quorum("go on", "moves")),
    "node-kill-too-late": (*ALWAYS, MOVED),
    "pinned-unit": (*ALWAYS, MOVED),
    "lost-write": ALWAYS,
    "conflicts-missing": ALWAYS,
    "acknowledged-without-quorum": (*ALWAYS, Quorum("stop")),
}
"""What is promised of each base. The first five are held, the others broken."""

TRUTH = {
    "good": HELD,
    "node-kill": HELD,
    "partition-heal": HELD,
    "real-partition-minority": HELD,
    "real-etcd-leader-kill": HELD,
    "node-kill-too-late": BROKEN,
    "pinned-unit": BROKEN,
    "lost-write": BROKEN,
    "conflicts-missing": BROKEN,
    "acknowledged-without-quorum": BROKEN,
}


@functools.cache
def told(base: str) -> tuple[Timed, ...]:
    """The events of a base. "good" is `node_kill`: n2 loses power at 10 s, web@2 runs on n3 at 40.2 s, all is whole at 58 s, and it ends at 70 s."""
    if base != "good":
        return tuple(timed(History.load(FOLDER / f"{base}.jsonl")))
    # One HTTP call of four is enough, and quicker.
    return tuple(
        numbered(drop(lambda _, each: isinstance(each, Invoked | Answered) and each.workload == "http" and each.op % 4 > 0))(
            timed(node_kill().history())
        )
    )


@functools.cache
def written(base: str) -> bytes:
    """The file of a base."""
    return chained(told(base), RUN)


def findings(base: str, history: History) -> list[Finding]:
    """What all checkers of a base say."""
    return [checker.check(history) for checker in PROMISES[base]]


def verdict(found: Sequence[Finding]) -> Verdict:
    """The verdict of a run."""
    return Verdict.worst(each.verdict for each in found)


def reasons(finding: Finding) -> str:
    """All that a finding gives as a reason."""
    points = finding.details.get("points")
    return " | ".join([finding.summary, *map(str, points if isinstance(points, list) else [])])


def judge(base: str, content: bytes, outcome: Verdict, by: str, words: str) -> None:
    """Judge a file, and ask for the verdict, for who must give it, and for the reason."""
    found = findings(base, History.read(content, run=RUN))
    everything = "\n".join(f"{each.checker} {each.verdict}: {reasons(each)}" for each in found)
    assert verdict(found) is outcome, everything
    said = [reasons(each) for each in found if each.verdict is outcome and by in {"", each.checker}]
    assert any(words in each for each in said), everything


@pytest.mark.parametrize("base", PROMISES)
def test_a_base_is_what_it_is_known_to_be(base: str) -> None:
    """Unchanged, it comes out as it was settled."""
    assert verdict(findings(base, History.read(written(base), run=RUN))) is TRUTH[base]


# -- the file, changed as it stands


@dataclass(frozen=True)
class LineMutant:
    """A change of a file's lines. None as the outcome: it is no history at all, which is bad input."""

    name: str
    base: str
    cut: Cut
    outcome: Verdict | None
    by: str = ""
    words: str = ""


def at(fraction: float) -> Callable[[list[bytes]], int]:
    """The line at that part of a file; never the first or the last."""
    return lambda lines: min(max(1, int(len(lines) * fraction)), len(lines) - 2)


def cut_out(fraction: float, count: int = 1) -> Cut:
    """Leave so many lines out."""
    return lambda lines: [*lines[: at(fraction)(lines)], *lines[at(fraction)(lines) + count :]]


def swapped(one: float, two: float) -> Cut:
    """Let two lines change places."""

    def swap(lines: list[bytes]) -> list[bytes]:
        a, b = at(one)(lines), at(two)(lines)
        b = b + 1 if a == b else b
        found = list(lines)
        found[a], found[b] = found[b], found[a]
        return found

    return swap


def replaced(old: bytes, new: bytes, count: int = 1) -> Cut:
    """Put other bytes in the place of some, in the first lines that have them."""

    def replace(lines: list[bytes]) -> list[bytes]:
        content = b"".join(lines)
        assert old in content
        return content.replace(old, new, count).splitlines(keepends=True)

    return replace


def without(*texts: bytes) -> Cut:
    """Leave out every line that has all of these."""

    def leave_out(lines: list[bytes]) -> list[bytes]:
        kept = [line for line in lines if not all(text in line for text in texts)]
        assert len(kept) < len(lines)
        return kept

    return leave_out


def until(fraction: float) -> Cut:
    """Cut off everything after."""
    return lambda lines: lines[: at(fraction)(lines)]


def inserted(fraction: float, *more: bytes) -> Cut:
    """Put lines in between."""
    return lambda lines: [*lines[: at(fraction)(lines)], *more, *lines[at(fraction)(lines) :]]


OTHER = chained([(0.1, Note("of another run")), (0.2, PhaseBegan(Phase.DONE))], "another-run").splitlines(keepends=True)
BREAKS, ENDS = "the history breaks at line", "before the end of the run"

LINES = [
    LineMutant("one line cut out", "good", cut_out(0.5), UNKNOWN, "assumptions", "one line before it is missing"),
    LineMutant("twenty lines cut out", "good", cut_out(0.5, 20), UNKNOWN, "assumptions", "20 lines before it are missing"),
    LineMutant("the second line cut out", "good", cut_out(0.0), UNKNOWN, "assumptions", "breaks at line 2 (index 1, after 0.0 s)"),
    LineMutant("the first line cut off", "good", lambda lines: lines[1:], UNKNOWN, "assumptions", "breaks at line 1"),
    LineMutant("the first half cut off", "good", lambda lines: lines[len(lines) // 2 :], UNKNOWN, "assumptions", "breaks at line 1"),
    LineMutant("a line doubled", "good", lambda x: [*x[:99], x[98], *x[99:]], UNKNOWN, "assumptions", "line 100 (index 99"),
    LineMutant("all lines doubled in place", "good", lambda x: [y for y in x for _ in "ab"], UNKNOWN, "", "another history begins here"),
    LineMutant("the file twice", "good", lambda lines: lines * 2, UNKNOWN, "", f"another history begins here, of the run {RUN}"),
    LineMutant("neighbours swapped", "good", swapped(0.5, 0.5), UNKNOWN, "assumptions", BREAKS),
    LineMutant("distant lines swapped", "good", swapped(0.2, 0.8), UNKNOWN, "assumptions", BREAKS),
    LineMutant("in reverse", "good", lambda lines: lines[::-1], UNKNOWN, "assumptions", "breaks at line 1"),
    LineMutant("shuffled", "good", lambda x: random.Random(7).sample(x, len(x)), UNKNOWN, "", BREAKS),  # noqa: S311 - a fixed order
    LineMutant("another run glued on", "good", lambda lines: [*lines, *OTHER], UNKNOWN, "", "another history begins here"),
    LineMutant("another run glued before", "good", lambda lines: [*OTHER, *lines], UNKNOWN, "", "not of the run"),
    LineMutant("another run glued in", "good", inserted(0.5, *OTHER), UNKNOWN, "", "another history begins here"),
    LineMutant("a line of another run", "good", inserted(0.5, OTHER[1]), UNKNOWN, "", "its index is 1, which was there before"),
    LineMutant("another run in its place", "good", lambda _: OTHER, UNKNOWN, "", "it is the history of the run another-run"),
    LineMutant("a failure edited into a success", "good", replaced(b'"outcome":"fail"', b'"outcome":"ok"'), UNKNOWN, "", "does not fit"),
    LineMutant("a node's name edited", "good", replaced(b'"node":"n3"', b'"node":"n1"', 9), UNKNOWN, "", "does not fit"),
    LineMutant("a time edited", "good", replaced(b'"t":40.25', b'"t":40.24'), UNKNOWN, "", "does not fit"),
    LineMutant("a digest edited", "good", replaced(b'"h":"', b'"h":"0', 500), UNKNOWN, "", BREAKS),
    LineMutant("the run edited", "good", replaced(RUN.encode(), b"node-kill-fleet-s8"), UNKNOWN, "", "not of the run"),
    LineMutant("the count edited", "good", replaced(b'"lines":', b'"lines":1'), UNKNOWN, "", "lines stand before it"),
    LineMutant("lines end with CRLF", "good", lambda x: [y[:-1] + b"\r\n" for y in x], UNKNOWN, "", "it ends with CRLF"),
    LineMutant("no digests", "good", lambda x: [y[:-25] + b"}\n" for y in x], UNKNOWN, "", "it has no digest"),
    LineMutant("JSON written anew", "good", lambda x: [y.replace(b'","', b'", "') for y in x], UNKNOWN, "", BREAKS),
    LineMutant("the last line cut off", "good", lambda lines: lines[:-1], UNKNOWN, "", "the history was never closed"),
    LineMutant("the last end of line cut off", "good", lambda x: [*x[:-1], x[-1][:-1]], UNKNOWN, "", "the history was never closed"),
    LineMutant("cut off in the middle", "good", until(0.5), UNKNOWN, "", ENDS),
    LineMutant("cut off in a line", "good", lambda lines: [*lines[:500], lines[500][:33]], UNKNOWN, "", ENDS),
    LineMutant("only the first line", "good", lambda lines: lines[:1], UNKNOWN, "", "the history is empty"),
    LineMutant("nothing at all", "good", lambda _: [], UNKNOWN, "", "the history is empty"),
    LineMutant("only the first and the last line", "good", lambda x: [x[0], x[-1]], UNKNOWN, "", BREAKS),
    LineMutant("something after the end", "good", lambda x: [*x, x[-1]], UNKNOWN, "", "something stands after the end"),
    LineMutant("a byte order mark", "good", lambda lines: [b"\xef\xbb\xbf" + lines[0], *lines[1:]], None),
    LineMutant("an empty line", "good", inserted(0.5, b"\n"), None),
    LineMutant("rubbish in between", "good", inserted(0.5, b"rubbish\n"), None),
    LineMutant("two lines in one", "good", lambda x: [*x[:99], x[99][:-1] + x[100], *x[101:]], None),
    LineMutant("a line torn in the middle", "good", lambda x: [*x[:99], x[99][:30] + b"\n", *x[100:]], None),
    LineMutant("a key twice", "good", replaced(b'"kind":"member"', b'"kind":"member","term":9'), None),
    LineMutant("a term that is text", "good", replaced(b'"term":2', b'"term":"2"'), None),
    LineMutant("an index that is a fraction", "good", replaced(b'{"i":9,', b'{"i":9.0,'), None),
    LineMutant("Docker's time is no number", "good", replaced(b'"at":40.2', b'"at":NaN'), None),
    LineMutant("two on one node cut out", "conflicts-missing", without(b'"node":"n1"', b"web@1", b"web@3"), UNKNOWN, "conflicts", BREAKS),
    LineMutant("the lost key's last read cut out", "lost-write", without(b'"key":"k83"', b'"read"'), UNKNOWN, "writes", BREAKS),
    LineMutant("the lost key's write cut out", "lost-write", without(b'"key":"k83"', b'"write"'), UNKNOWN, "writes", BREAKS),
    LineMutant("a late start edited", "node-kill-too-late", replaced(b'"at":', b'"at":1'), BROKEN, "rescheduled", "ran nowhere else"),
    LineMutant("every line of a fault cut out", "pinned-unit", without(b'"kind":"fault"'), UNKNOWN, "", BREAKS),
    LineMutant("the stray write cut out", "acknowledged-without-quorum", without(b'"stray"'), UNKNOWN, "quorum", BREAKS),
    LineMutant("broken before the break", "conflicts-missing", cut_out(0.9), BROKEN, "conflicts", "web@1 and web@3"),
    LineMutant("broken before it was cut off", "conflicts-missing", until(0.9), BROKEN, "conflicts", "web@1 and web@3"),
    LineMutant("broken, and never closed", "lost-write", lambda lines: lines[:-1], BROKEN, "writes", "1 acknowledged write lost"),
    LineMutant("broken after the break", "lost-write", cut_out(0.5), UNKNOWN, "writes", BREAKS),
    LineMutant("a real run, one line cut out", "real-partition-minority", cut_out(0.7), UNKNOWN, "assumptions", BREAKS),
    LineMutant("a real run, killed", "real-etcd-leader-kill", until(0.8), UNKNOWN, "assumptions", ENDS),
]  # fmt: skip


@pytest.mark.parametrize("mutant", LINES, ids=lambda mutant: f"{mutant.base}: {mutant.name}")
def test_a_file_that_was_changed_is_missed(mutant: LineMutant) -> None:
    """The verdict, the checker that gives it, and the reason."""
    content = b"".join(mutant.cut(written(mutant.base).splitlines(keepends=True)))
    assert content != written(mutant.base)
    if mutant.outcome is None:
        with pytest.raises(BadInput):
            History.read(content, run=RUN)
        return
    judge(mutant.base, content, mutant.outcome, mutant.by, mutant.words)


# -- what is told, changed and written anew


@dataclass(frozen=True)
class EventMutant:
    """A change of what a history tells."""

    name: str
    base: str
    mutation: Mutation
    outcome: Verdict
    by: str
    words: str = ""


def up(node: str, *containers: Container) -> NodeSeen:
    """A node runs these."""
    return NodeSeen(node, NodeState.UP, containers)


def ran(start: float, end: float, node: str, *containers: Container) -> Mutation:
    """All that a node is seen to run in a time is this."""
    return change(between(start, end, of(NodeSeen, node=node, state=NodeState.UP)), lambda _: up(node, *containers))


def silent(start: float, end: float, *observers: str, node: str) -> Where:
    """What an observer said of a node in a time: that it watches, and what it saw."""
    kinds: dict[str, type[Event]] = {"host": NodeSeen, "placement": ApiSeen, "membership": MemberSeen, "docker": DockerEvent}
    wheres = [where for each in observers for where in (of(Watching, observer=each, node=node), of(kinds[each], node=node))]
    return between(start, end, either(*wheres))


def uncalled(start: float, end: float, *functions: str, key: str = "") -> Mutation:
    """No call of these functions (of all, for none), and of that key (of any), was made in a time. Their numbers are missing."""

    def leave_out(events: Sequence[Timed]) -> list[Timed]:
        ops = called(events, lambda call: key in {"", call.key} and (not functions or call.function in functions), start, end)
        return [(time, event) for time, event in events if not (isinstance(event, Invoked | Answered) and event.op in ops)]

    return leave_out


def answers(start: float, end: float, function: str, outcome: Outcome, key: str = "") -> Mutation:
    """All calls of a time are answered so."""

    def answer(events: Sequence[Timed]) -> list[Timed]:
        ops = called(events, lambda call: call.function == function and key in {"", call.key}, start, end)
        return [
            (time, dataclasses.replace(event, outcome=outcome) if isinstance(event, Answered) and event.op in ops else event)
            for time, event in events
        ]

    return answer


def answered_by(start: float, end: float, key: str, node: str) -> Mutation:
    """All calls of a time to an instance are answered well by a node."""

    def answer(events: Sequence[Timed]) -> list[Timed]:
        ops = called(events, lambda call: call.key == key, start, end)
        return [
            (time, dataclasses.replace(event, outcome=Outcome.OK, by=node) if isinstance(event, Answered) and event.op in ops else event)
            for time, event in events
        ]

    return answer


def asked(time: float, call: Call, outcome: Outcome, value: str | None = None) -> Mutation:
    """One more call of the register."""

    def ask(events: Sequence[Timed]) -> list[Timed]:
        op = max(event.op for _, event in events if isinstance(event, Invoked)) + 1
        return add((time, Invoked(op, "register", call)), (time + 0.01, Answered(op, "register", outcome, value)))(events)

    return ask


def unanswered(function: str, start: float, end: float) -> Mutation:
    """Calls of a time have no answer."""

    def leave_out(events: Sequence[Timed]) -> list[Timed]:
        ops = called(events, lambda call: call.function == function, start, end)
        return [(time, event) for time, event in events if not (isinstance(event, Answered) and event.op in ops)]

    return leave_out


def unread(start: float, end: float) -> Mutation:
    """The last reads of keys that `Story.writes` wrote in a time are left out."""

    def key_of_then(call: Call) -> bool:
        return call.function == "read" and start <= float(call.key[1:]) / 10 < end

    def leave_out(events: Sequence[Timed]) -> list[Timed]:
        ops = called(events, key_of_then, 69, 71)
        return [(time, event) for time, event in events if not (isinstance(event, Invoked | Answered) and event.op in ops)]

    return leave_out


def of_workload(name: str) -> Where:
    """Match the calls of a workload, and their answers."""
    return either(of(Invoked, workload=name), of(Answered, workload=name))


def docker_off(seconds: float) -> Mutation:
    """Docker's own clock is off by so much."""

    def off(event: Event) -> Event:
        assert isinstance(event, DockerEvent)
        return dataclasses.replace(event, at=event.at + seconds)

    return change(of(DockerEvent), off)


def untold(instance: str) -> Mutation:
    """Nobody ever says a word of an instance, as if it had never been deployed."""

    def leave_out(events: Sequence[Timed]) -> list[Timed]:
        ops = called(events, lambda call: call.key == instance, 0, 999)
        found: list[Timed] = []
        for time, event in events:
            if (isinstance(event, Invoked | Answered) and event.op in ops) or getattr(event, "instance", "") == instance:
                continue
            told = event
            if isinstance(told, NodeSeen):
                told = dataclasses.replace(told, containers=tuple(each for each in told.containers if each.instance != instance))
            elif isinstance(told, ApiSeen) and told.view is not None:
                placed = tuple(each for each in told.view.placements if each.instance != instance)
                told = dataclasses.replace(told, view=View(told.view.nodes, placed))
            found.append((time, told))
        return found

    return numbered(leave_out)


def nowhere(*more: Mutation) -> Mutation:
    """What was lost runs nowhere any more, and it is not said that all was whole."""
    return both(ran(40, 71, "n3"), drop(either(of(DockerEvent), of(Wholeness, when="after"))), *more)


def repeated(where: Where) -> Mutation:
    """Events are told twice each."""
    return lambda events: [each for each in events for _ in range(2 if where(*each) else 1)]


def fault(time: float, stage: Stage, detail: str = "", *, number: int = 1, name: str = "node.kill", targets: str = "n2") -> Timed:
    """One more stage of a fault."""
    return (time, FaultStage(number, name, tuple(targets.split()), stage, detail=detail))


def edit(where: Where, **fields: Any) -> Mutation:
    """Give fields of events other values."""
    return change(where, lambda event: dataclasses.replace(event, **fields))


def reread(key: str, value: str | None) -> Mutation:
    """The last read of a key finds another value."""

    def change_all(events: Sequence[Timed]) -> list[Timed]:
        ops = called(events, lambda call: call == Call("read", key), 69.0, 71.0)
        assert ops
        return [
            (time, dataclasses.replace(event, value=value) if isinstance(event, Answered) and event.op in ops else event)
            for time, event in events
        ]

    return change_all


def shows(time: float, node: str, placements: dict[str, str]) -> Timed:
    """What the API at a node says."""
    placed = tuple(Placement(instance, home, "active", running=True) for instance, home in sorted(placements.items()))
    return (time, ApiSeen(node, View(("n1", "n2", "n3"), placed)))


WEB1, WEB2 = container("web@1", "n1"), container("web@2", "n3")
AGAIN, THERE = Container("e" * 64, "web@1"), Container("f" * 64, "web@2")
CALLS = either(of(Invoked), of(Answered))
EVERYTHING = of(Event)

EVENTS = [
    # nobody was there
    EventMutant("all silent for 15 s", "good", drop(between(20, 35, EVERYTHING)), UNKNOWN, "assumptions"),
    EventMutant("all silent while it comes back", "good", drop(between(36, 50, EVERYTHING)), UNKNOWN, "assumptions"),
    EventMutant("all silent before the fault", "good", drop(between(2, 9, EVERYTHING)), UNKNOWN, "assumptions"),
    EventMutant("all silent after the heal", "good", drop(between(54, 65, EVERYTHING)), UNKNOWN, "assumptions"),
    EventMutant("the new home unseen", "good", drop(silent(20, 60, "host", node="n3")), UNKNOWN, "assumptions", "n3"),
    EventMutant("a survivor unseen", "good", drop(silent(20, 70, "host", node="n1")), UNKNOWN, "assumptions", "n1"),
    EventMutant(
        "a survivor unseen, and said to be watched", "good", drop(between(20, 60, of(NodeSeen, node="n3"))), UNKNOWN, "assumptions"
    ),
    EventMutant("a node never seen", "good", drop(of(NodeSeen, node="n3")), UNKNOWN, "assumptions", "n3"),
    EventMutant("a node of which nobody spoke", "good", drop(lambda _, e: getattr(e, "node", "") == "n3"), UNKNOWN, "assumptions", "n3"),
    EventMutant(
        "a survivor could not be asked",
        "good",
        edit(between(20, 30, of(NodeSeen, node="n3")), state=NodeState.UNREACHABLE),
        UNKNOWN,
        "assumptions",
        "n3",
    ),
    EventMutant("no node ever seen", "good", drop(of(NodeSeen)), UNKNOWN, "assumptions"),
    EventMutant("no observer ever spoke", "good", drop(of(Watching)), UNKNOWN, "assumptions", "no observer"),
    EventMutant("Docker silent on a survivor", "good", drop(silent(20, 40, "docker", node="n1")), UNKNOWN, "assumptions", "docker"),
    EventMutant("the API silent on a survivor", "good", drop(silent(20, 40, "placement", node="n1")), UNKNOWN, "assumptions", "placement"),
    EventMutant("a member silent", "good", drop(silent(20, 40, "membership", node="n3")), UNKNOWN, "assumptions", "membership"),
    EventMutant(
        "blind on a survivor",
        "good",
        edit(between(20, 40, of(Watching, observer="host", node="n1")), alive=False),
        UNKNOWN,
        "assumptions",
        "host",
    ),
    EventMutant("no member ever seen", "good", drop(of(MemberSeen)), UNKNOWN, "quorum"),
    # nobody called
    EventMutant("no call at all", "good", drop(CALLS), UNKNOWN, "availability"),
    EventMutant("nobody called after the fault", "good", numbered(uncalled(10, 69, "get")), UNKNOWN, "availability"),
    EventMutant("the lost instance never called", "good", numbered(uncalled(0, 70, key="web@2")), UNKNOWN, ""),
    EventMutant("the lost instance not called while it was lost", "good", numbered(uncalled(9.9, 69, key="web@2")), UNKNOWN, ""),
    EventMutant("nobody wrote while it was in force", "good", uncalled(10, 51, "write"), UNKNOWN, "quorum"),
    EventMutant("nobody wrote, and nobody read that", "good", numbered(both(uncalled(10, 51, "write"), unread(10, 51))), UNKNOWN, "quorum"),
    EventMutant("nobody read back", "good", drop(between(69, 70, CALLS)), UNKNOWN, "writes", "not read back"),
    EventMutant("the last reads all failed", "good", answers(69, 70, "read", Outcome.FAIL), UNKNOWN, "writes", "not read back"),
    EventMutant(
        "one key not read back", "good", numbered(uncalled(69, 70, key="k300")), UNKNOWN, "writes", "1 acknowledged write not read back"
    ),
    EventMutant("no call before the fault", "good", numbered(uncalled(0, 10, "get")), UNKNOWN, "assumptions", "http"),
    EventMutant("five calls in all", "good", drop(lambda _, e: isinstance(e, Invoked | Answered) and e.op > 5), UNKNOWN, "assumptions"),
    EventMutant("writes without an answer", "good", unanswered("write", 20, 25), UNKNOWN, "assumptions", "10 calls without an answer"),
    EventMutant("no write has an answer", "good", unanswered("write", 10, 51), UNKNOWN, "quorum", "no write"),
    EventMutant("an acknowledgement left out", "lost-write", unanswered("write", 8, 9), UNKNOWN, "assumptions", "without an answer"),
    EventMutant("some calls missing", "good", uncalled(20, 20.9, "get"), UNKNOWN, "assumptions", "calls are numbered without gaps"),
    EventMutant("writes missing", "good", uncalled(20, 20.9, "write"), UNKNOWN, "writes", "that must have been made are missing"),
    # nobody asked
    EventMutant("nothing was checked", "good", drop(of(Checked)), UNKNOWN, "checks", "nothing was checked"),
    EventMutant("a check could not be asked", "good", edit(of(Checked, node="n1"), outcome=Outcome.UNKNOWN), UNKNOWN, "checks"),
    EventMutant("a check said no", "good", edit(of(Checked, node="n1"), outcome=Outcome.FAIL), BROKEN, "checks", "n1"),
    EventMutant("no fingerprint after", "good", drop(of(Fingerprinted, node="n2", when="after")), UNKNOWN, "clean", "n2"),
    EventMutant("no fingerprint before", "good", drop(of(Fingerprinted, node="n2", when="before")), UNKNOWN, "clean", "n2"),
    EventMutant(
        "a fingerprint refused",
        "good",
        edit(of(Fingerprinted, node="n1", when="after"), marks={}, error="no answer"),
        UNKNOWN,
        "clean",
        "n1",
    ),
    EventMutant(
        "something left behind",
        "good",
        edit(of(Fingerprinted, node="n1", when="after"), marks={"nft_tables": ["whalefall_1"]}),
        BROKEN,
        "clean",
        "whalefall_1",
    ),
    EventMutant("never seen whole after", "good", drop(of(Wholeness, when="after")), UNKNOWN, "settled"),
    EventMutant("never seen whole before", "good", drop(of(Wholeness, when="before")), UNKNOWN, "settled"),
    EventMutant(
        "not whole before",
        "good",
        edit(of(Wholeness, when="before"), whole=False, missing=("no leader",)),
        UNKNOWN,
        "assumptions",
        "never steady",
    ),
    EventMutant(
        "not whole after",
        "good",
        edit(of(Wholeness, when="after"), whole=False, missing=("n2 is not listed",)),
        BROKEN,
        "settled",
        "n2 is not listed",
    ),
    EventMutant("no fingerprint of a node at all", "good", drop(of(Fingerprinted, node="n2")), UNKNOWN, "clean", "n2"),
    EventMutant("no fingerprint at all", "good", drop(of(Fingerprinted)), UNKNOWN, "clean"),
    EventMutant("the host observer never spoke", "good", drop(of(Watching, observer="host")), UNKNOWN, "assumptions", "host"),
    EventMutant("the API observer never spoke", "good", drop(of(Watching, observer="placement")), UNKNOWN, "assumptions", "placement"),
    EventMutant("the docker observer never spoke", "good", drop(of(Watching, observer="docker")), UNKNOWN, "assumptions", "docker"),
    EventMutant("the members' observer never spoke", "good", drop(of(Watching, observer="membership")), UNKNOWN, "assumptions", "member"),
    EventMutant("nobody called for 20 s of the outage", "good", numbered(uncalled(15, 35, "get")), UNKNOWN, "assumptions", "made no call"),
    EventMutant("the lost not called for 20 s", "good", numbered(uncalled(15, 35, key="web@2")), UNKNOWN, "assumptions", "to web@2"),
    EventMutant("an instance in nobody's lines", "good", untold("web@2"), UNKNOWN, "assumptions", "web@2 ran nowhere when the first fault"),
    EventMutant("a check asked of one node", "good", drop(lambda _, e: isinstance(e, Checked) and e.node != "n1"), UNKNOWN, "checks", "n3"),
    EventMutant(
        "said to be whole while one ran nowhere", "good", ran(56, 60, "n3"), UNKNOWN, "settled", "when by node truth there ran 1 of 2"
    ),
    EventMutant(
        "said to be whole while a node was off",
        "good",
        change(between(53, 60, of(NodeSeen, node="n2")), lambda _: NodeSeen("n2", NodeState.OFF)),
        UNKNOWN,
        "settled",
        "when n2 was off by node truth",
    ),
    # told at another time than it says
    EventMutant(
        "fingerprints from before, taken after", "good", move(of(Fingerprinted, when="before"), 66.0), UNKNOWN, "assumptions", "from before"
    ),
    EventMutant(
        "fingerprints from after, taken before the heal",
        "good",
        move(of(Fingerprinted, when="after"), -20.0),
        UNKNOWN,
        "assumptions",
        "the last fault was over at 53.0 s",
    ),
    EventMutant("checks from after, asked before the fault", "good", move(of(Checked), -60.0), UNKNOWN, "assumptions", "from after"),
    EventMutant("checks from during, asked after", "good", edit(of(Checked), when="during"), UNKNOWN, "assumptions", "when there was none"),
    EventMutant(
        "whole before, told after the fault", "good", move(of(Wholeness, when="before"), 56.0), UNKNOWN, "assumptions", "from before"
    ),
    EventMutant("whole after, told before the heal", "good", move(of(Wholeness, when="after"), -8.0), UNKNOWN, "assumptions", "from after"),
    # the word that somebody watches, and nothing seen
    EventMutant("no API ever seen", "good", drop(of(ApiSeen)), UNKNOWN, "assumptions", "the placement observer watched n1 and never told"),
    EventMutant("no API of one node ever seen", "good", drop(of(ApiSeen, node="n2")), UNKNOWN, "assumptions", "observer watched n2"),
    EventMutant(
        "one member never seen", "good", drop(of(MemberSeen, node="n3")), UNKNOWN, "assumptions", "the membership observer watched n3"
    ),
    EventMutant("fingerprints of nothing", "good", edit(of(Fingerprinted), marks={}), UNKNOWN, "clean", "nothing was looked at"),
    EventMutant("a node unseen since it is back", "good", drop(between(59, 71, of(NodeSeen, node="n2"))), UNKNOWN, "assumptions", "n2"),
    # machines that nobody took away
    EventMutant(
        "nobody's target is off for 4 s",
        "good",
        change(between(44, 48, of(NodeSeen, node="n3")), lambda _: NodeSeen("n3", NodeState.OFF)),
        UNKNOWN,
        "assumptions",
        "and no fault explains it",
    ),
    EventMutant(
        "a node off that an etcd fault does not explain",
        "real-etcd-leader-kill",
        change(between(30, 32, of(NodeSeen, node="n2")), lambda _: NodeSeen("n2", NodeState.OFF)),
        UNKNOWN,
        "assumptions",
        "n2 was off for",
    ),
    # faults that did nothing, and clocks
    EventMutant(
        "the cut-off follows the others' new leader",
        "partition-heal",
        both(drop(between(9, 60, of(MemberSeen, node="n1"))), add(*((12.0 + second, MemberSeen("n1", 3, "n3")) for second in range(48)))),
        UNKNOWN,
        "assumptions",
        "yet n1 followed n3 in term 3",
    ),
    EventMutant(
        "the cut-off knows what was placed elsewhere since",
        "partition-heal",
        add(shows(45.0, "n1", {"web@1": "n3", "web@2": "n2"})),
        UNKNOWN,
        "assumptions",
        "yet the API at n1 showed web@1 on n3",
    ),
    EventMutant("answered well by a machine that is off", "good", answered_by(12, 40, "web@2", "n2"), UNKNOWN, "assumptions", "n2 was off"),
    EventMutant(
        "answered well by a node that ran nothing", "good", answered_by(12, 40, "web@1", "n3"), UNKNOWN, "assumptions", "did not run"
    ),
    EventMutant(
        "node truth and Docker of n3 5 s late",
        "good",
        both(ran(40, 45.2, "n3"), docker_off(5.0)),
        UNKNOWN,
        "assumptions",
        "did not run it by node truth",
    ),
    EventMutant(
        "node truth and Docker of n3 5 s early",
        "good",
        both(move(between(40, 60, of(NodeSeen, node="n3")), -5.0), docker_off(-5.0)),
        UNKNOWN,
        "assumptions",
        "told at a wrong time",
    ),
    EventMutant(
        "in time by Docker's word alone",
        "good",
        both(drop(between(45.5, 50, of(NodeSeen, node="n3"))), ran(40, 45.5, "n3"), docker_off(6.2)),
        UNKNOWN,
        "rescheduled",
        "which was in time",
    ),
    # the fault
    EventMutant("hit nobody", "good", edit(of(FaultStage), targets=()), UNKNOWN, "assumptions", "hit nobody"),
    EventMutant("planned, and never came", "good", drop(of(FaultStage)), UNKNOWN, "assumptions", "planned and never made"),
    EventMutant("another one than was planned", "good", edit(of(FaultStage), name="node.reboot"), UNKNOWN, "assumptions", "never made"),
    EventMutant(
        "power cut, and the node is up",
        "good",
        both(
            drop(of(NodeSeen, node="n2", state=NodeState.OFF)),
            add(*((10.0 + number, up("n2", container("web@2", "n2"))) for number in range(43))),
        ),
        UNKNOWN,
        "assumptions",
        "n2",
    ),
    EventMutant("power cut, and the node is seen up once", "good", add((30.0, up("n2"))), UNKNOWN, "assumptions", "n2 was up"),
    EventMutant("no fault at all", "good", drop(of(FaultStage)), UNKNOWN, "assumptions", "no fault was made"),
    EventMutant("never in force", "good", drop(of(FaultStage, stage=Stage.IN_FORCE)), UNKNOWN, "assumptions", "never in force"),
    EventMutant("never healed", "good", drop(of(FaultStage, stage=Stage.HEALED)), UNKNOWN, "assumptions", "never seen to be healed"),
    EventMutant(
        "failed before it was in force",
        "good",
        both(drop(of(FaultStage, stage=Stage.IN_FORCE)), add(fault(10.05, Stage.FAILED, "no such unit"))),
        UNKNOWN,
        "assumptions",
        "no such unit",
    ),
    EventMutant(
        "undone by something else",
        "good",
        add(fault(30.0, Stage.FAILED, "no longer in force on n2")),
        UNKNOWN,
        "assumptions",
        "no longer in force",
    ),
    EventMutant(
        "in force on one of two",
        "good",
        edit(of(FaultStage, stage=Stage.DECIDED), targets=("n2", "n3")),
        UNKNOWN,
        "assumptions",
        "never in force",
    ),
    EventMutant("the fault that does nothing", "good", edit(of(FaultStage), name="none"), UNKNOWN, "assumptions", "none"),
    EventMutant("decided twice", "good", add(fault(20.0, Stage.DECIDED)), UNKNOWN, "assumptions", "not one run"),
    EventMutant(
        "in force before it was decided", "good", move(of(FaultStage, stage=Stage.IN_FORCE), -0.06), UNKNOWN, "assumptions", "not one run"
    ),
    EventMutant(
        "the same number, another fault",
        "good",
        add(fault(20.0, Stage.DECIDED, name="disk.slow", targets="n3")),
        UNKNOWN,
        "assumptions",
        "not one run",
    ),
    EventMutant(
        "a second fault that failed",
        "good",
        add(fault(52.0, Stage.DECIDED, number=2), fault(52.1, Stage.FAILED, "no answer", number=2)),
        UNKNOWN,
        "assumptions",
        "no answer",
    ),
    # one run
    EventMutant("every event twice", "good", repeated(EVERYTHING), UNKNOWN, "assumptions", "not one run"),
    EventMutant(
        "two runs, one after the other",
        "good",
        lambda events: [*events, *((time + 70.0, event) for time, event in events)],
        UNKNOWN,
        "assumptions",
        "not one run",
    ),
    EventMutant("every call twice", "good", repeated(CALLS), UNKNOWN, "assumptions", "twice"),
    EventMutant(
        "answers without calls", "good", drop(between(20, 30, of(Invoked, workload="http"))), UNKNOWN, "assumptions", "nobody had begun"
    ),
    EventMutant("never done", "good", drop(of(PhaseBegan, phase=Phase.DONE)), UNKNOWN, "assumptions", ENDS),
    EventMutant("done in the middle", "good", move(of(PhaseBegan, phase=Phase.DONE), -30.0), UNKNOWN, "assumptions", "not one run"),
    EventMutant("no phases at all", "good", drop(of(PhaseBegan)), UNKNOWN, "assumptions", ENDS),
    EventMutant(
        "steady before it was formed", "good", move(of(PhaseBegan, phase=Phase.FORMING), 1.5), UNKNOWN, "assumptions", "not one run"
    ),
    # clocks
    EventMutant("Docker's clock 12 s behind", "node-kill-too-late", docker_off(-12.0), BROKEN, "rescheduled", "too late"),
    EventMutant("Docker's clock 60 s ahead", "good", docker_off(60.0), UNKNOWN, "assumptions", "one of the two clocks is wrong"),
    EventMutant("Docker's clock 37 s behind", "good", docker_off(-37.0), UNKNOWN, "assumptions", "one of the two clocks is wrong"),
    EventMutant("Docker's clock half a second ahead", "good", docker_off(0.5), HELD, "assumptions"),
    EventMutant("no word from Docker", "good", drop(of(DockerEvent)), HELD, "rescheduled", "web@2 ran on n3 30.2 s"),
    EventMutant("node truth of n3 10 s late", "good", move(between(40, 70, of(NodeSeen, node="n3")), 10.0), UNKNOWN, "assumptions", "n3"),
    # what must convict
    EventMutant(
        "two instances on one node",
        "good",
        ran(44, 48, "n3", WEB2, container("web@1", "n3")),
        BROKEN,
        "conflicts",
        "n3 ran two instances of web at once",
    ),
    EventMutant(
        "two instances on one node for a moment", "good", add((44.02, up("n3", WEB2, AGAIN)), (44.07, up("n3", WEB2))), HELD, "conflicts"
    ),
    EventMutant(
        "two instances by the API's word",
        "good",
        add(shows(44.0, "n1", {"web@1": "n3", "web@2": "n3"}), shows(49.0, "n1", {"web@1": "n1", "web@2": "n3"})),
        BROKEN,
        "conflicts",
        "the API showed two instances of web",
    ),
    EventMutant(
        "one instance in two containers",
        "good",
        ran(44, 48, "n1", WEB1, AGAIN),
        BROKEN,
        "conflicts",
        "n1 ran web@1 in two containers at once",
    ),
    EventMutant("one container told twice", "good", ran(44, 48, "n1", WEB1, WEB1), HELD, "conflicts"),
    EventMutant("one instance on two nodes", "good", add((54.1, up("n2", AGAIN)), (55.6, up("n2"))), HELD, "conflicts", "at once for"),
    EventMutant(
        "a second leader in the term",
        "good",
        add((30.0, MemberSeen("n3", 2, "n3"))),
        BROKEN,
        "quorum",
        "n1 and n3 each called themselves leader in term 2",
    ),
    EventMutant(
        "a follower of another leader in the term",
        "good",
        add((30.0, MemberSeen("n3", 2, "n2")), (30.3, MemberSeen("n3", 2, "n1"))),
        BROKEN,
        "quorum",
        "two leaders in term 2",
    ),
    EventMutant(
        "a term that goes back",
        "good",
        add((57.0, MemberSeen("n2", 1, None)), (57.5, MemberSeen("n2", 2, "n1"))),
        BROKEN,
        "quorum",
        "n2 was in term 1 at 57.0 s, after term 2",
    ),
    EventMutant(
        "a member that knows of no term", "good", add((55.0, MemberSeen("n2", 0, None)), (55.5, MemberSeen("n2", 2, "n1"))), HELD, "quorum"
    ),
    EventMutant(
        "leadership that moves",
        "good",
        add((30.0, MemberSeen("n3", 3, "n3")), (30.0, MemberSeen("n1", 3, "n3")), (55.0, MemberSeen("n2", 3, "n3"))),
        BROKEN,
        "quorum",
        "leadership moved",
    ),
    EventMutant("an acknowledged write lost", "good", reread("k300", None), BROKEN, "writes", "1 acknowledged write lost"),
    EventMutant("an acknowledged write changed", "good", reread("k300", "x"), BROKEN, "writes", "a value that nobody wrote"),
    EventMutant(
        "a write lost that nobody acknowledged",
        "good",
        both(reread("k300", None), answers(30.0, 30.1, "write", Outcome.UNKNOWN)),
        HELD,
        "writes",
    ),
    EventMutant(
        "a refused write that is there", "good", answers(30.0, 30.1, "write", Outcome.FAIL), BROKEN, "writes", "whose write was refused"
    ),
    EventMutant(
        "a value that nobody wrote",
        "good",
        asked(69.5, Call("read", "k9999"), Outcome.OK, "v9"),
        BROKEN,
        "writes",
        "a value that nobody wrote",
    ),
    EventMutant(
        "a value read before it was written",
        "good",
        asked(20.2, Call("read", "k300"), Outcome.OK, "v300"),
        BROKEN,
        "writes",
        "before it was written",
    ),
    EventMutant(
        "an acknowledged write read as absent", "good", asked(45.2, Call("read", "k300"), Outcome.OK), BROKEN, "writes", "saw nothing"
    ),
    EventMutant("a read that was not answered", "good", asked(45.2, Call("read", "k300"), Outcome.FAIL), HELD, "writes"),
    EventMutant(
        "writes refused for 15 s",
        "good",
        numbered(both(answers(20, 35, "write", Outcome.FAIL), unread(20, 35))),
        BROKEN,
        "quorum",
        "no write was acknowledged for",
    ),
    EventMutant(
        "writes in doubt for 15 s", "good", answers(20, 35, "write", Outcome.UNKNOWN), BROKEN, "quorum", "no write was acknowledged for"
    ),
    EventMutant(
        "nobody leads for 30 s",
        "good",
        add(*[(time, MemberSeen(node, 2, leader)) for node in ("n1", "n3") for time, leader in ((15.0, None), (45.0, "n1"))]),
        BROKEN,
        "quorum",
        "no majority followed a leader from 15.0 s for 30.0 s",
    ),
    EventMutant(
        "nobody leads for 9 s",
        "good",
        add(*[(time, MemberSeen(node, 2, leader)) for node in ("n1", "n3") for time, leader in ((15.0, None), (24.0, "n1"))]),
        HELD,
        "quorum",
    ),
    EventMutant(
        "a write in doubt that is read, and gone at the end",
        "good",
        both(
            asked(44.0, Call("write", "doubt", "v"), Outcome.UNKNOWN),
            asked(46.0, Call("read", "doubt"), Outcome.OK, "v"),
            asked(69.5, Call("read", "doubt"), Outcome.OK),
        ),
        BROKEN,
        "writes",
        "saw nothing where a value had been read before",
    ),
    EventMutant("a survivor's instance fails", "good", answers(12, 68, "get", Outcome.FAIL, "web@1"), BROKEN, "availability", "web@1"),
    EventMutant("gone after it was whole", "good", ran(62, 70, "n3"), BROKEN, "settled", "web@2 ran nowhere at the end"),
    EventMutant("gone for a moment after it was whole", "good", ran(62, 63, "n3"), HELD, "settled"),
    EventMutant("off after it was whole", "good", add((69.99, NodeSeen("n2", NodeState.OFF))), BROKEN, "settled", "n2 was off at the end"),
    EventMutant("unseen since it was off", "good", drop(between(11, 71, of(NodeSeen))), UNKNOWN, "settled", "could not be asked"),
    EventMutant("back too late", "good", both(ran(40, 49.9, "n3"), drop(of(DockerEvent))), BROKEN, "rescheduled", "too late"),
    EventMutant("back nowhere", "good", nowhere(list), BROKEN, "rescheduled", "ran nowhere else"),
    EventMutant(
        "back for a moment",
        "good",
        both(ran(41.5, 71, "n3"), drop(of(Wholeness, when="after"))),
        BROKEN,
        "rescheduled",
        "ran nowhere to stay (it ran on n3 30.2 s after the loss",
    ),
    EventMutant(
        "back nowhere, and one node unseen",
        "good",
        nowhere(drop(silent(15, 71, "host", node="n1"))),
        UNKNOWN,
        "rescheduled",
        "was not known for",
    ),
    EventMutant(
        "back nowhere, and one node never seen", "good", nowhere(drop(of(NodeSeen, node="n1"))), UNKNOWN, "rescheduled", "was not known for"
    ),
    # a broken run, with what convicts it taken away
    EventMutant(
        "both copies unseen",
        "conflicts-missing",
        drop(between(36, 66, either(of(NodeSeen, node="n1"), of(ApiSeen)))),
        UNKNOWN,
        "assumptions",
        "n1",
    ),
    EventMutant(
        "the lost key not read back", "lost-write", numbered(uncalled(0, 99, "read", key="k83")), UNKNOWN, "writes", "not read back"
    ),
    EventMutant(
        "the lost key's write left out", "lost-write", uncalled(0, 99, "write", key="k83"), UNKNOWN, "assumptions", "numbered without gaps"
    ),
    EventMutant(
        "the fault never in force", "pinned-unit", drop(of(FaultStage, stage=Stage.IN_FORCE)), UNKNOWN, "assumptions", "never in force"
    ),
    EventMutant(
        "healed before the time was up",
        "pinned-unit",
        move(either(of(FaultStage, stage=Stage.HEALING)), -20.0),
        UNKNOWN,
        "rescheduled",
        "before the time was up",
    ),
    EventMutant("nobody wrote", "acknowledged-without-quorum", drop(of_workload("register")), UNKNOWN, "quorum", "no write was ever tried"),
    # the same on others
    EventMutant("two leaders in a real run", "real-etcd-leader-kill", add((30.0, MemberSeen("n1", 3, "n1"))), BROKEN, "quorum", "term 3"),
    EventMutant(
        "a term that goes back in a real run",
        "real-partition-minority",
        add((40.0, MemberSeen("n1", 1, None))),
        BROKEN,
        "quorum",
        "n1 was in term 1",
    ),
    EventMutant("all silent for 10 s of a real run", "real-partition-minority", drop(between(20, 30, EVERYTHING)), UNKNOWN, "assumptions"),
    EventMutant(
        "a node unseen in a real run", "real-partition-minority", drop(silent(15, 46, "host", node="n2")), UNKNOWN, "assumptions", "n2"
    ),
    EventMutant(
        "a value from nowhere in a real run",
        "real-etcd-leader-kill",
        asked(38.0, Call("read", "whalefall/register/3"), Outcome.OK, "3-00000000"),
        BROKEN,
        "writes",
        "a value that nobody wrote",
    ),
    EventMutant("all silent while it was cut off", "partition-heal", drop(between(20, 40, EVERYTHING)), UNKNOWN, "assumptions"),
    EventMutant(
        "the cut never in force", "partition-heal", drop(of(FaultStage, stage=Stage.IN_FORCE)), UNKNOWN, "assumptions", "never in force"
    ),
]


@pytest.mark.parametrize("mutant", EVENTS, ids=lambda mutant: f"{mutant.base}: {mutant.name}")
def test_what_is_told_is_what_is_judged(mutant: EventMutant) -> None:
    """The verdict, the checker that gives it, and the reason."""
    changed = mutant.mutation(told(mutant.base))
    assert list(changed) != list(told(mutant.base))
    judge(mutant.base, chained(changed, RUN), mutant.outcome, mutant.by, mutant.words)


def test_there_are_a_hundred_mutants_at_least_and_no_two_alike() -> None:
    """The table is what was promised."""
    names = [*((mutant.base, mutant.name) for mutant in LINES), *((mutant.base, mutant.name) for mutant in EVENTS)]
    assert len(names) == len(set(names)) >= 100


# -- any mutant at all


def any_lines(draw: st.DrawFn, lines: list[bytes]) -> list[bytes]:
    """Cut out, double, move or edit lines, anywhere."""
    found = list(lines)
    for _ in range(draw(st.integers(1, 3))):
        at, to = draw(st.integers(0, len(found) - 1)), draw(st.integers(0, len(found) - 1))
        match draw(st.sampled_from(["cut", "double", "move", "edit", "until"])):
            case "cut":
                del found[at : at + draw(st.sampled_from([1, 1, 5, 100]))]
            case "double":
                found.insert(to, found[at])
            case "move":
                found.insert(to, found.pop(at))
            case "edit":
                found[at] = found[at].replace(b"1", b"2", 1)
            case _:
                del found[at:]
        found = found or [b""]
    return found


@hypothesis.settings(max_examples=40, deadline=None, derandomize=True, phases=[hypothesis.Phase.generate])
@hypothesis.given(st.data(), st.sampled_from(sorted(PROMISES)))
def test_no_change_of_a_file_acquits_and_none_convicts_the_innocent(data: st.DataObject, base: str) -> None:
    """Whatever is done to its lines: a broken run is never held, a held one never broken, and neither is held unless it is as it was."""
    content = b"".join(data.draw(st.composite(lambda draw: any_lines(draw, written(base).splitlines(keepends=True)))()))
    try:
        history = History.read(content, run=RUN)
    except BadInput:
        return
    found = verdict(findings(base, history))
    assert found is not HELD or content == written(base)
    assert found is not BROKEN or TRUTH[base] is BROKEN


REMOVED: dict[str, Where] = {
    "node truth": of(NodeSeen),
    "of n1": lambda _, event: getattr(event, "node", "") == "n1",
    "of n2": lambda _, event: getattr(event, "node", "") == "n2",
    "of n3": lambda _, event: getattr(event, "node", "") == "n3",
    "all that observers say": lambda _, event: isinstance(event, NodeSeen | ApiSeen | MemberSeen | DockerEvent | Watching),
    "the API": of(ApiSeen),
    # Members are recorded when something changes: that their observer goes on asking is half of what it says.
    "members": either(of(MemberSeen), of(Watching, observer="membership")),
    "Docker": of(DockerEvent),
    "being watched": of(Watching),
    "faults": of(FaultStage),
    "fingerprints": of(Fingerprinted),
    "checks": of(Checked),
    "being whole": of(Wholeness),
    "calls": CALLS,
    "writes": of_workload("register"),
    "calls over HTTP": of_workload("http"),
    "phases": of(PhaseBegan),
    "everything": EVERYTHING,
}


@hypothesis.settings(max_examples=40, deadline=None, derandomize=True, phases=[hypothesis.Phase.generate])
@hypothesis.given(
    st.sampled_from(sorted(PROMISES)),
    st.lists(st.tuples(st.sampled_from(sorted(REMOVED)), st.floats(0, 90), st.floats(0.5, 60)), min_size=1, max_size=3),
)
def test_less_evidence_never_convicts_and_never_acquits(base: str, removed: Sequence[tuple[str, float, float]]) -> None:
    """What is left out, and written anew as if it had never been seen, makes no held run broken and no broken one held."""
    changed: Sequence[Timed] = told(base)
    for what, start, length in removed:
        changed = drop(between(start, start + length, REMOVED[what]))(changed)
    found = findings(base, History.read(chained(changed, RUN), run=RUN))
    everything = "\n".join(f"{each.checker} {each.verdict}: {reasons(each)}" for each in found)
    assert {TRUTH[base], verdict(found)} != {HELD, BROKEN}, everything
