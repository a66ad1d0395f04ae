"""Whether the quorum kept its word: one leader a term, writes as promised, leadership where it was expected."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, ClassVar, Literal

from harness.checkers.disturbance import Disturbance, disturbance
from harness.checkers.expected import Expected
from harness.checkers.judging import SHOWN, Point, broken, conclude, doubted, missed, plural, unknown, whole
from harness.checkers.mandate import ELECTION, REGISTER, impossible_answers, impossible_leaders, members_planned
from harness.checkers.roles import too_few_heard, unheard_members
from harness.checkers.terms import broken_terms
from harness.checkers.troubles import attended, slowness, watched
from harness.core.figures import at, given, lasted, quick
from harness.core.values import Finding, Json, Loss, NodeState, Phase
from harness.history.absence import Absence
from harness.history.calls import Op, ended
from harness.history.events import History, MemberSeen, Watching
from harness.history.intervals import (
    Band,
    Interval,
    Reign,
    Span,
    biting,
    common,
    fault_bands,
    neat,
    node_spans,
    not_surely,
    reign_at,
    reigns,
    span_at,
    united,
    without,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.checkers.mandate import Impossible

GRACE = 1.0
"""Seconds after a fault has bitten before a write must not be acknowledged any more: a call may have been on its way."""

SLOWER = 5.0
"""How many times longer the median acknowledged write must take for writes to count as slow."""

LONG_ENOUGH = 2
"""Of these lengths a fault must be in force for a question to have its answer whatever happens.

