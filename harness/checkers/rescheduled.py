"""Whether lost work was started elsewhere in time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.checkers.judging import Point, app_of, broken, conclude, plural, unknown
from harness.checkers.recovery import Displaced, displaced
from harness.units import Duration
from harness.values import Budget

if TYPE_CHECKING:
    from harness.history import History
    from harness.values import Finding, Json


@dataclass(frozen=True, slots=True)
class Rescheduled:
    """Every instance of the app that a fault took away runs on another node within the limit, by node truth, counted from in force.

    The limit is `within`, or else the sum of the mode's `budget` (filled in by the plan, not by the scenario). Coming back to its old node after
    the heal does not count. Says nothing of whether the new copy serves: that is `availability`.
    """

    name: ClassVar[str] = "rescheduled"
    app: str
    within: Duration | None = None
    budget: Budget | None = None

    def check(self, history: History) -> Finding:
        """Return held, broken (too late, or not back when the limit had run out), or unknown; details hold the split per instance."""
        lost = [each for each in displaced(history) if app_of(each.instance) == self.app]
        instances: dict[str, Json] = {each.instance: each.json() for each in lost}
        details: dict[str, Json] = {"instances": instances, "budget": self._spelled}
        points = [point for each in lost if (point := self._judge(each)) is not None]
        if not lost:
            points.append(unknown(f"no instance of {self.app} was displaced by a fault"))
        return conclude(self.name, history, points, self._held(lost), details)

    @property
    def limit(self) -> float:
        """Seconds that recovery may take; infinite where nothing is promised."""
        if self.within is not None:
            return self.within
        return math.inf if self.budget is None else self.budget.seconds

    @property
    def _spelled(self) -> str:
        if self.within is not None:
            return f"within {self.within:g} s"
        return "no budget was given" if self.budget is None else self.budget.spelled()

    def _held(self, lost: list[Displaced]) -> str:
        if not lost:
            return ""
        slowest = max(lost, key=lambda each: each.running or 0.0)
        text = f"{slowest.instance} ran on {slowest.to} {slowest.running or 0.0:.1f} s after {slowest.lost} ({self._limit})"
        return text if len(lost) == 1 else f"{text}, the slowest of {plural(len(lost), 'displaced instance')}"

    @property
    def _limit(self) -> str:
        if not math.isfinite(self.limit):
            return "no recovery is promised"
        return f"{'budget' if self.within is None else 'limit'} {self.limit:.1f} s"

    def _judge(self, one: Displaced) -> Point | None:
        if one.running is not None and one.running <= self.limit:
            return None
        if one.running is not None:
            late = one.running - self.limit
            text = f"{one.instance} ran on {one.to} only {one.running:.1f} s after {one.lost}, {late:.1f} s too late ({self._limit})"
        else:
            text = f"{one.instance} ran nowhere else in the {one.watched:.1f} s after {one.lost} ({self._limit})"
        if one.watched < self.limit:
            why = "the fault was healed" if one.healed else "the history ends"
            return unknown(f"{text}: {why} before the time was up", *one.entries)
        if one.blind > 0.0 and one.running is None:
            return unknown(f"{text}, but what the other nodes ran was not known for {one.blind:.1f} s of it", *one.entries)
        return broken(text, *one.entries)
