"""What contradicts a fault, or a word: work done where by node truth there was none, and faults that visibly did nothing."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from harness.checkers.attendance import up_all_the_same
from harness.checkers.judging import SHOWN, Point, unknown
from harness.checkers.mandate import ELECTION, impossible_answers, self_made
from harness.checkers.troubles import stalls
from harness.core.figures import at
from harness.core.topology import SHAPES, Grudge
from harness.core.values import CallStream, Loss, NodeState, Outcome
from harness.history.absence import IN_FLIGHT, ON_ITS_WAY, Absence, shape, surely_off
from harness.history.bands import Band
from harness.history.calls import ops
from harness.history.events import Answered, ApiSeen, Checked, DockerEvent, Fingerprinted, MemberSeen, Watching, Wholeness
from harness.history.intervals import Interval, Span, span_at, stays, united

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.checkers.expected import Expected
    from harness.checkers.mandate import Impossible
    from harness.history.events import Entry, History

LATE_TRUTH = 2.0
"""Seconds by which node truth may be later than an answer, or than the API's word, of the same container."""

ON_THE_MACHINE = frozenset({"docker", "membership", "placement"})
"""Observers that ask the machine itself, so that they cannot watch one that is off."""

Said: TypeAlias = MemberSeen | DockerEvent | ApiSeen
"""What a node itself tells."""


def without_effect(history: History, bands: Sequence[Band], spans: Mapping[str, Sequence[Span]], expected: Expected) -> list[Point]:
    """Find faults that were in force by the kernel's word and did nothing: who was lost went on as if nothing were."""
    points = []
    late = _late(history)
    said: list[tuple[Entry, Said]] = [*history.each(MemberSeen), *history.each(DockerEvent), *history.each(ApiSeen)]
    for band in bands:
        held = band.held(history.end)
        if held is None or band.traits.in_place:
            continue
        told = [
            (entry.index, entry.time, event)
            for entry, event in said
            if held.start + ON_ITS_WAY < entry.time < held.end
            and event.node in band.lost
            and not any(each.holds(entry.time) for each in late)
        ]
        if band.traits.loses is Loss.PROCESS:
            told = [each for each in told if each[1] > held.start + IN_FLIGHT]
        if band.traits.loses is Loss.PROCESS:
            points += _daemons(band, held, told, expected.voters.daemon)
        elif band.traits.loses is Loss.LINK and band.traits.apart:
            points += _cut(history, band, held, told, spans)
    return points


def went_on(history: History, band: Band, spans: Mapping[str, Sequence[Span]], expected: Expected) -> Mapping[str, str]:
    """Return which nodes that are lost to a fault went on as if they were not, each with what says so.

    It was in force by its own word, or the kernel's, and that is contradicted: then what such a node did, or did not, convicts nobody.
    """
    return history.once((went_on, band.fault, expected), lambda: _went_on(history, band, spans, expected))


def _went_on(history: History, band: Band, spans: Mapping[str, Sequence[Span]], expected: Expected) -> dict[str, str]:
    held = band.held(history.end)
    if held is None:
        return {}
    answers = impossible_answers(history, Absence.of(history, expected.voters).unable, spans, expected, ELECTION)
    found = {}
    for node in band.lost:
        if any(span.state is NodeState.OFF and held.holds(span.start) for span in spans.get(node, ())):
            continue  # it went later than the fault says, and it did go
        alone = replace(band, lost=(node,), targets=(node,) if band.traits.loses is Loss.NODE else band.targets)
        words = [point.text for point in (*up_all_the_same(history, [alone]), *without_effect(history, [alone], spans, expected))]
        words += [each.text for each in answers if each.op.by == node and held.holds(each.op.begun)]
        if words:
            found[node] = words[0]
    return found


def _late(history: History) -> list[Interval]:
    """Return when what is told may be older than it seems: somebody stood still."""
    return [Interval(stall.interval.start, stall.interval.end + IN_FLIGHT) for stall in stalls(history)]