Two elections for writes that go on (one to elect, one in which to write), two times `GRACE` for writes that stop, two times the slowness asked for
(half of the writes then have the time to show it).
"""

ENOUGH = 5
"""Acknowledged writes that are needed before a fault for their median to mean anything, and in a short hold to show that writes go on."""

MOMENT = 0.1
"""The share of a hold that a pause may take without a sign that writes had stopped: one slow call to a lost member lasts as long."""

POLL = 1.0
"""Seconds without a leader that are worth a word: members are asked about so often."""


@dataclass(frozen=True, slots=True)
class QuorumSurvived:
    """Never two leaders in one term, and no term that goes back; and, where asked, what happens to writes and leadership while a fault is in force.

    `writes`: "go on" (after `election` seconds for an election, an acknowledged write at least every so many seconds), "stop" (none that was
    begun later than 1 s after the fault has bitten is acknowledged before healing, nor one begun after the bite later than 2 s after it; after
    healing they return), "slow" (median latency five times that of before, or none acknowledged; after healing they return). `leader`: "moves" or
    "stays", from what it was when the fault was decided. Each is judged for every fault, from when it had taken the last of its targets away, which
    may be before it is in force (`harness.history.intervals.biting`), until healing begins, and on nothing else: what is acknowledged after that
    shows nothing of it. Nor does what is acknowledged, or led, by one who has no majority then (`harness.checkers.mandate`). Writes may pause for
    `election` seconds from the bite, and a majority may follow nobody for so long at a time. Only whom it follows counts from the first target on. A
    fault that was in force too shortly for the answer is unknown, with how long it would have to be;
    writes that were acknowledged until the end of a short hold, several of them since their longest pause, did go on. A process that is killed and
    started again by its own supervisor counts as in force until we mend it: what comes back is another process. `election` is how long the mode's
    members may take to elect; the plan fills it in, and who is `expected`, not the scenario.

    Where faults overlap, or follow each other, each is judged on its own window, with the disturbances of the others in it allowed for: from when
    another bites, or begins to be healed, writes may pause and nobody may lead for `election` seconds more. Where leadership moves in that time, the
    other may have moved it: that is no evidence that it `moves` for this one, unless its leader was lost to this one and led until then; nor that it
    does not stay, unless the other bit as well, and ought to answer for the same move. Writes that stop, or are slow, show nothing while another is
    being mended, or just was. Of one that never was in force, or that may have been over at any time, nobody knows when it bit and healed. What was
    usual before is from when no fault was there, nor had been for an election.
    """

    name: ClassVar[str] = "quorum"
    writes: Literal["", "go on", "stop", "slow"] = ""
    leader: Literal["", "moves", "stays"] = ""
    election: float = ELECTION
    expected: Expected = field(default_factory=Expected)

    def check(self, history: History) -> Finding:
        """Return held, broken, or unknown where the membership was never seen or nothing was tried; details hold terms, leaders and writes."""
        faults = fault_bands(history)
        bands = [band for band in faults if band.in_force is not None]
        members = members_planned(history, self.expected)
        every = reigns(history, members)
        spans = node_spans(history)
        said: list[str] = ["never two leaders in one term"]
        details: dict[str, Json] = {"leaders": [_reign_json(reign) for reign in every[:SHOWN]]}
        points = broken_terms(history)
        if not any(reign.leader for reign in every):
            points.append(unknown("no majority of the members was ever seen to follow a leader"))
        if (self.writes or self.leader) and not bands:
            points.append(unknown("no fault was ever in force"))
        gone = Absence.of(history, faults, spans, self.expected.voters).unable
        impossible = impossible_leaders(history, every, gone, self.election, self.expected) if self.leader else []
        # What was acknowledged by one who is cut off is what writes that stop are judged by; to all else it bears no witness.
        stray = [
            each
            for each in impossible_answers(history, gone, spans, self.expected, self.election)
            if each.op.call.function == "write" and not (each.cut and self.writes == "stop")
        ]
        for band in bands:
            over = not_surely(band, spans, history.end)
            disturbed = disturbance(history, band, faults, spans, self.election)
            if self.writes:
                report = _writes(self, history, band, spans, stray, disturbed)
                points += [doubted(point, over) for point in report.points]
                said.append(report.held)
                details[f"writes_fault_{band.fault}"] = report.details
            if self.leader:
                report = _leadership(self, history, band, every, spans, disturbed)
                strange = _strange(self, band, every, impossible, history.end)
                points += [unknown(text, reign.entry) for reign, text in strange]
                over = next((text for _, text in strange), over)
                points += [doubted(point, over) for point in report.points]
                said.append(report.held)
        return conclude(self.name, history, points, "; ".join(said), details)


@dataclass(frozen=True, slots=True)
class _Report:
    """What was found of one promise under one fault."""

    points: list[Point]
    held: str = ""
    details: Json = None


def _writes(
    promised: QuorumSurvived,
    history: History,
    band: Band,
    spans: Mapping[str, Sequence[Span]],
    stray: Sequence[Impossible],
    disturbed: Disturbance,
) -> _Report:
    final = history.phase(Phase.FINAL)
    end = history.end if final is None else final
    writes = [op for op in ended(history, REGISTER) if op.call.function == "write" and op.begun <= end]
    in_force = band.held(history.end)
    if in_force is None or not writes:
        return _Report([unknown("no write was ever tried")])
    start = biting(band, spans).end
    held = Interval(start, max(start, in_force.end))
    now = [each for each in stray if band.begins <= (each.op.ended or 0.0) and each.op.begun <= in_force.end]
    numbers = {each.op.op for each in now}
    borne_out = [op for op in writes if op.op not in numbers]
    if promised.writes == "go on":
        report = _go_on(history, band, held, borne_out, promised.election, disturbed)
        made = held.start if band.injected is None else min(band.injected, held.start)
        if not report.points and made < held.start:
            # It may have bitten when it was made, which is before it was seen to be in force: then an election had longer than it says.
            early = _go_on(history, band, Interval(made, held.end), borne_out, promised.election, disturbed).points
            report.points.extend(doubted(point, f"counted from when {band.name} was made") for point in early)
    else:
        report = _stop(band, held, borne_out, disturbed) if promised.writes == "stop" else _slow(history, band, held, borne_out, disturbed)
        report.points.extend(_return(history, band, writes, promised.election, disturbed))
    if not now:
        return report
    why = f"{plural(len(now), 'write')} acknowledged by who cannot have while {_fault(band)}: {now[0].text}"
    doubt = unknown(why, *(each.op.entry for each in now[:SHOWN]))
    return _Report([doubt, *(doubted(point, why) for point in report.points)], details=report.details)


def _go_on(history: History, band: Band, held: Interval, writes: Sequence[Op], election: float, disturbed: Disturbance) -> _Report:
    # Only what was begun and acknowledged while it was in force shows that there was a quorum meanwhile.
    inside = [op for op in writes if held.start <= op.begun < held.end]
    acked = sorted(op.ended for op in inside if op.ok and op.ended is not None and op.ended < held.end)
    after = min(held.start + election, held.end)
    # What others disturb is allowed for: each piece that is left is judged as the whole is.
    allowed = disturbed.allowed()
    pieces = without([Interval(after, held.end)], allowed) if allowed else [Interval(after, held.end)]
    marks = [[piece.start, *(time for time in acked if piece.start < time < piece.end), piece.end] for piece in pieces]
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
        return _Report([_paused(history, band, marks, writes, election)], details=details)
    # So much of it is judged as if no other fault were there: where that is short, each acknowledged write counts.
    judged = election + max((piece.length for piece in pieces), default=0.0)
    if judged <= LONG_ENOUGH * election and (why := _not_going_on(held, acked, GRACE + _rhythm(_usual(writes, band, disturbed)))):
        seen = f"{plural(len(acked), 'write')} acknowledged" if acked else "no write was acknowledged"
        text = f"{seen} in the {lasted(held.length)} while {_fault(band)}, {why}"
        short = _too_short(LONG_ENOUGH * election, held.length)
        if held.length > LONG_ENOUGH * election:
            short = f"too short to tell, other faults leave {lasted(judged)} of it at most, and more than {given(LONG_ENOUGH * election)} is needed"
        return _Report([unknown(f"{text}: {short}", *band.entries)], details=details)
    count = plural(len(acked), "write")
    return _Report([], f"{count} acknowledged while {_fault(band)}, never more than {lasted(longest)} apart", details)


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


def _longest(marks: Sequence[float]) -> float:
    """Return the longest step between two marks in a row."""
    return max((late - early for early, late in itertools.pairwise(marks)), default=0.0)


def _usual(writes: Sequence[Op], band: Band, disturbed: Disturbance) -> list[list[Op]]:
    """Return the writes that were acknowledged before a fault, in each stretch of time in which no other was there either."""
    calm = disturbed.alone(Interval(0.0, band.begins))
    return [[op for op in writes if op.ok and op.ended is not None and each.start <= op.begun and op.ended < each.end] for each in calm]


def _rhythm(usual: Sequence[Sequence[Op]]) -> float:
    """Return the usual time between two acknowledged writes, in seconds; 0 where there were too few to say."""
    times = [sorted(op.ended or 0.0 for op in each) for each in usual]
    steps = [late - early for each in times for early, late in itertools.pairwise(each)]
    return median(steps) if len(steps) >= ENOUGH else 0.0


def _too_short(seconds: float, length: float = 0.0) -> str:
    if length >= seconds:
        return f"too short to tell, it would have to be in force for longer than {given(seconds)}"
    return f"too short to tell, it would have to be in force for {given(seconds)} at least"


def _paused(history: History, band: Band, marks: Sequence[Sequence[float]], writes: Sequence[Op], election: float) -> Point:
    """Judge the pauses between acknowledged writes: by the longest part of one in which writes were tried all along."""
    asked = [op.begun for op in writes]
    gaps = [Interval(early, late) for each in marks for early, late in itertools.pairwise(each) if late - early > election]
    tried = max((attended(history, each, asked) for each in gaps), key=lambda each: each.length)
    longest = max(gaps, key=lambda each: each.length) if tried.length <= election else tried
    text = (
        f"no write was acknowledged for {lasted(longest.length)} from {at(longest.start)} while {_fault(band)} (at most {given(election)})"
    )
    if tried.length <= election:
        return unknown(f"{text}; but writes were tried for {lasted(tried.length)} of it at most", *band.entries)
    return missed(text, *band.entries, over=[tried], by=tried.length - election)


def _stop(band: Band, held: Interval, writes: Sequence[Op], disturbed: Disturbance) -> _Report:
    tried = [op for op in writes if held.start + GRACE < op.begun < held.end]
    wrong = [op for op in tried if op.ok and op.ended is not None and op.ended < held.end]
    # One that was still under way when healing began shows something only if it had been so for a while.
    # What was on its way may be answered; what has its answer only so much later had a quorum. One begun before the bite may have had it then.
    across = [op for op in writes if op.begun <= held.start + GRACE and op.ok and op.ended is not None]
    across = [op for op in across if op.ended is not None and held.start + LONG_ENOUGH * GRACE < op.ended < held.end]
    refused = [op for op in tried if (op.ended is not None and op.ended < held.end) or op.begun <= held.end - GRACE]
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
        return _Report([_acknowledged_late(band, held, across)], details=details)
    if wrong:
        first = wrong[0]
        text = (
            f"{plural(len(wrong), 'write')} of {len(tried)} begun later than {given(GRACE)} after {_bitten(band)} acknowledged before it was healed, "
            f"the first ({first.call.key}) {lasted(first.begun - held.start)} after it had bitten"
        )
        return _Report([broken(text, *(op.entry for op in wrong[:SHOWN]))], details=details)
    if not refused:
        text = f"no write was tried later than {given(GRACE)} after {band.name} had bitten and had time for an answer before it was healed"
        short = f": {_too_short(LONG_ENOUGH * GRACE)}" if held.length < LONG_ENOUGH * GRACE else ""
        return _Report([unknown(text + short, *band.entries)], details=details)
    text = f"none of {plural(len(tried), 'write')} begun later than {given(GRACE)} after {_bitten(band)} was acknowledged"
    if doubt := _by_others(held, refused, disturbed):
        return _Report([unknown(f"{text}; but {doubt}, which may have stopped them", *band.entries)], details=details)
    return _Report([], f"{text}, and writes returned", details)


def _by_others(held: Interval, tried: Sequence[Op], disturbed: Disturbance) -> str:
    """Say which other fault, mended or half made, what became of writes may be the doing of, all of them; nothing where some tell of this one."""
    clear = disturbed.clear(held)
    doing = next((each.what for each in disturbed.shocks if not each.judged), "")
    return "" if any(each.holds(op.begun) for op in tried for each in clear) else doing


def _acknowledged_late(band: Band, held: Interval, across: Sequence[Op]) -> Point:
    """Judge writes that were on their way when a fault bit, or nearly, and were acknowledged long after that."""
    after = [op for op in across if op.begun > held.start]
    first = (after or across)[0]
    when = f"{lasted((first.ended or 0.0) - held.start)} after it had bitten"
    until = f"acknowledged later than {given(LONG_ENOUGH * GRACE)} after that"
    if after:
        text = (
            f"{plural(len(after), 'write')} begun within {given(GRACE)} after {_bitten(band)} {until}, the first ({first.call.key}) {when}"
        )
        return broken(text, *(op.entry for op in after[:SHOWN]))
    text = f"{plural(len(across), 'write')} begun before {_bitten(band)} {until}, the first ({first.call.key}) {when}"
    return unknown(f"{text}: it may have been agreed on before", *(op.entry for op in across[:SHOWN]))


def _slow(history: History, band: Band, held: Interval, writes: Sequence[Op], disturbed: Disturbance) -> _Report:
    calm = _usual(writes, band, disturbed)
    before = [op.latency for each in calm for op in each if op.latency is not None]
    tried = [op for op in writes if held.start <= op.begun < held.end]
    during = [op.latency for op in tried if op.ok and op.latency is not None and op.ended is not None and op.ended < held.end]
    # Those still under way when healing began took at least as long as until then; what the heal made of them says nothing.
    pending = [held.end - op.begun for op in tried if op.ended is None or op.ended >= held.end]
    usual = median(before) if before else None
    least = median([*during, *pending]) if during or pending else None
    most = median([*during, *(math.inf for _ in pending)]) if during or pending else None
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
        needed = LONG_ENOUGH * max(SLOWER * (usual or 0.0), _rhythm(calm))
        short = f": {_too_short(needed)}" if held.length < needed else ""
        return _Report([unknown(f"no write was tried while {_fault(band)}{short}")], details=details)
    none = f"none of {plural(len(tried), 'write')} begun while {_fault(band)} was acknowledged, and writes returned"
    doubt = _by_others(held, tried, disturbed)
    if least is None or most is None:
        return _held_unless(doubt, none, band, details)
    if usual is None or len(before) < ENOUGH:
        rest = ", when no other fault was there" if disturbed.lives else ""
        text = f"only {plural(len(before), 'write')} acknowledged before {band.name}{rest}: nothing to compare with"
        return _Report([unknown(text)], details=details)
    times = f"{quick(least)} {'or more ' if pending else ''}at the median while {_fault(band)}, {quick(usual)} before"
    if least >= SLOWER * usual:
        return _held_unless(doubt, none if not during else f"writes were slow ({times}), and returned", band, details)
    # On a machine that was slow before, what was usual then is too long by as much: without that it may be slow after all.
    before_it = slowness(history, [Interval(each[0].begun, each[-1].ended or each[-1].begun) for each in calm if each])
    if most < SLOWER * usual:
        text = f"writes were not slow: {times}"
        by_itself = most * before_it.factor < SLOWER * usual
        point = missed(text, *band.entries, over=watched(history, held)) if by_itself else unknown(f"{text}; but before, {before_it.text}")
        return _Report([point], details=details)
    short = _too_short(LONG_ENOUGH * SLOWER * usual)
    return _Report(
        [unknown(f"{plural(len(pending), 'write')} of {len(tried)} still under way when healing began: {short}")], details=details
    )


def _held_unless(doubt: str, text: str, band: Band, details: Json) -> _Report:
    """Report slow writes as held, or as unknown where they may be another fault's doing."""
    return _Report([unknown(f"{text}; but {doubt}, which may have slowed them", *band.entries)] if doubt else [], text, details)


