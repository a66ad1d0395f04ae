"""What `bystanders` and `single` may say of a simulated run: whether what no fault hit stayed where it was, and whether anything ever ran twice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from harness.core.values import App, Loss, Outcome
from tests.simulation.deeds import anew, down, shut, upset
from tests.simulation.run import Run
from tests.simulation.truth import BLUR, SEEN, B, H, Truth, U, together, worst
from tests.simulation.world import Stay

NODE_TRUTH = 0.1
"""Seconds within which nobody can tell one after the other from both at once."""
SAMPLE = 1.1
"""Seconds for which a node may not have been looked at."""
TAKEN = 5.0
"""Seconds after an action in which what stops may be its doing."""
HEALS = 2.0
"""Seconds after a fault let go in which it is seen to be healed."""


def bystanders(run: Run, app: App | None = None) -> Truth:
    """Say of what ran on nodes that no fault hit whether it ran on, from when a fault was decided on."""
    names = sorted(name for each in run.cluster.apps if app in {None, each} for name in run.names(each))
    truths = [each for name in names for node in run.cluster.nodes if (each := _stayed(run, name, node)) is not None]
    found = worst(truths)
    if all(fault.failed for fault in run.faults):
        return Truth(frozenset({B, U}) & found.verdicts or frozenset({U}), found.why)
    # A machine that is off by itself may make the others move; and what went by an action in doubt may have gone by itself.
    vague = any(deed.effect.runs and deed.outcome is Outcome.UNKNOWN for deed in run.deeds)
    return found | {U} if run.outages or vague else found


def _stayed(run: Run, name: str, node: str) -> Truth | None:
    """Say it of one instance on one node, from the first fault on that found it there; None where none did.

    One that was taken away on purpose, and asked for again, has its place from the next fault on.
    """
    stays = [stay for stay in run.stays if (stay.instance, stay.node) == (name, node)]
    truths = []
    hit = min((fault.decided for fault in run.faults if node in fault.touched), default=run.settled)
    if any(fault.decided > hit and node not in fault.touched for fault in run.faults):
        truths.append(Truth.of(H, U, B))  # once it was healed, and had recovered, it is a bystander again
    for since, until in [(since, min(until, hit)) for since, until in _due(run, name) if since < hit]:
        times = [fault.decided for fault in run.faults if since <= fault.decided < until]
        begun = [time for time in times if any(stay.start <= time < stay.end for stay in stays)]
        edges = [since, *([until] if until != hit else []), *(edge for stay in stays for edge in (stay.start, stay.end))]
        vague = [fault.decided for fault in run.faults if any(abs(edge - fault.decided) < 2 * BLUR for edge in edges)]
        if begun and not any(time <= min(begun) for time in vague):
            truths.append(_ran_on(run, name, node, min(begun), until, stays))
        if vague:  # it may have been there when that one was decided, or not
            truths.append(Truth.of(H, U, B))
    return worst(truths) if truths else None


def _ran_on(run: Run, name: str, node: str, since: float, until: float, stays: Sequence[Stay]) -> Truth:
    found = {H}
    gone = _gone(since, until, stays)
    for start, end in gone:
        if end - start > 0.01:
            may = {U} if _by_action(run, name, node, start) else {B, U} if _no_majority(run, start) else {B}
            found = may if end - start >= NODE_TRUTH + BLUR and found == {H} else found | may
    told = ", ".join(f"{start:.2f} to {end:.2f}" for start, end in gone)
    return Truth.of(*found, why=f"{name} on {node} from {since:.2f} on: gone {told or 'never'}")


def _gone(since: float, until: float, stays: Sequence[Stay]) -> list[tuple[float, float]]:
    found, position = [], since
    for stay in sorted(stays, key=lambda each: each.start):
        if stay.end > since and stay.start < until:
            found += [(position, stay.start)] if stay.start > position else []
            position = max(position, stay.end)
    return [*found, (position, until)] if position < until else found


def _due(run: Run, name: str) -> list[tuple[float, float]]:
    """Return when an instance was to run: until something is done that takes it away, and from when it surely was asked for."""
    number, app = int(name.partition("@")[2]), run.cluster.app(name)
    found: list[tuple[float, float]] = []
    since: float | None = 0.0 if number <= app.instances else None
    for deed in run.deeds:
        if app.name not in deed.effect.runs or deed.outcome is Outcome.FAIL:
            continue
        if deed.effect.runs[app.name] < number and since is not None:
            found.append((since, deed.begun))
            since = None
        elif deed.effect.runs[app.name] >= number and since is None and deed.outcome is Outcome.OK:
            since = deed.ended
    return found if since is None else [*found, (since, run.settled)]


def _by_action(run: Run, name: str, node: str, time: float) -> bool:
    """Whether an action may have taken what ran on a node at a moment."""
    here = [each for each in (*down(run.deeds, run.end), *shut(run.deeds, run.end)) if each.node == node]
    anywhere = [*upset(run.deeds), *anew(run.deeds, run.cluster.app(name).name, run.end)]
    return any(each.meets(time - SEEN, time) for each in here) or any(each.meets(time - TAKEN, time) for each in anywhere)


def _no_majority(run: Run, time: float) -> bool:
    """Whether no member could be elected at a moment, or not long before: what all was decided by was lost, by whatever was there together."""
    longest = run.cluster.allowed.leader + TAKEN
    return any(not each.electable and time - longest - HEALS <= each.time <= time + SEEN for each in run.quorum)


def single(run: Run, app: App, longest: float) -> Truth:
    """Say whether an instance of an app ran in two places at once, for longer than is allowed."""
    if not run.names(app):
        return Truth.of(U)
    surely, perhaps = (twice(run, app, stays) for stays in (run.stays, as_seen(run)))
    limit = max(longest, NODE_TRUTH)
    why = "; ".join(f"{one.instance} on {one.node} and {other.node} for {shared:.2f} s" for one, other, shared in perhaps)
    seconds = max((shared for *_, shared in surely), default=-math.inf)
    if seconds > limit + SAMPLE:
        return Truth.of(B, why=why)
    # Of what was so between two looks nobody knows for how long.
    if seconds > limit + SEEN:
        return Truth.of(B, U, why=why)
    if seconds > limit - SEEN:
        return Truth.of(H, B, U, why=why)
    return Truth.of(H, U, why=why) if any(shared > limit - SEEN for *_, shared in perhaps) else Truth.of(H)


def twice(run: Run, app: App, stays: Sequence[Stay]) -> list[tuple[Stay, Stay, float]]:
    """Return every two stays of one instance of an app that share time, with the seconds that they do."""
    return [each for each in together(stays) if each[0].instance == each[1].instance and each[0].instance in run.names(app)]


def as_seen(run: Run) -> list[Stay]:
    """Return the stays as long as they may have been, as far as anybody could see: a machine that a fault switches off is seen to be off late."""
    off = [(node, fault) for fault in run.faults if fault.traits.loses is Loss.NODE for node in fault.targets]
    return [
        replace(
            stay,
            end=max(
                [stay.end, *(fault.in_force for node, fault in off if node == stay.node and fault.decided < stay.end < fault.in_force)]
            ),
        )
        for stay in run.stays
    ]
