"""Everything that a scenario can name: faults, workloads, checkers, modes and providers, each with its class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Known:
    """The names that a scenario may use, each with its class."""

    faults: Mapping[str, Any]
    workloads: Mapping[str, Any]
    checkers: Mapping[str, Any]
    modes: Mapping[str, Any]
    providers: Mapping[str, Any]


def known() -> Known:
    """Return the registries of the harness. They are imported here and not before: a name costs nothing until it is used."""
    from harness.checkers import CHECKERS  # noqa: PLC0415 - checkers, faults and modes may import this package's lighter modules first
    from harness.faults import FAULTS  # noqa: PLC0415 - same
    from harness.modes import MODES  # noqa: PLC0415 - same
    from harness.providers import PROVIDERS  # noqa: PLC0415 - same
    from harness.workloads import WORKLOADS  # noqa: PLC0415 - same

    return Known(FAULTS, WORKLOADS, CHECKERS, MODES, PROVIDERS)


def valid_names(among: Known, mode: str | None) -> dict[str, set[str]]:
    """Return the valid names of a mode, a provider and a profile. The profiles are those of `mode`, or of any where that is no mode."""
    modes: dict[str, Any] = dict(among.modes)
    chosen = [modes[mode]] if mode in modes else list(modes.values())
    return {"mode": set(modes), "provider": set(among.providers), "profile": {name for each in chosen for name in each.TIMERS}}
