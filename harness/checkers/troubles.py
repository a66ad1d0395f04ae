"""What must not be held against a cluster: that we were not there to see, and that its machines were not let run.

All from the history. *Blind*: the harness itself stood still (its own heartbeat was late), or nothing at all was recorded though
observers promise a word a second. *Beyond*: a machine stalled for longer than the cluster's timers stand; what follows may be the stall's doing.
*Slow*: there was more to do on the machine than it could, or everybody waited for its disks or its memory, so that work, as far as a recovery is work
and no timers, took longer; or so much longer that timers ran out by it.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING

from harness.checkers.slowness import Slowness, done_at, samples, slowness, worst
from harness.checkers.unled import ALONE, unled, waited
from harness.core.figures import at, given, lasted
from harness.core.values import Endurance, Loss, NodeState, Patience, Phase
from harness.history.bands import fault_bands
from harness.history.calls import not_made
from harness.history.events import HARNESS, MACHINE, Endures, Stalled, Watching
from harness.history.intervals import Interval, common, first, node_spans, total, united, without

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from harness.history.events import History

SILENT = 2.5
"""Seconds without any line in a history after which nobody can have been there: each of a dozen observers promises a word a second."""

ASIDE = frozenset({Loss.LINK, Loss.PROCESS})
"""What is lost to faults that leave a machine's own time alone: they are no reason for a node's heartbeat to be late."""

AFTER = 15.0
"""Seconds for which a machine that a fault took away may be late once more after its heal: it boots."""

UNSAID = Endurance((Patience("an election timeout of 1 s, etcd's default", 1.0),), recovery=10.0, work=3.0)
"""What is assumed where a history does not say what its timers stand."""

FEWEST_PACES = 5
"""A caller that made no call for so many of its usual paces was silent."""

NOTABLE_SHARE = 0.05
"""A smaller share of waiting, or of stolen time, is not worth a word."""

UNHEARD = 8.0
"""Seconds without a word after which an observer's last one is no longer relied on: one look at an API is up to three requests of 2 s each."""

WORTH_A_LINE = 1.5
"""A machine on which work took less than so many times as long, at the mean over a run, is an ordinary one."""

MOST_SECONDS = 1e8
"""No stall is longer: a run is not (`harness.history.chain.LONGEST`)."""

BEAT = 0.06
"""Seconds of work between two words of a leader that is heard in time: how much of a timer slowness takes is so many seconds for each time slower.

With thirty processes on two cores (15 times slower) machines were seen to stand still for 0.7 s, which is 0.047 s each.
"""

DECIDING = 1.0
"""Seconds of work, not of timers, in which an orchestrator that noticed a loss says where what is lost goes: nothing is started yet."""

AT_ONE_MOMENT = 1.0
"""Seconds between two machines that go off, or come back, within which they do so together: each is looked at about once a second."""

SHORTEST_SILENCE = 1.0
"""No caller was silent for less, in seconds, however quick its pace."""


@dataclass(frozen=True, slots=True)
class Stall:
    """A stretch in which somebody was not let run. `entry` is the index of the line that says so."""

    who: str
    interval: Interval
    seconds: float
    why: str
    entry: int

    @property
    def text(self) -> str:
        """Say who stood still, for how long and from when."""
        names = {HARNESS: "the harness itself stood still", MACHINE: "the whole machine stood still"}
        why = f" ({self.why})" if self.why else ""
        return f"{names.get(self.who, f'{self.who} stood still')} for {lasted(self.seconds)} from {at(self.interval.start)}{why}"


def endurance(history: History) -> Endurance:
    """Return what the cluster's timers stand, by the run's own word."""
    return next((event.endurance for _, event in history.each(Endures) if event.endurance.timers), UNSAID)


def stalls(history: History) -> tuple[Stall, ...]:
    """Return every stall that was recorded, in order of its end, then the stretches in which nothing was. Worked out once: most checkers ask."""
    return history.once(stalls, lambda: tuple(_stalls(history)))


def _stalls(history: History) -> list[Stall]:
    told = [
        Stall(event.who, Interval(min(event.since, entry.time), entry.time), min(event.seconds, MOST_SECONDS), event.why, entry.index)
        for entry, event in history.each(Stalled)
    ]
    known = [stall.interval for stall in told if stall.who in {HARNESS, MACHINE}]
    for early, late in _unwatched(history):
        gap = Interval(history.entries[early].time, history.entries[late].time)
        if total(without([gap], known)) > SILENT:
            told.append(Stall(HARNESS, gap, gap.length, "nothing at all was recorded", late))
    return told


