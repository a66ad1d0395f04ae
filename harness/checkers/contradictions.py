"""What node truth, APIs, members and callers tell against the run's own word: that something had come, or that it had not."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from harness.checkers.mandate import members_planned
from harness.core.figures import at
from harness.core.instances import app_of
from harness.core.values import CallStream, NodeState
from harness.history.absence import Absence
from harness.history.bands import Band, fault_bands
from harness.history.calls import ops
from harness.history.deeds import Wanted, deeds
from harness.history.events import ApiSeen, MemberSeen
from harness.history.intervals import Interval, Span, common, node_spans, span_at, total, united
from harness.history.leaders import leaders
from harness.history.reigns import reigns

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.checkers.expected import Expected
    from harness.history.events import History

CROSSING = 1.0
"""Seconds within which what nodes tell and the word that something has come may have crossed."""

LATELY = 3.0
"""Seconds for which something must have been so for its coming to be denied in vain: it must have been so for 2 s to count, and words may cross."""

ALL_LATELY = 4.0
"""The same of all of a cluster: callers and members are asked once a second, and the last of them counts."""


def not_whole(history: History, then: float, expected: Expected) -> list[str]:
    """Say what speaks against a cluster that was said to be whole: a node that was not up then, an instance that ran nowhere, somebody mute."""
    spans = node_spans(history)
    if not spans:
        return []
    said = _last_words(history, then - CROSSING)
    # What was so a moment before, too: what changed just then may have been heard of later.
    seen = [{node: span_at(pieces, moment) for node, pieces in spans.items()} for moment in (then - CROSSING, then)]
    for node in spans:
        states = {None if (span := each[node]) is None else span.state for each in seen}
        if states.isdisjoint({NodeState.UP}):
            state = next((str(each) for each in states if each is not None), "not seen yet")
            said.append(f"{node} was {state} by node truth")
    ran = [running(span for span in each.values() if span is not None) for each in seen]
    wanted = Wanted.of(deeds(history))
    for app, planned in _planned(history, spans, expected).items():
        number = expected.homes(app, wanted.least(app, then, planned))
        most = max(len(each.get(app, ())) for each in ran)
        if most < number:
            said.append(f"by node truth there ran {most} of {number} instances of {app}")
    return said


def not_recovered(history: History, asked: Interval, app: str, expected: Expected) -> list[str]:
    """Say what speaks against an app that was said to have recovered by the end of some time: fewer of it ran than can have had a home.

    Only nodes count that no fault held all of that time; what ran on one of those alone is not back. Where faults had all of them nothing is.
    """
    spans = node_spans(history)
    planned = _planned(history, spans, expected).get(app)
    moments = (asked.end - CROSSING, asked.end)
    if not spans or (planned is None and any(app in _ran(spans, moment) for moment in moments)):
        return []
    if planned is None:
        return [f"by node truth no instance of {app} ran"]
    wanted = Wanted.of(deeds(history))
    if wanted.removed(app, asked.start, planned) and wanted.removed(app, asked.end, planned):
        return [f"none of {app} was to run"]
    away = _held(fault_bands(history), asked, history.end)
    lost = Absence.of(history, expected.voters)
    # Who has no majority for want of others is left all the same: it is lost to no fault.
    if {*spans} <= _held(fault_bands(history), Interval(*moments), history.end):
        return [f"no node was left that may run {app}"]
    left = {
        node
        for node, pieces in spans.items()
        if not common(lost.when(node), [Interval(moments[0], moments[1])])
        and all((span := span_at(pieces, moment)) is not None and span.state is NodeState.UP for moment in moments)
    }
    number = min(len(left), expected.homes(app, wanted.least(app, asked.end, planned)))
    most = max(len(_ran({node: pieces for node, pieces in spans.items() if node not in away}, moment).get(app, ())) for moment in moments)
    if most >= number:
        return []
    return [f"by node truth there ran {most} of {number} instances of {app}" if most else f"by node truth no instance of {app} ran"]


def not_led(history: History, then: float, expected: Expected) -> list[str]:
    """Say what speaks against the word that somebody leads: that no majority of the members followed one that was there."""
    every = reigns(history, members_planned(history, expected))
    lately = [Interval(then - CROSSING, then)]
    led = [each for each in leaders(history, expected.voters) if each.leader and common(lately, [Interval(each.start, each.end)])]
    return [] if led or not every else ["no majority of the members followed anybody"]


def recovered_all_the_same(history: History, then: float, app: str, expected: Expected) -> str:
    """Say what speaks against the word that an app had not recovered: all of it ran lately where no fault may be, and answered; nothing if not so."""
    spans, lately = node_spans(history), Interval(then - LATELY, then)
    planned = _planned(history, spans, expected).get(app)
    if planned is None or not Wanted.of(deeds(history)).most(app, planned):
        return ""
    lost = Absence.of(history, expected.voters)
    since: dict[str, float] = {}
    for node, pieces in spans.items():
        for name in {name for span in pieces for name in span.instances if app_of(name) == app}:
            there = united(span.interval for span in pieces if span.sure and name in span.instances)
            here = next((each for each in there if each.start <= lately.start and lately.end <= each.end), None)
            if here is not None and not common(lost.when(node), [lately]):
                since[name] = min(here.start, since.get(name, here.start))
    served = _all_served(history, since, lately, expected)
    if len(since) < expected.homes(app, Wanted.of(deeds(history)).most(app, planned)) or not served:
        return ""
    return f"by node truth {len(since)} of {len(since)} instances of {app} ran, from {at(max(since.values()))} on"


def led_all_the_same(history: History, then: float, expected: Expected) -> str:
    """Say what speaks against the word that nobody leads: a majority followed one lately that no fault may have taken; nothing if none did."""
    lately = Interval(then - LATELY, then)
    led = next((each for each in leaders(history, expected.voters) if each.start <= lately.start and lately.end <= each.end), None)
    if led is None or led.leader is None or common(Absence.of(history, expected.voters).when(led.leader), [lately]):
        return ""
    own = [event for entry, event in history.each(MemberSeen) if event.node == led.leader and entry.time <= then]
    leads = own and not own[-1].error and own[-1].leader == led.leader
    return f"a majority of the members followed {led.leader}, from {at(led.start)} on" if leads else ""


def whole_all_the_same(history: History, then: float, expected: Expected) -> str:
    """Say what speaks against the word that a cluster was not whole: everybody else who is there; nothing where one of them says nothing.

    Lately no fault was there; all nodes were up; of each app as many ran as are to, each once, and answered; all members followed one who led; APIs
    listed all that; and each write was acknowledged.
    """
    spans, lately = node_spans(history), Interval(then - ALL_LATELY, then)
    if any(band.was_there and common([band.life(history.end)], [lately]) for band in fault_bands(history)):
        return ""
    here = {node: [each for each in pieces if common([each.interval], [lately])] for node, pieces in spans.items()}
    up = all(pieces and all(each.sure and each.state is NodeState.UP for each in pieces) for pieces in here.values())
    if not spans or not {*expected.nodes} <= {*spans} or not up or _last_words(history, then):
        return ""
    counts = Counter(each.instance for pieces in here.values() for each in pieces[-1].containers)
    wanted = Wanted.of(deeds(history))
    apps = [app for app, planned in _planned(history, spans, expected).items() if wanted.most(app, planned)]
    recovered = all(recovered_all_the_same(history, then, app, expected) for app in apps)
    served = _all_served(history, counts, lately, expected)
    led = not members_planned(history, expected) or led_all_the_same(history, then, expected)
    if not apps or not counts or max(counts.values()) > 1 or not recovered or not served or not led:
        return ""
    writes = [
        op.ok for op in ops(history, CallStream.QUORUM) if op.call.function == "write" and op.ended is not None and lately.holds(op.ended)
    ]
    # Who was never planned, and never spoke, is no witness that is missed.
    written = expected.writes or any(ops(history, CallStream.QUORUM))
    shown = any(observer == "placement" for observer, _ in expected.observers) or any(history.each(ApiSeen))
    if (written and not (writes and all(writes))) or (shown and not _listed(history, then, {*spans}, {*counts})):
        return ""
    answered = any(op.call.key in counts for op in ops(history, CallStream.APP))
    ran = f"{len(spans)} nodes were up, {len(counts)} instances ran{' and answered' if answered else ''}"
    others = [*["members"] * bool(members_planned(history, expected)), *["APIs"] * shown, *["writes"] * written]
    if not answered and not others:
        return ""  # nodes alone are one word against another
    missed = f", and {' and '.join([*[', '.join(others[:-1])] * bool(others[1:]), others[-1]])} missed nothing" if others else ""
    return f"{ran}{missed}, from {at(lately.start)} on"


def _listed(history: History, then: float, nodes: set[str], instances: set[str]) -> bool:
    """Whether the last view of each node's API by a moment shows these nodes, and that these instances run."""
    last = {event.node: event.view for seen, event in history.each(ApiSeen) if seen.time <= then}
    return bool(last) and all(
        view is not None and nodes <= {*view.nodes} and instances <= {each.instance for each in view.placements if each.running}
        for view in last.values()
    )


