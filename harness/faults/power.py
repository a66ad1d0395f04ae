"""Faults of a whole machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from harness.core.protocols import Cluster, Node, Power
from harness.core.traits import EVERYBODY
from harness.core.values import Loss, Traits, Unavailable
from harness.faults.common import lacking, together


@dataclass(frozen=True, slots=True)
class NodeKill:
    """The machine loses its power without a word. Healing turns it on again, and ends when it answers; its services may take longer."""

    name: ClassVar[str] = "node.kill"
    traits: ClassVar[Traits] = Traits(Loss.NODE, blinds=EVERYBODY)

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
        """Need a provider that holds the power switch."""
        return lacking(cluster, Power)

    def remedy(self, cluster: Cluster, target: Node) -> Sequence[str]:  # noqa: ARG002 - the same everywhere
        """Return nothing: a machine that is off helps nobody, itself included. Its host turns it on: the harness, or the reaper for it."""
        return ()

    def touched(self, cluster: Cluster, targets: Sequence[Node]) -> Sequence[Node]:  # noqa: ARG002 - the same everywhere
        """Return nobody: nothing is left on a node."""
        return ()