def _return(history: History, band: Band, writes: Sequence[Op], election: float, disturbed: Disturbance) -> list[Point]:
    """After healing, writes must be acknowledged again."""
    if band.healed is None:
        return [unknown(f"{band.name} was never healed, so whether writes return is not known")]
    later = [op for op in writes if op.begun >= band.healed]
    if any(op.ok for op in later):
        return []
    none = f"no write was acknowledged after {band.name} was healed"
    since = Interval(band.healed, max(band.healed, later[-1].begun) if later else band.healed)
    if since.length <= election or not whole(history):
        return [unknown(f"{none}, and too few were tried ({len(later)}, for {lasted(since.length)})")]
    alone = max(disturbed.alone(since), key=lambda each: each.length, default=Interval(since.start, since.start))
    if alone.length <= election:
        return [unknown(f"{none}, but other faults leave {lasted(alone.length)} of the time since at most")]
    text = f"none of {plural(len(later), 'write')} was acknowledged after {band.name} was healed"
    return [missed(text, *band.entries, over=[alone], by=alone.length - election)]


def _leadership(
    promised: QuorumSurvived,
    history: History,
    band: Band,
    every: Sequence[Reign],
    spans: Mapping[str, Sequence[Span]],
    disturbed: Disturbance,
) -> _Report:
    held = band.held(history.end)
    old = reign_at(every, band.begins)
    if held is None or old is None or old.leader is None:
        return _Report([unknown(f"who led when {band.name} was decided is not known")])
    bite = biting(band, spans)
    bitten = Interval(bite.start, max(bite.start, held.end))
    where = f"{band.name} bit {band.where}"
    # What is so from the moment on in which healing began is not what the fault did.
    during = [reign for reign in every if reign.end > band.begins and reign.start < bitten.end and reign.end >= bitten.start]
    led = [old, *(reign for reign in during if reign.leader is not None)]
    moves = [(early, late) for early, late in itertools.pairwise(led) if early.leader != late.leader]
    # Members may be recorded only when something changes: the observer's own word that it goes on asking counts as well.
    heard = any(bitten.holds(entry.time) and not event.error for entry, event in history.each(MemberSeen)) or any(
        bitten.holds(entry.time) and event.alive and event.observer == "membership" for entry, event in history.each(Watching)
    )
    # For as long as an election takes nobody may lead, once all is lost: every stretch of it counts by itself.
    empty = [
        (reign, part)
        for reign in every
        if reign.leader is None
        for part in common([Interval(reign.start, reign.end)], [Interval(bite.end, max(bite.end, bitten.end))])
    ]
    points = []
    # What another one sets off meanwhile is an election of its own, and begins anew.
    for reign, part in [(reign, piece) for reign, whole_part in empty for piece in disturbed.quiet(whole_part)]:
        if part.length > promised.election and heard:
            when = "in the last" if part.end == bitten.end else f"from {at(part.start)} for"
            text = f"no majority followed a leader {when} {lasted(part.length)} while {where}; {old.leader} led before"
            points.append(_leaderless(history, text, reign, part, set(disturbed.lost(part)), promised, spans))
    told = _nobody_led([part for _, part in empty])
    if moves:
        doubts = [_set_off_by(promised, history, band, bite, move, every, disturbed) for move in moves]
        # One that is surely its own is enough.
        (early, new), doubt = next((each for each in zip(moves, doubts, strict=True) if not each[1]), (moves[0], doubts[0]))
        after = lasted(max(0.0, new.start - bitten.start))
        moved = f"leadership moved from {early.leader} to {new.leader} {after} after {band.name} began to bite"
        if doubt:
            points.insert(0, unknown(f"{moved}; but {doubt}, which may have moved it", new.entry))
        elif promised.leader == "stays":
            over = Interval(bitten.start, max(bitten.start, new.start))
            points.insert(0, missed(moved, new.entry, over=[over], itself=True))
        return _Report(points, f"{moved}; {told}" if told else moved)
    if not heard:
        return _Report([unknown(f"no member answered while {where}")])
    if points:
        return _Report(points)
    last = empty[-1] if empty and empty[-1][1].end == bitten.end else None
    return _stayed(history, promised, band, bite, bitten, last, old.leader, told, spans, disturbed)


