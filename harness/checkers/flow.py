"""What becomes of writes while a fault is in force: they go on, they stop, or they are slow."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from harness.checkers.judging import SHOWN, Point, Report, answers_missing, broken, doubted, missed, plural, too_short, unknown, whole
from harness.checkers.slowness import slowness
from harness.checkers.troubles import asked_through, by_itself, until_late, watched
from harness.checkers.usual import calm, long_ago, no_longer
from harness.core.figures import at, given, lasted, quick
from harness.core.values import CallStream, Json, Phase, Verdict
from harness.history.absence import ON_ITS_WAY
from harness.history.bands import Band, biting, perhaps_since
from harness.history.calls import Op, ended, served, untold
from harness.history.intervals import Interval, Span, common, neat, without

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.checkers.disturbance import Disturbance, Electorate
    from harness.checkers.mandate import Impossible
    from harness.history.events import History

SLOWER = 5.0
"""How many times longer the median acknowledged write must take for writes to count as slow."""

LONG_ENOUGH = 2
"""Of these lengths a fault must be in force for a question to have its answer whatever happens.

Two elections for writes that go on (one to elect, one in which to write), two times `ON_ITS_WAY` for writes that stop, two times the slowness asked
for (half of the writes then have the time to show it).
"""

ENOUGH = 5
"""Acknowledged writes that are needed before a fault for their median to mean anything, and in a short hold to show that writes go on."""

OFTEN = 0.25
"""The share of writes that were slow before a fault from which on that was usual. Half of them make a median slow, and chance may double a share."""

MOMENT = 0.1
"""The share of a hold that a pause may take without a sign that writes had stopped: one slow call to a lost member lasts as long."""


@dataclass(frozen=True, slots=True)
class _Alone:
    """What else than one fault may be why writes are not acknowledged while it is there: other faults, and machines that ail."""

    disturbed: Disturbance
    electorate: Electorate
    election: float

    @property
    def nobody(self) -> Sequence[Interval]:
        """When surely no member had a majority."""
        return self.electorate.absence.nobody

    def there(self, op: Op) -> frozenset[str]:
        """The members that were lost to no fault when a write was made."""
        return self.electorate.members - self.electorate.absence.at(op.begun)

    def few_asked(self, unanswered: Sequence[Op]) -> str:
        """Say whom these writes asked in vain, where that shows nothing of a quorum; nothing where it does.

        It takes two of them at members that are lost to no fault, where there are any, or as many members as have a majority: what one that is lost
        refuses, the others may take. A write that does not say whom it asked is taken to have asked one that is not lost.
        """
        able = [op for op in unanswered if not op.by or op.by in self.there(op) or not self.there(op)]
        named = sorted({op.by for op in unanswered if op.by})
        if len(able) > 1 or 2 * len(named) > len(self.electorate.members):
            return ""
        return f"nobody but {' and '.join(named) or 'one member'} was asked, {'once' if able else 'which was lost'}"

    def not_before(self, band: Band, writes: Sequence[Op]) -> str:
        """Say that writes were not acknowledged just before a fault was decided, or that nobody knows; nothing where they were.

        Nor were they where as many members as have a majority had refused some since the last that was. Where others were there, or had just been, it
        is before those: what they stopped, and this one keeps from returning, is stopped by it as well.
        """
        alone = self.disturbed.alone(Interval(0.0, band.begins))
        if not alone:
            return ""
        moment = alone[-1].end
        last = served(writes, moment)
        if last.good is None:
            return f"no write was acknowledged before {at(moment)}, when no fault was there yet"
        refused = [op.by for op in writes if not op.ok and op.begun >= last.at and op.ended is not None and op.ended < moment]
        by_most = len(refused) > 1 and 2 * len({*refused}) > len(self.electorate.members)
        if by_most or long_ago(last.at, moment, [op.begun for op in writes]):
            return f"no write was acknowledged from {at(last.at)} to {at(moment)}, when no fault was there yet"
        return ""

    def by_themselves(self, history: History, held: Interval, writes: Sequence[Op], tried: Sequence[Op]) -> str:
        """Say that writes had paused before anything was broken, for half as long at least; nothing where they had not, or nobody has a majority now.

        How long something lasts that comes by itself varies: twice as long as the longest of a few is chance (see `OFTEN`). What is no longer than a
        write is on its way (`ON_ITS_WAY`) is no pause.
        """
        if any(each.holds(op.begun) for op in tried for each in self.nobody):
            return ""
        before = _pause_before(history, writes, self.disturbed)
        return _so_before(before) if LONG_ENOUGH * before.length >= held.length and before.length > ON_ITS_WAY else ""

    def of_others(self, held: Interval, tried: Sequence[Op]) -> str:
        """Say which other fault, mended or half made, what became of writes may be the doing of, all of them; nothing where some tell of this one."""
        clear = self.disturbed.clear(held)
        doing = next((each.what for each in self.disturbed.shocks if not each.judged), "")
        return "" if any(each.holds(op.begun) for op in tried for each in clear) else doing

    def doubt(self, history: History, held: Interval, tried: Sequence[Op]) -> str:
        """Say so, too, of machines that ailed at each of these writes; nothing where some were made when none did, or when nobody had a majority."""
        if doubt := self.of_others(held, tried):
            return doubt
        if any(each.holds(op.begun) for op in tried for each in self.nobody):
            return ""
        whys = (
            by_itself(history, Interval(op.begun, op.begun if op.ended is None else op.ended), self.election, seen=True) for op in tried
        )
        first = ""
        for why in whys:
            if not why:
                return ""
            first = first or why
        return first


def judge_writes(
    promised: str,
    election: float,
    history: History,
    band: Band,
    spans: Mapping[str, Sequence[Span]],
    stray: Sequence[Impossible],
    disturbed: Disturbance,
    electorate: Electorate,
) -> Report:
    """Judge what became of writes under one fault: ``go on``, ``stop`` or ``slow``.

    `stray` are answers that nobody can have given. What was not acknowledged while surely no member of the `electorate` had a majority was not kept
    from it by slowness, for which there are excuses.
    """
    nobody = electorate.absence.nobody
    final = history.phase(Phase.FINAL)
    end = history.end if final is None else final
    writes = [op for op in ended(history, CallStream.QUORUM) if op.call.function == "write" and op.begun <= end]
    in_force = band.held(history.end)
    if in_force is None or not writes:
        return Report([unknown("no write was ever tried")])
    start = biting(band, spans).end
    held = Interval(start, max(start, in_force.end))
    now = [each for each in stray if band.begins <= (each.op.ended or 0.0) and each.op.begun <= in_force.end]
    numbers = {each.op.op for each in now}
    borne_out = [op for op in writes if op.op not in numbers]
    alone = _Alone(disturbed, electorate, election)
    # What had stopped before has neither failed to go on nor to return by this fault's doing.
    before = alone.not_before(band, borne_out)
    back = min((op.ended for op in borne_out if op.ok and op.ended is not None and op.begun >= band.begins), default=math.inf)
    if promised == "go on":
        report = _go_on(history, band, held, borne_out, election, disturbed, nobody)
        since = max((perhaps_since(history, band, target) for target in band.targets), default=band.begins)
        if not report.points and since < held.start:
            # It may have bitten since it was decided, which is before it was seen to be in force: then an election had longer than it says.
            early = _go_on(history, band, Interval(since, held.end), borne_out, election, disturbed, nobody).points
            when = f"{band.name} was decided" if since <= band.begins else "that may have bitten"
            report.points.extend(doubted(point, f"counted from when {when}") for point in early)
        # What paused only once they were back is no more of what was so before.
        later = Interval(max(held.start, min(back, held.end)), held.end)
        anew = _go_on(history, band, later, borne_out, election, disturbed, nobody).points if before else ()
        if not any(point.verdict is Verdict.BROKEN for point in anew):
            report.points[:] = [doubted(point, before) for point in report.points]
    else:
        report = _stop(history, band, held, borne_out, alone) if promised == "stop" else _slow(history, band, held, borne_out, alone)
        still = before if back == math.inf else ""
        report.points.extend(doubted(point, still) for point in _return(history, band, writes, election, disturbed))
    if not now:
        return report
    why = f"{plural(len(now), 'write')} acknowledged by a member that cannot have while {_fault(band)}: {now[0].text}"
    doubt = unknown(why, *(each.op.entry for each in now[:SHOWN]))
    return Report([doubt, *(doubted(point, why) for point in report.points)], details=report.details)


def _go_on(
    history: History,
    band: Band,
    held: Interval,
    writes: Sequence[Op],
    election: float,
    disturbed: Disturbance,
    nobody: Sequence[Interval],
) -> Report:
    # Only what was begun and acknowledged while it was in force shows that there was a quorum meanwhile.
    inside = [op for op in writes if held.start <= op.begun < held.end]
    acked = sorted(op.ended for op in inside if op.ok and op.ended is not None and op.ended < held.end)
    after = min(held.start + election, held.end)
    # What others disturb is allowed for: each piece that is left is judged as the whole is.
    pieces = _left([Interval(after, held.end)], disturbed.allowed())
    marks = [_marked(piece, acked) for piece in pieces]
    gap, longest = max((_longest(each) for each in marks), default=0.0), _longest([held.start, *acked, held.end])
    details: dict[str, Json] = {
        "tried": len(inside),
        "acknowledged": len(acked),
        "from": neat(held.start),
        "to": neat(held.end),
        "longest_gap": neat(longest),
        "longest_gap_after_election": neat(gap),
    }
    if gap > election:
        pauses = [Interval(early, late) for early, late in itertools.pairwise([held.start, *acked, held.end])]
        before = _pause_before(history, writes, disturbed)
        return Report([_paused(history, band, marks, pauses, writes, election, nobody, before)], details=details)
    # What is done beside it, or goes on for long, excuses, and shows nothing.
    vague = [_marked(piece, acked) for piece in _left([Interval(after, held.end)], disturbed.surely_allowed())]
    if max((_longest(each) for each in vague), default=0.0) > election:
        paused = _pause(vague, election)
        what = disturbed.why(paused) or disturbed.doubtful[0].what
        text = f"no write was acknowledged for {lasted(paused.length)} from {at(paused.start)} while {_fault(band)} (at most {given(election)})"
        return Report([unknown(f"{text}; but {what}, which may have stopped them", *band.entries)], details=details)
    # So much of it is judged as if no other fault were there: where that is short, each acknowledged write counts.
    judged = election + max((piece.length for piece in pieces), default=0.0)
    if judged <= LONG_ENOUGH * election and (why := _not_going_on(held, acked, ON_ITS_WAY + _rhythm(_usual(writes, band, disturbed)))):
        seen = f"{plural(len(acked), 'write')} acknowledged" if acked else "no write was acknowledged"
        text = f"{seen} in the {lasted(held.length)} while {_fault(band)}, {why}"
        short = too_short(LONG_ENOUGH * election, held.length)
        if held.length > LONG_ENOUGH * election:
            short = f"too short to tell, other faults leave {lasted(judged)} of it at most, and more than {given(LONG_ENOUGH * election)} is needed"
        return Report([unknown(f"{text}: {short}", *band.entries)], details=details)
    count = plural(len(acked), "write")
    text = f"{count} acknowledged while {_fault(band)}, never more than {lasted(longest)} apart"
    if longest > election:
        when = "the bite, or another disturbance," if disturbed.shocks else "the bite"
        text += f" (from {when} on {given(election)} are for an election, and {given(election)} more for the next write)"
    return Report([], text, details)


def _not_going_on(held: Interval, acked: Sequence[float], usual: float) -> str:
    """Say why writes acknowledged in a hold that is too short for the worst do not show that they went on; nothing if they do.

    They do where they were acknowledged until its end, several of them since the longest pause. A pause that is no longer than one that was over
    before, or than usual, or than a `MOMENT` of the hold, is no sign that writes had stopped: while members are lost each call to one of them is a
    pause, again and again, and which of these is the longest means nothing.
    """
    if not acked:
        return f"none in the last {lasted(held.length)}"
    silent = held.end - acked[-1]
    longest = max((Interval(early, late) for early, late in itertools.pairwise([held.start, *acked])), key=lambda each: each.length)
    moment = max(usual, MOMENT * held.length)
    if silent > max(moment, longest.length):
        return f"none in the last {lasted(silent)}"
    if longest.length <= moment:
        return "" if len(acked) >= ENOUGH else f"and {ENOUGH} are needed"
    since = sum(time >= longest.end for time in acked)
    return "" if since >= ENOUGH else f"only {since} since a pause of {lasted(longest.length)}"


def _left(held: Sequence[Interval], allowed: Sequence[Interval]) -> list[Interval]:
    """Return what is left to judge; of an empty hold that is a moment."""
    return without(held, allowed) if allowed else list(held)


def _marked(piece: Interval, times: Sequence[float]) -> list[float]:
    """Return the ends of a stretch and all times in it."""
    return [piece.start, *(time for time in times if piece.start < time < piece.end), piece.end]


def _pause(marks: Sequence[Sequence[float]], election: float) -> Interval:
    """Return the longest step between two marks in a row that is longer than an election takes."""
    steps = [Interval(early, late) for each in marks for early, late in itertools.pairwise(each) if late - early > election]
    return max(steps, key=lambda each: each.length)


def _longest(marks: Sequence[float]) -> float:
    """Return the longest step between two marks in a row."""
    return max((late - early for early, late in itertools.pairwise(marks)), default=0.0)


def _usual(writes: Sequence[Op], band: Band, disturbed: Disturbance) -> list[list[Op]]:
    """Return the writes that were acknowledged before a fault, in each stretch of time in which no other was there either."""
    quiet = disturbed.alone(Interval(0.0, band.begins))
    return [[op for op in writes if op.ok and op.ended is not None and each.start <= op.begun and op.ended < each.end] for each in quiet]


def _rhythm(usual: Sequence[Sequence[Op]]) -> float:
    """Return the usual time between two acknowledged writes, in seconds; 0 where there were too few to say."""
    times = [sorted(op.ended or 0.0 for op in each) for each in usual]
    steps = [late - early for each in times for early, late in itertools.pairwise(each)]
    return median(steps) if len(steps) >= ENOUGH else 0.0


def _paused(
    history: History,
    band: Band,
    marks: Sequence[Sequence[float]],
    pauses: Sequence[Interval],
    writes: Sequence[Op],
    election: float,
    nobody: Sequence[Interval],
    before: Interval,
) -> Point:
    """Judge the pauses between acknowledged writes: by the longest part of one in which writes were tried all along.

    What of the `pauses` is allowed for the sake of an election is not in `marks`; where it comes first, it counts for the limit as for the figure.
    `before` is the longest one before anything was broken: what is too long by no more than that is not the fault's.
    """
    gaps = [Interval(early, late) for each in marks for early, late in itertools.pairwise(each) if late - early > election]
    tried = _tried_through(history, gaps, writes)
    longest = max(gaps, key=lambda each: each.length) if tried.length <= election else tried
    # The first figure is the one that the limit is for: with what an election was allowed before it, where that was judged no pause.
    around = [each for each in pauses if each.start <= longest.start and longest.end <= each.end]
    in_all = max((longest, *around), key=lambda each: each.length)
    long_before = longest.start - in_all.start > MOMENT * election and any(longest.start == each[0] for each in marks)
    shown = Interval(in_all.start if long_before else longest.start, longest.end)
    limit = f"at most {given(election)}"
    if long_before:
        most = lasted(longest.start - shown.start + election)
        limit = f"at most {most}: until {at(longest.start)} for an election, and {given(election)} more for the next write"
    text = f"no write was acknowledged for {lasted(shown.length)} from {at(shown.start)} while {_fault(band)} ({limit})"
    if in_all.length - shown.length > MOMENT * election:
        text += f"; with the time beside it that is not judged the pause was {lasted(in_all.length)}, from {at(in_all.start)}"
    if tried.length <= election:
        few = f"writes were tried for {lasted(tried.length)} of it at most"
        return unknown(f"{text}; but {_missing(history, longest) or few}", *band.entries)
    alone = not without([tried], nobody)
    point = missed(text, *band.entries, over=until_late(history, [tried], election), by=math.inf if alone else tried.length - election)
    usual = not alone and no_longer(tried.length, before.length, election)
    return doubted(point, _so_before(before) if usual else "")


def _so_before(pause: Interval) -> str:
    return f"so was none for {lasted(pause.length)} from {at(pause.start)}, before anything was broken"


def _tried_through(history: History, gaps: Sequence[Interval], writes: Sequence[Op]) -> Interval:
    """Return the longest part of any of these gaps in which writes were tried all along."""
    asked, missing = [op.begun for op in writes], [each.interval for each in untold(history, CallStream.QUORUM)]
    return max((asked_through(history, each, asked, missing) for each in gaps), key=lambda each: each.length, default=Interval(0.0, 0.0))


def _pause_before(history: History, writes: Sequence[Op], disturbed: Disturbance) -> Interval:
    """Return the longest time in which writes were tried, and none was acknowledged, before anything was broken."""
    acked = sorted(op.ended for op in writes if op.ok and op.ended is not None)
    marks = [_marked(piece, acked) for piece in disturbed.alone(calm(history, app=""))]
    return _tried_through(history, [Interval(early, late) for each in marks for early, late in itertools.pairwise(each)], writes)


def _stop(history: History, band: Band, held: Interval, writes: Sequence[Op], alone: _Alone) -> Report:
    tried = [op for op in writes if held.start + ON_ITS_WAY < op.begun < held.end]
    wrong = [op for op in tried if op.ok and op.ended is not None and op.ended < held.end]
    # One that was still under way when healing began shows something only if it had been so for a while.
    # What was on its way may be answered; what has its answer only so much later had a quorum. One begun before the bite may have had it then.
    across = [op for op in writes if op.begun <= held.start + ON_ITS_WAY and op.ok and op.ended is not None]
    across = [op for op in across if op.ended is not None and held.start + LONG_ENOUGH * ON_ITS_WAY < op.ended < held.end]
    refused = [op for op in tried if (op.ended is not None and op.ended < held.end) or op.begun <= held.end - ON_ITS_WAY]
    details: dict[str, Json] = {
        "from": neat(held.start),
        "to": neat(held.end),
        "tried": len(tried),
        "acknowledged": len(wrong),
        "acknowledged_late": len(across),
        "which": [
            {"op": op.op, "key": op.call.key, "begun": neat(op.begun), "acknowledged": neat(op.ended)} for op in (*wrong, *across)[:SHOWN]
        ],
    }
    if across and not wrong:
        return Report([_acknowledged_late(band, held, across)], details=details)
    if wrong:
        first = wrong[0]
        text = (
            f"{plural(len(wrong), 'write')} of {len(tried)} begun later than {given(ON_ITS_WAY)} after {_bitten(band)} "
            f"acknowledged before it was healed, the first ({first.call.key}) {lasted(first.begun - held.start)} after it had bitten"
        )
        return Report([broken(text, *(op.entry for op in wrong[:SHOWN]))], details=details)
    if not refused:
        text = f"no write was tried later than {given(ON_ITS_WAY)} after {band.name} had bitten and had time for an answer before it was healed"
        short = f": {too_short(LONG_ENOUGH * ON_ITS_WAY)}" if held.length < LONG_ENOUGH * ON_ITS_WAY else ""
        return Report([unknown(text + short, *band.entries)], details=details)
    text = f"none of {plural(len(tried), 'write')} begun later than {given(ON_ITS_WAY)} after {_bitten(band)} was acknowledged"
    if doubt := alone.doubt(history, held, refused):
        return Report([unknown(f"{text}; but {doubt}, which may have stopped them", *band.entries)], details=details)
    if why := alone.few_asked(refused) or alone.not_before(band, writes) or alone.by_themselves(history, held, writes, refused):
        return Report([unknown(f"{text}; but {why}", *band.entries)], details=details)
    return Report([], f"{text}, and writes returned", details)


def _acknowledged_late(band: Band, held: Interval, across: Sequence[Op]) -> Point:
    """Judge writes that were on their way when a fault bit, or nearly, and were acknowledged long after that."""
    after = [op for op in across if op.begun > held.start]
    first = (after or across)[0]
    when = f"{lasted((first.ended or 0.0) - held.start)} after it had bitten"
    until = f"acknowledged later than {given(LONG_ENOUGH * ON_ITS_WAY)} after that"
    if after:
        text = f"{plural(len(after), 'write')} begun within {given(ON_ITS_WAY)} after {_bitten(band)} {until}, the first ({first.call.key}) {when}"
        return broken(text, *(op.entry for op in after[:SHOWN]))
    text = f"{plural(len(across), 'write')} begun before {_bitten(band)} {until}, the first ({first.call.key}) {when}"
    return unknown(f"{text}: it may have been agreed on before", *(op.entry for op in across[:SHOWN]))


def _slow(history: History, band: Band, held: Interval, writes: Sequence[Op], alone: _Alone) -> Report:
    quiet = _usual(writes, band, alone.disturbed)
    before = [op.latency for each in quiet for op in each if op.latency is not None]
    tried = [op for op in writes if held.start <= op.begun < held.end]
    during = [op.latency for op in tried if op.ok and op.latency is not None and op.ended is not None and op.ended < held.end]
    # Those still under way when healing began took at least as long as until then; what the heal made of them says nothing.
    pending = [held.end - op.begun for op in tried if op.ended is None or op.ended >= held.end]
    usual = median(before) if before else None
    least = median([*during, *pending]) if during or pending else None
    # So may those have of which lines are missing.
    missing = sum(each.begun_in([held]) for each in untold(history, CallStream.QUORUM))
    most = median([*during, *itertools.repeat(math.inf, len(pending) + missing)]) if during or pending else None
    details: dict[str, Json] = {
        "from": neat(held.start),
        "to": neat(held.end),
        "median_before": neat(usual),
        "median_in_force": neat(median(during) if during else None),
        "tried": len(tried),
        "acknowledged": len(during),
        "under_way_when_healing_began": len(pending),
    }
    if not tried:
        needed = LONG_ENOUGH * max(SLOWER * (usual or 0.0), _rhythm(quiet))
        short = f": {too_short(needed)}" if held.length < needed else ""
        return Report([unknown(f"no write was tried while {_fault(band)}{short}")], details=details)
    none = f"none of {plural(len(tried), 'write')} begun while {_fault(band)} was acknowledged, and writes returned"
    doubt = alone.doubt(history, held, tried) if not during else alone.of_others(held, tried)
    doubt = f"{doubt}, which may have slowed them" if doubt else ""
    if not during:
        doubt = doubt or alone.few_asked(tried) or alone.not_before(band, writes) or alone.by_themselves(history, held, writes, tried)
    # What was still under way then counts for nothing where far more had been refused.
    if least is None or most is None or (not during and len(tried) > 2 * len(pending)):
        return _held_unless(doubt, none, band, details)
    if usual is None or len(before) < ENOUGH:
        rest = ", when no other fault was there" if alone.disturbed.lives else ""
        text = f"only {plural(len(before), 'write')} acknowledged before {band.name}{rest}: nothing to compare with"
        return Report([unknown(text)], details=details)
    times = f"{quick(least)} {'or more ' if pending else ''}at the median while {_fault(band)}, {quick(usual)} before"
    before_it = slowness(history, [Interval(each[0].begun, each[-1].ended or each[-1].begun) for each in quiet if each])
    if least >= SLOWER * usual:
        # On a machine that was slower then than before, they may have been slow by that.
        meanwhile = slowness(history, [held])
        by_load = during and least < SLOWER * usual * max(1.0, meanwhile.factor / before_it.factor)
        doubt = doubt or (f"{meanwhile.text} while it was in force, which may have slowed them" if by_load else "")
        doubt = doubt or (_quick_alone(alone.disturbed, held, tried, SLOWER * usual) if during else "")
        newest = median(before[-ENOUGH:])
        doubt = doubt or (f"they took {quick(newest)} at the median just before it, too" if newest >= SLOWER * usual else "")
        long = min(alone.election, held.length / LONG_ENOUGH)
        doubt = doubt or (_few(len(tried)) or _slow_before(history, quiet, max(SLOWER * usual, least / SLOWER), long) if during else "")
        return _held_unless(doubt, none if not during else f"writes were slow ({times}), and returned", band, details)
    text = f"writes were not slow: {times}"
    if most < SLOWER * usual:
        # On a machine that was slow before, what was usual then is too long by as much: without that it may be slow after all.
        why = _few(len(during) + len(pending)) or ("" if most * before_it.factor < SLOWER * usual else f"before, {before_it.text}")
        return Report([doubted(missed(text, *band.entries, over=watched(history, held)), why)], details=details)
    way = f"{plural(len(pending), 'write')} of {len(tried)} still under way when healing began: {too_short(LONG_ENOUGH * SLOWER * usual)}"
    return Report([unknown(f"{text}; but {answers_missing(missing)}" if missing else way)], details=details)


def _slow_before(history: History, quiet: Sequence[Sequence[Op]], slow: float, long: float) -> str:
    """Say that enough writes in a row, for so `long`, had been slow before a fault, when no other was there, and the cluster whole; else nothing.

    A single election, or a machine that stood still for a moment, makes many of them slow as well, and for no longer than that. So were they where
    they were now and then, and `OFTEN`.
    """
    stretches = [[op for op in each if op.begun >= calm(history, app="").start] for each in quiet]
    every = [(op.latency or 0.0) >= slow for each in stretches for op in each]
    if sum(every) >= max(ENOUGH, OFTEN * len(every)):
        return f"{sum(every)} of {plural(len(every), 'write')} had been as slow, when no other fault was there"
    for since in stretches:
        for late, alike in itertools.groupby(since, key=lambda op: (op.latency or 0.0) >= slow):
            found = list(alike)
            if late and len(found) >= ENOUGH and found[-1].begun - found[0].begun >= long:
                count = plural(len(found), "write")
                return f"{count} in a row had been as slow from {at(found[0].begun)} on, when no other fault was there"
    return ""


def _few(count: int) -> str:
    """Say that so many writes are too few for their median to mean anything; nothing where they are enough."""
    return f"that were {plural(count, 'write')}, and {ENOUGH} are needed" if count < ENOUGH else ""


def _quick_alone(disturbed: Disturbance, held: Interval, tried: Sequence[Op], slow: float) -> str:
    """Say that the writes which were made when no other fault was there, nor anything done, were not slow; nothing if they were.

    Nor where none was made: then all that was there is judged together.
    """
    clear = disturbed.alone(held)
    ends = [(op.begun, min(op.ended, held.end) if op.ended is not None else held.end) for op in tried if op.ok or op.ended is None]
    took = [end - begun for begun, end in ends for each in clear if each.start <= begun and end <= each.end]
    if not took or median(took) >= slow:
        return ""
    few = f"without it {plural(len(took), 'write')} took {quick(median(took))} at the median"
    return f"something else was there, too ({few}), which may have slowed them"


def _held_unless(doubt: str, text: str, band: Band, details: Json) -> Report:
    """Report slow writes as held, or as unknown where that is in doubt."""
    return Report([unknown(f"{text}; but {doubt}", *band.entries)] if doubt else [], text, details)


def _return(history: History, band: Band, writes: Sequence[Op], election: float, disturbed: Disturbance) -> list[Point]:
    """After healing, writes must be acknowledged again."""
    if band.healed is None:
        return [unknown(f"{band.name} was never healed, so whether writes return is not known")]
    later = [op for op in writes if op.begun >= band.healed]
    if any(op.ok for op in later):
        return []
    none = f"no write was acknowledged after {band.name} was healed"
    since = Interval(band.healed, max(band.healed, later[-1].begun) if later else band.healed)
    alone = max(disturbed.alone(since), key=lambda each: each.length, default=Interval(since.start, since.start))
    if alone.length <= election or not whole(history):
        others = " without another fault" if disturbed.lives else ""
        return [unknown(f"{none}, and too few were tried ({len(later)}, for {lasted(alone.length)}{others})")]
    text = f"none of {plural(len(later), 'write')} was acknowledged after {band.name} was healed"
    if missing := _missing(history, Interval(since.start, history.end)):
        return [unknown(f"{text}; but {missing}", *band.entries)]
    before = _pause_before(history, writes, disturbed)
    usual = no_longer(alone.length, before.length, election)
    point = missed(text, *band.entries, over=until_late(history, [alone], election), by=alone.length - election)
    return [doubted(point, _so_before(before) if usual else "")]


def _missing(history: History, time: Interval) -> str:
    """Say how many calls may have been answered in some time of which lines are missing; nothing where none may."""
    count = sum(bool(common([each.interval], [time])) for each in untold(history, CallStream.QUORUM))
    return answers_missing(count) if count else ""


def _bitten(band: Band) -> str:
    return f"{band.called} had bitten {band.where}"


def _fault(band: Band) -> str:
    return f"{band.called} was in force on {band.where}"
