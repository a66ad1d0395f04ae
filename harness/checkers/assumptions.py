"""Whether a history can be judged at all."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from harness.checkers.attendance import (
    FEWEST,
    missing,
    silent_callers,
    stood_still,
    to_be_watched,
    too_late_answers,
    up_all_the_same,
    wrong_clocks,
)
from harness.checkers.awaited import CameInTime
from harness.checkers.effects import (
    LATE_TRUTH,
    answers_of_nobody,
    answers_without_quorum,
    leaders_without_quorum,
    ran_too_early,
    without_effect,
    words_of_the_off,
)
from harness.checkers.expected import Expected
from harness.checkers.judging import Point, conclude, plural, unknown
from harness.checkers.mandate import ELECTION
from harness.checkers.order import out_of_order
from harness.checkers.overlaps import double_runs
from harness.checkers.troubles import blind, died, told, too_much
from harness.checkers.unreached import FOLLOWS, ended_by_a_wait, undone, unplanned, unreached
from harness.core.figures import at, lasted
from harness.core.instances import app_of
from harness.core.traits import WITH_DOCKER
from harness.core.values import CallStream, Loss, NodeState
from harness.history.absence import IN_FLIGHT
from harness.history.bands import Band, fault_bands
from harness.history.calls import ops, served
from harness.history.deeds import Wanted, deeds, upset
from harness.history.events import ApiSeen, NodeSeen, Watching, Wholeness
from harness.history.intervals import BLIND_AFTER, Interval, Span, node_spans, span_at, total, united, without
from harness.history.situation import FRESH

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.core.values import Finding, Json
    from harness.history.calls import Op
    from harness.history.events import History

RETURN = 15.0
"""Seconds after a machine is back in which its daemons need not answer yet: several times what a node takes from power-on to dockerd (3 s)."""

SLOW_ANSWER = 8.0
"""Seconds for which an observer that asks the orchestrator may be silent: one look is up to three requests of 2 s each, and then the pause."""

SLOWER = 3.0
"""How many times longer a witness (Docker, the orchestrator) may be silent on slow machines. Measured under software emulation: 6.9 s, while Docker
stopped a container."""

PLACED_BY = frozenset({"placement", "membership"})
"""Observers that ask the orchestrator itself: from the first fault on, its silence is an answer about the cluster, not about us."""


@dataclass(frozen=True, slots=True)
class Assumptions:
    """The history can be judged: the run was steady before the first fault, every fault bit and was mended, and somebody watched all along.

    Steady: when the first fault was decided every node was up and every instance ran somewhere, by node truth; and, where the run waited for the
    cluster to be whole before, it was, and every instance that is called had answered well, and did still. Watched: no observer was silent or blind
    for more than 5 s, except where a fault explains it (see `explained`); one that asks the orchestrator may be silent for 8 s. Enough calls: of each
    workload at least 10, one of them good before the first fault, and never none for more than 5 s. Nobody missing: every node, instance, workload,
    observer and fault that was `expected` (filled in by the plan, not by the scenario) was heard of, and nodes that a fault was to take away
    were away.
    Every action was done, but for those that may fail.
    No machine was off without a fault, and nothing that was told contradicts a fault or node truth (`harness.checkers.effects`).
    Docker's clocks tell the same of starts as what was seen. It is one run (`harness.checkers.order`). Never convicts: what it
    finds is a reason not to judge.
    """

    name: ClassVar[str] = "assumptions"
    expected: Expected = field(default_factory=Expected)
    slack: float = 0.0  # seconds more that machines may take to be back, where they are slow; filled in by the plan
    election: float = ELECTION  # how long the mode's members may take to elect; filled in by the plan

    def check(self, history: History) -> Finding:
        """Return held or unknown; the summary and the details say what was missing."""
        bands = fault_bands(history)
        spans = node_spans(history)
        never_came = unreached(history, bands, self.expected)
        # What a wait in vain kept from coming only follows from that, and is told last.
        follows = never_came if ended_by_a_wait(history) else []
        points = [
            *out_of_order(history),
            *stood_still(history),
            *_faults(history, bands),
            *undone(history, self.expected.voters),
            *([] if follows else never_came),
            *unplanned(history, bands, self.expected),
            *up_all_the_same(history, bands),
            *without_effect(history, bands, spans, self.expected),
            *answers_of_nobody(history, spans),
            *answers_without_quorum(history, spans, self.expected, self.election),
            *leaders_without_quorum(history, self.expected),
            *words_of_the_off(history),
            *ran_too_early(history, bands, spans, self.expected),
            *_gone(history, self.slack),
            *_steady(history, bands, spans, self.expected),
            *_served(history, bands, spans, self.expected),
            *missing(history, self.expected, spans),
            *_node_truth(history, bands, spans, self.slack),
            *_observers(history, bands, spans, self.slack),
            *_calls(history, bands),
            *silent_callers(history, self.expected),
            *too_late_answers(history, self.expected),
            *wrong_clocks(history),
            *follows,
        ]
        details: dict[str, Json] = {
            "faults": [{"fault": band.fault, "name": band.name, "targets": list(band.targets)} for band in bands],
            "nodes": list(spans),
            "troubles": list(told(history)),
            "too much to do": too_much(history),
            **({FOLLOWS: CameInTime.name} if follows and len(points) == len(follows) else {}),
        }
        all_of, seen = lasted(history.length), lasted(total(without([Interval(0.0, history.length)], blind(history))))
        held = (
            f"{plural(len(spans), 'node')} steady before, {plural(len(bands), 'fault')} in force and mended, "
            f"observed {f'throughout ({all_of})' if seen == all_of else f'for {seen} of {all_of}, we stood still for the rest'}"
        )
        return conclude(self.name, history, points, held, details)


def _faults(history: History, bands: Sequence[Band]) -> list[Point]:
    points = [
        unknown(f"never steady: {'; '.join(event.missing) or 'no reason given'}{'' if bands else '; nothing was broken'}", entry.index)
        for entry, event in history.each(Wholeness)
        if event.when == "before" and not event.whole
    ]
    for band in bands:
        where = f"{band.name} on {', '.join(band.targets) or 'no node'}"
        why = f": {band.detail}" if band.detail else ""
        if not band.traits.idle and not band.targets:
            points.append(unknown(f"{band.name} hit nobody{why}", *band.entries))
        elif not band.traits.idle and band.failed is not None:
            points.append(unknown(f"{where} failed{why}", *band.entries))
        elif band.traits.idle or band.in_force is None:
            points.append(unknown(f"{where} was never in force{why}", *band.entries))
        elif band.healed is None:
            points.append(unknown(f"{where} was never seen to be healed{why}", *band.entries))
    return points


def _steady(history: History, bands: Sequence[Band], spans: Mapping[str, Sequence[Span]], expected: Expected) -> list[Point]:
    if not bands:
        return []
    moment = min(band.begins for band in bands)
    if not spans:
        return [unknown("no node was ever seen, so whether the cluster was steady is not known")]
    seen = {node: span_at(pieces, moment) for node, pieces in spans.items()}
    points = [
        unknown(f"{each.names[0]} ran on {' and '.join(each.names[1:])} when the first fault was decided ({at(moment)}): not steady before")
        for each in double_runs(history, spans)
        if each.sure and each.interval.start + LATE_TRUTH <= moment < each.interval.end
    ]
    running: set[str] = set()
    for node, span in seen.items():
        if span is None or not span.sure:
            points.append(unknown(f"{node} could not be asked when the first fault was decided ({at(moment)})"))
        elif span.state is not NodeState.UP:
            points.append(unknown(f"{node} was {span.state} already when the first fault was decided ({at(moment)})", span.entry))
        else:
            running |= span.instances
    wanted, count = Wanted.of(deeds(history)), expected.count()
    named = {*_instances(history, spans, moment), *expected.instances} - running
    homeless = sorted(name for name in named if (due := wanted.due(name, history.end)) is None or any(each.holds(moment) for each in due))
    for app in sorted({app_of(name) for name in homeless}):
        without_home = [name for name in homeless if app_of(name) == app]
        # Where an app has more instances than its rule leaves homes for, so many of them have none, and never had.
        number = wanted.least(app, moment, count.get(app, 0))
        if len(without_home) > number - expected.homes(app, number):
            text = f"{', '.join(without_home)} ran nowhere when the first fault was decided ({at(moment)}): not steady before"
            points.append(unknown(text))
    return points


def _served(history: History, bands: Sequence[Band], spans: Mapping[str, Sequence[Span]], expected: Expected) -> list[Point]:
    """Miss a good answer, from before the first fault, of each instance that is called and that ran then; and find those that served no longer.

    What had its last good answer some time ago, and none to calls that were made since, was not steady: it was whole, and then there was a wait.
    Only where the run says whether it was whole: histories from before that was recorded are judged as they were then.
    """
    if not bands or not any(history.each(Wholeness)):
        return []
    moment = min(band.begins for band in bands)
    ran = {name for pieces in spans.values() if (span := span_at(pieces, moment)) is not None for name in span.instances}
    of: dict[str, list[Op]] = {name: [] for name in expected.called}
    for op in ops(history, CallStream.APP):
        of.setdefault(op.call.key, []).append(op)
    before = {name: served(calls, moment) for name, calls in of.items() if name in ran}
    mute = sorted(name for name, each in before.items() if each.good is None)
    points = [unknown(f"{', '.join(mute)} ran, but never answered well before the first fault was decided ({at(moment)})")] if mute else []
    return points + [
        unknown(
            f"{name} ran, but had given no good answer since {at(each.at)} when the first fault was decided ({at(moment)}): not steady before"
        )
        for name, each in sorted(before.items())
        if each.good is not None and each.refused and moment - each.at > FRESH
    ]


def _instances(history: History, spans: Mapping[str, Sequence[Span]], moment: float) -> set[str]:
    """Every instance that anybody had named by a moment: a node, the API, or a workload that called it.

    What is first heard of later (it was deployed, scaled or renamed in the middle) says nothing of what was steady before.
    """
    names = {instance for pieces in spans.values() for span in pieces if span.start <= moment for instance in span.instances}
    for entry, event in history.each(ApiSeen):
        if event.view is not None and entry.time <= moment:
            names.update(placement.instance for placement in event.view.placements)
    names.update(op.call.key for op in ops(history, CallStream.APP) if op.begun <= moment)
    return names


def _power(history: History, bands: Sequence[Band], node: str, pieces: Sequence[Span], after: float) -> list[Interval]:
    """When a node was off or on its way back: faults that take a whole machine on it, and what the provider said, `after` seconds longer each."""
    lives = [band.life(history.end) for band in bands if node in band.targets and band.traits.loses is Loss.NODE]
    off = [span.interval for span in pieces if span.state is NodeState.OFF]
    return united(Interval(each.start, each.end + after) for each in (*lives, *off))


def _gone(history: History, slack: float) -> list[Point]:
    """Find machines that were off where no fault explains it: nobody's target, or not back in the time that a boot takes."""
    return [unknown(each.text) for each in died(history, to_be_watched(history), RETURN + slack)]


