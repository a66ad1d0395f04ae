"""What keeps a harness from seeing a simulated run as it was: it never turns what was broken into held, nor what was held into broken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from harness.core.traits import to_history
from harness.core.values import NodeState, Stage
from harness.history.events import (
    HARNESS,
    Acted,
    Answered,
    ApiSeen,
    Awaited,
    Checked,
    DockerEvent,
    Endures,
    Event,
    FaultStage,
    Fingerprinted,
    Invoked,
    MemberSeen,
    NodeSeen,
    PhaseBegan,
    Stalled,
    Watching,
    Wholeness,
)
from tests.simulation.run import Run, Timed

Told = Sequence[Timed]
Noise = Callable[[Run, Random], Told | None]
"""Returns what is told instead; None where this run has no place for it."""

OBSERVED: dict[str, type[NodeSeen | DockerEvent | ApiSeen | MemberSeen]] = {
    "host": NodeSeen,
    "docker": DockerEvent,
    "placement": ApiSeen,
    "membership": MemberSeen,
}
OURS = (FaultStage, Acted, Awaited, PhaseBegan, Wholeness, Checked, Fingerprinted)
"""What the harness itself does, and does not do while it stands still."""


def silent_observer(run: Run, rng: Random) -> Told | None:
    """An observer says nothing, of one node or of all, for a time; or that it could not ask."""
    observer = rng.choice(list(OBSERVED))
    nodes = {rng.choice(run.cluster.nodes)} if rng.random() < 0.6 else {*run.cluster.nodes}
    since, until = _time(run, rng, rng.choice([3, 7, 12, 30]))
    unable = rng.random() < 0.4
    told: list[Timed] = []
    last: dict[str, Event] = {}  # what each node is heard to say when it is heard again
    for time, event in run.told:
        if not since <= time <= until or getattr(event, "node", None) not in nodes:
            told.append((time, event))
        elif isinstance(event, OBSERVED[observer]):
            last[event.node] = event
        elif not isinstance(event, Watching) or event.observer != observer:
            told.append((time, event))
        elif unable:
            told.append((time, replace(event, alive=False, detail="could not ask")))
    told += [(until + 0.1, event) for event in last.values() if not isinstance(event, DockerEvent)]
    if unable and observer == "host":
        told += [(since + 0.01, NodeSeen(node, NodeState.UNREACHABLE, detail="could not ask")) for node in nodes]
    return told


def stopped_harness(run: Run, rng: Random) -> Told | None:
    """The harness stands still, and hears afterwards, all at once, what nodes and apps said meanwhile."""
    time = _idle(run, rng)
    if time is None:
        return None
    since, until = time
    unmade = _unmade(run, since, until)
    told: list[Timed] = []
    late: list[Event] = []
    last: dict[tuple[str, str], Event] = {}
    for time_told, event in run.told:
        if isinstance(event, Invoked | Answered) and event.op in unmade:
            continue
        if not since <= time_told <= until or isinstance(event, OURS):
            told.append((time_told, event))
        elif isinstance(event, MemberSeen | ApiSeen):
            last[event.kind, event.node] = event
        elif isinstance(event, NodeSeen | DockerEvent | Answered):
            late.append(event)
    told.append((until, Stalled(HARNESS, since, until - since)))
    told += [(until + 0.001 + 0.0005 * number, event) for number, event in enumerate([*last.values(), *late])]
    return _numbered([(when, _beats(run, event)) for when, event in told])


def stopped_agent(run: Run, rng: Random) -> Told | None:
    """A node's agent is not let run for a while, and tells afterwards what it saw."""
    node, (since, until) = rng.choice(run.cluster.nodes), _time(run, rng, rng.choice([0.7, 1.5, 3, 6]))
    if any(node in fault.targets and "Power" in fault.traits.takes for fault in run.faults) or any(
        each.node == node for each in run.outages
    ):
        return None
    told: list[Timed] = []
    late = 0
    for time, event in run.told:
        if since <= time <= until and isinstance(event, NodeSeen) and event.node == node:
            late += 1
            told.append((until + 0.001 + late * 0.0003, event))
        elif not (since <= time <= until and isinstance(event, Watching) and event.node == node and event.observer == "host"):
            told.append((time, _beats(run, event)))
    return [*told, (until, Stalled(node, since, until - since))]


def late_word_of_each_target(run: Run, _: Random) -> Told | None:
    """A fault's stages are told for each of its targets by itself, the last when the whole is told."""
    told: list[Timed] = []
    for time, event in run.told:
        if isinstance(event, FaultStage) and event.stage is not Stage.DECIDED and event.stage is not Stage.HEALING:
            number = len(event.targets)
            told += [(time - 0.01 * (number - 1 - at), replace(event, targets=(node,))) for at, node in enumerate(event.targets)]
        else:
            told.append((time, event))
    return told


def given_up_in_the_middle(run: Run, rng: Random) -> Told | None:
    """A fault could not be asked for while it was in force, and is told as failed."""
    fault = rng.choice(run.faults)
    time = rng.uniform(fault.in_force + 0.1, fault.healing - 0.05)
    kind = to_history(fault.traits, fault.lost)
    word = FaultStage(fault.number, fault.kind.name, fault.targets, Stage.FAILED, fault.kind.parameters, "could not ask", kind)
    return [*run.told, (time, word)]


NOISES: Sequence[Noise] = (silent_observer, stopped_harness, stopped_agent, late_word_of_each_target, given_up_in_the_middle)


def _time(run: Run, rng: Random, seconds: float) -> tuple[float, float]:
    since = rng.uniform(3, max(4, run.settled - seconds - 2))
    return since, since + seconds


def _idle(run: Run, rng: Random) -> tuple[float, float] | None:
    """Return a time in which the harness has nothing to do itself; None where none was found."""
    busy = [time for time, event in run.told if isinstance(event, OURS)]
    for _ in range(60):
        since, until = _time(run, rng, rng.choice([1.2, 2.3, 4, 7, 15]))
        if until < run.settled - 1 and not any(since - 0.2 <= time <= until + 0.2 for time in busy):
            return since, until
    return None


def _unmade(run: Run, since: float, until: float) -> set[int]:
    """Return the calls that were due in a time and are not made in it, and the reads of keys that are never written then."""
    calls = [(time, event) for time, event in run.told if isinstance(event, Invoked)]
    skipped = {event.op for time, event in calls if since <= time <= until}
    keys = {event.call.key for _, event in calls if event.op in skipped and event.call.function == "write"}
    return skipped | {event.op for _, event in calls if event.workload == "register" and event.call.key in keys}


def _beats(run: Run, event: Event) -> Event:
    """Say of all nodes that they measure how late they are."""
    return replace(event, beats=run.cluster.nodes) if isinstance(event, Endures) else event


def _numbered(told: Sequence[Timed]) -> list[Timed]:
    """Number the calls anew, without gaps."""
    numbers: dict[int, int] = {}
    found: list[Timed] = []
    for time, event in sorted(told, key=lambda each: each[0]):
        if isinstance(event, Invoked):
            numbers[event.op] = len(numbers) + 1
        found.append((time, replace(event, op=numbers[event.op]) if isinstance(event, Invoked | Answered) else event))
    return found
