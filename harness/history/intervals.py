"""A history as intervals: fault bands, what ran where by node truth, what the API claimed, and who led.

Pure functions from a `History` to small frozen values, shared by the checkers and by the reports (fault bands, placement lanes). All are
linear in the history's length, and safe on a history that is empty or ends in the middle: what was still going on ends with its last entry.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.core.figures import DIGITS
from harness.core.topology import SHAPES, cut_off
from harness.core.traits import from_history
from harness.core.values import Container, Json, Loss, NodeState, Stage, Traits, View
from harness.history import older
from harness.history.events import ApiSeen, FaultStage, History, MemberSeen, NodeSeen, Watching

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

BLIND_AFTER = 5.0
"""Seconds without a word from an observer after which what it said last is no longer relied on.

Observers speak at least once a second, so five words in a row are missing by then.
"""


OFF_LATE = 2.0
"""Seconds by which node truth may be later than a power switch to say that a machine is off."""


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


@dataclass(frozen=True, slots=True)
class Band:
    """One fault's life. Each time is None while that stage was not reached on every target."""

    fault: int
    name: str
    targets: tuple[str, ...]
    decided: float | None = None
    injected: float | None = None
    in_force: float | None = None
    healing: float | None = None
    healed: float | None = None
    failed: float | None = None
    detail: str = ""  # of the last stage after the decision that had something to say
    parameters: Mapping[str, Json] = field(default_factory=dict)
    entries: tuple[int, ...] = ()  # indices into the history
    traits: Traits = field(default_factory=Traits)
    lost: tuple[
        str, ...
    ] = ()  # the nodes that were lost to it while it was in force, or that lost a daemon; of a cut not always its targets

    @property
    def away(self) -> frozenset[str]:
        """The nodes that are home to nothing new while it is in force, and whose word is not the cluster's: none where all may be back in place."""
        return frozenset() if self.traits.in_place else frozenset(self.lost)

    @property
    def hit(self) -> frozenset[str]:
        """The nodes from which it may take work away: of a cut those that are cut off, of all else the targets."""
        return frozenset(self.lost if self.traits.loses is Loss.LINK else self.targets)

    @property
    def where(self) -> str:
        """Whom it hits, in words, and who was cut off where those are others."""
        targets = ", ".join(self.targets) or "nobody"
        others = self.traits.loses is Loss.LINK and set(self.lost) != set(self.targets)
        return f"{targets} ({', '.join(self.lost) or 'nobody'} cut off)" if others else targets

    @property
    def undone(self) -> bool:
        """Whether it was found to be no longer in force, or could not be asked, before it was mended: then nobody knows until when it was."""
        return self.in_force is not None and self.failed is not None and self.in_force <= self.failed <= (self.healing or self.failed)

    @property
    def begins(self) -> float:
        """When it was decided; else the first that was heard of it."""
        times = (self.decided, self.injected, self.in_force, self.healing, self.healed, self.failed)
        return self.decided if self.decided is not None else min((time for time in times if time is not None), default=0.0)

    def life(self, end: float) -> Interval:
        """From the decision to the time when nothing is left of it, or to `end` where that was never seen. One that hit nobody leaves nothing."""
        if not self.targets and self.injected is None and self.in_force is None and self.failed is not None:
            return Interval(self.begins, max(self.begins, self.failed))
        return Interval(self.begins, max(self.begins, end if self.healed is None else self.healed))

    def held(self, end: float) -> Interval | None:
        """From the time when it was in force on every target until healing began, or to `end`; None if it never was in force.

        One that was found to be no longer in force ends there.
        """
        if self.in_force is None:
            return None
        ends = (time for time in (self.healing, self.healed, self.failed) if time is not None and time >= self.in_force)
        return Interval(self.in_force, max(self.in_force, min(ends, default=end)))


