"""What promises about the time of one fault may say of a simulated run: what was so in it, and how near to its edges."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from random import Random

from harness.checkers import Availability, Single
from harness.core.values import App, Loss
from harness.history.interfaces import Checker
from tests.simulation.faults import Fault
from tests.simulation.run import Run
from tests.simulation.staying import NODE_TRUTH, SAMPLE, as_seen, twice
from tests.simulation.truth import BLUR, SEEN, B, H, Truth, U, service
from tests.simulation.world import Stay

FEW = 25
"""Calls in a fault's time below which its share may be unknown: twenty are needed, and a power switch is seen to have bitten sooner or later."""


def called(fault: Fault) -> str:
    """Return the name that a plan would have for a fault."""
    return f"f{fault.number}"


def questions(run: Run, app: App) -> list[tuple[Checker, Truth]]:
    """Return what is asked of an app about the time of one of the faults, each with what may be said."""
    rng = Random(run.seed + 11)  # noqa: S311 - which fault, and which limit, no secret
    fault = rng.choice(run.faults)
    longest = rng.choice([0.0, 0.0, 3.0, 15.0])
    asked: list[tuple[Checker, Truth]] = [(Single(app.name, longest, during=(called(fault),)), _single(run, app, longest, fault))]
    if service(run, app) is not None:
        asked += _availability(rng, run, app, fault)
    return asked


def _single(run: Run, app: App, longest: float, fault: Fault) -> Truth:
    """Say whether an instance ran twice in the time of a fault, for longer than is allowed; near its edges nobody can say."""
    if fault.failed or not run.names(app):
        return Truth.of(U)
    limit = max(longest, NODE_TRUTH)
    every = twice(run, app, run.stays)
    sure, most = _shared(every, fault.in_force, fault), _shared(every, fault.bites, fault)
    perhaps = _shared(twice(run, app, as_seen(run)), fault.decided, fault)
    # What ran on a machine that a fault takes, or gives back, meanwhile may have stopped before that is seen.
    off = {node for each in run.faults if each.traits.loses is Loss.NODE for node in each.targets}
    unseen = any({one.node, other.node} & off and _shared([(one, other, shared)], fault.bites, fault) > 0.0 for one, other, shared in every)
    why = f"twice for {sure:.2f} to {most:.2f} s while {called(fault)} was in force, perhaps for {perhaps:.2f} s"
    if sure > limit + SEEN:
        # Of what was so between two looks nobody knows for how long.
        return Truth.of(*([B, U] if unseen or sure <= limit + SAMPLE else [B]), why=why)
    there = any(each.instance in run.names(app) and each.start < fault.healing and each.end > fault.in_force for each in run.stays)
    # What went on to its end in a time that is no longer than what is allowed may have been longer.
    short = fault.held <= limit + BLUR and most > 0.0
    found = {H, B, U} if most > limit - SEEN else {H, U} if perhaps > limit - SEEN else {H}
    return Truth.of(*found, *([U] if short or unseen or not there else []), why=why)


def _shared(every: Sequence[tuple[Stay, Stay, float]], since: float, fault: Fault) -> float:
    """Return for how long two shared a part of a fault's time, from some moment on, at most; less than nothing where they did not."""
    return max((min(one.end, other.end, fault.healing) - max(one.start, other.start, since) for one, other, _ in every), default=-math.inf)


def _availability(rng: Random, run: Run, app: App, fault: Fault) -> list[tuple[Checker, Truth]]:
    """Ask for a little less than there was in the time of a fault, which was kept; or for more of one of the two, which was not."""
    if fault.failed:
        return [(Availability(app.name, 0.01, 1000.0, during=(called(fault),)), Truth.of(U))]
    shares, gaps, counts = [], [], []
    for start in (fault.bites, fault.in_force):
        made = [each for each in run.gets if each.instance in app.names and start <= each.begun <= fault.healing]
        counts.append(len(made))
        shares.append(sum(each.ok for each in made) / max(1, len(made)))
        for instance in {each.instance for each in run.gets if each.instance in app.names}:
            good = sorted(each.ended for each in run.gets if each.instance == instance and each.ok and start <= each.ended <= fault.healing)
            gaps.append(max(late - early for early, late in itertools.pairwise([start, *good, fault.healing])))
    share, gap, right = max(0.01, min(shares) - 0.06), max(gaps, default=0.0) * 1.3 + 1.5, {H}
    if min(gaps, default=0.0) > 4.0 and rng.random() < 0.5:
        gap, right = min(gaps) * 0.7 - 0.5, {B}
    elif max(shares) < 0.85 and rng.random() < 0.4:
        share, right = min(0.99, max(shares) + 0.07), {B}
    elif min(shares) < share:
        right = {B}
    few = min(counts) < FEW
    short = fault.held <= gap + BLUR
    told = f"{min(shares):.1%} to {max(shares):.1%} good of {min(counts)} while {called(fault)} was in force, gone for {max(gaps, default=0.0):.2f} s"
    found = {*right, *([U] if few or short else [])}
    return [(Availability(app.name, share, gap, during=(called(fault),)), Truth(frozenset(found), (told,)))]