def _set_off_by(
    promised: QuorumSurvived,
    history: History,
    band: Band,
    bite: Interval,
    move: tuple[Reign, Reign],
    every: Sequence[Reign],
    disturbed: Disturbance,
) -> str:
    """Say what other fault may have moved leadership, so that it is not known whether this one did; nothing where it did."""
    old, _ = move
    # It was lost before another was elected.
    others = disturbed.may_have_set_off(old.end)
    if promised.leader == "moves":
        own = _takes(band, old.leader, promised.expected.voters.daemon) and old.end >= bite.start
        return others[0].what if others and not own else ""
    return next((each.what for each in others if not (each.judged and _answers_for(each.band, move, every, history.end))), "")


def _answers_for(band: Band, move: tuple[Reign, Reign], every: Sequence[Reign], end: float) -> bool:
    """Whether a move is held against another fault as well: then that is no excuse, since leadership was to stay for either."""
    held, led = band.held(end), reign_at(every, band.begins)
    old, new = move
    return held is not None and new.start < held.end and led is not None and led.leader == old.leader


def _takes(band: Band, leader: str | None, member: str) -> bool:
    """Whether a fault takes a leader away by itself."""
    return leader in band.lost and (band.traits.loses is not Loss.PROCESS or member in band.traits.parts)


