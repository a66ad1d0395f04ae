"""Whether a command of the user's own, which makes calls itself, had them answered while things were broken, and ended as it should."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from statistics import median
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from harness.checkers.either_way import either_way
from harness.checkers.expected import Expected
from harness.checkers.judging import Point, Report, answers_missing, conclude, doubted, missed, plural, unknown, whole
from harness.checkers.outages import done_in, judged_time
from harness.checkers.troubles import FEWEST_PACES, SHORTEST_SILENCE, blind, not_let_run, pace, until_late, watched
from harness.checkers.usual import FEWEST, NONE_BEFORE, Stretch, Usual, calm, first_decided, long_ago, longest_run, no_longer, stretches
from harness.checkers.windows import Window, Windows
from harness.core.figures import at, given, lasted, share
from harness.core.units import Duration, Names, Share
from harness.core.values import NO_PROGRAM, About, CallStream
from harness.history.bands import fault_bands
from harness.history.calls import not_made, ops, untold
from harness.history.intervals import Interval, common, neat
from harness.history.loads import RUN, SLOT, CountedCalls, Failing, Load, Tally, loads
from harness.history.situation import FRESH

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
    all the time since the one before, so that a gap is only known where lines are dense. What it did not tell of convicts nobody; nor does an early
    end, or what was so before the first fault: where no call went well just before that was decided, all is unknown. Its status speaks of the whole
    run, so it convicts only where all calls before the first fault went well, and the machine was let run.
    With `during` it is what it told of the time of a fault alone, with `outside` of the time without one (`harness.checkers.windows`), which says
    nothing of its status. A line over an edge of such a time turns no share, and a gap is over with it: one that had not ended when a time was over
    in which none could be too long makes it unknown.
    """

    name: ClassVar[str] = "command"
    about: ClassVar[About] = About(CallStream.COMMAND)
    called: Annotated[str, Field(alias="name", description="the name of a command among the workloads")]
    share: Share | None = None
    gap: Duration | None = None
    status: Annotated[int | None, Field(ge=0, le=255, description="the exit status, 0 to 255, with which it must end by itself")] = None
    expected: Expected = field(default_factory=Expected)
    during: Names = ()
    outside: Names = ()

    def __post_init__(self) -> None:
        """Raise `ValueError` for what promises nothing, and for a status that is to be judged on a part of a run."""
        if self.share is None and self.gap is None and self.status is None:
            raise ValueError("found a promise of nothing; expected share, gap or status, or several of them")
        if self.status is not None and (self.during or self.outside):
            raise ValueError("found status beside during or outside; expected share or gap there, and a promise of its own for the status")

    def check(self, history: History) -> Finding:
        """Return held, broken, or unknown; details hold the counts, the share, the gap and the status."""
        return either_way(history, self._check)

    def _check(self, history: History) -> Finding:
        windows = Windows.of(history, self.during, self.outside, self.expected.numbers, judged_time(history))
        load = loads(history).get(self.called)
        if load is None:
            return conclude(self.name, history, [*windows.points, unknown(f"the command {self.called} was never begun")], "")
        return conclude(self.name, history, *windows.judged(lambda each: self._judged(history, load, each, windows.whole)))

    def _judged(self, history: History, load: Load, window: Window, all_of: Interval) -> Report:
        """Judge one time, of `all_of` that there is."""
        details: dict[str, Json] = {
            "from": neat(window.start),
            "to": neat(window.end),
            "ended": None if load.ended is None else neat(load.ended),
            "status": load.status,
        }
        points, said = self._early(history, load, window), []
        if self.status is not None:
            points += self._ended(history, load, self.status, all_of)
            said.append(f"the command {self.called} ended with status {load.status}")
        if self.share is not None or self.gap is not None:
            more, words = self._told(history, load, window, all_of, details)
            points += more
            said += words
        return Report(points, "; ".join(said), details)

    def _ended(self, history: History, load: Load, status: int, window: Interval) -> list[Point]:
        """Judge how it ended. A wrong status may be for any call since it was begun, and nobody knows by how much it missed what it asks for."""
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
        text = f"{said}, {status} was promised{done_in(history, [Interval(window.start, load.ended)])}"
        life = Interval(load.begun, load.ended)
        why = (
            self._before(history, load, first_decided(history, window.start))
            or self._failed_before(history, load, window)
            or not_let_run(history, life)
        )
        return [doubted(missed(text, load.entry, over=[life]), why)]

    def _told(
        self, history: History, load: Load, asked: Window, all_of: Interval, details: dict[str, Json]
    ) -> tuple[list[Point], list[str]]:
        """Judge what it told of its calls, until its own end where that comes first."""
        who = f"the command {self.called}"
        left = [Interval(each.start, min(each.end, load.over)) for each in asked.pieces if each.start < load.over]
        window = replace(asked, pieces=tuple(left) or (Interval(asked.start, asked.start),))
        # From the decision on nobody knows whether it had bitten; of the time of one fault `Windows.judged` sees to that.
        decided = first_decided(history, all_of.start)
        if void := self._before(history, load, decided):
            return [unknown(f"{void}: then it shows nothing of it", load.entry)], []
        perhaps = window.pieces if window.named else [Interval(min(decided, window.start), window.end)]
        # What counts for the time of a fault must surely lie in it, however late the beginning of a line was heard of.
        late = SLOT if window.named else 0.0
        pieces = [each for each in load.pieces if any(each.end > part.start and each.start - late < part.end for part in perhaps)]
        # What it told over a stall of ours may be so since we did not mend meanwhile, or, where this machine could make no calls, by that.
        unseen = [*blind(history), *not_made(history)]
        inside = [
            each
            for each in pieces
            if any(part.start <= each.start - late and each.end <= part.end for part in window.pieces)
            and not common([Interval(each.start, each.end)], unseen)
        ]
        counts = sum((each.tally for each in inside), Tally())
        calls = counts.calls
        edges = sum((each.tally for each in pieces), Tally()) - counts
        details |= {"ok": counts.ok, "failed": counts.failed, "share": round(counts.ok / calls, 4) if calls else None}
        points = []
        missing = sum(each.key in {None, self.called} and each.begun_in(window.pieces) for each in untold(history, CallStream.COMMAND))
        if missing:
            points.append(unknown(f"of {who} {answers_missing(missing)}"))
        said = []
        if self.share is not None:
            figures = f"{share(counts.ok / calls, self.share)} of {plural(calls, 'call')}" if calls else "no call"
            said.append(f"{figures} of {who} went well {window.when} (promised {share(self.share)})")
            bad = [each.entry for each in inside if each.tally.failed]
            due = sum(_due(load.pieces, part, decided) for part in window.pieces)
            found = _share(history, self.share, said[0], counts, edges, due, window, sure=not missing)
            usual = _usual(history, load, window) if found else NONE_BEFORE
            why = usual.explains(self.share, counts.ok + edges.ok + due, calls + edges.ok + due)
            points += [doubted(replace(each, evidence=tuple(bad)), why) for each in found]
        if self.gap is not None:
            longest = _longest(load.pieces, window)
            gaps = (gap for part in window.pieces for gap in _sure(load.pieces, part, not_made(history)))
            sure = max(gaps, key=lambda each: each.length, default=None)
            details["gap"] = neat(longest.length)
            said.append(
                f"{who} told of no good call for {lasted(longest.length)} at most, from {at(longest.start)}{window.after_it} "
                f"(allowed {given(self.gap)})"
            )
            if sure is not None and sure.length > self.gap:
                text = f"no call of {who} went well for {lasted(sure.length)} from {at(sure.start)}{window.after_it}, {given(self.gap)} were allowed"
                over = until_late(history, [sure], self.gap)
                bad = [each.entry for each in load.pieces if sure.start <= each.start < sure.end]
                point = missed(f"{text}{done_in(history, [sure])}", *bad, over=over, by=sure.length - self.gap)
                points.append(doubted(point, _as_before(history, load, sure.length, self.gap)))
            elif longest.length > self.gap:
                seen = f"surely {lasted(sure.length)} of that" if sure is not None else "none of that is sure"
                points.append(unknown(f"{said[-1]}; but {seen}: its lines are too far apart to tell"))
            else:
                points += _open(load.pieces, window, self.gap, who)
        return points, said

    def _before(self, history: History, load: Load, decided: float) -> str:
        """Say that nothing went well just before the first fault was decided, or that nobody knows; nothing where something did.

        The calls of a line over that moment are taken to lie evenly in its time: one in which none went well tells of before, too, if it is of any
        call then. Of one that goes on from long before, and tells of more that failed than went well, nobody knows which those were.
        """
        who, moment = f"the command {self.called}", f"the first fault was made (at {at(decided)})"
        told = [each for each in load.pieces if each.start < decided]
        last = next((each for each in reversed(told) if each.end <= decided), None)
        if last is None:
            return f"{who} told of no calls before {moment}"
        runs = {op.op for op in ops(history, CallStream.COMMAND) if op.call.function == RUN}
        missing = [each for each in untold(history, CallStream.COMMAND) if each.key in {None, self.called} and each.op not in runs]
        if early := sum(each.interval.start < decided for each in missing):
            return f"of {who} {answers_missing(early)} before {moment}"
        newest, stale = told[-1], long_ago(last.end, decided, [each.end for each in load.pieces])
        # Most of what failed in a line that goes on from long before may have failed by then.
        if newest.tally.ok and last.tally.ok and not (stale and (newest is last or newest.tally.failed > newest.tally.ok)):
            return ""
        since = newest.tally.failed * (decided - newest.start) / max(SLOT, newest.end - newest.start)
        if not last.tally.ok or (newest is not last and not newest.tally.ok and since >= 1.0):
            return f"no call of {who} went well just before {moment}"
        return f"{who} told of no good call from {at(last.end)} until {moment}" if stale else ""

    def _failed_before(self, history: History, load: Load, window: Interval) -> str:
        """Say that calls failed before anything was broken, or may have: a line that goes on from long before that moment may tell of those."""
        decided = first_decided(history, window.start)
        if not any(each.tally.failed and min(each.end, each.start + FRESH) <= decided for each in load.pieces):
            return ""
        return f"calls of the command {self.called} failed, or may have, before the first fault was made (at {at(decided)})"

    def _early(self, history: History, load: Load, window: Window) -> list[Point]:
        """Say that it ended too early to tell of all that was broken, or badly, with no word of that in the promise."""
        end = f"the command {self.called} ended at {at(load.ended or 0.0)}"
        if window.whose:
            early = load.ended is not None and load.ended < window.end
            return [unknown(f"{end}, {window.when}: of what came then it told nothing", load.entry)] if early else []
        over = max((held.end for band in fault_bands(history) if (held := band.held(history.end)) is not None), default=0.0)
        if load.ended is not None and load.ended < over:
            return [unknown(f"{end}, before the last fault was mended (at {at(over)}): of what came then it told nothing", load.entry)]
        if load.itself and load.status and self.status is None and load.ended is not None and load.ended < history.observed:
            return [unknown(f"{end} with status {load.status}: it failed by itself", load.entry)]
        return []


