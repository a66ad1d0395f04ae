"""Actions that take work away from nodes, and let them have work again, by the orchestrator's own hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from harness.core.protocols import Cluster, Draining, Node
from harness.core.values import Effect
from harness.nodes.together import together


@dataclass(frozen=True, slots=True)
class Drain:
    """The orchestrator is told to run nothing on the targets any more: what runs there it starts elsewhere."""

    name: ClassVar[str] = "node.drain"
    aims: ClassVar[bool] = True
    takes: ClassVar[tuple[str, ...]] = ("Draining",)
    longest: ClassVar[float] = 60.0
    effect: ClassVar[Effect] = Effect(moves=True)

    def act(self, cluster: Cluster, targets: Sequence[Node]) -> str:
        """Tell the orchestrator, and return when it has taken it for every target; what runs there may still run."""
        together(targets, lambda node: cluster.can(Draining).drain(cluster, node), "the drain")
        return ""


@dataclass(frozen=True, slots=True)
class Undrain:
    """The orchestrator is told that the targets may have work again. Nothing moves back by itself."""

    name: ClassVar[str] = "node.undrain"
    aims: ClassVar[bool] = True
    takes: ClassVar[tuple[str, ...]] = ("Draining",)
    longest: ClassVar[float] = 60.0
    effect: ClassVar[Effect] = Effect(opens=True)

    def act(self, cluster: Cluster, targets: Sequence[Node]) -> str:
        """Tell the orchestrator, and return when it has taken it for every target; one that was never drained is fine."""
        together(targets, lambda node: cluster.can(Draining).undrain(cluster, node), "the end of the drain")
        return ""
