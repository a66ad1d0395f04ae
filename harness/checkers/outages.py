"""When nobody was answered well, and whether that was too long, or too often: what all promises about calls share. Pure."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING

from harness.checkers.judging import Point, answers_missing, doubted, missed, plural, unknown, whole
from harness.checkers.troubles import FEWEST_PACES, SHORTEST_SILENCE, asked_through, pace, until_late, watched
from harness.checkers.usual import NONE_BEFORE, SLOWED, Usual, calm, first_decided, first_there, long_ago, no_longer
from harness.checkers.windows import Window
from harness.core.figures import at, given, lasted
from harness.core.figures import share as figure
from harness.core.instances import app_of
from harness.core.values import CallStream, Outcome
from harness.history.bands import biting, fault_bands
from harness.history.calls import Op, Untold, ops, served, untold
from harness.history.deeds import deeds
from harness.history.intervals import Interval, common, neat, node_spans
from harness.history.losses import AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.core.values import Json
    from harness.history.events import History

NAMED = 3
"""So many actions at most are named where each may be why."""


def judge_share(
    history: History,
    share: float,
    figures: str,
    counts: tuple[int, int, float, int],
    window: Window,
    *,
    bad: Sequence[Op],
    early: Sequence[Op] = (),
    usual: Usual = NONE_BEFORE,
    app: str = "",
    unsure: str = "",
    promised: str = "",
) -> list[Point]:
    """Judge the share, of an app or of none: by the calls that were told of, and only where those that were due and are missing could not turn it.

    What was `promised` is told in its words, or else as a share. The `bad` ones are its evidence. Nor may the `early` ones turn it, made while nobody
    knows whether a fault had bitten (`before_the_bite`), from whichever of them on they count; nor as many bad ones as were `usual` before.
    """
    good, made, unmade, missing = counts
    said = f"{figures}, {promised or figure(share)} were promised"
    text = f"{said}{done_in(history, window.pieces, app)}"
    # A share can still rise in what a history that was cut off does not show; a gap that was too long stays so.
    more = unmade + missing
    counted = [(good, made, window.start)]
    for op in sorted(early, key=lambda op: op.begun, reverse=True):
        counted.append((counted[-1][0] + op.ok, counted[-1][1] + 1, op.begun))
    if good + more < share * (made + more) and whole(history):
        kept = max(counted, key=lambda each: each[0] / each[1])
        if kept[0] + more >= share * (kept[1] + more):
            return [unknown(f"{text}; but {_had_it_bitten(kept, window, share)}")]
        if why := usual.explains(share, good + more, made + more):
            return [unknown(f"{text}; but {why}")]
        late = (share * made - good) / made * window.length
        entries = [op.entry for op in bad]
        return [missed(text, *entries, over=[part for each in window.pieces for part in watched(history, each)], by=late, spread=True)]
    if more and good < share * (made + more):
        why = unsure or f"some {unmade:.0f} more that were due were never made"
        return [unknown(f"{text}; but {answers_missing(missing) if missing else why}")]
    worse = min(counted, key=lambda each: each[0] / each[1])
    if worse[0] < share * worse[1]:
        return [unknown(f"{said}; but {_had_it_bitten(worse, window, share)}")]
    return []


def _had_it_bitten(counted: tuple[int, int, float], window: Window, share: float) -> str:
    good, made, since = counted
    were = f"{figure(good / made, share)} of {made} were from {at(since)} on"
    return f"{were}, and nobody knows whether the fault had bitten before {at(window.start)}"


def judge_gap(
    history: History, allowed: float, gap: Outage, gaps: Sequence[Outage], of: Mapping[str, Sequence[Op]], window: Window
) -> list[Point]:
    """Judge one instance, whose longest gap this is, by the longest part of any of its gaps in which it was called all along.

    It convicts if what was not answered well lies as far apart itself: between two calls nobody asked.
    """
    if gap.interval.length <= allowed:
        return _open(allowed, gap.instance, gaps, of, window)
    called = [
        each
        for found in gaps
        if found.instance == gap.instance and found.interval.length > allowed
        for each in [_called_all_along(history, found, of)]
        if _witnessed(of[gap.instance], each.interval, allowed) is not None
    ]
    sure = max(called, key=lambda each: each.interval.length, default=None)
    if sure is not None and sure.interval.length > allowed:
        return [_too_long(history, allowed, sure, called, of[gap.instance], window)]
    at_most = sure.interval.length if sure is not None else 0.0
    if missing := sum(bool(common([each.interval], [gap.interval])) for each in _untold(history, gap)):
        return [unknown(f"{gap.text}, {given(allowed)} were allowed; but {answers_missing(missing)}", gap.entry)]
    mute = any(common([each], [gap.interval]) for each in _unanswered(history, gap))
    # Of a call without an answer nobody says that it was not made.
    made = "it could be asked" if mute else "it was asked" if gap.of == CallStream.PROBE else "calls were made"
    few = f"{made} in {lasted(at_most)} of that at most: too few to tell"
    return [unknown(f"{gap.text}, {given(allowed)} were allowed; but {few}", gap.entry)]


def _too_long(history: History, allowed: float, sure: Outage, called: Sequence[Outage], calls: Sequence[Op], window: Window) -> Point:
    """Judge an instance by the gaps in which it was `called` all along, of which the longest is `sure`: as far as they are the fault's."""
    app = app_of(sure.instance) if "@" in sure.instance else ""

    def said(gap: Outage) -> str:
        return f"{gap.text}, {given(allowed)} were allowed{done_in(history, [gap.within or gap.interval], app)}"

    # From the decision on it is the fault's: what takes a node away may be seconds slow to say so, and so may node truth.
    moment, back = before_the_bite(history, window).start, gone_until(history, calls)
    # That it was gone for a while already is no fault's doing, and how long it would have been so nobody knows.
    called = [each for each in called if (each.within or each.interval).start >= back]
    if all(each.interval.length <= allowed for each in called):
        why = f"it had been gone before the first fault was decided (at {at(first_there(history))})"
        return unknown(f"{said(sure)}; but {why}", sure.entry)
    sure = max(called, key=lambda each: each.interval.length)
    text = said(sure)
    begun = window.start if served(calls, moment).refused else sure.interval.start
    parts = [Interval(max(each.interval.start, begun), max(each.interval.end, begun)) for each in called]
    during = max(each.length for each in parts)
    if during <= allowed:
        why = f"it had begun before the fault bit (at {at(begun)}), and {lasted(during)} of it at most are the fault's"
        return unknown(f"{text}; but {why}", sure.entry)
    shown = [(seen.length, part) for part in parts if (seen := _witnessed(calls, part, allowed)) is not None]
    seconds, part = max(shown, default=(0.0, sure.interval))
    if seconds <= allowed:
        why = f"what was not answered well lies within {lasted(seconds)}: what was so before and after that nobody asked"
        return unknown(f"{text}; but {why}", sure.entry)
    point = missed(text, sure.entry, over=until_late(history, [part], allowed), by=seconds - allowed)
    before = _longest_before(history, sure.instance, calls, allowed)
    as_before = f"so it did for {lasted(before.length)} from {at(before.start)}, before anything was broken"
    return doubted(point, as_before if no_longer(seconds, before.length, allowed) else "")


