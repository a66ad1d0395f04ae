"""When a machine had so much to do that leaders are lost by that alone, and when leadership was seen to be lost so. All from the history."""

from __future__ import annotations

import bisect
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.checkers.slowness import SEEN_LATE, samples
from harness.history.absence import Absence
from harness.history.intervals import Interval, common, total, united, without
from harness.history.reigns import reigns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.core.values import Endurance
    from harness.history.events import History

ALONE = 5.0
"""How many times longer work takes where leaders lose their followers by that alone, for each second of a timer.

With an election timeout of 1 s, and ten processes on two cores, members were seen to elect eight times in six seconds, no fault being there.
"""

FOR = 6.0
"""Seconds for which it must take so much longer at the mean, as it was measured: a moment loses no leader, and quiet time before it keeps none."""

UNDISTURBED = 3.0
"""How many times its shortest timer an election takes that nothing keeps: members wait for up to twice that before they stand for it."""


@dataclass(frozen=True, slots=True)
class Unled:
    """A time from when a leader was lost to when one was followed again, on a machine on which leaders are lost by its load alone."""

    interval: Interval
    by_load: bool  # whether it was lost in that load, and to no fault; or else only the next one was not elected in it
    parts: tuple[Interval, ...]  # when what waits for a leader waited for the load


def unled(history: History, able: Endurance) -> tuple[Unled, ...]:
    """Return when leadership was seen to be lost, or to change, or not to be won, in such a load; in order.

    Not while surely no member had a majority, nor as long as an election takes where a fault may have taken the leader: both are so without any load.
    """
    return history.once(unled, lambda: tuple(_unled(history, able)))


def _unled(history: History, able: Endurance) -> list[Unled]:
    loaded = overloaded(history, able)
    if not loaded:
        return []
    every, absence, found = reigns(history), Absence.of(history), []
    led = [each for each in every if each.leader is not None]
    ends = [*(each.start for each in led[1:]), *([history.end] if led and every[-1].leader is None else [])]
    for old, until in zip(led, ends, strict=False):
        lost = Interval(old.end, max(old.end, until))
        taken = old.leader in absence.at(lost.start)
        if not taken and common(loaded, [Interval(lost.start - SEEN_LATE, lost.start)]):
            parts = common(loaded, [lost]) or [Interval(lost.start, lost.start)]
            if not any(each.start < lost.start < each.end for each in absence.nobody):
                found.append(Unled(lost, by_load=True, parts=tuple(parts)))
            continue
        since = min(lost.end, lost.start + UNDISTURBED * able.shortest.seconds)
        if parts := without(common(loaded, [Interval(since, lost.end)]), absence.nobody):
            found.append(Unled(lost, by_load=False, parts=tuple(parts)))
    return found


def waited(history: History, able: Endurance, over: Sequence[Interval]) -> tuple[float, Interval | None]:
    """Return how much later than at the end of some time what waits for a leader may come, and what of that load was last before then.

    From when there was one, or there was no such load any more, it has all of its time anew: it may have been about to be done each time.
    """
    begun, up, limit = min(each.start for each in over), max(each.end for each in over), total(over)
    due, last = up, None
    for each in sorted(part for one in unled(history, able) for part in one.parts):
        if begun <= each.end and each.start < due and each.end + limit > due:
            due, last = each.end + limit, each
    return due - up, last


def overloaded(history: History, able: Endurance) -> list[Interval]:
    """Return when there was so much to do, at the mean over `FOR` seconds of it: from the first moment of each such stretch to its last."""
    bound = ALONE * able.shortest.seconds
    every = sorted(samples(history), key=lambda each: each.at)
    heavy = united(each.at for each in every if each.factor >= bound)
    if not heavy:
        return []
    ends = [each.at.end for each in every]
    more = [0.0, *itertools.accumulate((each.factor - 1.0) * each.at.length for each in every)]

    def upto(time: float) -> float:
        """Return how much more than alone was to do until some time, in seconds of work."""
        number = bisect.bisect_right(ends, time)
        under_way = every[number] if number < len(every) else None
        part = max(0.0, time - under_way.at.start) * (under_way.factor - 1.0) if under_way else 0.0
        return more[number] + part

    starts, stops = [each.start for each in heavy], [each.end for each in heavy]
    found = []
    for window in {Interval(start, start + FOR) for each in every for start in (each.at.start, each.at.end - FOR)}:
        first, last = bisect.bisect_right(stops, window.start), bisect.bisect_left(starts, window.end) - 1
        if first <= last and 1.0 + (upto(window.end) - upto(window.start)) / FOR >= bound:
            found.append(Interval(max(window.start, starts[first]), min(window.end, stops[last])))
    return united(found)
