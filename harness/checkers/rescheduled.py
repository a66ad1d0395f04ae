"""Whether lost work was started elsewhere in time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from harness.checkers.intervals import Interval
from harness.checkers.judging import Point, app_of, conclude, missed, unknown
from harness.checkers.recovery import Displaced, displaced
from harness.units import Duration
from harness.values import Budget

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.history import History
    from harness.values import Finding, Json


@dataclass(frozen=True, slots=True)
class Rescheduled:
    """Every instance of the app that a fault took away runs on another node within the limit, by node truth, counted from its loss.

    Each fault that takes an instance away counts by itself. The limit is `within`, or else the sum of what the mode needs after that fault (filled
    in by the plan, not by the scenario): `budgets` by the fault's name, and `budget` for all others. Coming back to its old node after the heal
    does not count. Says nothing of whether the new copy serves: that is `availability`.
    """

    name: ClassVar[str] = "rescheduled"
    app: str
    within: Duration | None = None
    budget: Budget | None = None
    budgets: Mapping[str, Budget] = field(default_factory=dict)

    def check(self, history: History) -> Finding:
        """Return held, broken (too late, or not back when the limit had run out), or unknown; details hold the split per loss."""
        lost = [each for each in displaced(history) if app_of(each.instance) == self.app]
        instances: dict[str, Json] = {each.key: each.json() for each in lost}
        details: dict[str, Json] = {"instances": instances, "budget": self._spelled(lost)}
        points = [point for each in lost if (point := self._judge(each)) is not None]
        if not lost:
            points.append(unknown(f"no instance of {self.app} was displaced by a fault"))
        return conclude(self.name, history, points, self._held(lost), details)

    def limit(self, fault: str) -> float:
        """Seconds that recovery may take after a fault of that name; infinite where nothing is promised."""
        if self.within is not None:
            return self.within
        budget = self.budgets.get(fault, self.budget)
        return math.inf if budget is None else budget.seconds

    def _spelled(self, lost: Sequence[Displaced]) -> str:
        if self.within is not None:
            return f"within {self.within:g} s"
        names = dict.fromkeys(each.band.name for each in lost)
        found = {name: budget for name in names if (budget := self.budgets.get(name, self.budget)) is not None}
        if len(found) > 1:
            return "; ".join(f"after {name}: {budget.spelled()}" for name, budget in found.items())
        budget = next(iter(found.values()), self.budget)
        return "no budget was given" if budget is None else budget.spelled()

    def _held(self, lost: Sequence[Displaced]) -> str:
        if not lost:
            return ""
        slowest = max(lost, key=lambda each: each.running or 0.0)
        text = f"{slowest.key} ran on {slowest.to} {slowest.running or 0.0:.1f} s after {slowest.lost} ({self._limit(slowest)})"
        what = "losses" if any(each.again for each in lost) else "displaced instances"
        return text if len(lost) == 1 else f"{text}, the slowest of {len(lost)} {what}"

    def _limit(self, one: Displaced) -> str:
        limit = self.limit(one.band.name)
        if not math.isfinite(limit):
            return "no recovery is promised"
        return f"{'budget' if self.within is None else 'limit'} {limit:.1f} s"

    def _judge(self, one: Displaced) -> Point | None:
        limit = self.limit(one.band.name)
        if one.running is not None and one.running <= limit:
            return None
        if one.running is not None:
            late = one.running - limit
            text = f"{one.key} ran on {one.to} only {one.running:.1f} s after {one.lost}, {late:.1f} s too late ({self._limit(one)})"
        else:
            text = f"{one.key} ran nowhere else in the {one.watched:.1f} s after {one.lost} ({self._limit(one)})"
        if one.watched < limit:
            why = "the fault was healed" if one.healed else "the history ends"
            return unknown(f"{text}: {why} before the time was up", *one.entries)
        if one.blind > 0.0 and one.running is None:
            return unknown(f"{text}, but what the other nodes ran was not known for {one.blind:.1f} s of it", *one.entries)
        if one.running is not None and one.absent is not None and one.absent <= limit:
            return unknown(f"{text}: {one.to} was last seen without it after {one.absent:.1f} s, which was in time", *one.entries)
        until = one.watched if one.running is None else one.running
        return missed(text, *one.entries, over=[Interval(one.at, one.at + until)], by=until - limit)
