"""Changes of what a history tells, for its mutants: who was silent, who did not call, what was answered, what ran where."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, cast

from harness.core.values import Call, Container, Effect, NodeState, Outcome, Placement, Stage, View
from harness.history.awaits import GO_ON
from harness.history.events import (
    Acted,
    Answered,
    ApiSeen,
    Awaited,
    DockerEvent,
    Event,
    FaultStage,
    Invoked,
    MemberSeen,
    NodeSeen,
    Watching,
    Wholeness,
)
from harness.testing.histories import container
from harness.testing.mutations import (
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
    numbered,
    of,
)


def up(node: str, *containers: Container) -> NodeSeen:
    """A node runs these."""
    return NodeSeen(node, NodeState.UP, containers)


def in_vain(event: Event) -> Awaited:
    """What was awaited did not come."""
    return dataclasses.replace(cast("Awaited", event), outcome=Outcome.FAIL, missing=("web@2 runs nowhere",))


def goes_on(event: Event) -> Awaited:
    """What is awaited means nothing if it does not come."""
    return dataclasses.replace(cast("Awaited", event), otherwise=GO_ON)


def stopped(time: float, node: str) -> Mutation:
    """An action stops docker on a node, and none starts it."""
    what = Acted(2, "service.stop", (node,), 60.0, may_fail=False, effect=Effect(stops=("docker",)))
    return add((time, what), (time + 1.0, dataclasses.replace(what, outcome=Outcome.OK, seconds=1.0)))


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


def answered(which: Callable[[Call], bool], start: float, end: float, **fields: Any) -> Mutation:
    """The answers to such calls of a time are others."""

    def answer(events: Sequence[Timed]) -> list[Timed]:
        ops = called(events, which, start, end)
        assert ops
        return [
            (time, dataclasses.replace(event, **fields) if isinstance(event, Answered) and event.op in ops else event)
            for time, event in events
        ]

    return answer


def answers(start: float, end: float, function: str, outcome: Outcome, key: str = "") -> Mutation:
    """All calls of a time are answered so."""
    return answered(lambda call: call.function == function and key in {"", call.key}, start, end, outcome=outcome)


def answered_by(start: float, end: float, key: str, node: str) -> Mutation:
    """All calls of a time to an instance are answered well by a node."""
    return answered(lambda call: call.key == key, start, end, outcome=Outcome.OK, by=node)


def reread(key: str, value: str | None) -> Mutation:
    """The last read of a key finds another value."""
    return answered(lambda call: call == Call("read", key), 69.0, 71.0, value=value)


def asked(time: float, call: Call, outcome: Outcome, value: str | None = None, by: str | None = "n1") -> Mutation:
    """One more call of the register, answered by a member."""

    def ask(events: Sequence[Timed]) -> list[Timed]:
        op = max(event.op for _, event in events if isinstance(event, Invoked)) + 1
        return add((time, Invoked(op, "register", call)), (time + 0.01, Answered(op, "register", outcome, value, by)))(events)

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


def shows(time: float, node: str, placements: dict[str, str]) -> Timed:
    """What the API at a node says."""
    placed = tuple(Placement(instance, home, "active", running=True) for instance, home in sorted(placements.items()))
    return (time, ApiSeen(node, View(("n1", "n2", "n3"), placed)))


WEB1, WEB2 = container("web@1", "n1"), container("web@2", "n3")
AGAIN, THERE = Container("e" * 64, "web@1"), Container("f" * 64, "web@2")
CALLS = either(of(Invoked), of(Answered))
EVERYTHING = of(Event)
