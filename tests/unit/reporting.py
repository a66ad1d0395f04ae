"""Runs as the reports read them, and what a console shows: for the tests of all that people see."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from harness.checkers import Rescheduled
from harness.core.values import (
    App,
    Budget,
    Call,
    Container,
    Finding,
    Json,
    Loss,
    NodeSpec,
    NodeState,
    Outcome,
    Phase,
    Placement,
    Stage,
    Term,
    Traits,
    View,
)
from harness.faults.common import AtTheHost
from harness.history.events import (
    Answered,
    ApiSeen,
    Event,
    FaultStage,
    History,
    Invoked,
    MemberSeen,
    NodeSeen,
    Note,
    PhaseBegan,
)
from harness.plan import Plan
from harness.reports.board import Board
from harness.reports.console import Console
from harness.reports.narrative import Narrative
from harness.runs.run import Run
from harness.steps import Break, Control, Hold, Wait

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import RenderableType

    from harness.core.protocols import Cluster, Node
    from harness.core.values import Unavailable


NODES = ("n1", "n2", "n3")


@dataclass(frozen=True, slots=True)
class Kill(AtTheHost):
    """A fault that is only named."""

    name: ClassVar[str] = "node.kill"
    traits: ClassVar[Traits] = Traits(Loss.NODE)

    def inject(self, cluster: Cluster, targets: Sequence[Node]) -> None:
        """Do nothing."""

    def heal(self, cluster: Cluster, targets: Sequence[Node]) -> None:
        """Do nothing."""

    def in_force(self, cluster: Cluster, target: Node) -> bool:
        """Whether it is in force: never."""
        return False

    def available(self, cluster: Cluster, target: Node) -> Unavailable | None:
        """Say that it can be made."""
        return None


@dataclass
class Told:
    """Progress, as the conductor tells it."""

    text: str
    part: str = "prepare"
    done: int | None = None
    total: int | None = None


def a_plan(nodes: int = 3, control: Control | None = None) -> Plan:
    """Return the plan of a node kill, with a budget of 38 s."""
    return Plan(
        scenario="node-kill",
        why="A machine dies.",
        file="scenarios/node-kill.yaml",
        mode="fleet",
        provider="nspawn",
        seed=7,
        profile="default",
        timers={},
        nodes=tuple(NodeSpec(f"n{number}", f"10.77.0.{10 + number}") for number in range(1, nodes + 1)),
        apps=(App("web", 2),),
        workloads=(),
        steps=(Wait(5.0), Break(Kill(), "any", Hold(30.0))),
        settle=90.0,
        checks=(),
        promises=(),
        control=control,
        budgets={"node.kill": Budget((Term("agent_ttl", 30.0, "fleet"), Term("start", 8.0, "measured")))},
    )


def containers(*instances: str) -> tuple[Container, ...]:
    """Return running containers of these instances."""
    return tuple(Container(instance.encode().hex().ljust(64, "0"), instance) for instance in instances)


def fault(stage: Stage, detail: str = "", name: str = "node.kill", target: str = "n2", number: int = 1) -> FaultStage:
    """Return one stage of the fault."""
    return FaultStage(number, name, (target,), stage, {}, detail)


def phases(*times: float) -> list[tuple[float, Event]]:
    """Return the phases of a run, at these times, in order."""
    return [(time, PhaseBegan(phase)) for time, phase in zip(times, Phase, strict=True)]


def node_killed() -> History:
    """Return a run in which n2 dies at 10 s, its work runs on n3 at 36.5 s, and the API is wrong about it for a while."""
    events = phases(0.0, 3.2, 5.0, 10.0, 48.2, 60.0, 62.0)
    events += [
        (10.0, fault(Stage.DECIDED)),
        (10.1, fault(Stage.INJECTED)),
        (10.15, fault(Stage.IN_FORCE)),
        (43.1, fault(Stage.HEALING)),
        (48.1, fault(Stage.HEALED)),
        (20.0, Note("a sentence for the timeline")),
    ]
    for tick in range(6, 124):
        time = tick / 2
        dead = 10.2 <= time < 44.5
        events += [
            (time, NodeSeen("n1", NodeState.UP, containers("web@2") if time > 4 else ())),
            (time, NodeSeen("n2", NodeState.OFF) if dead else NodeSeen("n2", NodeState.UP, containers("web@1") if 4 < time < 12 else ())),
            (time, NodeSeen("n3", NodeState.UP, containers("web@1") if time >= 36.5 else ())),
        ]
        leader, term = ("n2", 2) if time < 11.5 else (None, 3) if time < 12 else ("n1", 3)
        home = "n2" if time < 34.8 else "n3"
        listed = NODES if time < 34 or time > 47 else ("n1", "n3")
        seen = View(listed, (Placement("web@1", home, "active", running=True), Placement("web@2", "n1", "active", running=True)))
        for node in NODES:
            silent = node == "n2" and dead
            events += [
                (time, MemberSeen(node, error="no answer") if silent else MemberSeen(node, term, leader)),
                (time, ApiSeen(node, None, "no answer") if silent else ApiSeen(node, seen)),
            ]
    for tick in range(50, 600):
        time, op = tick / 10, tick * 3
        bad = 10.1 < time < 37.2
        events += [
            (time, Invoked(op, "http", Call("get", "web@1"))),
            (time + 0.04, Answered(op, "http", Outcome.FAIL, error="refused") if bad else Answered(op, "http", Outcome.OK, by="n3")),
            (time, Invoked(op + 1, "http", Call("get", "web@2"))),
            (time + 0.04, Answered(op + 1, "http", Outcome.OK, by="n1")),
            (time, Invoked(op + 2, "register", Call("write", "k", "1"))),
            (time + 0.03, Answered(op + 2, "register", Outcome.UNKNOWN if 10.1 < time < 12 else Outcome.OK)),
        ]
    return History.of_events(*events)


def shown(what: RenderableType, width: int, encoding: str = "utf-8") -> list[str]:
    """Return what a console of that width, without colours, shows, as lines without blanks at their ends."""
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    Console(file=file, width=width).print(what)
    file.flush()
    return [line.rstrip() for line in raw.getvalue().decode(encoding).splitlines()]


def moments(history: History) -> list[str]:
    """Return what a reading of a history tells, to its end."""
    reading = Narrative()
    found = [moment for entry in history.entries for moment in reading.feed(entry)]
    return [moment.what for moment in (*found, *reading.close(history.end))]


def a_run(findings: Sequence[Finding], control: Control | None = None, recovery: Mapping[str, Json] | None = None) -> Run:
    """Return a run with these findings, of a plan that promises that lost work runs again where one of them is about that."""
    promised = (Rescheduled("web"),) if any(each.checker == Rescheduled.name for each in findings) else ()
    plan = replace(a_plan(control=control), promises=promised)
    return Run("a-run", Path("results/a-run"), plan, node_killed(), findings, recovery or {})


def fed_board(plan: Plan, history: History, until: float) -> Board:
    """Return a board that has heard a history up to a time."""
    board = Board(plan, lambda: until)
    for entry in history.entries:
        if entry.time <= until:
            board.hear(entry)
    return board


def drawn(board: Board, width: int, height: int) -> list[str]:
    """Return the board's picture on a terminal of that size."""
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(board)
    return [line.rstrip() for line in capture.get().splitlines()]
