"""A history as intervals: what ran where by node truth, and what the API claimed.

Pure functions from a `History` to small frozen values, shared by the checkers and by the reports. All are linear in the history's length, and safe
on a history that is empty or ends in the middle: what was still going on ends with its last entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.core.figures import DIGITS
from harness.core.instances import number_of
from harness.core.values import Container, NodeState, View
from harness.history.events import ApiSeen, FaultStage, History, NodeSeen, Watching

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

BLIND_AFTER = 5.0
"""Seconds without a word from an observer after which what it said last is no longer relied on.

Observers speak at least once a second, so five words in a row are missing by then.
"""


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """A stretch of the run's time, in seconds; `end` is never before `start`."""

    start: float
    end: float

    @property
    def length(self) -> float:
        """Seconds from start to end."""
        return self.end - self.start

    def holds(self, time: float) -> bool:
        """Whether a moment lies in it, both ends included."""
        return self.start <= time <= self.end


def united(intervals: Iterable[Interval]) -> list[Interval]:
    """Join what overlaps or touches. The answer is sorted and has no empty stretch."""
    joined: list[Interval] = []
    for each in sorted(intervals):
        if each.end <= each.start:
            continue
        if joined and each.start <= joined[-1].end:
            joined[-1] = Interval(joined[-1].start, max(joined[-1].end, each.end))
        else:
            joined.append(each)
    return joined


def common(left: Iterable[Interval], right: Iterable[Interval]) -> list[Interval]:
    """Return what lies in both, sorted, without empty stretches."""
    a, b = united(left), united(right)
    found, i, j = [], 0, 0
    while i < len(a) and j < len(b):
        start, end = max(a[i].start, b[j].start), min(a[i].end, b[j].end)
        if start < end:
            found.append(Interval(start, end))
        if a[i].end <= b[j].end:
            i += 1
        else:
            j += 1
    return found


def without(left: Iterable[Interval], right: Iterable[Interval]) -> list[Interval]:
    """Return what lies in `left` and not in `right`, sorted, without empty stretches."""
    holes = united(right)
    found, first = [], 0
    for each in united(left):
        start = each.start
        while first < len(holes) and holes[first].end <= each.start:
            first += 1
        at = first
        while at < len(holes) and holes[at].start < each.end:
            if holes[at].start > start:
                found.append(Interval(start, holes[at].start))
            start = max(start, holes[at].end)
            at += 1
        if start < each.end:
            found.append(Interval(start, each.end))
    return found


def total(intervals: Iterable[Interval]) -> float:
    """Return the seconds that the intervals cover together, overlaps counted once."""
    return sum(each.length for each in united(intervals))


