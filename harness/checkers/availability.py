"""How much of the service was there while things were broken."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from harness.checkers.calls import Op, ops, unasked
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
    the length that was seen (it is censored, not over). Time in which nobody called is no gap in the service: where too long a one is made of it, or
    of calls that were all answered well and stand too far apart, that is unknown.
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
        gaps = [
            _longest(name, [op for op in calls if op.call.key == name], window, self.gap) for name in sorted({op.call.key for op in calls})
        ]
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
        for gap in sorted(gaps, key=lambda gap: -gap.interval.length):
            if gap.told > self.gap:
                points.append(broken(f"{gap.text}, {self.gap:g} s were allowed", gap.entry))
            elif gap.interval.length > self.gap:
                points.append(unknown(f"{gap.text}, {self.gap:g} s were allowed: too few calls to tell", gap.entry))
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
    told: float  # seconds of it that calls bear witness to; 0 where every call in it was answered well

    @property
    def text(self) -> str:
        """The gap in words."""
        to_the_end = " and was not back by the end" if self.censored else ""
        alone = self.interval.length - self.told
        asked = f", nobody called in {alone:.1f} s of it" if self.told and alone else " and was not called meanwhile" if alone else ""
        return f"{self.instance} gave no good answer for {self.interval.length:.1f} s from {self.interval.start:.1f} s{to_the_end}{asked}"

    def json(self) -> Json:
        """Give the gap as it stands in a verdict file."""
        return {
            "from": neat(self.interval.start),
            "to": neat(self.interval.end),
            "length": neat(self.interval.length),
            "told": neat(self.told),
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


def _longest(instance: str, calls: Sequence[Op], window: Interval, allowed: float) -> _Gap:
    """Return the gap that speaks most against the instance: the longest that calls bear witness to, or else the longest."""
    good = sorted((op.ended, op.entry) for op in calls if op.ok and op.ended is not None and window.holds(op.ended))
    marks = [(window.start, calls[0].entry), *good, (window.end, -1)]
    found = []
    for (early, entry), (late, end) in itertools.pairwise(marks):
        # Most steps are from one good answer to the next of a steady caller, and too short to matter.
        told = _told(calls, early, late, allowed) if late - early > allowed else late - early
        found.append(_Gap(instance, Interval(early, late), censored=end < 0, entry=entry, told=told))
    return max(found, key=lambda gap: (gap.told > allowed, gap.interval.length))


def _told(calls: Sequence[Op], start: float, end: float, allowed: float) -> float:
    """Return the seconds of a gap in which it was called, if any call in it was not answered well, or only after longer than is allowed."""
    meanwhile = (op for op in calls if op.begun < end and (op.ended is None or op.ended > start))
    if not any(not op.ok or (op.latency or 0.0) > allowed for op in meanwhile):
        return 0.0
    return end - start - unasked(calls, start, end)