def _strange(
    promised: QuorumSurvived, band: Band, every: Sequence[Reign], impossible: Sequence[tuple[Reign, str]], end: float
) -> list[tuple[Reign, str]]:
    """Return the reigns that cannot have been and that count for a fault: its leader stays nobody's leader, so that it moved nowhere all the same."""
    life, old = band.life(end), reign_at(every, band.begins)
    before = (old.term, old.leader) if old is not None and promised.leader == "moves" else None
    return [
        (reign, text)
        for reign, text in impossible
        if reign.start < life.end and reign.end > life.start and (reign.term, reign.leader) != before
    ]


def _nobody_led(parts: Sequence[Interval]) -> str:
    """Say for how long no majority followed anybody; nothing of moments that are shorter than members are asked."""
    notable = [part for part in parts if part.length >= POLL]
    if not notable:
        return ""
    longest = max(notable, key=lambda part: part.length)
    more = f", the longest of {len(notable)} times" if len(notable) > 1 else ""
    return f"nobody led for {lasted(longest.length)} from {at(longest.start)}{more}"


def _leaderless(
    history: History,
    text: str,
    nobody: Reign,
    silent: Interval,
    lost: set[str],
    promised: QuorumSurvived,
    spans: Mapping[str, Sequence[Span]],
) -> Point:
    """Judge a time in which no majority was seen to follow a leader: members that could not be asked may have followed one.

    The longest part of it counts in which enough of them could be asked.
    """
    members, election = members_planned(history, promised.expected), promised.election
    if len(members) % 2 == 0:
        # A quorum of an even number is nobody's choice: who was never heard may follow the leader.
        return unknown(f"{text}; but only {plural(len(members), 'member')} were ever heard", nobody.entry)
    gaps = {node: pieces for node, pieces in unheard_members(history, members, spans).items() if node in members - lost}
    edges = {entry.time for entry, _ in history.each(MemberSeen)}
    edges |= {time for pieces in (*gaps.values(), [span.interval for each in spans.values() for span in each]) for time in _ends(pieces)}
    marks = [silent.start, *sorted(time for time in edges if silent.start < time < silent.end), silent.end]
    doubts = [(Interval(*pair), _unasked(history, Interval(*pair), members, lost, gaps, spans)) for pair in itertools.pairwise(marks)]
    sure = max(united(piece for piece, mute in doubts if not mute), key=lambda each: each.length, default=Interval(silent.end, silent.end))
    mute = sorted({name for _, names in doubts for name in names})
    if mute and sure.length <= election:
        return unknown(f"{text}; but {', '.join(mute)} could not be asked, or had not heard of it yet", nobody.entry)
    return missed(text, nobody.entry, over=[sure], by=sure.length - election)