def gone_until(history: History, calls: Sequence[Op]) -> float:
    """Return until when who is called was gone that had been for a while when the first fault was decided, and ended calls badly; else no time."""
    moment = first_there(history)
    last = served(calls, moment)
    if not last.refused or not long_ago(last.at, moment, [op.begun for op in calls]):
        return -math.inf
    return min((op.ended for op in calls if op.ok and op.ended is not None and op.ended >= moment), default=math.inf)


def _longest_before(history: History, instance: str, calls: Sequence[Op], allowed: float) -> Interval:
    """Return the longest time in which calls were not answered well before anything was broken, of those that are witnessed as one since is."""
    time, of = calm(history, app_of(instance) if "@" in instance else None), {instance: calls}
    gaps = (_called_all_along(history, each, of).interval for each in outages(instance, calls, time, Window.of(time)))
    # One may have begun before that, when something was done, or the cluster was not whole yet.
    found = (_witnessed(calls, part, allowed) for gap in gaps for part in common([gap], [time]))
    return max((each for each in found if each is not None), key=lambda each: each.length, default=Interval(time.start, time.start))


def early_gaps(
    history: History, allowed: float, name: str, calls: Sequence[Op], early: Window, judged: Sequence[Interval] = ()
) -> list[Point]:
    """Say which gaps were too long and began before it is known that a fault had bitten (`before_the_bite`): it may have made them.

    So it may, with one before it that failed, where that had been decided when they began. One that was not over by the bite is judged with all of
    it; where the window is the time of one fault, with what of it lies in that (`judged`), and is told here if it is too long by the rest alone.
    """
    refused = served(calls, min((band.begins for band in fault_bands(history) if band.was_there), default=early.start)).refused
    bite = early.end
    until = max((each.end for each in judged if early.named and each.start == bite), default=bite)
    points = []
    for gap in outages(name, calls, Interval(early.start, until), replace(early, pieces=(Interval(early.start, until),))):
        since = max(gap.interval.start, early.start) if refused else gap.interval.start
        went_on = gap.interval.end > bite or gap.censored
        if since >= bite or gap.interval.end - since <= allowed or (went_on and (until == bite or gap.interval.end - bite > allowed)):
            continue
        text = f"{gap.text}, {given(allowed)} were allowed{done_in(history, [gap.interval], app_of(name) if '@' in name else '')}"
        over = f"{lasted(gap.interval.end - bite)} of that are since {at(bite)}" if went_on else f"that was over before {at(bite)}"
        points.append(unknown(f"{text}; but {over}, and nobody knows whether the fault had bitten by then", gap.entry))
    return points


