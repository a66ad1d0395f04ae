"""Where more than one run is told in one history: what no single run can have recorded, so that nobody knows which of them a line is of."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from harness.core.figures import at
from harness.core.values import Phase, Stage
from harness.history.events import Answered, FaultStage, Invoked, PhaseBegan

if TYPE_CHECKING:
    from harness.history.events import Entry, History

MISSING = 100
"""Calls in a row that nobody tells of, from which on they are another run's. Of fewer a line may have been lost."""

_PHASES = list(Phase)
_STAGES = (Stage.DECIDED, Stage.INJECTED, Stage.IN_FORCE, Stage.HEALING, Stage.HEALED)


def seam(history: History) -> str:
    """Say what shows that it is not one run; empty where nothing does."""
    return next((text for text, _ in seams(history)), "")


def seams(history: History) -> list[tuple[str, int]]:
    """Return what shows that it is not one run, each with its entry.

    That is a phase, or a fault's stage, that comes again or too early; and a call that is begun or answered again, or answered without having been
    begun, or many in a row that were never begun although later ones were: a run writes down that it begins a call before it makes it, and numbers
    them without gaps.
    """
    return history.once(seams, lambda: [*_phases(history), *_faults(history), *_calls(history)])


def _calls(history: History) -> list[tuple[str, int]]:
    begun: dict[int, Entry] = {}
    answered: dict[int, Entry] = {}
    for entry, event in history.each(Invoked):
        if event.op in begun:
            text = f"call {event.op} was begun at {at(begun[event.op].time)}, and again at {at(entry.time)}"
            return [(f"{text}: that is not one run", entry.index)]
        begun[event.op] = entry
    for entry, answer in history.each(Answered):
        if answer.op in answered:
            text = f"call {answer.op} was answered at {at(answered[answer.op].time)}, and again at {at(entry.time)}"
            return [(f"{text}: that is not one run", entry.index)]
        if answer.op not in begun or begun[answer.op].index > entry.index:
            text = f"call {answer.op} was answered at {at(entry.time)}, and nobody had begun it"
            return [(f"{text}: that is not one run", entry.index)]
        answered[answer.op] = entry
    for early, late in itertools.pairwise(sorted({0, *begun})):
        if late - early > MISSING:
            where = f"calls {early + 1} to {late - 1} were never begun, and call {late} was at {at(begun[late].time)}"
            return [(f"{where}: that is not one run", begun[late].index)]
    return []


def _phases(history: History) -> list[tuple[str, int]]:
    last: Phase | None = None
    for entry, event in history.each(PhaseBegan):
        if last is not None and _PHASES.index(event.phase) <= _PHASES.index(last):
            return [(f"the run entered the phase {event.phase} at {at(entry.time)}, after {last}: that is not one run", entry.index)]
        last = event.phase
    return []


def _faults(history: History) -> list[tuple[str, int]]:
    reached: dict[tuple[int, str], int] = {}
    names: dict[int, str] = {}
    for entry, event in history.each(FaultStage):
        if names.setdefault(event.fault, event.name) != event.name:
            text = f"fault {event.fault} was {names[event.fault]}, and is {event.name} at {at(entry.time)}: that is not one run"
            return [(text, entry.index)]
        if event.stage not in _STAGES:
            continue
        rank = _STAGES.index(event.stage)
        for target in event.targets or ("",):
            if rank <= reached.get((event.fault, target), -1):
                where = f" on {target}" if target else ""
                text = f"fault {event.fault} ({event.name}){where} came to {event.stage} at {at(entry.time)}, which it had been through"
                return [(f"{text}: that is not one run", entry.index)]
            reached[event.fault, target] = rank
    return []
