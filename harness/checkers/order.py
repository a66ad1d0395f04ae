"""Whether a history tells one run, in the order in which runs go: a file may be whole, and two runs in it all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.checkers.calls import lacking, ops
from harness.checkers.intervals import fault_bands
from harness.checkers.judging import Point, plural, unknown
from harness.history import Answered, Checked, FaultStage, Fingerprinted, Invoked, PhaseBegan, Wholeness
from harness.values import Phase, Stage

if TYPE_CHECKING:
    from harness.history import History

LEFT_BEHIND = 10.0
"""Seconds before the last reads in which a call may have been begun that never ended: drivers do not wait for ever when they stop."""

_PHASES = list(Phase)
_STAGES = (Stage.DECIDED, Stage.INJECTED, Stage.IN_FORCE, Stage.HEALING, Stage.HEALED)


def out_of_order(history: History) -> list[Point]:
    """Return what no single run can have recorded.

    That is a phase or a fault's stage that comes again or too early, a word from before or after the faults that is of another time, and calls that
    are there twice or missing.
    """
    return [*_phases(history), *_faults(history), *_labels(history), *_calls(history), *_unanswered(history)]


def _phases(history: History) -> list[Point]:
    last: Phase | None = None
    for entry, event in history.each(PhaseBegan):
        if last is not None and _PHASES.index(event.phase) <= _PHASES.index(last):
            return [
                unknown(f"the run entered the phase {event.phase} at {entry.time:.1f} s, after {last}: that is not one run", entry.index)
            ]
        last = event.phase
    return []


def _faults(history: History) -> list[Point]:
    reached: dict[tuple[int, str], int] = {}
    names: dict[int, str] = {}
    for entry, event in history.each(FaultStage):
        if names.setdefault(event.fault, event.name) != event.name:
            text = f"fault {event.fault} was {names[event.fault]}, and is {event.name} at {entry.time:.1f} s: that is not one run"
            return [unknown(text, entry.index)]
        if event.stage not in _STAGES:
            continue
        rank = _STAGES.index(event.stage)
        for target in event.targets or ("",):
            if rank <= reached.get((event.fault, target), -1):
                where = f" on {target}" if target else ""
                text = f"fault {event.fault} ({event.name}){where} came to {event.stage} at {entry.time:.1f} s, which it had been through"
                return [unknown(f"{text}: that is not one run", entry.index)]
            reached[event.fault, target] = rank
    return []


def _labels(history: History) -> list[Point]:
    """Find what says that it is from before, during or after the faults, and was told at another time."""
    bands = fault_bands(history)
    if not bands:
        return []
    first = min(band.begins for band in bands)
    last = max(band.life(history.end).end for band in bands)
    words = [
        *((entry, event.when, f"the fingerprint of {event.node}") for entry, event in history.each(Fingerprinted)),
        *((entry, event.when, f"{event.check} of {event.node or 'nobody'}") for entry, event in history.each(Checked)),
        *((entry, event.when, "the word of how whole the cluster was") for entry, event in history.each(Wholeness)),
    ]
    points = []
    for entry, when, what in words:
        text = f"{what} from {when} the faults is of {entry.time:.1f} s"
        if when == "before" and entry.time > first:
            points.append(unknown(f"{text}, and the first fault was decided at {first:.1f} s", entry.index))
        elif when == "after" and entry.time < last:
            points.append(unknown(f"{text}, and the last fault was over at {last:.1f} s", entry.index))
        elif when == "during" and not any(band.life(history.end).holds(entry.time) for band in bands):
            points.append(unknown(f"{text}, when there was none", entry.index))
    return points


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