def _open(allowed: float, instance: str, gaps: Sequence[Outage], of: Mapping[str, Sequence[Op]], window: Window) -> list[Point]:
    """Doubt that a gap would not have been too long, had there been time for that: one that had not ended when the time of a fault was over."""
    if not window.named or window.longest > allowed:
        return []
    usual = max(SHORTEST_SILENCE, FEWEST_PACES * pace([op.begun for op in of[instance]]))
    # What was still under way when it ended may have been answered well.
    refused = [Interval(op.begun, op.ended) for op in of[instance] if not op.ok and op.ended is not None]
    last = [each for each in gaps if each.instance == instance and each.censored]
    still = [
        each
        for each in last
        if each.interval.length > usual or any(each.interval.holds(no.start) and each.interval.holds(no.end) for no in refused)
    ]
    return [unknown(f"{each.text}{window.after_it}: {window.short(allowed)}", each.entry) for each in still[:1]]


def done_in(history: History, times: Sequence[Interval], app: str = "") -> str:
    """Say what actions were done in a gap, or in all of what is judged, or just before it, that may have made it; nothing where none was.

    What starts an app anew may have where that is the `app`, or none is named: then it may be about any.
    """
    around = [Interval(each.start - AT_ONCE, each.end) for each in times]
    may = [each for each in deeds(history) if each.effect.upsets or (app in each.effect.renews if app else each.effect.renews)]
    done = [each for each in may if any(each.begun <= time.end and time.start <= each.over(history.end) for time in around)]
    named = [f"action {each.name}{' on ' * bool(each.targets)}{' '.join(each.targets)} was done from {at(each.begun)} on" for each in done]
    more = [f"{plural(len(named) - NAMED, 'action')} more"] if len(named) > NAMED else []
    return f" ({', and '.join([*named[:NAMED], *more])})" if named else ""


def _called_all_along(history: History, gap: Outage, of: Mapping[str, Sequence[Op]]) -> Outage:
    """Return the longest part of a gap in which the instance was called all along: what we did not ask is no silence of its."""
    missing = [*(each.interval for each in _untold(history, gap)), *_unanswered(history, gap)]
    part = asked_through(history, gap.interval, [op.begun for op in of[gap.instance]], missing)
    return replace(gap, interval=part, within=gap.interval, censored=gap.censored and part.end == gap.interval.end)


def _untold(history: History, gap: Outage) -> list[Untold]:
    """Return the calls of which lines are missing, and which may have been of whom a gap is."""
    return [each for each in untold(history, gap.of) if each.key in {None, gap.instance}]


def _unanswered(history: History, gap: Outage) -> list[Interval]:
    """Return when a probe was asked and nobody answered: any of that may have been a yes. A call over HTTP without an answer was no good one."""
    if gap.of != CallStream.PROBE:
        return []
    mute = (op for op in ops(history, CallStream.PROBE) if op.call.key == gap.instance and op.outcome is Outcome.UNKNOWN)
    return [Interval(op.begun, op.begun if op.ended is None else op.ended) for op in mute]


def worst_of(history: History, gaps: Sequence[Outage], of: Mapping[str, Sequence[Op]]) -> Outage | None:
    """Return the longest gap of all, each as `_called_all_along`; None where there is none."""
    worst: Outage | None = None
    for gap in sorted(gaps, key=lambda gap: -gap.interval.length):
        if worst is not None and gap.interval.length <= worst.interval.length:
            break
        called = _called_all_along(history, gap, of)
        worst = called if worst is None or called.interval.length > worst.interval.length else worst
    return worst


def _witnessed(calls: Sequence[Op], within: Interval, allowed: float) -> Interval | None:
    """Return from when until when calls in a gap show that nobody was answered well: those that were not, or only after longer than is allowed.

    None where none does: good answers may merely stand far apart, and so may those before and after a bad one.
    """
    meanwhile = (op for op in calls if op.begun < within.end and (op.ended is None or op.ended > within.start))
    bad = [op for op in meanwhile if not op.ok or (op.latency or 0.0) > allowed]
    if not bad:
        return None
    since = max(within.start, min(op.begun for op in bad))
    return Interval(since, max(since, min(within.end, max(op.begun if op.ended is None else op.ended for op in bad))))


def under_way_in(op: Op, unseen: Sequence[Interval]) -> bool:
    """Whether a call was under way at any moment of some time."""
    ended = op.begun if op.ended is None else op.ended
    return any(op.begun <= each.end and each.start <= ended for each in unseen)


