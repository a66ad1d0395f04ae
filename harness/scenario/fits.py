"""What a mode lacks for a scenario: a quorum, or what one of its faults asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness.core import targets
from harness.core.errors import Problem
from harness.core.protocols import Choosy, Quorum
from harness.steps import LEADER_MOVED, Break

if TYPE_CHECKING:
    from harness.document import Place
    from harness.scenario.scenario_file import Scenario

_ON_QUORUM: Final = frozenset({"quorum", "register"})
"""Promises and workloads that need members and a leader."""


@dataclass(frozen=True, slots=True)
class Misfit:
    """Something that a scenario asks for and its mode lacks."""

    place: Place
    found: str
    expected: str


def misfits(scenario: Scenario, mode: Any) -> list[Problem]:
    """Return what a mode lacks for a scenario that was loaded for another one. `load` has asked this for its own mode, with places in the file."""
    found: list[Misfit] = []
    for number, step in enumerate(scenario.steps):
        if isinstance(step, Break):
            found += step_misfits(step, ("steps", number), mode)
    for number, check in enumerate(scenario.checks):
        found += target_misfits(check.on, ("checks", number, "on"), mode)
    for name in (*(each.name for each in scenario.workloads), *(each.name for each in scenario.promises)):
        found += name_misfits(name, (), mode)
    return [Problem(scenario.file, 0, 0, each.found, each.expected) for each in found]


def step_misfits(step: Break, place: Place, mode: Any) -> list[Misfit]:
    """Return what a fault, its target and its hold ask for."""
    found = target_misfits(step.targets, (*place, "on"), mode)
    if step.hold.until == LEADER_MOVED and not isinstance(mode, Quorum):
        found.append(_no_quorum((*place, "hold", "until"), "`until: leader-moved`", mode))
    if isinstance(step.fault, Choosy) and (lack := step.fault.misfit(mode)):
        parameter, asked, expected = lack
        found.append(Misfit((*place, "with", parameter), asked, expected))
    return found


def target_misfits(text: str, place: Place, mode: Any) -> list[Misfit]:
    """Return what a target expression asks for."""
    if not isinstance(mode, Quorum) and targets.parse(text).needs_leader:
        return [_no_quorum(place, f"{text!r}", mode)]
    return []


def name_misfits(name: str, place: Place, mode: Any) -> list[Misfit]:
    """Return what a promise or a workload asks for by its name."""
    return [_no_quorum(place, f"{name!r}", mode)] if name in _ON_QUORUM and not isinstance(mode, Quorum) else []


def _no_quorum(place: Place, what: str, mode: Any) -> Misfit:
    return Misfit(place, f"{what}, with the {mode.name} mode", "a mode with a quorum and a leader")
