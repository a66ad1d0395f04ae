"""Whether a command of the user's own, which makes calls itself, had them answered while things were broken, and ended as it should."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from harness.checkers.either_way import either_way
from harness.checkers.expected import Expected
from harness.checkers.judging import Point, answers_missing, conclude, missed, plural, unknown, whole
from harness.checkers.outages import FEWEST, done_in, first_decided, judged_time
from harness.checkers.troubles import until_late, watched
from harness.core.figures import at, given, lasted
from harness.core.units import Duration, Share
from harness.core.values import NO_PROGRAM
from harness.history.bands import fault_bands
from harness.history.calls import COMMAND, untold
from harness.history.intervals import Interval, neat
from harness.history.loads import SLOT, CountedCalls, Load, Tally, loads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.core.values import Finding, Json
    from harness.history.events import History

_KILLED = 128
"""Statuses above it are those of a command that a signal ended: nobody knows whose."""


@dataclass(frozen=True, slots=True)
class LoadServed:
    """Of the calls that a command tells of, at least `share` went well, never for longer than `gap` none, and it ends by itself with `status`.

    Judged is what it told from the first fault's bite to the end of settling, or to its own end, if that comes after the last heal. A line counts for
    all the time since the one before, so that a gap is only known where lines are dense. What it did not tell of convicts nobody; nor does what was
    so before the first fault, or an early end.
    """

    name: ClassVar[str] = COMMAND
    called: Annotated[str, Field(alias="name", description="the name of a command among the workloads")]
    share: Share | None = None
    gap: Duration | None = None
    status: Annotated[int | None, Field(ge=0, le=255, description="the exit status with which it must end by itself, such as 0")] = None
    expected: Expected = field(default_factory=Expected)

    def __post_init__(self) -> None:
        """Raise `ValueError` for what promises nothing."""
        if self.share is None and self.gap is None and self.status is None:
            raise ValueError("found a promise of nothing; expected share, gap or status, or several of them")

    def check(self, history: History) -> Finding:
        """Return held, broken, or unknown; details hold the counts, the share, the gap and the status."""
        return either_way(history, self._check)

    def _check(self, history: History) -> Finding:
        window = judged_time(history)
        if window is None:
            return conclude(self.name, history, [unknown("no fault was ever in force, so there is no time to judge")], "")
        load = loads(history).get(self.called)
        if load is None:
            return conclude(self.name, history, [unknown(f"the command {self.called} was never begun")], "")
        details: dict[str, Json] = {
            "from": neat(window.start),
            "to": neat(window.end),
            "ended": None if load.ended is None else neat(load.ended),
            "status": load.status,
        }
        points, said = [], []
        if self.status is not None:
            points += self._ended(history, load, self.status, window)
            said.append(f"the command {self.called} ended with status {load.status}")
        if self.share is not None or self.gap is not None:
            more, words = self._told(history, load, window, details)
            points += more
            said += words
        return conclude(self.name, history, points, "; ".join(said), details)

    def _ended(self, history: History, load: Load, status: int, window: Interval) -> list[Point]:
        """Judge how it ended."""
        who = f"the command {self.called}"
        if not load.itself or load.ended is None or load.status is None:
            return [unknown(f"{who} did not end by itself while the run lasted, so its status is not its own", load.entry)]
        said = f"{who} ended with status {load.status} at {at(load.ended)}"
        if load.ended <= window.start:
            return [unknown(f"{said}, before the first fault bit: then it shows nothing of it", load.entry)]
        if load.status == status:
            return []
        if load.status in NO_PROGRAM or load.status > _KILLED:
            return [unknown(f"{said}: it could not be run, or was killed", load.entry)]
        when = Interval(window.start, load.ended)
        return [missed(f"{said}, {status} was promised{done_in(history, [when])}", load.entry, over=watched(history, when))]

    def _told(self, history: History, load: Load, window: Interval, details: dict[str, Json]) -> tuple[list[Point], list[str]]:
        """Judge what it told of its calls, until its own end where that comes first."""
        who = f"the command {self.called}"
        window = Interval(window.start, max(window.start, min(window.end, load.over)))
        if void := self._before(history, load, window):
            return void, []
        # From the decision on nobody knows whether it had bitten.
        pieces = [each for each in load.pieces if each.end > first_decided(history, window.start) and each.start < window.end]
        inside = [each for each in pieces if window.start <= each.start and each.end <= window.end]
        counts = sum((each.tally for each in inside), Tally())
        calls = counts.ok + counts.failed
        edges = sum((each.tally for each in pieces if each not in inside), Tally())
        details |= {"ok": counts.ok, "failed": counts.failed, "share": round(counts.ok / calls, 4) if calls else None}
        points = self._early(history, load)
        missing = sum(each.key in {None, self.called} and window.holds(each.interval.start) for each in untold(history, COMMAND))
        if missing:
            points.append(unknown(f"of {who} {answers_missing(missing)}"))
        said = []
        if self.share is not None:
            figures = f"{counts.ok / calls:.1%} of {plural(calls, 'call')}" if calls else "no call"
            said.append(f"{figures} of {who} went well from {at(window.start)} to {at(window.end)} (promised {self.share:.1%})")
            bad = [each.entry for each in inside if each.tally.failed]
            points += [
                replace(each, evidence=tuple(bad)) for each in _share(history, self.share, said[0], counts, edges, window, sure=not missing)
            ]
        if self.gap is not None:
            longest, sure = _longest(load.pieces, window), _sure(load.pieces, window)
            details["gap"] = neat(longest.length)
            said.append(
                f"{who} told of no good call for {lasted(longest.length)} at most, from {at(longest.start)} (allowed {given(self.gap)})"
            )
            if sure is not None and sure.length > self.gap:
                text = f"no call of {who} went well for {lasted(sure.length)} from {at(sure.start)}, {given(self.gap)} were allowed"
                over = until_late(history, [sure], self.gap)
                bad = [each.entry for each in load.pieces if sure.start <= each.start < sure.end]
                points.append(missed(f"{text}{done_in(history, [sure])}", *bad, over=over, by=sure.length - self.gap))
            elif longest.length > self.gap:
                seen = f"surely {lasted(sure.length)} of that" if sure is not None else "none of that is sure"
                points.append(unknown(f"{said[-1]}; but {seen}: its lines are too far apart to tell"))
        return points, said

    def _before(self, history: History, load: Load, window: Interval) -> list[Point]:
        """Say that nothing went well before anything was broken, or that nobody knows."""
        decided = first_decided(history, window.start)
        earlier = [each for each in load.pieces if each.end <= decided]
        if not earlier:
            return [unknown(f"the command {self.called} told of no calls before the first fault was made (at {at(decided)})", load.entry)]
        if not earlier[-1].tally.ok:
            text = f"no call of the command {self.called} went well just before the first fault was made (at {at(decided)})"
            return [unknown(f"{text}: then it shows nothing of it", earlier[-1].entry)]
        return []

    def _early(self, history: History, load: Load) -> list[Point]:
        """Say that it ended too early to tell of all that was broken, or badly, with no word of that in the promise."""
        over = max((held.end for band in fault_bands(history) if (held := band.held(history.end)) is not None), default=0.0)
        end = f"the command {self.called} ended at {at(load.ended or 0.0)}"
        if load.ended is not None and load.ended < over:
            return [unknown(f"{end}, before the last fault was mended (at {at(over)}): of what came then it told nothing", load.entry)]
        if load.itself and load.status and self.status is None and load.ended is not None and load.ended < history.observed:
            return [unknown(f"{end} with status {load.status}: it failed by itself", load.entry)]
        return []


def _share(history: History, share: float, figures: str, counts: Tally, edges: Tally, window: Interval, *, sure: bool) -> list[Point]:
    """Judge the share. Of what was told over an edge of the time nobody knows what was in it: it turns nothing, and may turn all."""
    calls = counts.ok + counts.failed
    if calls < FEWEST:
        return [unknown(f"{figures}: {FEWEST} calls are needed for a share")]
    if counts.ok + edges.ok < share * (calls + edges.ok):
        if not (sure and whole(history)):
            return [unknown(f"{figures}; but more may have gone well than was told")]
        late = (share * calls - counts.ok) / calls * window.length
        return [missed(f"{figures}{done_in(history, [window])}", over=watched(history, window), by=late, spread=True)]
    if counts.ok < share * (calls + edges.failed):
        return [unknown(f"{figures}; but of {plural(edges.ok + edges.failed, 'call')} more it is not known whether they were in that time")]
    return []


def _longest(pieces: Sequence[CountedCalls], window: Interval) -> Interval:
    """Return the longest time in which no call may have gone well: from the beginning of one good line to the end of the next, or of the time."""
    early = window.start
    found = [Interval(early, early)]
    for each in pieces:
        if not each.tally.ok or each.end <= window.start:
            early = each.start - SLOT if each.tally.ok else early
            continue
        if each.start >= window.end:
            break
        found.append(Interval(early, max(early, min(each.end, window.end))))
        early = each.start - SLOT
    found.append(Interval(early, max(early, window.end)))
    return max(found, key=lambda each: each.length)


def _sure(pieces: Sequence[CountedCalls], window: Interval) -> Interval | None:
    """Return the longest time of which lines tell without a break that calls were made, and that none went well."""
    found: list[Interval] = []
    start: float | None = None
    before = -math.inf
    for each in pieces:
        if each.start > before + SLOT:  # something that it told is missing
            start = None
        before = each.end
        if each.tally.ok or not each.tally.failed or each.start >= window.end or each.end <= window.start:
            start = None
            continue
        start = max(window.start, each.start) if start is None else start
        end = min(each.end, window.end) - SLOT
        found += [Interval(start, end)] if end > start else []
    return max(found, key=lambda each: each.length, default=None)