def first(intervals: Iterable[Interval], seconds: float) -> list[Interval]:
    """Return the first so many seconds of some intervals, overlaps counted once; all of them where they are shorter."""
    found: list[Interval] = []
    for each in united(intervals):
        left = seconds - total(found)
        if left <= 0.0:
            break
        found.append(Interval(each.start, min(each.end, each.start + left)))
    return found


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of one node's truth in which nothing changed.

    `sure` is False where the node could not be asked, or nothing was heard of it for longer than `BLIND_AFTER`: `containers` then is what was
    known last.
    """

    node: str
    start: float
    end: float
    state: NodeState
    containers: tuple[Container, ...]  # only ours
    sure: bool
    entry: int  # index of the first sample that said so

    @property
    def instances(self) -> frozenset[str]:
        """Names of the instances that run."""
        return frozenset(container.instance for container in self.containers)

    @property
    def interval(self) -> Interval:
        """Its time."""
        return Interval(self.start, self.end)


def node_spans(history: History) -> dict[str, tuple[Span, ...]]:
    """Return, for each node that was ever seen, its truth from the first sample to the end of the history, without holes."""
    return history.once(node_spans, lambda: _node_spans(history))


def _node_spans(history: History) -> dict[str, tuple[Span, ...]]:
    samples: dict[str, list[tuple[int, float, NodeSeen]]] = {}
    for entry, event in history.each(NodeSeen):
        samples.setdefault(event.node, []).append((entry.index, entry.time, event))
    named = _named([seen for each in samples.values() for _, _, seen in each])
    return {node: tuple(_spans(node, seen, history.end, named)) for node, seen in sorted(samples.items())}


def _named(samples: Sequence[NodeSeen]) -> dict[str, Container]:
    """Return the containers that were told by another name before they had a number, by their ids.

    Where the orchestrator gives its instances ids alone, one is called by that until somebody could be asked for its number.
    """
    nameless = {each.id for seen in samples for each in seen.containers if each.instance and not _numbered(each)}
    return {each.id: each for seen in samples for each in seen.containers if each.id in nameless and _numbered(each)} if nameless else {}


def _numbered(container: Container) -> bool:
    return number_of(container.instance) is not None


def never_seen(history: History) -> tuple[str, ...]:
    """Return the nodes of which somebody speaks and that node truth never said a word of, in order: what they ran is not known at any time."""
    named: set[str] = set()
    for _, view in history.each(ApiSeen):
        named.update(view.view.nodes if view.view is not None else ())
    for _, watching in history.each(Watching):
        named.add(watching.node)
    for _, stage in history.each(FaultStage):
        named.update(stage.nodes)
    return tuple(sorted(named - {seen.node for _, seen in history.each(NodeSeen)}))


def _spans(node: str, seen: Sequence[tuple[int, float, NodeSeen]], end: float, named: Mapping[str, Container]) -> list[Span]:
    spans: list[Span] = []
    known: tuple[Container, ...] = ()
    for at, (index, time, event) in enumerate(seen):
        until = seen[at + 1][1] if at + 1 < len(seen) else end
        if event.state is NodeState.UP:
            ours = (container for container in event.containers if container.instance)
            known = tuple(each if _numbered(each) else named.get(each.id, each) for each in ours)
        elif event.state is NodeState.OFF:
            known = ()
        # A machine that is off stays as it is, however long nobody looks; one that runs may do anything meanwhile.
        sure = event.state is NodeState.OFF or (event.state is NodeState.UP and until - time <= BLIND_AFTER)
        last = spans[-1] if spans else None
        if last is not None and (last.state, last.containers, last.sure) == (event.state, known, sure):
            spans[-1] = Span(node, last.start, until, last.state, known, sure, last.entry)
        else:
            spans.append(Span(node, time, until, event.state, known, sure, index))
    return spans


def span_at(spans: Sequence[Span], time: float) -> Span | None:
    """Return what was known of a node at a moment: the newest span that began by then, or None before the first."""
    return next((span for span in reversed(spans) if span.start <= time), None)


@dataclass(frozen=True, slots=True)
class Stay:
    """An instance ran on a node, by node truth, from `start` to `end`. `sure` as in `Span`; one visit may be several stays in a row."""

    instance: str
    node: str
    start: float
    end: float
    sure: bool
    container: str  # id of the (first) container
    entry: int  # index of the first sample that showed it

    @property
    def interval(self) -> Interval:
        """Its time."""
        return Interval(self.start, self.end)


def stays(spans: Mapping[str, Sequence[Span]]) -> tuple[Stay, ...]:
    """Return where every instance ran and when, from what `node_spans` gave, sorted by start."""
    found: list[Stay] = []
    for node, pieces in spans.items():
        going: dict[str, Stay] = {}
        for span in pieces:
            here = {container.instance: container.id for container in reversed(span.containers)}
            over = [name for name, stay in going.items() if name not in here or stay.sure is not span.sure]
            found.extend(going.pop(name) for name in over)
            for instance, container in here.items():
                last = going.get(instance)
                going[instance] = (
                    Stay(instance, node, last.start, span.end, span.sure, last.container, last.entry)
                    if last
                    else Stay(instance, node, span.start, span.end, span.sure, container, span.entry)
                )
        found.extend(going.values())
    return tuple(sorted(found, key=lambda stay: (stay.start, stay.instance, stay.node)))


@dataclass(frozen=True, slots=True)
class Claim:
    """A stretch in which the API's word was this view, as asked at the node `asked`."""

    start: float
    end: float
    asked: str
    view: View
    entry: int

    @property
    def interval(self) -> Interval:
        """Its time."""
        return Interval(self.start, self.end)


def views(history: History) -> dict[str, tuple[Claim, ...]]:
    """Return what the API said at each node that it was asked at. A view counts until the next answer there, or lack of one.

    A machine that is off gives none.
    """
    answers: dict[str, list[tuple[int, float, View | None]]] = {}
    for index, time, event in asked(history):
        answers.setdefault(event.node, []).append((index, time, event.view))
    found: dict[str, tuple[Claim, ...]] = {}
    for node, seen in sorted(answers.items()):
        claims: list[Claim] = []
        for at, (index, time, view) in enumerate(seen):
            if view is None:
                continue
            until = seen[at + 1][1] if at + 1 < len(seen) else history.end
            if claims and claims[-1].end == time and claims[-1].view == view:
                claims[-1] = Claim(claims[-1].start, until, node, view, claims[-1].entry)
            else:
                claims.append(Claim(time, until, node, view, index))
        found[node] = tuple(claims)
    return found


def asked(history: History) -> list[tuple[int, float, ApiSeen]]:
    """Return what the API said where it was asked, in order; of a machine that is off, that it says nothing there any more."""
    asked = [(entry.index, entry.time, event) for entry, event in history.each(ApiSeen)]
    nodes = {event.node for _, _, event in asked}
    off = [
        (entry.index, entry.time, ApiSeen(event.node, None))
        for entry, event in history.each(NodeSeen)
        if event.state is NodeState.OFF and event.node in nodes
    ]
    return sorted([*asked, *off], key=lambda each: each[0])


def neat(seconds: float | None) -> float | None:
    """Round a time for a verdict file as the history's own are: a sentence and a table that round it once more say the same figure."""
    return None if seconds is None else round(seconds, DIGITS)