def _ends(pieces: Sequence[Interval]) -> list[float]:
    return [time for piece in pieces for time in (piece.start, piece.end)]


def _unasked(
    history: History,
    piece: Interval,
    members: set[str],
    lost: set[str],
    gaps: Mapping[str, Sequence[Interval]],
    spans: Mapping[str, Sequence[Span]],
) -> set[str]:
    """Return the members whose word is missing in a stretch without any news, if with them there may have been a leader; else nobody.

    Missing is the word of one that gave no answer, that nobody listened to since, or that knew of no term; and of those who followed the same one in
    an earlier term than others, since what they say lags.
    """
    mute = _mute(history, piece.start, members, spans) - lost
    last = {event.node: event for entry, event in history.each(MemberSeen) if entry.time <= piece.start}
    # What a member said last is no word of it any more when nobody has listened to it since.
    deaf = {node for node, pieces in gaps.items() if common(pieces, [piece])}
    unknown_of = mute | deaf | (members - set(last)) | {node for node, event in last.items() if not event.error and event.term <= 0}
    words = {node: event for node, event in last.items() if event.leader is not None and node not in {*lost, *unknown_of}}
    leader, votes = next(iter(Counter(event.leader for event in words.values()).most_common(1)), (None, 0))
    if votes + len(unknown_of) <= len(members) // 2:
        return set()
    newest = max((event.term for event in words.values() if event.leader == leader), default=0)
    return unknown_of | {node for node, event in words.items() if event.leader == leader and event.term < newest}