def _daemons(band: Band, held: Interval, told: Sequence[tuple[int, float, Said]], member: str) -> list[Point]:
    points: dict[str, Point] = {}
    for index, time, event in told:
        if member in band.traits.parts and isinstance(event, MemberSeen) and not event.error:
            text = f"{event.node}'s member said that it was in term {event.term} at {at(time)}"
            points.setdefault(event.node, unknown(_all_the_same(band, text), index))
        elif "docker" in band.traits.parts and isinstance(event, DockerEvent) and held.start + IN_FLIGHT < event.at < held.end:
            points.setdefault(
                event.node, unknown(_all_the_same(band, f"{event.node}'s Docker told of a {event.action} at {at(time)}"), index)
            )
    return list(points.values())


def _cut(
    history: History, band: Band, held: Interval, told: Sequence[tuple[int, float, Said]], spans: Mapping[str, Sequence[Span]]
) -> list[Point]:
    """Find nodes that were cut off and knew what only the others could: their leader of a later term, or where they placed something since."""
    early = held.start + ON_ITS_WAY
    term = max((event.term for entry, event in history.each(MemberSeen) if entry.time <= early), default=0)
    known = {
        (placement.instance, placement.node)
        for entry, event in history.each(ApiSeen)
        if entry.time <= early and event.view is not None
        for placement in event.view.placements
    }
    drops = _drops(band, sorted({*spans, *band.targets}))
    points: dict[str, Point] = {}
    for index, time, event in told:
        # What was said just after the cut may be from before; what is still said much later is not.
        over = min(
            (later for _, later, each in told if later > time and type(each) is type(event) and each.node == event.node), default=held.end
        )
        if over <= held.start + IN_FLIGHT:
            continue
        if isinstance(event, MemberSeen) and not event.error and event.term > term and event.leader in drops.get(event.node, ()):
            text = f"{event.node} followed {event.leader} in term {event.term} at {at(time)}"
            points.setdefault(event.node, unknown(_all_the_same(band, text), index))
        elif isinstance(event, ApiSeen) and event.view is not None:
            new = [
                each for each in event.view.placements if each.node in drops.get(event.node, ()) and (each.instance, each.node) not in known
            ]
            if new:
                text = f"the API at {event.node} showed {new[0].instance} on {new[0].node} at {at(time)}"
                points.setdefault(event.node, unknown(_all_the_same(band, text), index))
    return list(points.values())


def _drops(band: Band, nodes: Sequence[str]) -> Grudge:
    """Return whom each node cannot hear, by the shape of the cut; of one without a shape what is sure: who is lost hears none of the others."""
    if drops := SHAPES.get(shape(band)):
        return drops(nodes, band.targets)
    return {node: frozenset(nodes) - set(band.lost) for node in band.lost}


def _all_the_same(band: Band, text: str) -> str:
    return f"{band.name} was in force on {band.where} by the kernel's word, yet {text}"


def answers_of_nobody(history: History, spans: Mapping[str, Sequence[Span]]) -> list[Point]:
    """Find good answers of a node that by its truth did not run then what answered, of one that nobody ever saw, and of nobody.

    Only where the run says whether it was whole: histories from before that was recorded are judged as they were then.
    """
    if not any(history.each(Wholeness)):
        return []
    homes: dict[tuple[str, str], list[Interval]] = {}
    for stay in stays(spans):
        homes.setdefault((stay.instance, stay.node), []).append(Interval(stay.start - LATE_TRUTH, stay.end + LATE_TRUTH))
    unsure = {
        node: [Interval(span.start - LATE_TRUTH, span.end + LATE_TRUTH) for span in pieces if not span.sure]
        + [Interval(-math.inf, pieces[0].start + LATE_TRUTH)]
        for node, pieces in spans.items()
    }
    ours = [Interval(stall.interval.start, stall.interval.end + LATE_TRUTH) for stall in stalls(history)]
    allowed: dict[tuple[str, str], list[Interval]] = {}
    points: dict[tuple[str, str], Point] = {}
    for op in ops(history, CallStream.APP):
        if not op.ok or op.ended is None or (op.call.key, op.by or "") in points:
            continue
        key = (op.call.key, op.by or "")
        if not op.by or op.by not in spans:
            who = f"by {op.by}" if op.by else "by nobody"
            why = "which no node truth ever spoke of" if op.by else "and every good answer is by a node"
            points[key] = unknown(f"{op.call.key} was answered well {who} at {at(op.ended)}, {why}", op.entry)
            continue
        if key not in allowed:
            allowed[key] = united([*homes.get(key, ()), *unsure[op.by], *ours])
        if any(each.start <= op.ended and op.begun <= each.end for each in allowed[key]):
            continue
        span = span_at(spans[op.by], op.ended)
        how = "was off" if span is not None and span.state is NodeState.OFF else "did not run it"
        points[key] = unknown(f"{op.call.key} was answered well by {op.by} at {at(op.ended)}, when {op.by} {how} by node truth", op.entry)
    return list(points.values())


