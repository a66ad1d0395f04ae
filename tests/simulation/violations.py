"""Violations that are put into simulated runs: each changes what was told as if a promise had been broken, and says what must be found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from random import Random

from harness.core.values import Call, Container, Loss, NodeState, Outcome, Stage
from harness.history.events import (
    Answered,
    Awaited,
    Checked,
    FaultStage,
    Fingerprinted,
    Invoked,
    MemberSeen,
    NodeSeen,
)
from tests.simulation.faults import POWER, Fault
from tests.simulation.run import Run, Timed

Told = Sequence[Timed]
Violation = Callable[[Run, Random], Told | None]
"""Returns what is told instead; None where this run has no place for it."""


def two_on_a_node(run: Run, rng: Random) -> Told | None:
    """Two instances of an app with a rule run on one node."""
    app = next((app for app in run.cluster.apps if app.conflicts and app.instances > 1), None)
    place = _up_for(run, rng, 2.0)
    if app is None or place is None:
        return None

    def more(running: tuple[Container, ...]) -> tuple[Container, ...]:
        there = {each.instance for each in running} & {*app.names}
        added = [name for name in app.names if name not in there][: max(0, 2 - len(there))]
        return (*running, *(Container(f"{number}" * 64, name) for number, name in enumerate(added)))

    return _running(run, place, more)


def twice_on_a_node(run: Run, rng: Random) -> Told | None:
    """One instance runs in two containers of a node."""
    place = _up_for(run, rng, 2.0)
    if not any(app.conflicts for app in run.cluster.apps) or place is None:
        return None
    name = run.cluster.instances[0]
    return _running(run, place, lambda running: (*running, Container("d" * 64, name), Container("e" * 64, name)))


def two_leaders(run: Run, rng: Random) -> Told | None:
    """A member follows another leader in a term that has one."""
    if len(run.cluster.members) < 2:
        return None
    time, seen = rng.choice([(time, event) for time, event in run.told if isinstance(event, MemberSeen) and event.leader])
    other = rng.choice([member for member in run.cluster.members if member != seen.leader])
    return [*run.told, (max(1.2, time), MemberSeen(rng.choice(run.cluster.members), seen.term, other))]


def term_goes_back(run: Run, rng: Random) -> Told | None:
    """A member tells a lower term than before."""
    time, seen = rng.choice([(time, event) for time, event in run.told if isinstance(event, MemberSeen) and event.term])
    later = rng.uniform(time, run.settled - 1)
    return [*run.told, (later, MemberSeen(seen.node, seen.term - 1))] if _is_up(run, seen.node, later, later) else None


def elects_again(run: Run, rng: Random) -> Told | None:
    """Members elect over and over, once all is whole again: more often than is ever allowed here."""
    if run.whole is None:
        return None
    term = max(event.term for _, event in run.told if isinstance(event, MemberSeen))
    number = len(run.led) + 4
    every = ((run.whole + 2.5 * (each + 1) / number, term + 1 + each, rng.choice(run.cluster.members)) for each in range(number))
    more = [(time, MemberSeen(member, later, leader)) for time, later, leader in every for member in run.cluster.members]
    return [*((time, event) for time, event in run.told if not (isinstance(event, MemberSeen) and time > run.whole)), *more]


def lost_write(run: Run, rng: Random) -> Told | None:
    """A key that was written is absent at the end."""
    return _read_at_the_end(run, rng.choice(sorted(run.kept)), None)


def strange_value(run: Run, rng: Random) -> Told | None:
    """A key has a value that nobody wrote."""
    return _read_at_the_end(run, rng.choice(sorted(run.kept)), "of nobody")


def refused_and_there(run: Run, rng: Random) -> Told | None:
    """A write that was refused is there at the end."""
    refused = [each.key for each in run.writes if each.outcome is Outcome.FAIL]
    return _read_at_the_end(run, key := rng.choice(refused), f"v{key}") if refused else None


def gone_at_the_end(run: Run, rng: Random) -> Told | None:
    """An instance stops after all was whole, and does not come back."""
    if run.whole is None:
        return None
    since, name = run.whole + rng.uniform(0.6, 2), rng.choice(sorted({stay.instance for stay in run.stays if stay.end == run.end}))
    return [
        (time, replace(event, containers=tuple(each for each in event.containers if each.instance != name)))
        if isinstance(event, NodeSeen) and time > since
        else (time, event)
        for time, event in run.told
    ]


def bystander_stopped(run: Run, rng: Random) -> Told | None:
    """What ran on a node that no fault hit, and where nothing was done, stops there, and runs there again two seconds later."""
    fault = run.faults[-1]
    done = {node for deed in run.deeds for node in deed.targets}
    free = [node for node in run.cluster.nodes if node not in {each for other in run.faults for each in other.touched} | done]
    there = [
        stay for stay in run.stays if stay.node in free and stay.start < fault.decided and stay.end > fault.in_force + 5 and fault.held > 5
    ]
    if not there or any(deed.effect.upsets or deed.effect.runs or deed.effect.renews for deed in run.deeds):
        return None
    one, since = rng.choice(there), fault.in_force + 1
    return _running(run, (one.node, since, since + 2), lambda running: tuple(each for each in running if each.instance != one.instance))


def run_twice(run: Run, rng: Random) -> Told | None:
    """An instance runs on another node beside its own for longer than is ever allowed here."""
    place = _up_for(run, rng, 16.0)
    homes = [stay for stay in run.stays if place and stay.node != place[0] and stay.start < place[1] and stay.end > place[2]]
    if place is None or not homes:
        return None
    name = rng.choice(homes).instance
    return _running(run, place, lambda running: (*running, Container("c" * 64, name)))


def never_scaled(run: Run, _: Random) -> Told | None:
    """More instances of an app were asked for, and the last of them never runs, though nothing keeps it from that."""
    one = next((deed for deed in run.deeds if deed.name == "app.scale" and deed.outcome is Outcome.OK), None)
    if one is None or any(deed is not one for deed in run.deeds) or run.settled - one.begun < 40:
        return None
    app, number = next(iter(one.effect.runs.items()))
    if number < one.was[app]:
        return None
    return [
        (time, replace(event, containers=tuple(each for each in event.containers if each.instance != f"{app}@{number}")))
        if isinstance(event, NodeSeen)
        else (time, event)
        for time, event in run.told
    ]


def never_came(run: Run, _: Random) -> Told | None:
    """What a step waited for, and what must come, does not in all the time that the mode needs for its longest recovery, by all who tell of it."""
    longest = run.cluster.allowed.leader + 5
    one = next((each for each in run.waits if each.outcome is Outcome.OK and each.begun + longest < run.settled), None)
    if one is None or any(deed.effect.upsets or deed.effect.opens or deed.effect.renews for deed in run.deeds):
        return None
    told: list[Timed] = []
    for time, event in run.told:
        meanwhile = one.begun <= time <= one.begun + longest
        if meanwhile and one.goal == "recovered" and isinstance(event, NodeSeen):
            left = tuple(each for each in event.containers if each.instance != f"{one.app}@1")
            told.append((time, replace(event, containers=left)))
        elif meanwhile and one.goal == "leader" and isinstance(event, MemberSeen):
            told.append((time, replace(event, leader=None)))
        elif isinstance(event, Awaited) and event.number == one.number:
            ended = event.outcome is not None
            changed = replace(event, otherwise="broken", at_most=longest)
            late = replace(changed, outcome=Outcome.FAIL, seconds=longest, missing=("something",))
            told.append((one.begun + longest, late) if ended else (time, changed))
        else:
            told.append((time, event))
    return told


def failed_check(run: Run, rng: Random) -> Told | None:
    """A node has not the property that it is asked for."""
    one = rng.choice([event for _, event in run.told if isinstance(event, Checked)])
    return [(time, replace(one, outcome=Outcome.FAIL, saw="no") if event is one else event) for time, event in run.told]


def left_behind(run: Run, rng: Random) -> Told | None:
    """A table of ours is still on a node."""
    node = rng.choice(run.cluster.nodes)
    return [
        (time, replace(event, marks={"nft_tables": ["whalefall"]}))
        if isinstance(event, Fingerprinted) and event.when == "after" and event.node == node
        else (time, event)
        for time, event in run.told
    ]


def acknowledged_without_majority(run: Run, rng: Random) -> Told | None:
    """A member acknowledges a write while a fault surely keeps it from a majority."""
    found = [(fault, member) for fault in run.faults for member in _surely_lost(run, fault)]
    if not found:
        return None
    fault, member = rng.choice(found)
    time, op = fault.in_force + 4.0, _next_op(run)
    return [
        *run.told,
        (time, Invoked(op, "register", Call("write", "extra", "value"))),
        (time + 0.02, Answered(op, "register", Outcome.OK, by=member)),
        (run.end - 0.05, Invoked(op + 1, "register", Call("read", "extra"))),
        (run.end - 0.04, Answered(op + 1, "register", Outcome.OK, "value", run.cluster.members[0])),
    ]


def answered_by_one_that_is_off(run: Run, rng: Random) -> Told | None:
    """An app answers from a machine that is off."""
    found = [(fault, node) for fault in run.faults if fault.traits.loses is Loss.NODE and fault.held > 9 for node in fault.targets]
    if not found:
        return None
    fault, node = rng.choice(found)
    time, op = fault.in_force + 5.0, _next_op(run)
    return [
        *run.told,
        (time, Invoked(op, "http", Call("get", run.cluster.called[0]))),
        (time + 0.02, Answered(op, "http", Outcome.OK, by=node)),
    ]


def fault_untold(run: Run, rng: Random) -> Told | None:
    """A planned fault is not heard of."""
    number = rng.choice(run.faults).number
    return [(time, event) for time, event in run.told if not (isinstance(event, FaultStage) and event.fault == number)]


def stage_untold(run: Run, rng: Random) -> Told | None:
    """A stage of a fault is not heard of."""
    number, stage = rng.choice(run.faults).number, rng.choice([Stage.DECIDED, Stage.IN_FORCE, Stage.HEALED])
    return [
        (time, event) for time, event in run.told if not (isinstance(event, FaultStage) and event.fault == number and event.stage is stage)
    ]


BROKEN: Mapping[Violation, str] = {
    two_on_a_node: "conflicts",
    twice_on_a_node: "conflicts",
    two_leaders: "quorum",
    term_goes_back: "quorum",
    elects_again: "elections",
    lost_write: "writes",
    strange_value: "writes",
    refused_and_there: "writes",
    gone_at_the_end: "settled",
    bystander_stopped: "bystanders",
    run_twice: "single",
    never_scaled: "scaled",
    never_came: "awaited",
    failed_check: "checks",
    left_behind: "clean",
}
"""What convicts by itself, and which checker must say so."""

DOUBTFUL: Sequence[Violation] = (acknowledged_without_majority, answered_by_one_that_is_off, fault_untold, stage_untold)
"""What cannot be: such a run is never held."""


def _is_up(run: Run, node: str, since: float, until: float) -> bool:
    """Whether a machine is on for all of a time, and was and will be for some seconds."""
    off = [(each.decided - 3, each.healed + 4) for each in run.faults if POWER in each.kind.takes and node in each.targets]
    off += [(each.begins - 3, each.ends + 6) for each in run.outages if each.node == node]
    return not any(begins < until and ends > since for begins, ends in off)


def _up_for(run: Run, rng: Random, seconds: float) -> tuple[str, float, float] | None:
    """Return a node and a time in which it is on: before, under or after a fault. None where there is none."""
    fault = rng.choice(run.faults)
    since = rng.choice([rng.uniform(5, 8), rng.uniform(fault.in_force, max(fault.in_force + 0.1, fault.healing - 3)), fault.healed])
    nodes = [node for node in run.cluster.nodes if _is_up(run, node, since - 1, since + seconds + 1)]
    return (rng.choice(nodes), since, since + seconds) if nodes else None


def _running(run: Run, place: tuple[str, float, float], changed: Callable[[tuple[Container, ...]], tuple[Container, ...]]) -> Told:
    """Change what a node tells of its containers for a time."""
    node, since, until = place
    samples = [(time, event) for time, event in run.told if isinstance(event, NodeSeen) and event.node == node]
    first = next(event for time, event in reversed(samples) if time <= since)
    last = next(event for time, event in reversed(samples) if time <= until)
    told = [
        (time, replace(event, containers=changed(event.containers)))
        if isinstance(event, NodeSeen) and event.node == node and event.state is NodeState.UP and since < time < until
        else (time, event)
        for time, event in run.told
    ]
    return [*told, (since, replace(first, containers=changed(first.containers))), (until, last)]


def _read_at_the_end(run: Run, key: str, value: str | None) -> Told:
    """Have the last read of a key find something else."""
    reads = {
        event.op
        for time, event in run.told
        if isinstance(event, Invoked) and event.call == Call("read", key) and event.workload == "register" and time > run.settled
    }
    return [(time, replace(event, value=value) if isinstance(event, Answered) and event.op in reads else event) for time, event in run.told]


def _surely_lost(run: Run, fault: Fault) -> list[str]:
    """Return the members that a fault surely keeps from a majority for long enough."""
    traits = fault.traits
    if traits.in_place or fault.failed or fault.held < 6:
        return []
    if traits.loses is Loss.PROCESS and run.cluster.daemon not in traits.parts:
        return []
    if traits.loses is Loss.LINK and not (traits.apart or fault.kind.parameters["shape"] == "one_way"):
        return []
    return [node for node in fault.lost if node in run.cluster.members]


def _next_op(run: Run) -> int:
    return 1 + max(event.op for _, event in run.told if isinstance(event, Invoked))
