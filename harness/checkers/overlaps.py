"""What ran at once that was not to: two things in one place, or one in two, by node truth.

One look at a node does not stand alone. It reads one container's group after the other, so that one which ends and one which begins meanwhile may
both be in it; and until its next word comes, which may be late, nobody knows for how long that was so. A second look that shows the same does: the
kernel tells a node's agent of every end, so that what it says again has not ended. So do Docker's own times, of one clock (`shown`).
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from harness.checkers.troubles import asleep, blind
from harness.core.values import NodeState
from harness.history.bands import fault_bands, machines_taken
from harness.history.events import DockerEvent, NodeSeen
from harness.history.intervals import Interval, Span, common, stays, united, without
from harness.history.losses import CLOCKS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.history.events import History

RESOLUTION = 0.1
"""Seconds within which node truth cannot tell one after the other from both at once (the placement observer's own sampling step).

A shorter overlap is reported, and convicts nobody.
"""

SAMPLED = 1.0
"""Seconds within which a node tells what it runs: at every change, and once a second at least."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two things that ran at once. `sure` is false where node truth was only what was known last."""

    names: tuple[str, ...]
    interval: Interval
    sure: bool
    entry: int
    whole: Interval | None = None  # all of it, where `interval` is the part that lies in some time


def not_seen(history: History, nodes: Iterable[str]) -> dict[str, list[Interval]]:
    """Return when we, or a node's agent, stood still, each time until the next sample of it is due: what was seen last may have been over by then."""
    unseen, still = blind(history), asleep(history)
    dark = {node: [*unseen, *still.get(node, ())] for node in nodes}
    samples: dict[str, list[float]] = {}
    for entry, event in history.each(NodeSeen):
        samples.setdefault(event.node, []).append(entry.time)

    def next_to(time: float, node: str) -> float:
        return min((sample for sample in samples.get(node, ()) if time <= sample < time + SAMPLED), default=time + SAMPLED)

    return {node: [Interval(each.start, next_to(each.end, node)) for each in pieces] for node, pieces in dark.items()}


def shown(history: History, one: Overlap, needs: Mapping[str, Counter[str]]) -> Interval:
    """Return from when until when looks showed an overlap: to the last that did, and not to the first that did no longer.

    `needs` is what each of its nodes must be seen to run, how often. Of one node, Docker's own time of an end counts where that is later.
    """
    start, end = one.interval.start, one.interval.end
    last = []
    for node, need in needs.items():
        times, ran = history.once((shown, node), lambda node=node: _looks(history, node))  # type: ignore[misc]
        following = bisect.bisect_left(times, end)
        goes_on = following < len(times) and need <= ran[following]
        last.append(end if goes_on else times[following - 1] if following else start)
    until = max(start, min(last, default=start))
    if len(needs) == 1:
        until = max(until, min(end, _by_docker(history, one, *needs)))
    return Interval(start, until)


def _looks(history: History, node: str) -> tuple[list[float], list[Counter[str]]]:
    """Return the times at which a node was looked at, and how many containers of which instance it then ran."""
    seen = [(entry.time, event) for entry, event in history.each(NodeSeen) if event.node == node]
    up = NodeState.UP
    return [time for time, _ in seen], [Counter(c.instance for c in event.containers if event.state is up) for _, event in seen]


def _by_docker(history: History, one: Overlap, node: str) -> float:
    """Return until when two containers ran at once on a node by Docker's own times, counted from when the look that showed them came; else 0.

    Only where Docker told when what was new in that look had started, and when one of them ended after that.
    """
    before: set[str] = set()
    ids: set[str] = set()
    for entry, event in history.each(NodeSeen):
        if event.node == node and entry.index <= one.entry:
            before, ids = ids, {each.id for each in event.containers if each.instance in one.names}
    told = [each for _, each in history.each(DockerEvent) if each.node == node and each.container in ids]
    started = {each.container: each.at for each in told if each.action == "start" and each.at <= (one.whole or one.interval).start + CLOCKS}
    begun = max((started.get(each, math.inf) for each in ids - before), default=math.inf)
    ended = min((each.at for each in told if each.action == "die" and each.at > begun), default=begun)
    return (one.whole or one.interval).start + ended - begun if math.isfinite(begun) else 0.0


def joined(pieces: Mapping[tuple[tuple[str, ...], bool], list[tuple[Interval, int]]]) -> list[Overlap]:
    """Join the pieces of each overlap that touch, and keep the first entry of each."""
    found: list[Overlap] = []
    for (names, sure), parts in pieces.items():
        first: dict[float, int] = {}
        for part, entry in parts:
            first.setdefault(part.start, entry)
        found += [Overlap(names, each, sure, first[each.start]) for each in united(part for part, _ in parts)]
    return sorted(found, key=lambda each: (each.interval, each.names))


def split(
    pieces: dict[tuple[tuple[str, ...], bool], list[tuple[Interval, int]]], names: tuple[str, ...], span: Span, unseen: Sequence[Interval]
) -> None:
    """Add a span to an overlap's pieces: how long it was so while we, or the node's agent, stood still is not known.

    A moment before may have been its end.
    """
    for sure, parts in ((span.sure, without([span.interval], unseen)), (False, common([span.interval], unseen))):
        pieces.setdefault((names, sure), []).extend((each, span.entry) for each in parts)


def twice(spans: Mapping[str, Sequence[Span]], dark: Mapping[str, Sequence[Interval]]) -> list[Overlap]:
    """Return when a node ran one instance in two containers."""
    pieces: dict[tuple[tuple[str, ...], bool], list[tuple[Interval, int]]] = {}
    for node, every in spans.items():
        for span in every:
            ids: dict[str, set[str]] = {}
            for container in span.containers:
                ids.setdefault(container.instance, set()).add(container.id)
            for instance, found in ids.items():
                if len(found) > 1:
                    split(pieces, (node, instance), span, dark[node])
    return joined(pieces)


def double_runs(history: History, spans: Mapping[str, Sequence[Span]]) -> list[Overlap]:
    """Return when one instance ran on two nodes: the instance, and the nodes in order."""
    # What such a machine ran last by node truth does not run on until somebody says that it is off.
    off = machines_taken(fault_bands(history), history.end)
    unheard = _unheard_ends(history, spans)
    visits: dict[str, dict[str, list[_Visit]]] = {}
    for stay in stays(spans):
        there = without([stay.interval], off.get(stay.node, ()))
        gone = unheard.get((stay.node, stay.instance), ())
        parts = [(each, stay.sure, stay.entry) for each in without(there, gone)]
        parts += [(each, False, stay.entry) for each in common(there, gone)]
        visits.setdefault(stay.instance, {}).setdefault(stay.node, []).extend(sorted(parts))
    pieces: dict[tuple[tuple[str, ...], bool], list[tuple[Interval, int]]] = {}
    for instance, nodes in visits.items():
        for one, other in itertools.combinations(sorted(nodes), 2):
            for (a, a_sure, a_entry), (b, b_sure, b_entry) in _meeting(nodes[one], nodes[other]):
                both = Interval(max(a.start, b.start), min(a.end, b.end))
                pieces.setdefault(((instance, one, other), a_sure and b_sure), []).append((both, max(a_entry, b_entry)))
    return joined(pieces)


def _unheard_ends(history: History, spans: Mapping[str, Sequence[Span]]) -> dict[tuple[str, str], list[Interval]]:
    """Return when what a node ran (node and instance) was about to end while no sample of it came in time: it may have ended at once.

    Where the next sample shows the same container it ran all along.
    """
    samples: dict[str, list[float]] = {}
    for entry, event in history.each(NodeSeen):
        samples.setdefault(event.node, []).append(entry.time)
    found: dict[tuple[str, str], list[Interval]] = {}
    for node, pieces in spans.items():
        times = samples[node]
        for span, later in itertools.zip_longest(pieces, pieces[1:]):
            last = times[bisect.bisect_left(times, span.end) - 1] if span.end > span.start else span.start
            if span.end - last <= SAMPLED + RESOLUTION:
                continue
            goes_on = {container.id for container in later.containers} if later is not None else set()
            for container in span.containers:
                if container.id not in goes_on:
                    found.setdefault((node, container.instance), []).append(Interval(last, span.end))
    return found


_Visit: TypeAlias = tuple[Interval, bool, int]


def _meeting(left: Sequence[_Visit], right: Sequence[_Visit]) -> Iterable[tuple[_Visit, _Visit]]:
    """Every two visits, one of each side, that share time. Each side is sorted and does not overlap itself."""
    i = j = 0
    while i < len(left) and j < len(right):
        a, b = left[i][0], right[j][0]
        if max(a.start, b.start) < min(a.end, b.end):
            yield left[i], right[j]
        if a.end <= b.end:
            i += 1
        else:
            j += 1