def answers_without_quorum(history: History, spans: Mapping[str, Sequence[Span]], expected: Expected, election: float) -> list[Point]:
    """Find good answers of the register by who cannot have given them: either they had a quorum of their own, or the fault did nothing."""
    alike: dict[str, list[Impossible]] = {}
    for each in impossible_answers(history, Absence.of(history, expected.voters).unable, spans, expected, election):
        alike.setdefault(each.kind, []).append(each)
    return [
        unknown(f"{same[0].text}{f', and {len(same) - 1} more so' if len(same) > 1 else ''}", *(each.op.entry for each in same[:SHOWN]))
        for same in alike.values()
    ]


def leaders_without_quorum(history: History, expected: Expected) -> list[Point]:
    """Find members that were cut off and elected one of themselves: either they had a quorum of their own, or the fault did nothing."""
    points: dict[tuple[str, int], Point] = {}
    for event, index, text in self_made(history, Absence.of(history, expected.voters).unable):
        points.setdefault((event.leader or "", event.term), unknown(f"{text}: it had no majority by the fault", index))
    return list(points.values())


def words_of_the_off(history: History) -> list[Point]:
    """Find what machines told, or answered, that were off then by node truth: members, the API, Docker, checks, fingerprints, calls.

    And what observers said of them who ask on the machine itself: that they watch it.
    """
    off = surely_off(history)
    late = _late(history)
    words = [
        *((entry, event.node, "its member answered") for entry, event in history.each(MemberSeen) if not event.error),
        *((entry, event.node, "its API answered") for entry, event in history.each(ApiSeen) if event.view is not None),
        *((entry, event.node, "its Docker told of a container") for entry, event in history.each(DockerEvent)),
        *(
            (entry, event.node, f"the {event.observer} observer watched it")
            for entry, event in history.each(Watching)
            if event.alive and event.observer in ON_THE_MACHINE
        ),
        *((entry, event.node, "a check was answered") for entry, event in history.each(Checked) if event.outcome is not Outcome.UNKNOWN),
        *((entry, event.node, "a fingerprint was taken") for entry, event in history.each(Fingerprinted) if event.marks),
        *((entry, event.by, "it answered a call") for entry, event in history.each(Answered) if event.by and event.outcome is Outcome.OK),
    ]
    points: dict[tuple[str, str], Point] = {}
    for entry, node, what in words:
        if any(each.start < entry.time < each.end for each in off.get(node, ())) and not any(each.holds(entry.time) for each in late):
            points.setdefault((node, what), unknown(f"{node} was off by node truth at {at(entry.time)}, yet {what}", entry.index))
    return list(points.values())


def ran_too_early(history: History, bands: Sequence[Band], spans: Mapping[str, Sequence[Span]], expected: Expected) -> list[Point]:
    """Find work that by node truth ran on a node well before the API placed it there: one of the two is told at a wrong time."""
    begun = min((band.begins for band in bands), default=math.inf)
    absence = Absence.of(history, expected.voters)
    words = [
        (entry.time, {(each.instance, each.node) for each in event.view.placements})
        for entry, event in history.each(ApiSeen)
        if event.view is not None and event.node not in absence.at(entry.time)
    ]
    points = []
    late = _late(history)
    for stay in stays(spans):
        here = (stay.instance, stay.node)
        placed = next((time for time, shown in words if here in shown), None)
        if stay.start <= begun or placed is None or placed <= stay.start + IN_FLIGHT or any(each.holds(stay.start) for each in late):
            continue
        # Somebody must have been told in between that it was not there: else nobody asked in time. Without a leader all tell what was.
        if any(stay.start + LATE_TRUTH < time < placed and not any(each.holds(time) for each in absence.doubtful) for time, _ in words):
            text = f"{stay.instance} ran on {stay.node} from {at(stay.start)} by node truth, and the API placed it there at {at(placed)}"
            points.append(unknown(f"{text}: one of the two is told at a wrong time", stay.entry))
    return points
