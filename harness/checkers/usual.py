"""How it was before anything was broken: what was no better then, no fault has made. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.checkers.troubles import pace
from harness.core.figures import share as figure
from harness.core.values import NodeState, Phase
from harness.history.bands import fault_bands
from harness.history.deeds import deeds
from harness.history.events import Wholeness
from harness.history.intervals import Interval, node_spans, span_at, stays
from harness.history.situation import FRESH

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.history.calls import Op
    from harness.history.events import History
    from harness.history.intervals import Stay

FEWEST = 20
"""Below so many calls a share says nothing: one call more or less is 5 %."""

SLOWED = 1.5
"""A call that comes only after so many of its caller's usual paces has others before it that were due and not made."""


@dataclass(frozen=True, slots=True)
class Usual:
    """How calls went before anything was broken, while the cluster was whole: so many well, of so many."""

    good: int
    made: int

    def explains(self, share: float, good: float, made: float) -> str:
        """Say that the share was not kept then either, and would be without as many bad ones as then; nothing where not so, or too few were made."""
        if self.made < FEWEST or self.good >= share * self.made or good + made * (self.made - self.good) / self.made < share * made:
            return ""
        return f"of {self.made} calls before the first fault was made {figure(self.good / self.made, share)} went well, so that shows nothing of it"


NONE_BEFORE = Usual(0, 0)
"""Where nothing is known of that."""


def first_decided(history: History, otherwise: float) -> float:
    """Return when the first fault that was ever in force was decided; `otherwise` where none was."""
    return min((band.begins for band in fault_bands(history) if band.in_force is not None), default=otherwise)


def first_there(history: History) -> float:
    """Return when the first fault was decided, half made or not; at the end where none was."""
    return min((band.begins for band in fault_bands(history) if band.was_there), default=history.end)


def calm(history: History) -> Interval:
    """From when the cluster was whole (by the run's own word, or else since it was to be) until the first fault was decided, or anything was done.

    What an action disturbs is not what is usual, either.
    """
    since = next((entry.time for entry, event in history.each(Wholeness) if event.when == "before"), history.phase(Phase.STEADY) or 0.0)
    return Interval(since, max(since, min([first_there(history), *(each.begun for each in deeds(history))])))


def usually(history: History, calls: Iterable[Op]) -> Usual:
    """Return how calls went before anything was broken."""
    time = calm(history)
    before = [op.ok for op in calls if time.start <= op.begun and (time.end if op.ended is None else op.ended) < time.end]
    return Usual(sum(before), len(before))


def long_ago(last: float, moment: float, begun: Sequence[float]) -> bool:
    """Whether the last good word of a caller is too old to say how it was at some moment, by the pace at which it calls."""
    return moment - last > max(FRESH, (1 + SLOWED) * pace(begun))


def no_longer(seconds: float, before: float, allowed: float) -> bool:
    """Whether something that had been too long `before` anything was broken lasted no longer than that and what is `allowed` together."""
    return before > allowed and seconds - before <= allowed


def stopped_by_itself(history: History, instance: str) -> Stay | None:
    """Return where an instance had run that stopped before anything was broken, the last one, on a node that was up; None where none did."""
    spans, time = node_spans(history), calm(history)
    found = []
    for stay in stays(spans):
        after = span_at(spans[stay.node], stay.end) if stay.instance == instance and time.start < stay.end < time.end else None
        if after is not None and after.sure and after.state is NodeState.UP and instance not in after.instances:
            found.append(stay)
    return max(found, key=lambda each: each.end, default=None)