def running(spans: Iterable[Span]) -> dict[str, frozenset[str]]:
    """Return the instances that run, by app."""
    found: dict[str, frozenset[str]] = {}
    for span in spans:
        for instance in span.instances:
            found[app_of(instance)] = found.get(app_of(instance), frozenset()) | {instance}
    return found


def _ran(spans: Mapping[str, Sequence[Span]], moment: float) -> dict[str, frozenset[str]]:
    return running(span for pieces in spans.values() if (span := span_at(pieces, moment)) is not None)


def _planned(history: History, spans: Mapping[str, Sequence[Span]], expected: Expected) -> dict[str, int]:
    """Return how many instances of each app are planned; where no plan says so, as many as ran when the first fault was decided."""
    begun = [band.begins for band in fault_bands(history)]
    return expected.count() or {app: len(names) for app, names in (_ran(spans, min(begun)) if begun else {}).items()}


def _held(bands: Sequence[Band], time: Interval, end: float) -> set[str]:
    """Return whom faults took for good that were in force for all of some time."""
    lasting = [
        band for band in bands if not band.traits.in_place and (held := band.held(end)) and total(common([held], [time])) >= time.length
    ]
    return {node for band in lasting for node in band.lost}


def _all_served(history: History, instances: Iterable[str], time: Interval, expected: Expected) -> bool:
    """Whether all of these that are called, or were to be, answered well in some time: of whom nobody was to call no answer is missed."""
    called = {op.call.key for op in ops(history, CallStream.APP)} | {*expected.called}
    return all(_served(history, name, time) for name in instances if name in called)


def _served(history: History, instance: str, time: Interval) -> bool:
    """Whether calls to an instance ended in some time, all of them well."""
    calls = [op for op in ops(history, CallStream.APP) if op.call.key == instance and op.ended is not None and time.holds(op.ended)]
    return bool(calls) and all(op.ok for op in calls)


def _last_words(history: History, then: float) -> list[str]:
    """Return what APIs and members had said last by a moment, against a cluster that was said to be whole: no answer, or no one leader.

    It must have looked whole for longer than that moment. What was said in it may have crossed.
    """
    apis = {event.node: event for seen, event in history.each(ApiSeen) if seen.time <= then}
    members = {event.node: event for seen, event in history.each(MemberSeen) if seen.time <= then}
    said = [f"{node}'s API had last given no answer" for node, event in sorted(apis.items()) if event.view is None]
    said += [f"{node}'s member had last given no answer" for node, event in sorted(members.items()) if event.error]
    followed = {event.leader for event in members.values() if not event.error}
    if len(followed) > 1 or None in followed:
        said.append(f"by their last words the members followed {' and '.join(sorted(str(each or 'nobody') for each in followed))}")
    return said
