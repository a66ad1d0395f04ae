"""Whether everybody was there: what was planned and never came, who fell silent, whose word cannot be."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from harness.checkers.judging import SHOWN, Point, plural, unknown
from harness.checkers.troubles import blind, pace, stalls, unasked
from harness.core.figures import at, given, lasted
from harness.core.instances import app_of, number_of
from harness.core.values import HERE, CallStream, Loss, NodeState, Phase
from harness.history.absence import ON_ITS_WAY
from harness.history.bands import Band
from harness.history.calls import ops, whom
from harness.history.deeds import Wanted, deeds
from harness.history.events import (
    HARNESS,
    MACHINE,
    ApiSeen,
    Checked,
    DockerEvent,
    Endures,
    FaultStage,
    Fingerprinted,
    MemberSeen,
    NodeSeen,
    Stalled,
    Watching,
)
from harness.history.intervals import BLIND_AFTER, Interval, Span, common, total, without

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.checkers.expected import Expected
    from harness.history.calls import Op
    from harness.history.events import Event, History

FEWEST = 10
"""Calls of a workload below which it cannot be said to have run."""

WRITTEN_LATE = 2.0
"""Seconds by which an answer may be written down later than its call's deadline: many threads write, on a machine that may be busy."""

FAR_OUTSIDE = 2.0
"""Seconds from which Docker's own time of a start, outside of what was seen, contradicts it: the node may be busy just then.

Far less is enough for that time not to be relied on: `harness.history.losses.CLOCKS`.
"""

_OF_NODES: tuple[type[Event], ...] = (Checked, DockerEvent, Endures, Fingerprinted, MemberSeen, Stalled, Watching)
"""What is told of a node, beside its own truth."""

EVERYWHERE = ("docker", "host", "placement")
"""Observers that speak of every node, if they speak at all. Members of a quorum may be fewer than the nodes."""


def to_be_watched(history: History) -> Interval:
    """The time that must be watched: from the steady phase to the last reads. Observers may stop then."""
    start = history.phase(Phase.STEADY)
    if start is None:
        start = min((entry.time for entry, _ in history.each(Watching)), default=0.0)
    return Interval(start, max(start, history.observed))


def missing(history: History, expected: Expected, spans: Mapping[str, Sequence[Span]]) -> list[Point]:
    """Whoever was planned and never spoke, and who spoke and is in no plan."""
    points = [unknown(f"{node} was planned and never seen by node truth") for node in expected.nodes if node not in spans]
    points += [
        unknown(f"{node} was seen by node truth, and is no node of the plan")
        for node in spans
        if expected.nodes and node not in expected.nodes
    ]
    points += _strangers(history, expected, spans)
    spoken: dict[str, set[str]] = {}
    for _, event in history.each(Watching):
        spoken.setdefault(event.observer, set()).add(event.node)
    points += [
        unknown(f"the {observer} observer never spoke of {node}")
        for observer in EVERYWHERE
        for node in expected.nodes
        if observer in spoken and node not in spoken[observer]
    ]
    for observer, nodes in expected.observers:
        if observer not in spoken:
            points.append(unknown(f"the {observer} observer was planned and never spoke"))
        elif observer not in EVERYWHERE:
            points += [unknown(f"the {observer} observer never spoke of {node}") for node in nodes if node not in spoken[observer]]
    points += _told_nothing(history, expected, spoken)
    called = {(op.workload, app) for op in ops(history) for app in ("", app_of(op.call.key))}
    wanted = Wanted.of(deeds(history))
    for workload, app in expected.workloads:
        if app in expected.later and total(wanted.due(f"{app}@1", history.observed) or ()) <= BLIND_AFTER:
            continue  # it came too late to be called, or is not known to have come at all
        if (workload, app) not in called:
            points.append(unknown(f"the {workload} workload{f' of {app}' if app else ''} was planned and never made a call"))
    return points


