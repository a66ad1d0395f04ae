"""One cluster for several runs: made and formed for the first, and set back to that moment, memory and disks, before each of the others.

For providers whose machines can be set back (`harness.core.protocols.Snapshots`): under software emulation booting and forming take most of a minute.
A run that ends early, or that needs other machines, a fault that was not mended: then the next run has a cluster of its own making again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.core.protocols import Provider
    from harness.plan import Plan
    from harness.undo.reaper import Reaper

FORMED = "formed"
"""The name of the state that machines are set back to: orchestrated, and nothing deployed."""


@dataclass(frozen=True, slots=True)
class Held:
    """A cluster that waits for its next run. Its last run's reaper watches over it: when this process dies, the cluster goes, too."""

    run_id: str  # of the run that it was made for, by which the provider knows it
    plan: Plan
    provider: Provider
    reaper: Reaper
    timers: Mapping[str, float]  # that it was formed with: those of its plan, or stretched ones

    def serves(self, plan: Plan) -> bool:
        """Whether it is the cluster that a plan would have made."""
        return all(getattr(self.plan, name) == getattr(plan, name) for name in ("provider", "mode", "profile", "timers", "nodes"))

    def destroy(self) -> None:
        """Remove it. What we cannot do ourselves the reaper is left to do."""
        try:
            self.provider.destroy(self.run_id)
        except BaseException:
            self.reaper.abandon()
            raise
        self.reaper.dismiss()


class Standing:
    """Where a run leaves its cluster for the next one. `close` it when none follows."""

    def __init__(self) -> None:
        self._held: Held | None = None

    def take(self, plan: Plan) -> Held | None:
        """Return the cluster that is held, for a run to own, if it is the one that the plan needs. Another one is removed."""
        held, self._held = self._held, None
        if held is None or held.serves(plan):
            return held
        held.destroy()
        return None

    def hold(self, held: Held) -> None:
        """Take over a cluster from a run that has ended with everything mended. One that is held already is removed."""
        before, self._held = self._held, held
        if before is not None:
            before.destroy()

    def close(self) -> None:
        """Remove what is held. Twice is fine."""
        held, self._held = self._held, None
        if held is not None:
            held.destroy()
