"""With which copy lost work was back: what is there to stay, and what only ran for a while."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.core.figures import lasted
from harness.core.values import Loss, NodeState
from harness.history.absence import Absence
from harness.history.events import DockerEvent, NodeSeen
from harness.history.intervals import Interval, Stay, total, united, without
from harness.history.losses import CLOCKS, MISSED, Spell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.history.bands import Band
    from harness.history.events import History

BREAK = 2.0
"""Seconds for which work that is back may be gone, all in all, until healing begins: one container that is started anew in its place."""

LASTS = 5.0
"""Seconds for which a copy must have run for it to stay, where others stopped before it: what crashes over and over runs now and then."""


@dataclass(frozen=True, slots=True)
class Back:
    """With which copy an instance was back to stay; with none, where there is no `stay`."""

    stay: Stay | None
    doubt: str = ""  # why it may not have been there to stay
    stopped: str = ""  # of the first copy that did not stay: where and how long it ran
    spells: tuple[Spell, ...] = ()
    all_along: bool = False  # it was there before, where another fault held it

    def started(self, history: History) -> tuple[float | None, float | None]:
        """Return when it began, and when its node was last seen without it, where that is all that is known."""
        if self.stay is None:
            return None, None
        return (self.stay.start, None) if self.all_along else started(history, self.stay)


def came_back(band: Band, visited: Sequence[Stay], absence: Absence | None, watched: Interval, until: float, end: float) -> Back:
    """Return with which copy an instance was back after a fault, `until` the next loss. All counts but what other faults held (`absence`).

    Without it all that started counts, by node truth alone: on its own node as well, if that was not cut off.
    """
    zero = watched.start
    away = frozenset[str]() if band.traits.loses is not Loss.LINK and absence is None else band.away
    free = absence or Absence()
    left = [stay for stay in visits_of(visited) if stay.node not in away and stay.end > zero and stay.start < until]
    came = sorted((each for stay in left if band.begins < stay.start and (each := _free(stay, free))), key=lambda stay: stay.start)
    runs = [piece for stay in visited if stay.node not in away for piece in _outside(stay, free, zero)]
    new, doubt = _to_stay(came, runs, watched, visited, min(until, end))
    if absence is None or new is None or (new.start >= watched.end and band.healing is not None):
        # Not seen to come: but it may have been there all along, where another fault held it.
        freed = [_freed(stay, free) for stay in left if stay.start <= band.begins and stay.node not in band.hit]
        there, _ = _to_stay([stay for stay in freed if stay.start < watched.end], runs, watched, visited, min(until, end))
        if there is not None:
            return Back(there, f"it had run there since before {band.name} was decided", all_along=True)
    stopped = _ran(came[0], visited, zero) if came and came[0] is not new and came[0].start < watched.end else ""
    return Back(new, doubt, stopped, _spells(came, runs, watched))


def _spells(came: Sequence[Stay], runs: Sequence[Stay], within: Interval) -> tuple[Spell, ...]:
    """Return, from each of these starts on, how long the instance ran, gone for `BREAK` at most all in all, and where it ran last."""
    holes = without([within], [stay.interval for stay in runs])
    found = []
    for start in (max(stay.start, within.start) for stay in came if stay.start < within.end):
        after = [hole for hole in holes if hole.start >= start]
        end = next((hole.start for number, hole in enumerate(after) if total(after[: number + 1]) > BREAK), within.end)
        last = max((stay for stay in runs if stay.start < end), key=lambda stay: min(stay.end, end))
        found.append(Spell(start, end, last.node, total(hole for hole in after if hole.start >= end)))
    return tuple(found)


def _free(stay: Stay, absence: Absence) -> Stay | None:
    """Return a stay from when its node was lost to no fault, where it began while it was: such a node is no home. None if that never came."""
    held = next((each for each in absence.no_home(stay.node) if each.holds(stay.start)), None)
    if held is None:
        return stay
    return replace(stay, start=held.end) if held.end < stay.end else None


def _freed(stay: Stay, absence: Absence) -> Stay:
    """Return a stay from when no fault held its node any more."""
    gone = [each.end for each in absence.no_home(stay.node) if each.start < stay.end and each.end > stay.start]
    return replace(stay, start=max(gone, default=stay.start))


def _outside(stay: Stay, absence: Absence, zero: float) -> list[Stay]:
    """Return what of a stay counts for what was lost at some time (`zero`): nothing of it while a fault holds its node that did so when it began.

    Nor while one does that did so when the instance was lost. A fault that takes the node later leaves alone what still runs by node truth.
    """
    gone = [each for each in absence.no_home(stay.node) if each.start <= zero or each.holds(stay.start)]
    if not gone:
        return [stay]
    return [replace(stay, start=piece.start, end=piece.end) for piece in without([stay.interval], gone)]


def _to_stay(
    came: Sequence[Stay], left: Sequence[Stay], within: Interval, visited: Sequence[Stay], until: float
) -> tuple[Stay | None, str]:
    """Return the first of these starts that was there to stay, and why it may not have been.

    `left` is where the instance ran at all while the fault was in force, on nodes that it left alone, and `visited` where it ran on any node, also
    after that. What happens from `until` on tells nothing of it.
    """
    runs = [stay.interval for stay in left]
    after = Interval(within.end, max(within.end, min(within.end + LASTS, until)))
    ended = without([after], [stay.interval for stay in visited])
    seen = max((min(stay.end, within.end) for stay in left if stay.sure and stay.start < within.end), default=within.start)
    for stay in came:
        if stay.start >= within.end:
            return stay, ""  # only after the fault: that tells nothing of it, nor does how long it ran
        since = max(stay.start, within.start)
        gone = without([Interval(since, within.end)], runs)
        if total(gone) > BREAK:
            continue
        if gone and gone[-1].end == within.end:
            if gone[-1].start - since < LASTS and until <= within.end:
                continue  # while the fault goes on it is not back yet
            return stay, f"it had stopped again {lasted(gone[-1].length)} before the fault was over"
        if within.end - seen > BREAK:
            return stay, f"whether it ran on was not known for the last {lasted(within.end - seen)} of the fault"
        doubt = ""
        if within.end - since < LASTS and (stay is not came[0] or total(ended) > BREAK):
            then = "had stopped before" if stay is not came[0] else f"had stopped {lasted(ended[0].start - within.end)} after that"
            doubt = f"it had run for only {lasted(within.end - since)} when the fault was over, and {then}"
        return stay, doubt
    return None, ""


def _ran(stay: Stay, visited: Sequence[Stay], zero: float) -> str:
    """Say where and how long an instance ran that did not stay."""
    on = united(each.interval for each in visited if each.node == stay.node)
    end = next((each.end for each in on if each.start <= stay.start <= each.end), stay.end)
    return f"it ran on {stay.node} {lasted(max(0.0, stay.start - zero))} after the loss, for {lasted(end - max(stay.start, zero))}, and stopped"


def visits_of(visited: Sequence[Stay]) -> list[Stay]:
    """Return the stays, each from its start to its end: one that only became sure, or unsure, of the same container goes on."""
    found: list[Stay] = []
    last: dict[tuple[str, str, float], int] = {}  # node, container and end so far → its place
    for stay in visited:
        place = last.pop((stay.node, stay.container, stay.start), None)
        if place is None:
            place = len(found)
            found.append(stay)
        else:
            found[place] = replace(found[place], end=stay.end)
        last[stay.node, stay.container, stay.end] = place
    return found


def started(history: History, stay: Stay) -> tuple[float, float | None]:
    """When a stay began, and when the node was last seen without it, where that is all that is known.

    Docker's own time of the container's start counts where it lies between the last sample without it and the first that showed it. A little after
    that Docker told of it only afterwards, and it began when it was first seen. Elsewhere one of the two clocks is wrong, and the samples count. So
    they do where some are missing: what Docker alone says makes nothing come in time. Of a node that was never seen before nobody knows since when
    it ran.
    """
    if next((entry.time for entry, _ in history.each(NodeSeen) if entry.index == stay.entry), stay.start) < stay.start:
        return stay.start, None  # it ran before that on a node that did not count, and its own start is not the question
    absent = max(
        (
            entry.time
            for entry, event in history.each(NodeSeen)
            if event.node == stay.node and event.state is not NodeState.UNREACHABLE and entry.index < stay.entry
        ),
        default=0.0,
    )
    starts = (
        event.at
        for _, event in history.each(DockerEvent)
        if event.action == "start" and event.node == stay.node and event.container == stay.container
    )
    at = next(starts, None)
    if at is not None and absent <= at <= stay.start + CLOCKS and stay.start - absent <= MISSED:
        return min(at, stay.start), None
    return stay.start, absent