def _silent_again(
    unseen: Sequence[Interval], pieces: Sequence[Span], excused: Sequence[Interval], after: float, window: Interval
) -> list[Interval]:
    """Return when a machine that was back, and had spoken, was silent again for longer than being on its way back explains."""
    found = []
    for life in excused:
        over = life.end - after
        back = min((max(span.start, over) for span in pieces if span.state is NodeState.UP and span.end > over), default=math.inf)
        found += [each for each in unseen if back <= each.start <= life.end and each.end >= min(life.end, window.end)]
    return found


def _node_truth(history: History, bands: Sequence[Band], spans: Mapping[str, Sequence[Span]], slack: float) -> list[Point]:
    window = to_be_watched(history)
    # Who was not listened to for a while ends, and is asked anew: that is our own doing, too.
    ours = [Interval(each.start, each.end + IN_FLIGHT) for each in blind(history)]
    points = []
    for node, pieces in spans.items():
        unseen = [Interval(window.start, pieces[0].start), *(span.interval for span in pieces if not span.sure)]
        away = _power(history, bands, node, pieces, RETURN + slack)
        excused = without(away, _silent_again(unseen, pieces, away, RETURN + slack, window))
        dark = without((each for each in unseen if each.start < each.end), [*excused, *_outside(window, history), *ours])
        if dark and (max(each.length for each in dark) > BLIND_AFTER or _unreachable(history, node, dark)):
            first = dark[0]
            points.append(
                unknown(f"what {node} ran was not known for {lasted(first.length)} from {at(first.start)}, and no fault explains it")
            )
    return points


