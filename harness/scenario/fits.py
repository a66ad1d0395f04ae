"""What a mode lacks for a scenario: a quorum, or what one of its faults asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from harness.core.errors import Problem
from harness.core.protocols import Quorum
from harness.scenario.own_definitions import other_mode
from harness.steps.misfit import Misfit, no_quorum, refused_of, target_misfits

if TYPE_CHECKING:
    from harness.document import Place
    from harness.scenario.scenario_file import Scenario

_ON_QUORUM: Final = frozenset({"quorum", "register"})
"""Promises and workloads that need members and a leader."""


def misfits(scenario: Scenario, mode: Any) -> list[Problem]:
    """Return what a mode lacks for a scenario that was loaded for another one. `load` has asked this for its own mode, with places in the file."""
    found: list[Misfit] = []
    for number, step in enumerate(scenario.steps):
        found += step.misfits(("steps", number), mode)
    for number, check in enumerate(scenario.checks):
        found += target_misfits(check.on, ("checks", number, "on"), mode)
    for name in (*(each.name for each in scenario.workloads), *(each.name for each in scenario.promises)):
        found += name_misfits(name, (), mode)
    told = [(each.found, each.expected) for each in found]
    told += [wrong for app in scenario.apps if (wrong := other_mode(app, mode.name))]
    told += [(f"{each} of {app.name}: {found}", expected) for app in scenario.apps for each, found, expected, _ in refused_of(app, mode)]
    return [Problem(scenario.file, 0, 0, *each) for each in told]


def name_misfits(name: str, place: Place, mode: Any) -> list[Misfit]:
    """Return what a promise or a workload asks for by its name."""
    return [no_quorum(place, f"{name!r}", mode)] if name in _ON_QUORUM and not isinstance(mode, Quorum) else []
