"""Faults of a whole machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from harness.core.protocols import Cluster, Here, Node, Power
from harness.core.traits import EVERYBODY
from harness.core.values import Loss, Rung, Traits, Unavailable
from harness.faults.common import AtTheHost, together


@dataclass(frozen=True, slots=True)
class NodeKill(AtTheHost):
    """The machine loses its power without a word. Healing turns it on again, and ends when it answers; its services may take longer.

    A machine that is off helps nobody, itself included: its host turns it on.
    """

    name: ClassVar[str] = "node.kill"
    traits: ClassVar[Traits] = Traits(Loss.NODE, blinds=EVERYBODY, takes=("Power",))

    @classmethod
    def rung(cls, here: Here) -> Rung:  # noqa: ARG003 - it takes nothing of this machine
        """Stand on the provider's own power switch."""
        return Rung(can=True, how="SIGKILL to the machine's PID 1, as this machine sees it")

    def inject(self, cluster: Cluster, targets: Sequence[Node]) -> None:
        """Cut the power of all targets at once."""
        together(targets, cluster.can(Power).off, "cutting the power")

    def heal(self, cluster: Cluster, targets: Sequence[Node]) -> None:
        """Turn all targets on; one that is on is left alone."""
        together(targets, cluster.can(Power).on, "turning the power on")

    def in_force(self, cluster: Cluster, target: Node) -> bool:
        """Whether the machine's host says that it is off."""
        return not cluster.can(Power).is_on(target)

    def available(self, cluster: Cluster, target: Node) -> Unavailable | None:  # noqa: ARG002 - power is the provider's, for any node alike
        """Need nothing more than the power switch."""
        return None
