"""What must not be held against a cluster: that we were not there to see, and that its machines were not let run.

Three things, all from the history. *Blind*: the harness itself stood still (its own heartbeat was late), or nothing at all was recorded though
observers promise a word a second. *Beyond*: a machine stalled for longer than the cluster's timers stand; what follows may be the stall's doing.
*Slow*: there was more to do on the machine than it could, so that work, as far as a recovery is work and no timers, took longer.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from harness.checkers.intervals import Interval, common, fault_bands, total, united, without
from harness.history import HARNESS, MACHINE, Endures, Pressure, Stalled, Watching
from harness.values import Endurance, Loss, Patience, Phase

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.history import History

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

WORTH_SAYING = 0.05
"""A smaller share of waiting, or of stolen time, is not worth a word."""

UNHEARD = 8.0
"""Seconds without a word after which an observer's last one is no longer relied on: one look at an API is up to three requests of 2 s each."""

WORTH_A_LINE = 1.5
"""A machine on which work took less than so many times as long, at the mean over a run, is an ordinary one."""

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
        return f"{names.get(self.who, f'{self.who} stood still')} for {self.seconds:.1f} s from {self.interval.start:.1f} s{why}"


def endurance(history: History) -> Endurance:
    """Return what the cluster's timers stand, by the run's own word."""
    return next((event.endurance for _, event in history.each(Endures) if event.endurance.timers), UNSAID)


def stalls(history: History) -> tuple[Stall, ...]:
    """Return every stall that was recorded, in order of its end, then the stretches in which nothing was."""
    told = [
        Stall(event.who, Interval(min(event.since, entry.time), entry.time), event.seconds, event.why, entry.index)
        for entry, event in history.each(Stalled)
    ]
    known = [stall.interval for stall in told if stall.who in {HARNESS, MACHINE}]
    for early, late in _unwatched(history):
        gap = Interval(history.entries[early].time, history.entries[late].time)
        if total(without([gap], known)) > SILENT:
            told.append(Stall(HARNESS, gap, gap.length, "nothing at all was recorded", late))
    return tuple(told)


def _unwatched(history: History) -> list[tuple[int, int]]:
    """Return neighbouring entries of the watched part of a run that are farther apart than `SILENT`."""
    words = [entry.time for entry, _ in history.each(Watching)]
    # Only where several observers spoke all along is silence anything unusual.
    if not words or words[-1] - words[0] > len(words):
        return []
    end = next((time for phase in (Phase.FINAL, Phase.DONE) if (time := history.phase(phase)) is not None), words[-1])
    pairs = itertools.pairwise(range(len(history.entries)))
    return [
        (early, late)
        for early, late in pairs
        if words[0] <= history.entries[early].time < end and history.entries[late].time - history.entries[early].time > SILENT
    ]


def blind(history: History) -> list[Interval]:
    """Return when the harness itself saw and did nothing."""
    return _blind(stalls(history))


def _blind(every: Iterable[Stall]) -> list[Interval]:
    return [stall.interval for stall in every if stall.who in {HARNESS, MACHINE}]


def beyond(history: History) -> tuple[Stall, ...]:
    """Return the stalls of the cluster's machines that were longer than its shortest timer stands, and that no fault explains.

    A stall of the harness alone (nodes measured their own lateness, and had none then) harms no cluster, and is not among them.
    """
    bearable = endurance(history).shortest.seconds
    measured = any(event.beats for _, event in history.each(Endures))
    excused: dict[str, list[Interval]] = {}
    for band in fault_bands(history):
        if band.traits.loses not in ASIDE:
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


def _wide(interval: Interval) -> Interval:
    """Give a stretch that a clock which stood still made into a moment something to meet others with."""
    return Interval(interval.start - 0.001, interval.end + 0.001)


@dataclass(frozen=True, slots=True)
class Slowness:
    """How much longer work took, at the mean over some time, since there was more of it than the machine could do."""

    factor: float  # 1: as long as alone
    ready: float
    cores: int

    @property
    def text(self) -> str:
        """Say it in a sentence's part."""
        return f"{self.ready:.1f} processes wanted {self.cores} cores then, so work took {self.factor:.1f} times as long"


def slowness(history: History, over: Sequence[Interval]) -> Slowness:
    """Return how slow the harness's machine was over some time; where nothing was recorded it was as fast as it is."""
    heavy = busy = 0.0
    covered = 0.0
    cores = 1
    for entry, event in history.each(Pressure):
        part = total(common(over, [Interval(entry.time - event.seconds, entry.time)]))
        if part > 0.0:
            cores = max(1, event.cores)
            busy += part * event.ready
            heavy += part * max(1.0, event.ready / cores) / (1.0 - min(max(event.steal, 0.0), 0.95))
            covered += part
    length = max(total(over), covered)
    if covered <= 0.0:
        return Slowness(1.0, 0.0, cores)
    return Slowness((heavy + length - covered) / length, busy / covered, cores)