def _strangers(history: History, expected: Expected, spans: Mapping[str, Sequence[Span]]) -> list[Point]:
    """Find nodes that are in no plan and spoke, or were spoken of, and instances that are in none and ran."""
    points = []
    if expected.nodes:
        # fleet goes on naming a machine that it lists no more by its id: whom a view names may be one of ours.
        spoken_of = {name for kind in _OF_NODES for _, event in history.each(kind) for name in event.nodes}
        spoken_of |= {event.node for _, event in history.each(ApiSeen)}
        others = sorted(spoken_of - {"", *expected.nodes, *spans})
        points += [unknown(f"{node} is in the history, and is no node of the plan") for node in others]
        hit = {(event.fault, node) for _, event in history.each(FaultStage) for node in event.targets}
        points += [
            unknown(f"fault {fault} hit {node}, which is no node of the plan")
            for fault, node in sorted(hit)
            if node not in {*expected.nodes, HERE}
        ]
    if (expected.instances or expected.later) and not expected.more:
        ran: dict[str, Span] = {}
        wanted = Wanted.of(deeds(history))
        count = expected.count()

        def strange(instance: str) -> bool:
            app, number = app_of(instance), number_of(instance)
            return instance not in expected.instances and not (
                app in count and number is not None and 1 <= number <= wanted.most(app, count[app])
            )

        for span in sorted((span for pieces in spans.values() for span in pieces), key=lambda span: span.start):
            for instance in sorted(name for name in span.instances if strange(name)):
                ran.setdefault(instance, span)
        points += [
            unknown(f"{instance} ran on {span.node} at {at(span.start)}, and is no instance of the plan", span.entry)
            for instance, span in ran.items()
        ]
    return points


def too_late_answers(history: History, expected: Expected) -> list[Point]:
    """Find good answers that came well after their call's deadline: no client of ours waits for so long.

    Not among the last reads, which may be answered all at once, and not where somebody stood still meanwhile.
    """
    allowed = {(workload, app): seconds for workload, app, seconds in expected.deadlines}
    final = next((time for phase in (Phase.FINAL, Phase.DONE) if (time := history.phase(phase)) is not None), math.inf)
    still = [stall.interval for stall in stalls(history)]
    late: dict[tuple[str, str], list[Op]] = {}
    for op in ops(history):
        key = next((key for key in ((op.workload, app_of(op.call.key)), (op.workload, "")) if key in allowed), None)
        if key is None or not op.ok or op.ended is None or op.begun >= final or op.ended - op.begun <= allowed[key] + WRITTEN_LATE:
            continue
        if not any(each.start <= op.ended and op.begun <= each.end for each in still):
            late.setdefault(key, []).append(op)
    return [
        unknown(
            f"{plural(len(found), 'good answer')} of {key[0]} came long after the {given(allowed[key])} that a call may take, "
            f"the first (to {found[0].call.key}) after {lasted((found[0].ended or 0.0) - found[0].begun)}: no client of ours waits for so long",
            *(op.entry for op in found[:SHOWN]),
        )
        for key, found in late.items()
    ]


def _told_nothing(history: History, expected: Expected, spoken: Mapping[str, set[str]]) -> list[Point]:
    """Find observers that said that they watch a node and never told what they saw there; Docker tells only of what changes."""
    saw = {
        "placement": {event.node for _, event in history.each(ApiSeen) if event.view is not None},
        "membership": {event.node for _, event in history.each(MemberSeen) if not event.error},
    }
    return [
        unknown(f"the {observer} observer watched {node} and never told what it saw")
        for observer, _ in expected.observers
        for node in sorted(spoken.get(observer, set()) - saw.get(observer, spoken.get(observer, set())))
    ]


def up_all_the_same(history: History, bands: Sequence[Band]) -> list[Point]:
    """Find machines that were up by their own word while a fault that takes machines away was in force on them."""
    points = []
    late = blind(history)
    for band in bands:
        held = band.held(history.end)
        if held is None or band.traits.loses is not Loss.NODE or band.traits.in_place:
            continue
        for entry, event in history.each(NodeSeen):
            if event.node not in band.targets or event.state is not NodeState.UP or not held.start + ON_ITS_WAY < entry.time < held.end:
                continue
            if not any(each.start <= entry.time <= each.end + ON_ITS_WAY for each in late):
                points.append(
                    unknown(f"{event.node} was up at {at(entry.time)} by its own word, with {band.name} in force on it", entry.index)
                )
                break
    return points


def stood_still(history: History) -> list[Point]:
    """Find the times in which we were not there, as far as they are longer than any observer may be silent."""
    window = to_be_watched(history)
    return [
        unknown(stall.text, stall.entry)
        for stall in stalls(history)
        if stall.who in {HARNESS, MACHINE}
        and stall.seconds > BLIND_AFTER
        and stall.interval.end >= window.start
        and stall.interval.start <= window.end
    ]