def _share(
    history: History, promised: float, figures: str, counts: Tally, edges: Tally, due: float, window: Window, *, sure: bool
) -> list[Point]:
    """Judge the share. What was told over an edge of the time, or over a stall, and what was `due`, turns nothing, and may turn all."""
    calls = counts.calls
    if calls < FEWEST:
        return [unknown(f"{figures}: {FEWEST} calls are needed for a share")]
    if counts.ok + edges.ok + due < promised * (calls + edges.ok + due):
        if not (sure and whole(history)):
            return [unknown(f"{figures}; but more may have gone well than was told")]
        late = (promised * calls - counts.ok) / calls * window.length
        over = [part for each in window.pieces for part in watched(history, each)]
        return [missed(f"{figures}{done_in(history, window.pieces)}", over=over, by=late, spread=True)]
    if counts.ok < promised * (calls + edges.failed):
        return [unknown(f"{figures}; but of {plural(edges.calls, 'call')} more it is not known whether they count")]
    if counts.ok < promised * (calls + edges.failed + due):
        return [unknown(f"{figures}; but of some {due:.0f} more that were due it told nothing")]
    return []


def _usual(history: History, load: Load, window: Window) -> Usual:
    """Return how its calls went before anything was broken, in any time as long as the one that is judged."""
    found, longer = [], window.length > calm(history).length
    for time in stretches(calm(history), window.length):
        tallies = [each.tally for each in load.pieces if time.start <= each.start and each.end <= time.end]
        before = sum(tallies, Tally())
        more = longest_run((each.failed > 0, each.failed) for each in tallies) if longer else 0
        found.append(Stretch(time, before.ok, before.calls, more=more))
    return Usual(tuple(found))


