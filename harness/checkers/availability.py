"""How much of the service was there while things were broken."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.checkers.calls import Op, ops
from harness.checkers.intervals import Interval, biting, fault_bands, node_spans
from harness.checkers.judging import app_of, broken, conclude, neat, plural, unknown, whole
from harness.units import Duration, Share
from harness.values import Outcome, Phase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.history import History
    from harness.values import Finding, Json

FEWEST = 20
"""Below so many calls a share says nothing: one call more or less is 5 %."""


@dataclass(frozen=True, slots=True)
class Availability:
    """Of the HTTP calls from the first fault's bite to the end of settling, at least `share` were good, and no instance was gone longer than `gap`.

    A fault bites when it takes away the first of its targets, which may be before it is in force (`harness.checkers.intervals.biting`). A call whose
    fate is unknown counts as not good. A gap is the time between two good answers of one instance; one that runs to the end of settling counts with
    the length that was seen (it is censored, not over).
    """

    name: ClassVar[str] = "availability"
    app: str
    share: Share
    gap: Duration

    def check(self, history: History) -> Finding:
        """Return held, broken, or unknown with fewer than 20 calls; details hold the share, the counts and the longest gap per instance."""
        calls = [op for op in ops(history, "http") if app_of(op.call.key) == self.app]
        window = _window(history)
        if window is None:
            return conclude(self.name, history, [unknown("no fault was ever in force, so there is no time to judge")], "")
        during = [op for op in calls if window.holds(op.begun)]
        good = sum(op.ok for op in during)
        gaps = [_longest(name, [op for op in calls if op.call.key == name], window) for name in sorted({op.call.key for op in calls})]
        details: dict[str, Json] = {
            "from": neat(window.start),
            "to": neat(window.end),
            "calls": len(during),
            "ok": good,
            "fail": sum(op.outcome is Outcome.FAIL for op in during),
            "unknown": sum(op.outcome is Outcome.UNKNOWN for op in during),
            "share": round(good / len(during), 4) if during else None,
            "gaps": {gap.instance: gap.json() for gap in gaps},
        }
        worst = max(gaps, key=lambda gap: gap.interval.length, default=None)
        if len(during) < FEWEST or worst is None:
            few = f"only {plural(len(during), 'call')} to {self.app} while things were broken; {FEWEST} are needed to judge"
            return conclude(self.name, history, [unknown(few)], "", details)
        figures = f"{good / len(during):.1%} of {len(during)} calls to {self.app} were answered well"
        points = []
        # A share can still rise in what a history that was cut off does not show; a gap that was too long stays so.
        if good < self.share * len(during) and whole(history):
            points.append(broken(f"{figures}, {self.share:.1%} were promised"))
        points += [
            broken(f"{gap.text}, {self.gap:g} s were allowed", gap.entry)
            for gap in sorted(gaps, key=lambda gap: -gap.interval.length)
            if gap.interval.length > self.gap
        ]
        return conclude(
            self.name, history, points, f"{figures} (promised {self.share:.1%}); {worst.text} (allowed {self.gap:g} s)", details
        )


@dataclass(frozen=True, slots=True)
class _Gap:
    """The longest time without a good answer of one instance."""

    instance: str
    interval: Interval
    censored: bool  # it ran to the end of what was watched
    entry: int

    @property
    def text(self) -> str:
        """The gap in words."""
        to_the_end = " and was not back by the end" if self.censored else ""
        return f"{self.instance} gave no good answer for {self.interval.length:.1f} s from {self.interval.start:.1f} s{to_the_end}"

    def json(self) -> Json:
        """Give the gap as it stands in a verdict file."""
        return {
            "from": neat(self.interval.start),
            "to": neat(self.interval.end),
            "length": neat(self.interval.length),
            "censored": self.censored,
        }


def _window(history: History) -> Interval | None:
    """From when the first fault bit to the end of settling; None where none was in force."""
    spans = node_spans(history)
    begun = [biting(band, spans).start for band in fault_bands(history) if band.in_force is not None]
    if not begun:
        return None
    ends = [time for phase in (Phase.FINAL, Phase.DONE) if (time := history.phase(phase)) is not None]
    return Interval(min(begun), max(min(begun), min(ends, default=history.end)))


def _longest(instance: str, calls: Sequence[Op], window: Interval) -> _Gap:
    good = sorted((op.ended, op.entry) for op in calls if op.ok and op.ended is not None and window.holds(op.ended))
    marks = [(window.start, calls[0].entry), *good]
    gaps = [_Gap(instance, Interval(early, late), censored=False, entry=entry) for (early, entry), (late, _) in itertools.pairwise(marks)]
    gaps.append(_Gap(instance, Interval(marks[-1][0], window.end), censored=True, entry=marks[-1][1]))
    return max(gaps, key=lambda gap: gap.interval.length)