def _unwatched(history: History) -> list[tuple[int, int]]:
    """Return neighbouring entries of the watched part of a run that are farther apart than `SILENT`."""
    words = [entry.time for entry, _ in history.each(Watching)]
    # Only where several observers spoke all along is silence anything unusual.
    if not words or words[-1] - words[0] > len(words):
        return []
    end = next((time for phase in (Phase.FINAL, Phase.DONE) if (time := history.phase(phase)) is not None), words[-1])
    pairs = itertools.pairwise(entry.time for entry in history.entries)
    return [(at, at + 1) for at, (early, late) in enumerate(pairs) if late - early > SILENT and words[0] <= early < end]


def blind(history: History) -> list[Interval]:
    """Return when the harness itself saw and did nothing."""
    return _blind(stalls(history))


def asleep(history: History) -> dict[str, list[Interval]]:
    """Return when each node's own agent stood still, so that it told nothing of it."""
    found: dict[str, list[Interval]] = {}
    for stall in stalls(history):
        if stall.who not in {HARNESS, MACHINE}:
            found.setdefault(stall.who, []).append(stall.interval)
    return found


def _blind(every: Iterable[Stall]) -> list[Interval]:
    return [stall.interval for stall in every if stall.who in {HARNESS, MACHINE}]


def beyond(history: History, aside: Collection[Loss] = ASIDE) -> tuple[Stall, ...]:
    """Return the stalls of the cluster's machines that were longer than its shortest timer stands, and that no fault explains.

    A stall of the harness alone (nodes measured their own lateness, and had none then) harms no cluster, and is not among them. Faults that take what
    is `aside` explain none.
    """
    bearable = endurance(history).shortest.seconds
    measured = any(event.beats for _, event in history.each(Endures))
    excused: dict[str, list[Interval]] = {}
    for band in fault_bands(history):
        if band.traits.loses not in aside:
            life = band.life(history.end)
            for target in band.targets:
                excused.setdefault(target, []).append(Interval(life.start, life.end + AFTER))
    return tuple(
        stall
        for stall in stalls(history)
        if stall.seconds > bearable
        and (stall.who != HARNESS or not measured)
        and not common([_wide(stall.interval)], excused.get(stall.who, []))
    )


@dataclass(frozen=True, slots=True)
class Died:
    """A time in which machines that went off together were off, and the part of it that no fault explains."""

    nodes: tuple[str, ...]
    whole: Interval
    part: Interval

    @property
    def text(self) -> str:
        """Say how long they were off, and how much of that nobody explains: one outage has one figure, whoever asks."""
        who = f"{self.nodes[0]} was" if len(self.nodes) == 1 else f"{', '.join(self.nodes[:-1])} and {self.nodes[-1]} were"
        rest = "it" if self.whole == self.part else f"{lasted(self.part.length)} of it, from {at(self.part.start)} on"
        return f"{who} off for {lasted(self.whole.length)} from {at(self.whole.start)}, and no fault explains {rest}"


def died(history: History, within: Interval, after: float = AFTER) -> list[Died]:
    """Return when machines were off that no fault took away, nor had so many seconds before (`after`): theirs is no cluster's doing.

    Each for all of its time, where any of that is `within` another. Those that went off within a moment are told together.
    """
    taken: dict[str, list[Interval]] = {}
    for band in fault_bands(history):
        if band.traits.loses is Loss.NODE:
            life = band.life(history.end)
            for target in band.targets:
                taken.setdefault(target, []).append(Interval(life.start, life.end + after))
    found: list[Died] = []
    for node, pieces in node_spans(history).items():
        # Before it was up for the first time it was being made.
        up = min((span.start for span in pieces if span.state is NodeState.UP), default=history.end)
        off = united(span.interval for span in pieces if span.state is NodeState.OFF and span.end > up)
        for part in without(off, taken.get(node, ())):
            whole = next(each for each in off if each.start <= part.start <= each.end)
            if common([part], [within]):
                found.append(Died((node,), whole, part))
    together: list[Died] = []
    for each in sorted(found, key=lambda each: (each.part.start, each.nodes)):
        last = together[-1] if together else None
        if last and all(abs(early - late) <= AT_ONE_MOMENT for early, late in zip(_edges(last), _edges(each), strict=True)):
            together[-1] = replace(last, nodes=(*last.nodes, *each.nodes))
        else:
            together.append(each)
    return together


