"""Everything that can be named: faults, actions, workloads, checkers, modes, providers and reports, each with its class, ours and those of plug-ins.

This is the one way by which any process finds them by name. `known` is for all that plans, runs and judges, and refuses plug-ins that are not what
they say. `usable` is for all that mends and looks: what is broken must be mended whatever else somebody installed.
"""

from __future__ import annotations

import functools
import importlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.core import parameters
from harness.core.errors import BadPlugIns, Problem
from harness.core.protocols import Varied
from harness.core.values import Traits
from harness.registry import entries
from harness.registry.entries import PlugIns

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Known:
    """The names that a scenario may use, and those of reports, each with its class."""

    faults: Mapping[str, Any]
    workloads: Mapping[str, Any]
    checkers: Mapping[str, Any]
    modes: Mapping[str, Any]
    providers: Mapping[str, Any]
    actions: Mapping[str, Any] = field(default_factory=dict)
    reports: Mapping[str, Any] = field(default_factory=dict)


class Usable(NamedTuple):
    """What can be used, and what keeps plug-ins from being used."""

    known: Known
    problems: tuple[Problem, ...]


def known() -> Known:
    """Return what can be named, ours first. Raises `BadPlugIns` with every problem of every plug-in: no run goes by half of what is installed."""
    found = usable()
    if found.problems:
        raise BadPlugIns(found.problems)
    return found.known


def usable() -> Usable:
    """Return what can be named without plug-ins that are not what they say, and every problem of those. Never raises."""
    plugged = installed()
    every = {
        kind: {**classes, **{name: cls for name, cls in plugged.of(kind).items() if name not in classes}}
        for kind, classes in _ours().items()
    }
    return Usable(Known(**every), plugged.problems)


def layers(among: Known | None = None) -> dict[str, Path | None]:
    """Return the layer of the node image that the nodes of each mode have, by the mode's name; see `harness.core.protocols.Mode.LAYER`.

    Of all that can be used, where it is not said among what: what a plug-in's mode has that is not what it says is not known then.
    """
    return {name: mode.LAYER for name, mode in sorted((among or usable().known).modes.items())}


def kinds(mode: Any) -> list[tuple[str, Traits]]:
    """Return each fault that can be used with each kind of traits that it has in a mode, by name.

    One whose traits hang on parameters says itself which kinds there are (`harness.core.protocols.Varied`), or else those of its defaults count. What
    cannot be said without parameters is left out.
    """
    found = []
    for name, cls in sorted(usable().known.faults.items()):
        if isinstance(cls, Varied):
            found += [(name, each.traits) for each in cls.variants(mode)]
            continue
        declared = getattr(cls, "traits", None)
        if not isinstance(declared, Traits):
            try:
                declared = parameters.build(cls, {}).traits
            except ValueError:
                continue
        found.append((name, declared))
    return found


def stopped(mode: Any) -> frozenset[str]:
    """Return the names of all processes that a fault may stop in a mode: what else is stopped on a host of somebody's is none of our doing."""
    return frozenset(process for _, each in kinds(mode) for process in each.stops)


@functools.cache
def installed() -> PlugIns:
    """Return the plug-ins of this environment. They are looked for and imported once in a process."""
    try:
        there = entries.found()
    except Exception as error:  # noqa: BLE001 - metadata of some distribution are damaged: whatever comes of that, it is told, and what is ours is known
        return PlugIns((), entries.unreadable(error))
    return entries.read(there, _ours())


def _ours() -> dict[str, Mapping[str, Any]]:
    """Return our own classes by kind. They are imported here and not before: a name costs nothing until it is used."""
    from harness.actions import ACTIONS  # noqa: PLC0415 - same
    from harness.checkers import CHECKERS  # noqa: PLC0415 - whoever only wants a name's type pays for none of them
    from harness.faults import FAULTS  # noqa: PLC0415 - same
    from harness.modes import MODES  # noqa: PLC0415 - same
    from harness.providers import PROVIDERS  # noqa: PLC0415 - same
    from harness.workloads import WORKLOADS  # noqa: PLC0415 - same

    return {
        "faults": FAULTS,
        "actions": ACTIONS,
        "workloads": WORKLOADS,
        "checkers": CHECKERS,
        "modes": MODES,
        "providers": PROVIDERS,
        # They stand above this module, since a run is made of a plan. So it finds them as it finds those of others: by where they are.
        "reports": importlib.import_module("harness.reports.written").WRITTEN,
    }


def valid_names(among: Known, mode: str | None) -> dict[str, set[str]]:
    """Return the valid names of a mode, a provider and a profile. The profiles are those of `mode`, or of any where that is no mode."""
    modes: dict[str, Any] = dict(among.modes)
    chosen = [modes[mode]] if mode in modes else list(modes.values())
    return {"mode": set(modes), "provider": set(among.providers), "profile": {name for each in chosen for name in each.TIMERS}}