def not_surely(band: Band, spans: Mapping[str, Sequence[Span]], end: float) -> str:
    """Say why a fault may not have been in force for all the time until it was mended; empty where it was.

    Of one that takes machines away their own truth tells, whatever else is not known.
    """
    held = band.held(end)
    if not band.undone or held is None:
        return ""
    if band.traits.loses is Loss.NODE and not band.traits.in_place:
        off = [common([held], [span.interval for span in spans.get(node, ()) if span.state is NodeState.OFF]) for node in band.targets]
        if off and all(total(pieces) >= held.length - OFF_LATE for pieces in off):
            return ""
    return f"{band.name} may have been over long before it was mended ({band.detail or 'nobody knows'})"


def bites(band: Band, spans: Sequence[Span]) -> float:
    """Return when a fault took a node away, by that node's spans (`node_spans`): when it was in force, or before that when the machine was off.

    A power switch may take seconds to say that it is done, and the machine is gone before. One that was off already when the fault was decided was
    not taken away by it. A fault that never was in force counts from its decision.
    """
    if band.in_force is None:
        return band.begins
    if band.traits.loses is not Loss.NODE:
        return band.in_force  # a machine that goes off meanwhile does so by something else
    off = (span.start for span in spans if span.state is NodeState.OFF and band.begins <= span.start < band.in_force)
    return min(off, default=band.in_force)


def biting(band: Band, spans: Mapping[str, Sequence[Span]]) -> Interval:
    """From when a fault had taken the first of its targets away until it had taken the last, each by `bites`; `spans` as from `node_spans`.

    From its start on something is broken. What is allowed after a loss, such as an election, counts from its end: each loss may disturb it anew.
    Both are when the fault was in force where no machine was seen off before, and never later: an observer takes seconds to see that one is off.
    """
    times = [bites(band, spans.get(target, ())) for target in band.targets] or [bites(band, ())]
    return Interval(min(times), max(times))


def fault_bands(history: History) -> tuple[Band, ...]:
    """Return every fault of the run, in the order in which they were first heard of."""
    stages: dict[int, list[tuple[int, float, FaultStage]]] = {}
    for entry, event in history.each(FaultStage):
        stages.setdefault(event.fault, []).append((entry.index, entry.time, event))
    return tuple(_band(history, fault, seen) for fault, seen in stages.items())


def _band(history: History, fault: int, seen: Sequence[tuple[int, float, FaultStage]]) -> Band:
    first = seen[0][2]
    targets = first.targets or tuple(sorted({target for _, _, event in seen for target in event.targets}))
    # A decision's detail is the target expression: it explains nothing that went wrong.
    details = [event.detail for _, _, event in seen if event.detail and event.stage is not Stage.DECIDED]

    def reached(stage: Stage, *, whole: bool = False) -> float | None:
        # A stage may be told for all targets at once or for each: "in force" and "healed" count from the last of them.
        missing = set(targets)
        for _, time, event in seen:
            if event.stage is stage:
                missing -= set(event.targets)
                if not whole or not missing:
                    return time
        return None

    parameters = next((event.parameters for _, _, event in seen if event.parameters), {})
    body = next((event.traits for _, _, event in seen if from_history(event.traits)), {})
    kind, lost = older.kind(first.name, parameters, body)
    if lost is None:
        lost = _lost(history, kind, targets, parameters)
    return Band(
        fault=fault,
        name=first.name,
        targets=targets,
        decided=reached(Stage.DECIDED),
        injected=reached(Stage.INJECTED),
        in_force=reached(Stage.IN_FORCE, whole=True),
        healing=reached(Stage.HEALING),
        healed=reached(Stage.HEALED, whole=True),
        failed=reached(Stage.FAILED),
        detail=details[-1] if details else "",
        parameters=parameters,
        entries=tuple(index for index, _, _ in seen),
        traits=kind,
        lost=lost,
    )