def _edges(one: Died) -> tuple[float, ...]:
    return (one.whole.start, one.whole.end, one.part.start, one.part.end)


def _wide(interval: Interval) -> Interval:
    """Give a stretch that a clock which stood still made into a moment something to meet others with."""
    return Interval(interval.start - 0.001, interval.end + 0.001)


@dataclass(frozen=True, slots=True)
class Excuse:
    """Why something convicts nobody, in words for a verdict's first line, and the sum behind it for who wants to know."""

    text: str
    sum: str = ""


BUSY = "this machine was too busy then to blame the cluster; run it again on an idle machine"
"""Why lateness that slow work explains convicts nobody."""


def why_not(
    history: History,
    over: Sequence[Interval],
    by: float,
    *,
    work: float = math.inf,
    spread: bool = False,
    itself: Interval | None = None,
) -> Excuse | None:
    """Say why something that did not happen `over` some time, or `by` so many seconds too late, convicts nobody; None if it does.

    What of that time we stood still is taken off, and the rest convicts if it is too late by itself. Lateness that slow work explains is forgiven:
    all that a recovery is of it, or only `work` seconds, at the mean pace of that time; or as the end of it, at the pace of what came then. So is
    what was waited for a leader where leadership was seen to be lost by load alone (`harness.checkers.unled`); of what is `spread` over all of that
    time so much as was so. With `itself` something happened in that time that also happens by itself once slowness is more than the timers stand.
    What was missed while a machine was off that no fault took away, or had not been back for long, convicts nobody either.
    """
    still = [stall for stall in stalls(history) if stall.who in {HARNESS, MACHINE} and common(over, [_wide(stall.interval)])]
    seen = without(over, [_wide(stall.interval) for stall in still])
    late = by - (total(over) - total(seen))
    if still and (late <= 0.0 or not seen):
        return Excuse(still[0].text)
    able = endurance(history)
    for stall in beyond(history):
        if common([_wide(each) for each in over], [Interval(stall.interval.start, stall.interval.end + able.recovery)]):
            return Excuse(f"{stall.text}, {_too_slow(able, stall.seconds)}")
    for off in died(history, Interval(0.0, history.end)):
        if common([_wide(each) for each in over], [Interval(off.part.start, off.part.end + able.recovery)]):
            return Excuse(f"{off.text}: what is missing may be due to that")
    if itself is not None:
        return _comes_by_itself(history, itself, able)
    slow, forgiven = _worked(history, seen, max(each.end for each in over), min(able.work, work))
    if slow.factor > 1.0 and forgiven >= late:
        return Excuse(BUSY, _sum(slow, forgiven, late))
    return _no_leader(history, over, late, min(able.work, work), able, spread=spread)


def _worked(history: History, over: Sequence[Interval], up: float, work: float) -> tuple[Slowness, float]:
    """Return how slow work was in some time, and how many seconds so much of it took longer by that."""
    slow = slowness(history, over)
    forgiven = work * (slow.factor - 1.0)
    # Work that was under way when the time was up went on at the pace of what came then.
    begun = up - work
    if (done := done_at(history, begun, up - begun)) - up > forgiven:
        slow, forgiven = slowness(history, [Interval(begun, done)]), done - up
    return slow, forgiven


def _sum(slow: Slowness, forgiven: float, late: float) -> str:
    return f"{slow.text}, which may account for {lasted(forgiven)}, and {lasted(late)} were too much"


def _no_leader(history: History, over: Sequence[Interval], late: float, work: float, able: Endurance, *, spread: bool) -> Excuse | None:
    """Say that what was so much too late may have waited for a leader that a load kept away; None where it did not, or not for so long.

    Of all that comes after it some seconds are `work`, as ever.
    """
    begun, up = min(each.start for each in over), max(each.end for each in over)
    if spread:
        parts = [part for each in unled(history, able) for part in each.parts]
        lost = common([Interval(each.start, each.end + able.recovery) for each in parts], over)
        last, more = (lost[-1], total(lost)) if lost else (None, 0.0)
    else:
        more, last = waited(history, able, over)
        if last is not None:
            more += _worked(history, [Interval(last.end, up + more)], up + more, work)[1]
    if last is None or more < late:
        return None
    why = f"leadership was lost, or not won, until {at(last.end)} on a machine with too much to do to blame the cluster"
    slow = slowness(history, [Interval(begun, max(last.end, up))])
    return Excuse(f"{why}; run it again on an idle machine", _sum(slow, more, late))


