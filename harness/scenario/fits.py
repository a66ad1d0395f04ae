"""What a mode lacks for a scenario: a quorum, or what one of its faults asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.core.errors import Problem
from harness.core.protocols import CAPABILITIES, Quorum
from harness.scenario.own_definitions import other_mode
from harness.steps.misfit import Misfit, no_quorum, refused_of, target_misfits

if TYPE_CHECKING:
    from harness.document import Place
    from harness.scenario.scenario_file import Scenario


def misfits(scenario: Scenario, mode: Any) -> list[Problem]:
    """Return what a mode lacks for a scenario that was loaded for another one. `load` has asked this for its own mode, with places in the file."""
    found: list[Misfit] = []
    for number, step in enumerate(scenario.steps):
        found += step.misfits(("steps", number), mode)
    for number, check in enumerate(scenario.checks):
        found += target_misfits(check.on, ("checks", number, "on"), mode)
    for each in (*scenario.workloads, *scenario.promises):
        found += taken_misfits(each, (), mode)
    told = [(each.found, each.expected) for each in found]
    told += [wrong for app in scenario.apps if (wrong := other_mode(app, mode.name))]
    told += [(f"{each} of {app.name}: {found}", expected) for app in scenario.apps for each, found, expected, _ in refused_of(app, mode)]
    return [Problem(scenario.file, 0, 0, *each) for each in told]


def taken_misfits(what: Any, place: Place, mode: Any) -> list[Misfit]:
    """Return what a promise or a workload, or its class, takes that the mode lacks."""
    takes = {name: CAPABILITIES[name].protocol for name in getattr(what, "takes", ()) if name in CAPABILITIES}
    lacking = [name for name, protocol in takes.items() if not isinstance(mode, protocol)]
    if not lacking:
        return []
    if takes[lacking[0]] is Quorum:
        return [no_quorum(place, f"{what.name!r}", mode)]
    return [Misfit(place, f"{what.name!r}, with the {mode.name} mode", f"a mode that offers {' and '.join(lacking)}")]