def _unreachable(history: History, node: str, dark: Sequence[Interval]) -> bool:
    return any(
        event.node == node and event.state is NodeState.UNREACHABLE and any(each.holds(entry.time) for each in dark)
        for entry, event in history.each(NodeSeen)
    )


def _outside(window: Interval, history: History) -> list[Interval]:
    return [Interval(min(0.0, window.start), window.start), Interval(window.end, max(window.end, history.end))]


def _observers(history: History, bands: Sequence[Band], spans: Mapping[str, Sequence[Span]], slack: float) -> list[Point]:
    words: dict[tuple[str, str], list[tuple[float, int, Watching]]] = {}
    for entry, event in history.each(Watching):
        words.setdefault((event.observer, event.node), []).append((entry.time, entry.index, event))
    if not words:
        return [unknown("no observer ever said that it watched")]
    window = to_be_watched(history)
    points = []
    still = blind(history)  # told of apart
    for (observer, node), said in sorted(words.items()):
        pieces = spans.get(node, ())
        silent = without(
            _silences(said, window), [*still, *explained(history, bands, observer, node, pieces, slack), *_outside(window, history)]
        )
        refused = without(
            _refusals(said, window), [*still, *blind_explained(history, bands, observer, node, pieces, slack), *_outside(window, history)]
        )
        # Node truth must not have gaps on slow machines, either: what nobody saw cannot be judged. Witnesses may take their time there.
        longer = SLOWER if slack and observer != "host" else 1.0
        patience = longer * (SLOW_ANSWER if observer in PLACED_BY else BLIND_AFTER)
        for what, stretches, bearable in (("was silent", silent, patience), ("could not ask", refused, longer * BLIND_AFTER)):
            longest = max(stretches, key=lambda each: each.length, default=Interval(0.0, 0.0))
            if longest.length > bearable:
                reason = next((event.detail for _, _, event in reversed(said) if not event.alive and event.detail), "")
                points.append(
                    unknown(
                        f"the {observer} observer of {node} {what} for {lasted(longest.length)} from {at(longest.start)}, "
                        f"and no fault explains it{': ' + reason if reason and what == 'could not ask' else ''}"
                    )
                )
    return points


