"""What a run's own actions keep from being so: no cluster is convicted of that."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.checkers.troubles import endurance
from harness.core.figures import at
from harness.core.instances import app_of
from harness.core.values import NodeState, Outcome
from harness.history.absence import Absence
from harness.history.bands import MEMBER
from harness.history.deeds import Wanted, closed, deeds, down, renewed, under_way
from harness.history.events import ApiSeen
from harness.history.intervals import Interval, common, node_spans, span_at
from harness.history.reigns import members_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from harness.history.events import History

_COUNTED = re.compile(r"\b([0-9]{1,9}) of ([0-9]{1,9}) instances of (\S+) run\b", re.ASCII)
_INSTANCE = re.compile(r"(?<![^\s,@])[^\s,@]++@[0-9]{1,9}\b", re.ASCII)
"""How `harness.history.situation.Situation` tells what is missing."""


def own_doing(history: History, time: Interval, *, apps: Collection[str] = (), whole: bool = False, daemon: str = MEMBER) -> str:
    """Say which action may be why something did not come in some time; nothing where none may be.

    One that stopped a daemon which was still stopped in the end, where the others are too few, where that node was chosen for something, or where all
    was to be `whole`; one that disturbed the cluster, or each of the `apps` that it is about and nothing else, so late that no more than the mode's
    longest recovery was left; and one that keeps work from nodes, where the others are fewer than an app's instances, or where an instance never ran
    on another. Others are those that were not off, and lost to no fault, in the end. `daemon` is by what a node is a member.
    """
    every = deeds(history)
    stopped = {place: each for place, pieces in down(every, history.end).items() for each in pieces if each.start < time.end <= each.end}
    due = time.end - endurance(history).recovery
    shut = {node for node, pieces in closed(every, history.end).items() if any(each.start < time.end and each.end > due for each in pieces)}
    without_daemon = {node for node, _ in stopped}
    voteless = {node for node, part in stopped if part == daemon}
    if stopped and (
        whole
        or without_daemon & _newly_placed(history, time)
        or _too_few(history, without_daemon | shut, time.end)
        or _no_majority(history, voteless, time.end)
    ):
        node, part = next(iter(stopped))
        return f"an action had stopped {part} on {node} then"
    late = [each for each in common(under_way(every, history.end), [time]) if each.end > due]
    if late:
        return f"an action that disturbs the cluster went on until {at(late[-1].end)}"
    anew = [started_anew(history, Interval(max(time.start, due), time.end), app) for app in apps]
    if anew and all(anew):
        return anew[0]
    if shut and _too_few(history, shut, time.end):
        return f"an action kept work off {' and '.join(sorted(shut))} then, or until shortly before"
    return ""


def in_doubt(history: History, then: float, lacking: Sequence[str]) -> str:
    """Say that all that was missing may be what an action in doubt took away; nothing where something else was missing, or none is in doubt.

    Who waits goes by what was surely asked for. What is missing says of whom: an instance, or how many of an app ran of so many.
    """
    wanted = Wanted.of(deeds(history))
    doubtful = [each for changes in wanted.changes.values() for each in changes if each.outcome is Outcome.UNKNOWN and each.begun <= then]
    if not doubtful or not lacking or not all(_need_not_be(wanted, then, each) for each in lacking):
        return ""
    return f"whether {doubtful[-1].name} at {at(doubtful[-1].begun)} was done is not known, and if it was that need not have been so"


def _need_not_be(wanted: Wanted, then: float, missing: str) -> bool:
    """Whether what is told to be missing need not have been there, by an action that may have been done."""
    if counted := _COUNTED.search(missing):
        ran, number, app = int(counted[1]), int(counted[2]), counted[3]
        return app in wanted.changes and ran >= wanted.least(app, then, number)
    names = _INSTANCE.findall(missing)
    due = [wanted.due(name, then) for name in names]
    return bool(names) and all(times is not None and not any(each.holds(then) for each in times) for times in due)


def started_anew(history: History, time: Interval, app: str) -> str:
    """Say that an action stopped and started the instances of an app in some time, or may have; nothing where none did."""
    pieces = renewed(deeds(history), history.end).get(app, ())
    meanwhile = [each for each in pieces if each.start < time.end and each.end > time.start]
    return (
        f"from {at(meanwhile[-1].start)} to {at(meanwhile[-1].end)} an action stopped and started {app} anew, or may have"
        if meanwhile
        else ""
    )


def only_about(missing: Collection[str]) -> tuple[str, ...]:
    """Return the apps that all of what is missing is about, by the words of `_COUNTED`; none where some of it is about anything else."""
    found: list[str] = []
    for each in missing:
        counted = _COUNTED.search(each)
        apps = [counted[3]] if counted else [app_of(name) for name in _INSTANCE.findall(each)]
        if not apps:
            return ()
        found += apps
    return tuple(dict.fromkeys(found))


def _newly_placed(history: History, time: Interval) -> set[str]:
    """Return the nodes on which an API showed, in some time, what did not run there before it by node truth: they were chosen for it."""
    ran = {node: span.instances for node, pieces in node_spans(history).items() if (span := span_at(pieces, time.start))}
    views = (event.view for entry, event in history.each(ApiSeen) if time.holds(entry.time) and event.view is not None)
    return {each.node for view in views for each in view.placements if each.node and each.instance not in ran.get(each.node, frozenset())}


def _too_few(history: History, shut: set[str], end: float) -> bool:
    """Whether the other nodes may be too few, or may not be allowed to run some instance."""
    spans = node_spans(history)
    homes: dict[str, set[str]] = {}
    for node, pieces in spans.items():
        for name in {name for span in pieces for name in span.instances}:
            homes.setdefault(name, set()).add(node)
    apps = [app_of(name) for name in homes]
    left = len(set(spans) - shut - _gone(history, end))
    return any(apps.count(app) > left for app in apps) or any(nodes <= shut for nodes in homes.values())


def _no_majority(history: History, stopped: set[str], end: float) -> bool:
    """Whether the members that were not stopped may be no majority."""
    members = members_of(history)
    return bool(stopped & members) and 2 * len(members - stopped - _gone(history, end)) <= len(members)


def _gone(history: History, end: float) -> set[str]:
    """Return who was off, or lost to a fault, at a moment."""
    off = {node for node, pieces in node_spans(history).items() if (span := span_at(pieces, end)) and span.state is NodeState.OFF}
    return {*off, *Absence.of(history).at(end)}