def _lost(history: History, kind: Traits, targets: tuple[str, ...], parameters: Mapping[str, Json]) -> tuple[str, ...]:
    """Return who was lost to a fault of a history from before it said so: its targets, and of a cut those that its shape cuts off."""
    shape = SHAPES.get(str(parameters.get("shape", "")))
    nodes = sorted({event.node for _, event in history.each(NodeSeen)}, key=lambda node: (len(node), node)) if shape else []
    if shape and set(targets) <= set(nodes):
        members = sorted(members_of(history))
        try:
            return tuple(sorted(cut_off(nodes, members, shape(nodes, targets))))
        except ValueError:  # a cut that could not be made
            return ()
    return () if kind.loses is Loss.NOTHING else targets


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
    samples: dict[str, list[tuple[int, float, NodeSeen]]] = {}
    for entry, event in history.each(NodeSeen):
        samples.setdefault(event.node, []).append((entry.index, entry.time, event))
    return {node: tuple(_spans(node, seen, history.end)) for node, seen in sorted(samples.items())}


def never_seen(history: History) -> tuple[str, ...]:
    """Return the nodes of which somebody speaks and that node truth never said a word of, in order: what they ran is not known at any time."""
    named: set[str] = set()
    for _, view in history.each(ApiSeen):
        named.update(view.view.nodes if view.view is not None else ())
    for _, watching in history.each(Watching):
        named.add(watching.node)
    for _, stage in history.each(FaultStage):
        named.update(stage.targets)
    return tuple(sorted(named - {seen.node for _, seen in history.each(NodeSeen)}))


def _spans(node: str, seen: Sequence[tuple[int, float, NodeSeen]], end: float) -> list[Span]:
    spans: list[Span] = []
    known: tuple[Container, ...] = ()
    for at, (index, time, event) in enumerate(seen):
        until = seen[at + 1][1] if at + 1 < len(seen) else end
        if event.state is NodeState.UP:
            known = tuple(container for container in event.containers if container.instance)
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


@dataclass(frozen=True, slots=True)
class Reign:
    """A stretch in which a majority of the members agreed on who leads (`leader`, a node's name), or on nobody (None)."""

    start: float
    end: float
    term: int
    leader: str | None
    entry: int


def members_of(history: History, planned: Collection[str] = ()) -> set[str]:
    """Return the members of the quorum: those that are `planned`, or else all whose membership was watched or told of, answered or not."""
    watched = {event.node for _, event in history.each(Watching) if event.observer == "membership"}
    return set(planned) or {*watched, *(event.node for _, event in history.each(MemberSeen))}


def reigns(history: History, planned: Collection[str] = ()) -> tuple[Reign, ...]:
    """Return who led when, without holes, from the first word of a member to the end of the history.

    The leader is the one of the highest term that at least a majority of all members follows (`members_of`). A member that gave no answer, or
    whose machine is off, follows nobody.
    """
    members = members_of(history, planned)
    majority = len(members) // 2 + 1
    follows: dict[str, tuple[int, str]] = {}
    found: list[Reign] = []
    for entry in history.entries:
        event = entry.event
        if isinstance(event, MemberSeen):
            follows.pop(event.node, None)
            if not event.error and event.leader is not None:
                follows[event.node] = (event.term, event.leader)
        elif isinstance(event, NodeSeen) and event.state is NodeState.OFF and event.node in follows:
            del follows[event.node]
        else:
            continue
        agreed = [pair for pair, votes in Counter(follows.values()).items() if votes >= majority]
        term, leader = max(agreed, default=(0, None), key=lambda pair: pair[0])
        if found and found[-1].start == entry.time:
            found.pop()  # several members spoke at one moment: only what they say together counts
        if found:
            last = found[-1]
            if (last.term, last.leader) == (term, leader):
                found[-1] = Reign(last.start, history.end, term, leader, last.entry)
                continue
            found[-1] = Reign(last.start, entry.time, last.term, last.leader, last.entry)
        found.append(Reign(entry.time, history.end, term, leader, entry.index))
    return tuple(found)


def reign_at(every: Sequence[Reign], time: float) -> Reign | None:
    """Return who led at a moment, or None before the first word of a member."""
    return next((reign for reign in reversed(every) if reign.start <= time), None)


def app_of(instance: str) -> str:
    """Return the app's name of an instance, e.g. ``web`` of ``web@1``."""
    return instance.partition("@")[0]


def neat(seconds: float | None) -> float | None:
    """Round a time for a verdict file as the history's own are: a sentence and a table that round it once more say the same figure."""
    return None if seconds is None else round(seconds, DIGITS)
