"""Actions that were done by their own word, while node truth shows what they were to stop still running as before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.core.figures import at, lasted
from harness.core.instances import app_of
from harness.core.values import NodeState, Outcome
from harness.history.absence import Absence
from harness.history.bands import fault_bands
from harness.history.deeds import deeds, down
from harness.history.events import Acted, DockerEvent
from harness.history.intervals import Interval, common, node_spans

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.history.absence import Voters
    from harness.history.deeds import Deed
    from harness.history.events import History
    from harness.history.intervals import Span

STOPPING = 15.0
"""Seconds after the end of an action in which what it stops may still run: Docker gives a container 10 s to end by itself."""


def belied(history: History, voters: Voters | None = None) -> Mapping[int, str]:
    """Return the actions that were done by their own word alone: by their numbers, what ran on all the same.

    That is an app that was removed, more of one than it was scaled down to, and one that was started anew (restarted, updated) in the containers from
    before. Only where node truth saw it all along, on nodes that no fault hit, nor may have left without a majority, and on which no action had
    stopped a daemon: what runs on elsewhere the orchestrator cannot know of.
    """
    return history.once((belied, voters), lambda: _belied(history, voters))


def _belied(history: History, voters: Voters | None) -> dict[int, str]:
    every, spans = deeds(history), node_spans(history)
    found = {}
    for each in every:
        until = each.over(history.end) + STOPPING
        apps = {*each.effect.runs, *each.effect.renews}
        again = any(
            other.begun < until and apps & {*other.effect.runs, *other.effect.renews} for other in every if other.begun > each.begun
        )
        if each.outcome is not Outcome.OK or not apps or until > history.observed or again or _was_so(history, every, each):
            continue
        time = Interval(each.begun, until)
        kept = [one for node in _left_alone(history, spans, time, voters) for one in _all_along(node, spans[node], time)]
        ran_on = _ran_on(history, each, kept, time)
        if ran_on and not _ended_later(history, each, ran_on, until, voters):
            which = ", ".join(f"{one.instance} on {one.node}" for one in ran_on)
            found[each.number] = (
                f"{which} ran on in the container{'s' if ran_on[1:] else ''} from before {each.name} was done "
                f"({at(each.over(history.end))}), for {lasted(STOPPING)} after that at least"
            )
    return found


def _ended_later(history: History, one: Deed, ran_on: Sequence[_Kept], until: float, voters: Voters | None) -> bool:
    """Whether of what ran on as many ended later as were to, each by nothing but that action: it was given longer to end than Docker gives."""
    spans, ended = node_spans(history), set()
    apps = {*one.effect.runs, *one.effect.renews}
    for each in ran_on:
        gone = (
            span.start
            for span in spans[each.node]
            if span.start >= until
            and span.sure
            and span.state is NodeState.UP
            and each.container not in {other.id for other in span.containers}
        )
        end = next(gone, None)
        if end is None or each.node not in _left_alone(history, spans, Interval(one.begun, end), voters):
            continue
        if not any(one.begun < other.begun < end and apps & {*other.effect.runs, *other.effect.renews} for other in deeds(history)):
            ended.add(each)
    left = {each.instance for each in ran_on if each not in ended}
    return all(len(left) <= number for app, number in one.effect.runs.items()) if one.effect.runs else not left


def _was_so(history: History, every: Sequence[Deed], one: Deed) -> bool:
    """Whether an app had been made like that by the last action that altered it: what is so already may be left as it is."""
    if not one.effect.alters:
        return False
    asked = {event.number: (event.name, event.parameters) for _, event in history.each(Acted)}
    before = [each for each in every if each.begun < one.begun and {*each.effect.alters} & {*one.effect.alters}]
    return bool(before) and before[-1].outcome is Outcome.OK and asked[before[-1].number] == asked[one.number]


@dataclass(frozen=True, slots=True)
class _Kept:
    """An instance that ran in one container, on one node, for all of some time."""

    node: str
    instance: str
    container: str


def _left_alone(history: History, spans: Mapping[str, Sequence[Span]], time: Interval, voters: Voters | None) -> list[str]:
    """Return the nodes on which neither a fault nor an action can have kept the orchestrator from what it was told."""
    absence = Absence.of(history, voters)
    there = [band for band in fault_bands(history) if band.was_there and common([band.life(history.end)], [time])]
    hit = {node for node in spans if any(band.reaches(node) for band in there)}
    hit |= {node for (node, _), pieces in down(deeds(history), history.end).items() if common(pieces, [time])}
    return [node for node in spans if node not in hit and not common(absence.when(node), [time])]


def _all_along(node: str, pieces: Sequence[Span], time: Interval) -> list[_Kept]:
    """Return what surely ran on a node in one container for all of a time."""
    there = [each for each in pieces if each.end > time.start and each.start < time.end]
    if not there or there[0].start > time.start or not all(each.sure and each.state is NodeState.UP for each in there):
        return []
    same = set(there[0].containers).intersection(*(each.containers for each in there))
    return [_Kept(node, each.instance, each.id) for each in sorted(same, key=lambda each: (each.instance, each.id))]


def _ran_on(history: History, one: Deed, kept: Sequence[_Kept], time: Interval) -> list[_Kept]:
    """Return what an action was to stop, or to start anew, among what ran all along."""
    for app, number in one.effect.runs.items():
        here = [each for each in kept if app_of(each.instance) == app]
        if number < one.was.get(app, 0) and len({each.instance for each in here}) > number:
            return here
    fresh = {event.container for entry, event in history.each(DockerEvent) if event.action in {"start", "die"} and time.holds(entry.time)}
    new = {each.instance for each in kept}
    for pieces in node_spans(history).values():
        before = {each.id for span in pieces if span.start <= time.start for each in span.containers}
        new -= {
            each.instance
            for span in pieces
            if span.start > time.start and span.start < time.end
            for each in span.containers
            if each.id not in before
        }
    return [each for each in kept if app_of(each.instance) in one.effect.renews and each.instance in new and each.container not in fresh]