def _as_before(history: History, load: Load, seconds: float, allowed: float) -> str:
    """Say that none of its calls went well for as long before anything was broken; nothing where it was not so."""
    gaps = _sure(load.pieces, calm(history), not_made(history))
    before = max(gaps, key=lambda each: each.length, default=Interval(0.0, 0.0))
    if not no_longer(seconds, before.length, allowed):
        return ""
    return f"so did none for {lasted(before.length)} from {at(before.start)}, before anything was broken"


def _due(pieces: Sequence[CountedCalls], window: Interval, decided: float) -> float:
    """Return how many calls were due in some time, by the pace of before the first fault was decided, of which nothing was told.

    Those due while nothing was told of any calls for as long as nobody is silent (`FEWEST_PACES`), and those after the last line.
    """
    before = [each for each in pieces if each.end <= decided]
    if not before:
        return 0.0
    rate = sum(each.tally.calls for each in before) / max(SLOT, before[-1].end - before[0].start)
    bearable = max(SHORTEST_SILENCE, FEWEST_PACES * median(each.end - each.start for each in before))
    due, early = 0.0, window.start
    for each in pieces:
        late = min(each.end, window.end)
        if each.tally.calls and late > early:
            due += max(0.0, rate * (late - early) - each.tally.calls) if late - early > bearable else 0.0
            early = late
    return due + rate * max(0.0, window.end - early)