def _comes_by_itself(history: History, when: Interval, able: Endurance, *, seen: bool = False) -> Excuse | None:
    """Say that a machine was so slow in some time that what happened then also happens without anybody's doing; None where it was not.

    It was for a moment, or at the mean; or for some seconds in which a leader was seen to be lost by that.
    """
    peak, mean = worst(history, [when]), slowness(history, [when])
    if BEAT * peak.factor > able.shortest.seconds:
        return Excuse(f"{peak.text}, {_too_slow(able, BEAT * peak.factor)}")
    if mean.factor >= ALONE * able.shortest.seconds and not seen:
        return Excuse(f"{mean.text}: leaders are lost by that alone")
    lost = [each.interval.start for each in unled(history, able) if each.by_load and when.start <= each.interval.start <= when.end]
    if not lost:
        return None
    return Excuse(
        f"{worst(history, [Interval(lost[-1], lost[-1])]).text} when leadership was lost at {at(lost[-1])}: leaders are lost by that alone"
    )


def by_itself(history: History, when: Interval, election: float, *, seen: bool = False) -> str:
    """Say what trouble of the machines' own may have made members elect in some time; nothing where none may have.

    What stood still, or was off, until an election before counts, as with another fault. `seen`: a load counts only where it was beyond all timers,
    or a leader was seen to be lost in it.
    """
    able = endurance(history)
    around = Interval(when.start - election, when.end)

    def near(trouble: Interval) -> bool:
        return trouble.start <= around.end and around.start <= trouble.end

    # A fault that takes nothing may have slowed a machine; that the machine stood still by it nobody knows.
    if stall := next((each for each in beyond(history, {*ASIDE, Loss.NOTHING}) if near(each.interval)), None):
        return f"{stall.text}, {_too_slow(able, stall.seconds)}"
    if off := next((each for each in died(history, Interval(0.0, history.end)) if near(each.part)), None):
        return off.text
    excuse = _comes_by_itself(history, when, able, seen=seen)
    return "" if excuse is None else excuse.text


def not_let_run(history: History, when: Interval) -> str:
    """Say that we, or this machine, stood still in some time, however shortly, or that it had too much to do then; nothing where neither was so.

    That is enough to doubt what may have missed its mark by anything: of how much nobody knows. Too much to do is `WORTH_A_LINE` at the mean.
    """
    still = next((each for each in stalls(history) if each.who in {HARNESS, MACHINE} and common([when], [_wide(each.interval)])), None)
    if still is not None:
        return still.text
    if lost := common([when], not_made(history)):
        return f"this machine could make no calls at {at(lost[0].start)}"
    return BUSY if slowness(history, [when]).factor >= WORTH_A_LINE else ""


def _too_slow(able: Endurance, seconds: float) -> str:
    """Say which timer does not stand that, and what would."""
    first = able.shortest
    value = f" of {given(first.value)}" if first.value else ""
    return f"beyond the {given(first.seconds)} that {first.name}{value} stands: too slow for these timers; {advice(able, seconds)}"


def advice(able: Endurance, seconds: float) -> str:
    """Say which timers would stand stalls of so many seconds: twice as long ones, to have room."""
    needed = math.ceil(2 * seconds)
    short = [each for each in able.timers if each.seconds < needed]
    if all(each.default >= needed for each in short):
        return "profile default would do"
    said: list[tuple[str, int]] = []
    beyond_all: list[tuple[str, int]] = []
    for each in short:
        value = each.value * needed / each.seconds if each.value > 0.0 < each.seconds else math.inf
        fits = value <= each.most and math.ceil(value) <= each.most
        (said if fits else beyond_all).append((each.name, math.ceil(value) if fits else 0))
    if beyond_all:
        return f"no timer of this mode is long enough ({beyond_all[0][0]}): run it on a machine with less load"
    return f"{' and '.join(f'{name} {given(value)}' for name, value in said)} would do"


def watched(history: History, over: Interval) -> list[Interval]:
    """Return the parts of some time in which the harness did not stand still; all of it where it did nothing else."""
    return without([over], map(_wide, blind(history))) or [over]