def why_not(history: History, over: Sequence[Interval], by: float) -> str:
    """Say why something that did not happen `over` some time, or `by` so many seconds too late, convicts nobody; empty if it does."""
    time = [_wide(each) for each in over]
    unseen = next((stall for stall in stalls(history) if stall.who in {HARNESS, MACHINE} and common(over, [_wide(stall.interval)])), None)
    if unseen is not None:
        return unseen.text
    able = endurance(history)
    for stall in beyond(history):
        if common(time, [Interval(stall.interval.start, stall.interval.end + able.recovery)]):
            return f"{stall.text}, {_too_slow(able, stall.seconds)}"
    slow = slowness(history, over)
    if slow.factor > 1.0 and able.work * (slow.factor - 1.0) >= by:
        more = math.ceil(able.work * (slow.factor - 1.0))
        return f"{slow.text}: too slow to hold {by:.1f} s against the cluster; {more} s more, or a machine with less to do, would tell"
    return ""


def _too_slow(able: Endurance, seconds: float) -> str:
    """Say which timer does not stand that, and what would."""
    first = able.shortest
    value = f" of {first.value:g} s" if first.value else ""
    return f"beyond the {first.seconds:g} s that {first.name}{value} stands: too slow for these timers; {advice(able, seconds)}"


def advice(able: Endurance, seconds: float) -> str:
    """Say which timers would stand stalls of so many seconds: twice as long ones, to have room."""
    needed = math.ceil(2 * seconds)
    short = [each for each in able.timers if each.seconds < needed]
    if all(each.default >= needed for each in short):
        return "profile default would do"
    said: list[tuple[str, int]] = []
    beyond_all: list[tuple[str, int]] = []
    for each in short:
        value = math.ceil(each.value * needed / each.seconds) if each.value else 0
        (said if 0 < value <= each.most else beyond_all).append((each.name, value))
    if beyond_all:
        return f"no timer of this mode is long enough ({beyond_all[0][0]}): it takes a machine with less to do"
    return f"{' and '.join(f'{name} {value} s' for name, value in said)} would do"


def watched(history: History, over: Interval) -> list[Interval]:
    """Return the parts of some time in which the harness did not stand still; all of it where it did nothing else."""
    return without([over], map(_wide, blind(history))) or [over]


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


def attended(history: History, gap: Interval, asked: Sequence[float]) -> Interval:
    """Return the longest part of a gap in which somebody asked all along: with no stall of ours in it, and calls at their usual pace.

    `asked` are the times at which calls were begun, in order, also those outside the gap. Of a gap in which nobody asked an empty part is left.
    """
    pieces = without([gap], [*unasked(asked, gap), *map(_wide, blind(history))])
    return max(pieces, key=lambda each: each.length, default=Interval(gap.start, gap.start))


def unasked(asked: Sequence[float], within: Interval) -> list[Interval]:
    """Return the stretches of a time in which a caller made no call, though by its own pace several were due."""
    inside = [time for time in asked if within.start <= time <= within.end]
    paces = [late - early for early, late in itertools.pairwise(asked)]
    bearable = max(SHORTEST_SILENCE, FEWEST_PACES * median(paces)) if paces else SHORTEST_SILENCE
    before = max((time for time in asked if time <= within.start), default=within.start)
    after = min((time for time in asked if time >= within.end), default=within.end)
    marks = [before, *inside, after]
    silent = [Interval(early, late) for early, late in itertools.pairwise(marks) if late - early > bearable]
    return common(silent, [within])


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
        more = f", and {counts[who] - 1} times for less" if counts[who] > 1 else ""
        lines.append(f"{stall.text}{more}{f': {_too_slow(able, stall.seconds)}' if who in serious else ''}")
    seen = united(Interval(max(0.0, entry.time - event.seconds), entry.time) for entry, event in history.each(Pressure))
    if seen and slowness(history, [Interval(0.0, history.end)]).factor >= WORTH_A_LINE:
        slow = slowness(history, seen)
        most = max(event.ready for _, event in history.each(Pressure))
        waits = {name: max(getattr(event, name) for _, event in history.each(Pressure)) for name in ("steal", "io", "memory")}
        named = {"steal": "taken by its own host", "io": "waiting for disks", "memory": "waiting for memory"}
        rest = "".join(f", up to {value:.0%} {named[name]}" for name, value in waits.items() if value >= WORTH_SAYING)
        lines.append(
            f"this machine had more to do than it could for {total(seen):.0f} s: up to {most:.1f} processes on {slow.cores} cores{rest}"
        )
    return lines
