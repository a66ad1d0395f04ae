"""Whether what no fault hit stayed where it was."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from harness.checkers.disturbance import Electorate, no_majority
from harness.checkers.either_way import either_way
from harness.checkers.expected import Expected
from harness.checkers.judging import Point, Report, conclude, doubted, missed, plural, unknown
from harness.checkers.overlaps import RESOLUTION
from harness.checkers.troubles import died, endurance
from harness.checkers.usual import stopped_by_itself
from harness.checkers.windows import Windows, never_in_force
from harness.core.figures import at, lasted
from harness.core.instances import app_of
from harness.core.units import Names
from harness.core.values import HERE, NodeState
from harness.history.absence import Absence, parted
from harness.history.bands import OFF_LATE, fault_bands, first_bitten
from harness.history.deeds import Wanted, closed, deeds, down, under_way
from harness.history.events import NodeSeen
from harness.history.intervals import Interval, Span, common, neat, never_seen, node_spans, span_at, stays, united, without
from harness.history.losses import AT_ONCE
from harness.history.reigns import members_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness.checkers.windows import Window
    from harness.core.values import Finding, Json
    from harness.history.absence import Voters
    from harness.history.events import History


@dataclass(frozen=True, slots=True)
class _Bystander:
    """An instance that ran on a node that no fault hit when the first of them, or a later one, was decided."""

    instance: str
    node: str
    decided: float  # when the fault was decided since which its node is one that no fault hit
    since: float  # from when on it is judged
    until: float  # to when it is judged
    entry: int
    gone: tuple[Interval, ...]  # when it did not run there, from then on

    def within(self, window: Window) -> Iterator[_Bystander]:
        """Yield what of it lies in each piece of a time that it ran in from the beginning on; itself, where that is all the time that is judged."""
        if not window.named:
            yield self
            return
        for piece in window.pieces:
            if self.since <= piece.start < self.until and not any(gap.start <= piece.start < gap.end for gap in self.gone):
                part = Interval(piece.start, min(self.until, piece.end))
                yield replace(self, since=part.start, until=part.end, gone=tuple(common(self.gone, [part])))


@dataclass(frozen=True, slots=True)
class Bystanders:
    """What ran on a node that no fault hit ran on there, from when a fault was decided to the end of settling, by node truth; of `app`, or of any.

    A cluster that loses one machine has no reason to touch what runs on the others: whoever stops, moves or restarts that makes a small outage a
    large one. Hit are a fault's targets and whoever it cuts off, from its decision until a recovery after it was mended; what ran there is a
    bystander of those before, and what runs there of those after. What comes to such a node later counts from the next fault on, as does what an
    action took away and another asked for again. What an action takes away is not the cluster's doing, nor need be what stops while a fault made on
    this machine is there, which hits no node and may be felt on any. Unknown where nothing ran on a node that no fault hit, where no fault was in
    force, and where a machine was off, could not be asked, or stood still, or had more to do, than the mode's timers stand. So is what stopped where
    faults that hit others left it no majority, all of them together, or a cut kept it from others that have one, or a recovery after that; and what
    was seen in another container from one look to the next: it was started anew; and what stopped on its node before anything was broken, too. With
    `during` it is what ran there when a fault bit, and only until that fault was mended (`harness.checkers.windows`).
    """

    name: ClassVar[str] = "bystanders"
    app: str | None = None
    expected: Expected = field(default_factory=Expected)  # filled in by the plan
    during: Names = ()

    def check(self, history: History) -> Finding:
        """Return held with how many there were, broken with each that did not stay, or unknown; details hold all of them."""
        return either_way(history, self._check, self.expected.voters)

    def _check(self, history: History) -> Finding:
        windows = Windows.of(history, self.during, (), self.expected.numbers, Interval(0.0, history.observed))
        every = list(_bystanders(history, node_spans(history), self.app))
        points, held, details = windows.judged(lambda window: self._within(history, window, every))
        if not any(band.in_force is not None for band in fault_bands(history)):
            points.append(never_in_force())
        if silent := sorted(never_seen(history)):
            points.append(unknown(f"what {' and '.join(silent)} ran was never seen"))
        return conclude(self.name, history, points, held, details)

    def _within(self, history: History, window: Window, every: Sequence[_Bystander]) -> Report:
        """Judge what stayed in one time."""
        spans = node_spans(history)
        found = [part for each in every for part in each.within(window)]
        away = [(each, gap) for each in found for gap in each.gone if gap.length >= RESOLUTION]
        said = f", {window.named}" if window.named else ""
        points = [self._judge(history, spans, one, gap, said) for one, gap in away]
        whose = f" of {self.app}" if self.app else ""
        if not found and any(band.in_force is not None for band in fault_bands(history)):
            points.append(unknown(f"no instance{whose} ran on a node that no fault hit{window.after_it}"))
        # What ran on a machine that went off by itself just before a fault hit it may have stopped before that.
        points += [
            unknown(f"{each.instance} ran on {each.node}, and {off.text}", each.entry)
            for off in died(history, Interval(0.0, history.observed))
            for each in found
            if each.node in off.nodes and each.until <= off.part.start <= each.until + AT_ONCE
        ]
        points += [
            unknown(
                f"{each.instance} ran on in another container on {each.node} at {at(new)}, and how long it was gone since {at(old)} nobody saw",
                entry,
            )
            for each in found
            for old, new, entry in _renewed(history, each.instance, each.node)
            if each.since <= new < each.until
        ]
        details: list[Json] = [
            {"instance": each.instance, "node": each.node, "since": neat(each.since), "gone": [_json(gap) for gap in each.gone]}
            for each in found
        ]
        held = f"{plural(len(found), 'instance')}{whose} on nodes that no fault hit stayed there{window.after_it}"
        return Report(points, held, {"bystanders": details})

    def _judge(self, history: History, spans: Mapping[str, Sequence[Span]], one: _Bystander, gap: Interval, said: str) -> Point:
        text = f"{one.instance} stopped on {one.node}, which no fault hit, at {at(gap.start)}{_went(spans, one, gap)}{said}"
        seen = span_at(spans[one.node], gap.start)
        if seen is None or not seen.sure or seen.state is not NodeState.UP:
            state = "was not seen then" if seen is None or not seen.sure else f"was {seen.state}"
            return unknown(f"{text}; but {one.node} {state}", one.entry)
        # Machines that stood still, or were off by themselves, make a cluster move what runs on the others, without any fault of it.
        over = Interval(max(one.decided, gap.start - endurance(history).recovery), gap.start + OFF_LATE)
        point = missed(text, one.entry, seen.entry, over=[over], itself=Interval(over.start, gap.start))
        voters, moments = self.expected.voters, _moments(spans, one, gap.start)
        why = _by_action(history, one, gap.start, voters) or _from_here(history, gap.start)
        why = why or _left_alone(history, one, moments, voters) or _parted(history, one, moments, voters)
        why = why or _too_early(history, spans, gap.start) or _by_itself(history, spans, one, gap)
        return doubted(point, why)


def _bystanders(history: History, spans: Mapping[str, Sequence[Span]], app: str | None) -> Iterator[_Bystander]:
    bands = fault_bands(history)
    hit: dict[str, list[Interval]] = {}
    for band in bands:
        life = band.life(history.end)
        for node in {*band.targets, *band.lost}:
            hit.setdefault(node, []).append(Interval(life.start, life.end + endurance(history).recovery))
    wanted = Wanted.of(deeds(history))
    visits: dict[tuple[str, str], list[tuple[Interval, int]]] = {}
    for stay in stays(spans):
        if app in {None, app_of(stay.instance)} and app_of(stay.instance):
            visits.setdefault((stay.instance, stay.node), []).append((stay.interval, stay.entry))
    for (instance, node), every in sorted(visits.items()):
        free = without([Interval(0.0, history.observed)], hit.get(node, ()))
        there = united(each for each, _ in every)
        due = wanted.due(instance, history.observed)
        # What an action took away, and one asked for again, may come to another node.
        for whole in free if due is None else common(due, free):
            begun = [
                band.begins
                for band in bands
                if whole.start <= band.begins < whole.end and any(each.start <= band.begins < each.end for each in there)
            ]
            if begun:
                since = min(begun)
                yield _Bystander(instance, node, since, since, whole.end, every[0][1], tuple(without([Interval(since, whole.end)], there)))


def _renewed(history: History, instance: str, node: str) -> Iterator[tuple[float, float, int]]:
    """Yield when a node was seen with an instance in one container, when then in another, and the index of the line that says so.

    What was started anew within less than the resolution of node truth is not missed.
    """
    ids: frozenset[str] = frozenset()
    last = 0.0
    for entry, seen in history.each(NodeSeen):
        if seen.node != node:
            continue
        here = frozenset(each.id for each in seen.containers if each.instance == instance and seen.state is NodeState.UP)
        if ids and here and not ids & here and entry.time - last >= RESOLUTION:
            yield last, entry.time, entry.index
        ids, last = here, entry.time


def _went(spans: Mapping[str, Sequence[Span]], one: _Bystander, gap: Interval) -> str:
    """Say what became of it: it ran there again, or elsewhere, or was not seen again."""
    later = [stay for stay in stays(spans) if stay.instance == one.instance and stay.node != one.node and stay.end > gap.start]
    if later:
        return f", and ran on {later[0].node}{f' from {at(later[0].start)} on' if later[0].start > gap.start else ' then'}"
    again = any(stay.instance == one.instance and stay.node == one.node and stay.start >= gap.end for stay in stays(spans))
    return f", for {lasted(gap.length)}" if again else ", and ran nowhere after that"


def _by_action(history: History, one: _Bystander, time: float, voters: Voters) -> str:
    """Say that an action may have taken what ran on a node; nothing where none did."""
    every = deeds(history)
    there = [*closed(every, history.end).get(one.node, [])]
    there += [each for (where, _), pieces in down(every, history.end).items() if where == one.node for each in pieces]
    there += [replace(each, end=each.end + AT_ONCE) for each in under_way(every, history.end, app_of(one.instance))]
    # Where what is down leaves no majority, what was decided before is not, and is anew when there is one again.
    absence, near = Absence.of(history, voters), endurance(history).recovery + AT_ONCE
    alone = no_majority(history, Electorate(frozenset(members_of(history, voters.members)), voters.daemon, absence))
    there += [replace(each, end=each.end + near) for each in alone]
    first = min((each.start for each in there if each.start <= time <= each.end), default=None)
    return "" if first is None else f"something was done from {at(first)} on that may have taken it"


def _from_here(history: History, time: float) -> str:
    """Say that a fault made on this machine was there, or had been just then: it hits no node, and may be felt on any. Nothing where none was."""
    for band in fault_bands(history):
        life = band.life(history.end)
        if HERE in band.targets and life.start <= time <= life.end + endurance(history).recovery:
            return f"{band.called} was made on this machine at {at(life.start)}, and may be felt on any node"
    return ""


def _too_early(history: History, spans: Mapping[str, Sequence[Span]], time: float) -> str:
    """Say that no fault is known to have bitten by some time; nothing where one had."""
    since = first_bitten(history, spans)
    return f"nobody knows whether a fault had bitten before {at(since)}" if time < since < math.inf else ""


def _by_itself(history: History, spans: Mapping[str, Sequence[Span]], one: _Bystander, gap: Interval) -> str:
    """Say that it had stopped on its node before anything was broken, too; nothing where it had not, or runs elsewhere since, as it did not then."""

    def elsewhere(since: float, until: float) -> bool:
        others = (stay for stay in stays(spans) if stay.instance == one.instance and stay.node != one.node)
        return any(stay.start < until and stay.end > since for stay in others)

    before = stopped_by_itself(history, one.instance, one.node)
    if before is None or (elsewhere(gap.start, math.inf) and not elsewhere(before.at, one.decided)):
        return ""
    # What does not come back as it did then is kept down by something else.
    if not before.explains(gap.length, endurance(history).recovery):
        return ""
    return f"it had stopped there at {at(before.at)}, for {lasted(before.gone)}, before anything was broken, too"


def _moments(spans: Mapping[str, Sequence[Span]], one: _Bystander, time: float) -> list[float]:
    """Return when what stopped at some time may have been given up: then, or when it was started elsewhere, if it ran there as well.

    What a cluster believes lost it stops once it hears of it again, which may be long after it could: swarm's nodes try once a minute or so.
    """
    others = (stay for stay in stays(spans) if stay.instance == one.instance and stay.node != one.node)
    return [time, *(stay.start for stay in others if stay.start < time < stay.end)]


def _left_alone(history: History, one: _Bystander, moments: Sequence[float], voters: Voters) -> str:
    """Say that faults which hit others may have left a node without a majority, or had just then; nothing where none did.

    Who is cut off by one fault alone is hit by it.
    """
    near = endurance(history).recovery + AT_ONCE
    alone = Absence.of(history, voters).when(one.node)
    first = min((each.start for each in alone if any(each.start <= time <= each.end + near for time in moments)), default=None)
    return "" if first is None else f"{one.node} may have had no majority from {at(first)} on"


def _parted(history: History, one: _Bystander, moments: Sequence[float], voters: Voters) -> str:
    """Say that a cut kept a node from others though both had a majority, or had just then: whoever leads may miss it. Nothing where none did."""
    for band in fault_bands(history):
        life = band.life(history.end)
        near = Interval(life.start, life.end + endurance(history).recovery)
        if any(near.holds(time) for time in moments) and one.node in parted(history, band, voters):
            return f"{band.called} kept {one.node} from others from {at(life.start)} on"
    return ""


def _json(gap: Interval) -> Json:
    return {"from": neat(gap.start), "to": neat(gap.end), "length": neat(gap.length)}