def _mute(history: History, time: float, members: set[str], spans: Mapping[str, Sequence[Span]]) -> set[str]:
    """Return the members that had given no answer at some time, last or ever, and whose machines were not off: whom they follow is not known."""
    last = {event.node: event for entry, event in history.each(MemberSeen) if entry.time <= time}
    off = {node for node, pieces in spans.items() if (span := span_at(pieces, time)) and span.state is NodeState.OFF}
    never = members - set(last)
    return ({node for node, event in last.items() if event.error} | never) - off


def _deaf(history: History, expected: Expected, over: Interval, spans: Mapping[str, Sequence[Span]]) -> str:
    """Say that less than a majority of the members was listened to all along, so that they may have changed their minds; nothing otherwise."""
    deaf = too_few_heard(history, members_planned(history, expected), over, spans)
    return f"nobody listened to {' and '.join(deaf)} all along" if deaf else ""


def _stayed(
    history: History,
    promised: QuorumSurvived,
    band: Band,
    bite: Interval,
    bitten: Interval,
    nobody: tuple[Reign, Interval] | None,
    leader: str,
    told: str,
    spans: Mapping[str, Sequence[Span]],
    disturbed: Disturbance,
) -> _Report:
    """Judge a leadership that was seen to move nowhere; `nobody` is its end, if no majority followed a leader in it."""
    where = f"{band.name} bit {band.where}"
    stayed = f"leadership stayed with {leader} for all the {lasted(bitten.length)} while {where}"
    if told:
        stayed = f"no other than {leader} led in the {lasted(bitten.length)} while {where}; {told}"
    # To move it takes an election after the last target is lost: that one may be the leader.
    if bitten.end - (bite.end if promised.leader == "moves" else bite.start) < promised.election:
        return _Report([unknown(f"{stayed}: {_too_short(promised.election)}", *band.entries)])
    quiet = max(
        disturbed.quiet(Interval(bite.end, max(bite.end, bitten.end))), key=lambda each: each.length, default=Interval(bite.end, bite.end)
    )
    if promised.leader == "moves" and quiet.length < promised.election:
        return _Report([unknown(f"{stayed}, and other faults leave {lasted(quiet.length)} of that for an election at most", *band.entries)])
    if nobody and promised.leader == "moves":
        reign, part = nobody
        silent = part.length
        text = f"no majority followed a leader in the last {lasted(silent)} while {where}"
        return _Report([unknown(f"{text}: {_too_short(bitten.length - silent + promised.election)}", reign.entry)])
    if deaf := _deaf(history, promised.expected, bitten, spans):
        return _Report([unknown(f"{stayed}, as far as is known: {deaf}", *band.entries)])
    if promised.leader == "stays":
        return _Report([], stayed)
    return _Report([missed(stayed, *band.entries, over=[quiet], by=quiet.length - promised.election)])


def _bitten(band: Band) -> str:
    return f"{band.name} had bitten {band.where}"


def _fault(band: Band) -> str:
    return f"{band.name} was in force on {band.where}"


def _reign_json(reign: Reign) -> Json:
    return {"from": neat(reign.start), "to": neat(reign.end), "term": reign.term, "leader": reign.leader}