def _silences(said: Sequence[tuple[float, int, Watching]], window: Interval) -> list[Interval]:
    """Stretches without a word, each from one word to the next, and from the window's edges."""
    marks = [window.start, *(time for time, _, _ in said if window.holds(time)), window.end]
    return [Interval(early, late) for early, late in itertools.pairwise(marks) if late - early > BLIND_AFTER]


def _refusals(said: Sequence[tuple[float, int, Watching]], window: Interval) -> list[Interval]:
    """Stretches from the first "could not ask" to the next word that it can."""
    found = []
    since: float | None = None
    for time, _, event in said:
        if event.alive:
            if since is not None:
                found.append(Interval(since, time))
            since = None
        elif since is None:
            since = time
    if since is not None:
        found.append(Interval(since, max(since, window.end)))
    return found


def explained(
    history: History, bands: Sequence[Band], observer: str, node: str, pieces: Sequence[Span], slack: float = 0.0
) -> list[Interval]:
    """Return when a fault explains that an observer said nothing of a node: nobody hangs on a healthy one.

    An action on that node, or on none that may be felt anywhere, excuses whoever asks Docker or the orchestrator there, as a daemon of it that was
    stopped does until it is started again.
    The node was off or just back (later by `slack` seconds on slow machines): explains every observer. A fault on that node, or one that cut it off:
    those that the fault may blind, by its traits; e.g. Docker's events under a fault of its daemon or disk, the node's API and its member under any.
    The observer of node truth asks the kernel over the management path: nothing but a machine that is off excuses it.
    """
    found = _power(history, bands, node, pieces, RETURN + slack)
    if observer in WITH_DOCKER:
        # What was stopped, and was started again, needs as long as after a boot until it answers.
        there = [each for each in deeds(history) if each.reaches(node)]
        found += [Interval(each.start, each.end + RETURN + slack) for each in upset(there, history.end)]
    for band in bands:
        if observer in band.traits.blinds and band.reaches(node):
            life = band.life(history.end)
            found.append(Interval(life.start, life.end + RETURN + slack))
    return united(found)


def blind_explained(
    history: History, bands: Sequence[Band], observer: str, node: str, pieces: Sequence[Span], slack: float = 0.0
) -> list[Interval]:
    """Return when a fault explains that an observer could not ask a node.

    As `explained`; and the orchestrator's own API and members may refuse on any node from the first fault on: without a quorum they all do.
    """
    found = explained(history, bands, observer, node, pieces, slack)
    begun = [band.begins for band in bands if not band.traits.idle]
    if observer in PLACED_BY and begun:
        found.append(Interval(min(begun), max(history.end, min(begun))))
    return united(found)


def _calls(history: History, bands: Sequence[Band]) -> list[Point]:
    first = min((band.begins for band in bands), default=history.end)
    counts: dict[str, list[int]] = {}
    apps: dict[str, set[str]] = {}
    for op in ops(history):
        if op.own:  # its own promise judges what it says
            continue
        count = counts.setdefault(op.workload, [0, 0])
        count[0] += 1
        count[1] += op.ok and op.ended is not None and op.ended <= first
        apps.setdefault(op.workload, set()).add(app_of(op.call.key))
    wanted = Wanted.of(deeds(history))
    points = []
    for workload, (begun, good) in sorted(counts.items()):
        if begun < FEWEST:
            points.append(unknown(f"the {workload} workload made only {plural(begun, 'call')}; {FEWEST} are needed"))
        elif not good and not all(wanted.not_yet(app, first) for app in apps[workload]):
            points.append(unknown(f"no call of the {workload} workload was answered well before the first fault"))
    return points
