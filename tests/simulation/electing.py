"""What `elections` may say of a simulated run: how often its members elected since a fault bit, and for how long nobody led."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from random import Random

from tests.simulation.faults import Fault
from tests.simulation.run import Run
from tests.simulation.truth import B, H, Truth, U

ASKED = 1.3
"""Seconds within which each member was asked again, and its word told, for certain."""


def limits(run: Run) -> tuple[int, float]:
    """Return how many elections are to be allowed, and for how long nobody may lead: some of what there was, all of it, or more."""
    rng = Random(run.seed + 13)  # noqa: S311 - which limit is asked for, no secret
    since = min((fault.bites for fault in run.faults if not fault.failed), default=run.end)
    most = max(0, sum(time > since for time, _ in run.led) + rng.choice([-2, -1, 0, 0, 1]))
    return most, round(max(0.5, _unled(run, since, run.settled) + rng.choice([-6.0, -2.0, 4.0, 8.0])), 1)


def often(run: Run, most: int, fault: Fault | None = None) -> Truth:
    """Say whether members elected more often than is allowed, in all of a run, or in the time of one fault."""
    time = _time(run, fault)
    if time is None:
        return Truth.of(U)
    start, surely, end = time
    # One that led for a moment may have been followed by too few who were asked in it.
    ends = [*(late for (_, _), (late, _) in itertools.pairwise(run.led)), run.end]
    every = [(won, until) for (won, _), until in zip(run.led, ends, strict=True) if won > 0.0]
    clear = [won for won, until in every if surely + ASKED < won < end - ASKED and until - won > ASKED]
    clear = [won for won in clear if not _set_off_before(run, won, start, surely)]
    perhaps = [won for won, _ in every if start - ASKED < won < end + ASKED]
    why = f"{len(clear)} to {len(perhaps)} elections from {start:.2f} s to {end:.2f} s, {most} allowed"
    found = {B} if len(clear) > most else {H} if len(perhaps) <= most else {H, B}
    # Members that could not be asked may have elected by their own word alone, and at any time.
    return Truth.of(*found, *([U] if len(clear) != len(perhaps) or _unheard(run) else []), why=why)


def long(run: Run, longest: float) -> Truth:
    """Say whether nobody led for longer than is allowed, from the first bite on."""
    time = _time(run, None)
    if time is None:
        return Truth.of(U)
    start, surely, end = time
    seconds, least = _unled(run, start, end), _unled(run, surely, end)
    why = f"nobody led for {least:.2f} to {seconds:.2f} s, {longest} s allowed"
    # Followers name their leader for a while, and are asked about once a second.
    too_long = least - run.cluster.habits.loyal - 2 * ASKED > longest
    found = {B} if too_long else {H} if seconds + 2 * ASKED < longest else {H, B, U}
    return Truth.of(*found, *([U] if _unheard(run) else []), why=why)


def _time(run: Run, fault: Fault | None) -> tuple[float, float, float] | None:
    """Return from when a promise is judged at the earliest, from when for certain, and until when; None where no fault was ever in force."""
    faults: Sequence[Fault] = run.faults if fault is None else [fault]
    made = [each for each in faults if not each.failed]
    if not made:
        return None
    first = min(made, key=lambda each: each.in_force)
    return min(each.bites for each in made), first.in_force, run.settled if fault is None else fault.healing


def _set_off_before(run: Run, won: float, start: float, surely: float) -> bool:
    """Whether an election may seem to have been set off before a time: who led before was lost then, or followed by nobody any more."""
    lost = max((moment.time for moment in run.quorum if moment.led and moment.time < won), default=0.0)
    taken = any(run.leader(lost) in fault.lost and abs(lost - fault.bites) < ASKED for fault in run.faults)
    noticed = lost + run.cluster.habits.loyal if taken else lost  # one that is deposed says so at once
    return lost < start - ASKED or noticed < surely + ASKED


def _unled(run: Run, start: float, end: float) -> float:
    """Return for how long nobody led, at most, within a time."""
    longest, since = 0.0, None
    for moment in run.quorum:
        if moment.led or not start <= moment.time <= end:
            since = None
        else:
            since = moment.time if since is None else since
            longest = max(longest, moment.time - since)
    return longest


def _unheard(run: Run) -> bool:
    """Whether members were perhaps not heard, and nobody can say what became of them: by a fault that was never in force, or by an action.

    Or so many were away at once, by whatever, that the others were no majority.
    """
    vague = any(fault.failed for fault in run.faults) or any(deed.effect.upsets for deed in run.deeds)
    return vague or any(not each.electable for each in run.quorum)