def _longest(pieces: Sequence[CountedCalls], window: Window) -> Interval:
    """Return the longest time in which no call may have gone well: from the beginning of one good line to the end of the next, or of the time.

    What was so before the time of a fault, or between two of them, is none of it.
    """
    found = [
        Interval(max(gap.start, part.start), max(gap.end, part.start)) if window.named else gap
        for part in window.pieces
        for gap in _perhaps(pieces, part)
    ]
    return max(found, key=lambda each: each.length)


def _perhaps(pieces: Sequence[CountedCalls], window: Interval) -> list[Interval]:
    """Return every time in which no call may have gone well, in one piece of a time; the last one goes on to its end."""
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
    return [*found, Interval(early, max(early, window.end))]


def _open(pieces: Sequence[CountedCalls], window: Window, allowed: float, who: str) -> list[Point]:
    """Doubt that a gap would not have been too long, had there been time for that: one that had not ended when the time of a fault was over."""
    if not window.named or window.longest > allowed:
        return []
    usual = max(SHORTEST_SILENCE, FEWEST_PACES * pace([each.end for each in pieces]))
    for part in window.pieces:
        last = Interval(max(part.start, _perhaps(pieces, part)[-1].start), part.end)
        bad = [each for each in pieces if each.tally.failed and not each.tally.ok and last.start < each.end and each.start < last.end]
        if bad or last.length > usual:
            text = f"{who} told of no good call for {lasted(last.length)} from {at(last.start)}, and of none when that was over{window.after_it}"
            return [unknown(f"{text}: {window.short(allowed)}", *(each.entry for each in bad))]
    return []


def _sure(pieces: Sequence[CountedCalls], window: Interval, unseen: Sequence[Interval]) -> list[Interval]:
    """Return the times in which surely no call went well (`Failing`), but for what was `unseen`."""
    found: list[Interval] = []
    failing = Failing()
    for each in pieces:
        if failing.hear(each, seen=not common([Interval(each.start, each.end)], unseen)) and failing.first is not None:
            start, end = max(window.start, failing.first), min(window.end, failing.last) - SLOT
            found += [Interval(start, end)] if end > start else []
    return found
