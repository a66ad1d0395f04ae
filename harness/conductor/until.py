"""Waits in a run until something is so: a whole cluster around the faults, and what a step awaits in the middle. Steered by the situation alone."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from harness.core.values import Outcome
from harness.history.awaits import LEADER, STEADY
from harness.history.events import Awaited
from harness.steps import STAYS_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from harness.core.values import App
    from harness.history.recorder import Recorder
    from harness.history.situation import Situation
    from harness.steps import Await


def for_a_while(seen: Callable[[], bool], recorder: Recorder, seconds: float = STAYS_SECONDS) -> Callable[[], bool]:
    """Return what says whether something has been seen, each time that it was asked, for so long."""
    since: float | None = None

    def stays() -> bool:
        nonlocal since
        if not seen():
            since = None
            return False
        now = recorder.now()
        since = now if since is None else since
        return now - since >= seconds

    return stays


def whole(recorder: Recorder, situation: Situation) -> Callable[[], bool]:
    """Return what says whether the cluster is whole, and nothing was refused since it was asked last. Who serves has served since it began."""
    begun, refusals = recorder.now(), situation.refusals

    def seen() -> bool:
        nonlocal refusals
        now, before, refusals = recorder.now(), refusals, situation.refusals
        return before == refusals and not situation.missing(now) and not situation.unasked(now, begun)

    return seen


def awaited(step: Await, number: int, recorder: Recorder, situation: Situation, apps: Sequence[App], away: Collection[str]) -> Outcome:
    """Wait for what a step awaits, tell how that begins and ends, and say whether it came. `away` are the nodes that faults which go on took away.

    Ok once it has been so for a moment; unknown where only a call of ours was missing in the end. Raises what ends the run.
    """
    begun = recorder.now()

    def lacking() -> tuple[list[str], list[str]]:
        now = recorder.now()
        if step.goal == STEADY:
            return situation.missing(now), situation.unasked(now, begun)
        if step.goal == LEADER:
            return ([] if situation.leader() else ["no majority of the members follows a leader"]), []
        return situation.lacking(next(each for each in apps if each.name == step.app), away, now)

    seen = whole(recorder, situation) if step.goal == STEADY else lambda: not any(lacking())
    told = functools.partial(Awaited, number, step.goal, step.app, step.at_most, step.otherwise)
    recorder.record(told())
    if recorder.wait_for(for_a_while(seen, recorder), step.at_most):
        recorder.record(told(Outcome.OK, recorder.now() - begun))
        return Outcome.OK
    missing, unasked = lacking()
    outcome = Outcome.UNKNOWN if unasked and not missing else Outcome.FAIL
    every = (*missing, *unasked) or ("it was so only for a moment",)
    recorder.record(told(outcome, recorder.now() - begun, every, tuple(unasked)))
    return outcome