def unmade_of(of: Mapping[str, Sequence[Op]], window: Interval) -> float:
    """Return how many calls were due in some time, by each instance's own pace, and were never made."""
    count = 0.0
    for calls in of.values():
        asked = [op.begun for op in calls]
        paces = [late - early for early, late in itertools.pairwise(asked) if late > early]
        if not paces:
            continue
        pace = median(paces)
        before = max((time for time in asked if time <= window.start), default=window.start)
        after = min((time for time in asked if time >= window.end), default=window.end)
        steps = [
            part.length / pace
            for early, late in itertools.pairwise([before, *(time for time in asked if window.start < time < window.end), after])
            for part in common([Interval(early, late)], [window])
        ]
        # What was only made a little later, and then in a hurry, was made.
        count += max(0.0, sum(step - 1 for step in steps if step > SLOWED) - sum(1 - step for step in steps if step < 1 / SLOWED))
    return count


@dataclass(frozen=True, slots=True)
class Outage:
    """A time without a good answer of one instance, or to one question, that a workload asked."""

    of: str  # the stream of the calls, or the workload that made them
    instance: str
    interval: Interval
    censored: bool  # it ran to the end of what was watched
    entry: int
    over: str = " and was not back by the end"  # what is to be said of one that is censored; nothing where no call found it gone
    within: Interval | None = None  # the whole of it, where `interval` is the part in which calls were made all along

    @property
    def text(self) -> str:
        """The gap in words: of one outage the whole, as everybody else tells it, and what of it was seen."""
        whole = self.within or self.interval
        to_the_end = self.over if self.censored else ""
        seen = f", called all along for {lasted(self.interval.length)} of it"
        part = seen if lasted(whole.length) != lasted(self.interval.length) else ""
        return f"{self.instance} gave no good answer for {lasted(whole.length)} from {at(whole.start)}{to_the_end}{part}"

    def json(self) -> Json:
        """Give the gap as it stands in a verdict file."""
        return {
            "from": neat(self.interval.start),
            "to": neat(self.interval.end),
            "length": neat(self.interval.length),
            "censored": self.censored and bool(self.over),
        }


def judged_time(history: History) -> Interval | None:
    """From when the first fault bit to the end of settling; None where none was in force."""
    spans = node_spans(history)
    begun = [biting(band, spans).start for band in fault_bands(history) if band.in_force is not None]
    if not begun:
        return None
    return Interval(min(begun), max(min(begun), history.observed))


def before_the_bite(history: History, window: Window) -> Window:
    """From the decision of the first fault that was ever in force to when it is known to have bitten: in between nobody knows whether it had.

    Of a window that is the time of one fault, from that one's decision; of what is left without some faults, nothing.
    """
    decided = first_decided(history, window.start)
    if window.named:
        decided = window.start if window.decided is None else window.decided
    return replace(window, pieces=(Interval(min(decided, window.start), window.start),))


def outages(instance: str, calls: Sequence[Op], part: Interval, window: Window) -> list[Outage]:
    """Return every stretch of an instance between two good answers in a part of a window, and to the part's end.

    From the last good answer before the window on, where the part begins with it; where none was good before, it was gone from then on: what it was
    before is not the fault's. Nor does what it was before count where the part begins later: it was not to run then; or where the window is the time
    of some faults: then nothing else is.
    """
    good = sorted((op.ended, op.entry) for op in calls if op.ok and op.ended is not None and part.holds(op.ended))
    before = [(op.ended, op.entry) for op in calls if op.ok and op.ended is not None and op.ended < part.start <= window.start]
    marks = [max([] if window.named else before, default=(part.start, calls[0].entry)), *good]
    gaps = [
        Outage(calls[0].stream or calls[0].workload, instance, Interval(early, late), censored=False, entry=entry)
        for (early, entry), (late, _) in itertools.pairwise(marks)
    ]
    last = Outage(calls[0].stream or calls[0].workload, instance, Interval(marks[-1][0], part.end), censored=True, entry=marks[-1][1])
    if not _felt(calls, last.interval):
        last = replace(last, over="")
    elif window.named and any(each.end == part.end for each in window.pieces):
        last = replace(last, over=" and was not back when that was over")
    elif part.end < window.end:
        last = replace(last, over=", until it was to run no more")
    return [*gaps, last]


def _felt(calls: Sequence[Op], last: Interval) -> bool:
    """Whether a time from the last good answer to the end of what was watched is an outage: a call in it was not answered well, or one is overdue."""
    usual = max(SHORTEST_SILENCE, FEWEST_PACES * pace([op.begun for op in calls]))
    return last.length > usual or any(not op.ok and last.holds(op.begun) for op in calls)
