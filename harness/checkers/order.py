"""Whether a history tells one run, in the order in which runs go: a file may be whole, and two runs in it all the same."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from harness.checkers.judging import Point, plural, unknown
from harness.checkers.seams import seams
from harness.core.figures import at
from harness.core.values import Phase
from harness.history.bands import fault_bands
from harness.history.calls import LEFT_BEHIND, lacking, ops
from harness.history.events import Answered, Checked, Fingerprinted, Invoked, Wholeness

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.history.events import Entry, History


def out_of_order(history: History) -> list[Point]:
    """Return what no single run can have recorded.

    That is a phase or a fault's stage that comes again or too early, a word from before or after the faults that is of another time, and calls that
    are there twice or missing.
    """
    told = [unknown(text, index) for text, index in seams(history)]
    return [*told, *_never_begun(history), *_labels(history), *_twice(history), *_calls(history), *_unanswered(history)]


def repeated(history: History) -> dict[tuple[str, str], list[int]]:
    """Return what a run tells once and this one told more often, by what it is of and its moment, each with its entries.

    Of how whole the cluster was (of nobody: ``""``), and of each node's fingerprint, there is one word from before the faults and one from after.
    """
    told: dict[tuple[str, str], list[int]] = {}
    for entry, whole in history.each(Wholeness):
        told.setdefault(("", whole.when), []).append(entry.index)
    for entry, taken in history.each(Fingerprinted):
        told.setdefault((taken.node, taken.when), []).append(entry.index)
    return {key: entries for key, entries in told.items() if len(entries) > 1}


def _twice(history: History) -> list[Point]:
    return [
        unknown(
            f"{f'the fingerprint of {node}' if node else 'how whole the cluster was'} from {when} the faults was told {len(entries)} times, "
            "and one run tells it once",
            *entries,
        )
        for (node, when), entries in repeated(history).items()
    ]


def out_of_place(history: History) -> Callable[[Entry, str], str]:
    """Return what says of an entry, and of when it says that it is from, why it cannot be from then; empty where it can.

    From before the faults is what was told before the first was decided, from after them what was told when nothing of the last was left, and from
    during them what was told while one was in force.
    """
    bands = fault_bands(history)
    first = min((band.begins for band in bands), default=math.inf)
    last = max((band.life(history.end).end for band in bands), default=-math.inf)
    held = [held for band in bands if (held := band.held(history.end)) is not None]

    def why(entry: Entry, when: str) -> str:
        told = f"from {when} the faults was taken at {at(entry.time)}"
        if when == "before" and entry.time > first:
            return f"{told}, and the first fault was decided at {at(first)}"
        if when == "after" and entry.time < last:
            return f"{told}, and the last fault was over at {at(last)}"
        if when == "during" and not any(each.holds(entry.time) for each in held):
            return f"{told}, when there was none in force"
        return ""

    return why


def _never_begun(history: History) -> list[Point]:
    """Find faults that came to a stage without the one that must come before it: until when they were in force is not known then."""
    return [
        unknown(f"fault {band.fault} ({band.name}) was {what}, and nobody told when {before}: a line is missing", *band.entries)
        for band in fault_bands(history)
        for what, at, before, earlier in (
            ("in force", band.in_force, "it was decided", band.decided),
            ("healed", band.healed, "healing began", band.healing),
        )
        if at is not None and earlier is None
    ]


def _labels(history: History) -> list[Point]:
    """Find what says that it is from before, during or after the faults, and was told at another time."""
    words = [
        *((entry, event.when, f"the fingerprint of {event.node}") for entry, event in history.each(Fingerprinted)),
        *((entry, event.when, f"{event.check} of {event.node or 'nobody'}") for entry, event in history.each(Checked)),
        *((entry, event.when, "the word of how whole the cluster was") for entry, event in history.each(Wholeness)),
    ]
    wrong = out_of_place(history)
    return [unknown(f"{what} {why}", entry.index) for entry, when, what in words if (why := wrong(entry, when))]


def _calls(history: History) -> list[Point]:
    begun: dict[int, int] = {}
    answered: set[int] = set()
    twice: list[int] = []
    strays: list[int] = []
    for entry, event in history.each(Invoked):
        if event.op in begun:
            twice.append(entry.index)
        begun.setdefault(event.op, entry.index)
    for entry, answer in history.each(Answered):
        if answer.op in answered:
            twice.append(entry.index)
        elif begun.get(answer.op, entry.index) >= entry.index:
            strays.append(entry.index)
        answered.add(answer.op)
    points = []
    if twice:
        points.append(unknown(f"{plural(len(twice), 'call')} begun or answered twice: they cannot be counted", *twice[:1]))
    if history.closed and (missing := lacking(history)):
        text = f"{plural(len(missing), 'call')} missing, the first number {missing[0]}: calls are numbered without gaps"
        points.append(unknown(text))
    if strays:
        points.append(unknown(f"{plural(len(strays), 'answer')} to calls that nobody had begun: calls are missing", *strays[:1]))
    return points


def _unanswered(history: History) -> list[Point]:
    end = next((time for phase in (Phase.FINAL, Phase.DONE) if (time := history.phase(phase)) is not None), None)
    if not history.closed or end is None:
        return []
    lost = [op for op in ops(history) if op.ended is None and not end - LEFT_BEHIND < op.begun <= end]
    if not lost:
        return []
    text = f"{plural(len(lost), 'call')} without an answer, the first number {lost[0].op}: each has one, if only that nobody knows"
    return [unknown(text, lost[0].entry)]
