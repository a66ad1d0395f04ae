"""Where more than one run is told in one history: what no single run can have recorded, so that nobody knows which of them a line is of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.figures import at
from harness.core.values import Phase, Stage
from harness.history.events import FaultStage, PhaseBegan

if TYPE_CHECKING:
    from harness.history.events import History

_PHASES = list(Phase)
_STAGES = (Stage.DECIDED, Stage.INJECTED, Stage.IN_FORCE, Stage.HEALING, Stage.HEALED)


def seam(history: History) -> str:
    """Say what shows that it is not one run; empty where nothing does."""
    return next((text for text, _ in seams(history)), "")


def seams(history: History) -> list[tuple[str, int]]:
    """Return what shows that it is not one run, each with its entry: a phase, or a fault's stage, that comes again or too early."""
    return [*_phases(history), *_faults(history)]


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