def silent_callers(history: History, expected: Expected | None = None) -> list[Point]:
    """Find callers that made no call for a while: each of a workload, and of an app that is called, each instance.

    Those as well that an action asked for: they are called from then on.
    """
    window = to_be_watched(history)
    begun: dict[tuple[str, str], list[float]] = {}
    callers: set[tuple[str, str]] = set()  # a workload, and an app that it calls
    for op in ops(history):
        if not op.own:  # how often those are asked is the user's to say, and what is missing their own promise judges
            begun.setdefault((op.workload, whom(op.stream, op.call)), []).append(op.begun)
        if op.stream is CallStream.APP:
            callers.add((op.workload, app_of(op.call.key)))
    still, wanted = blind(history), Wanted.of(deeds(history))
    # Of an app that nobody calls at all, it is told elsewhere; and of an instance that another workload calls, only what that one left out.
    asked_of = {key for _, key in begun}
    due_later = [(workload, key) for workload, app in callers if app in wanted.changes for key in _ever_called(wanted, app, expected)]
    more = {(workload, key) for workload, key in due_later if key not in asked_of}
    points = []
    for workload, key in sorted({*begun, *more}):
        asked = begun.get((workload, key), [])
        due = wanted.due(key, window.end) if key else None
        if not asked and due is None:
            continue  # who was planned and never called is told of elsewhere
        # A caller begins when it begins; where an action asked for an instance, then.
        first = max(window.start, asked[0]) if asked else window.start
        called = [window] if due is None else common([window], due)
        called = [Interval(first, max(first, each.end)) if each.start <= window.start else each for each in called]
        # Those of one app are called in turn; by fewer calls nobody knows a pace.
        usual = pace(asked if len(asked) >= FEWEST else _most_called(begun, workload, key))
        silences = common(unasked(asked, Interval(window.start, max(window.start, window.end)), usual), called)
        silent = [each for each in without(silences, still) if each.length > BLIND_AFTER]
        if silent and (len(asked) >= FEWEST or due is not None):
            longest = max(silent, key=lambda each: each.length)
            to = f" to {key}" if key else ""
            points.append(unknown(f"the {workload} workload made no call{to} for {lasted(longest.length)} from {at(longest.start)}"))
    return points


def _ever_called(wanted: Wanted, app: str, expected: Expected | None) -> tuple[str, ...]:
    """Name the instances of an app that were to be called at any time of a run."""
    return () if expected is None else expected.calls(app, wanted.most(app, expected.count().get(app, 0)))


def _most_called(begun: Mapping[tuple[str, str], list[float]], workload: str, key: str) -> list[float]:
    """Return when the instance of the same app was called that was called most often."""
    return max((times for (name, other), times in begun.items() if name == workload and app_of(other) == app_of(key)), key=len, default=[])


def wrong_clocks(history: History) -> list[Point]:
    """Find nodes whose Docker says of a container's start what cannot be: before the node was last seen without it, or long after it was seen."""
    still = blind(history)
    seen: dict[tuple[str, str], Interval] = {}  # when a node was last seen without a container, and first with it
    last: dict[str, float] = {}
    for entry, event in history.each(NodeSeen):
        if event.state is NodeState.UP:
            for container in event.containers:
                seen.setdefault((event.node, container.id), Interval(min(last.get(event.node, -math.inf), entry.time), entry.time))
        if event.state is not NodeState.UNREACHABLE:
            last[event.node] = entry.time
    points = []
    wrong: set[str] = set()
    told_of: set[tuple[str, str]] = set()
    for entry, told in history.each(DockerEvent):
        between = seen.get((told.node, told.container))
        if told.action != "start" or not told.instance or between is None or told.node in wrong:
            continue
        # One that is started again in place has the same id; and what ran before anybody looked was not seen to begin.
        if (told.node, told.container) in told_of or between.start == -math.inf:
            continue
        told_of.add((told.node, told.container))
        if any(each.start <= between.end + ON_ITS_WAY and between.start <= each.end + ON_ITS_WAY for each in still):
            continue  # our own times are late, then
        if not between.start - FAR_OUTSIDE <= told.at <= between.end + FAR_OUTSIDE:
            wrong.add(told.node)
            text = (
                f"{told.node}'s Docker says that {told.instance} was started at {at(told.at)}, and it was first seen at {at(between.end)}"
            )
            points.append(unknown(f"{text}: one of the two clocks is wrong", entry.index))
    return points