def until_late(history: History, over: Sequence[Interval], limit: float) -> list[Interval]:
    """Return some time up to when it was too late: until so many seconds of it were over in which the harness did not stand still.

    What machines did after that has kept nothing from being in time. Where there were not so many it is all of it.
    """
    seen = first(without(over, map(_wide, blind(history))), limit)
    return common(over, [Interval(over[0].start, seen[-1].end)]) if over and total(seen) >= limit > 0.0 else list(over)


def unheard(history: History, observer: str) -> dict[str, list[Interval]]:
    """Return, for each node that an observer spoke of, when it said nothing of it for longer than `UNHEARD`: what it said last may be long over."""
    words: dict[str, list[float]] = {}
    for entry, event in history.each(Watching):
        if event.observer == observer:
            words.setdefault(event.node, []).append(entry.time)
    return {
        node: [Interval(early, late) for early, late in itertools.pairwise([*times, history.end]) if late - early > UNHEARD]
        for node, times in words.items()
    }


def asked_through(history: History, gap: Interval, asked: Sequence[float], untold: Iterable[Interval] = ()) -> Interval:
    """Return the longest part of a gap in which somebody asked all along: with no stall of ours in it, and calls at their usual pace.

    `asked` are the times at which calls were begun, in order, also those outside the gap, and `untold` those in which an answer may have come that is
    missing (`harness.history.calls.untold`). Of a gap in which nobody asked an empty part is left.
    """
    pieces = without([gap], [*unasked(asked, gap), *untold, *map(_wide, blind(history))])
    return max(pieces, key=lambda each: each.length, default=Interval(gap.start, gap.start))


def pace(asked: Sequence[float]) -> float:
    """Return how many seconds two calls of a caller stand apart; 0 where there are too few to say."""
    paces = [late - early for early, late in itertools.pairwise(asked)]
    return median(paces) if paces else 0.0


def unasked(asked: Sequence[float], within: Interval, usual: float | None = None) -> list[Interval]:
    """Return the stretches of a time in which a caller made no call, though by its own pace, or the `usual` one, several were due."""
    inside = [time for time in asked if within.start <= time <= within.end]
    bearable = max(SHORTEST_SILENCE, FEWEST_PACES * (pace(asked) if usual is None else usual))
    before = max((time for time in asked if time <= within.start), default=within.start)
    after = min((time for time in asked if time >= within.end), default=within.end)
    marks = [before, *inside, after]
    silent = [Interval(early, late) for early, late in itertools.pairwise(marks) if late - early > bearable]
    return common(silent, [within])


def too_much(history: History) -> bool:
    """Whether machines had too much to do in a run: overloaded at the mean, or stalled for longer than the timers stand. A short stall is neither."""
    return _overloaded(history) or bool(beyond(history))


def _overloaded(history: History) -> bool:
    return slowness(history, [Interval(0.0, history.end)]).factor >= WORTH_A_LINE


def told(history: History) -> list[str]:
    """Say in a line each, for reports, what stood still and how slow the machine was; nothing where all went well."""
    able = endurance(history)
    worst: dict[str, Stall] = {}
    counts: dict[str, int] = {}
    for stall in stalls(history):
        counts[stall.who] = counts.get(stall.who, 0) + 1
        if stall.who not in worst or stall.seconds > worst[stall.who].seconds:
            worst[stall.who] = stall
    serious = {stall.who for stall in beyond(history)}
    lines = []
    for who, stall in worst.items():
        less = counts[who] - 1
        more = f", and {'once' if less == 1 else f'{less} times'} for less" if less else ""
        lines.append(f"{stall.text}{more}{f': {_too_slow(able, stall.seconds)}' if who in serious else ''}")
    slow = [each for each in samples(history) if each.factor > 1.0]
    seen = united(Interval(max(0.0, each.at.start), each.at.end) for each in slow)
    if seen and _overloaded(history):
        cores = max(1, slow[0].event.cores)
        most = max(each.event.ready for each in slow)
        named = {
            "steal": "taken by its own host",
            "cpu": "waiting for a processor",
            "io": "waiting for disks",
            "memory": "waiting for memory",
        }
        waits = {name: max(getattr(each.event, name) for each in slow) for name in named}
        rest = "".join(f", up to {value:.0%} {named[name]}" for name, value in waits.items() if value >= NOTABLE_SHARE)
        lines.append(f"this machine was overloaded for {lasted(total(seen))}: up to {most:.1f} processes on {cores} cores{rest}")
    return lines
