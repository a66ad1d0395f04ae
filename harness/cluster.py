"""A cluster: its nodes, where they come from, and how they are orchestrated."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from harness.clock import Clock, SystemClock
from harness.errors import HarnessError, Unsupported

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from harness.protocols import Mode, Node, Provider
    from harness.values import App

C = TypeVar("C")


@dataclass
class Cluster:
    """What a fault, a workload or an observer is handed. Holds no state of the cluster itself: that is asked of the nodes."""

    run_id: str
    nodes: Sequence[Node]
    provider: Provider
    mode: Mode
    clock: Clock = field(default_factory=SystemClock)
    apps: Sequence[App] = ()
    slack: float = 0.0  # seconds that its machines may be slower than machines are; 0: they are as fast

    def node(self, name: str) -> Node:
        """Return the node of that name. Raises `HarnessError` with the names there are."""
        for node in self.nodes:
            if node.name == name:
                return node
        names = ", ".join(node.name for node in self.nodes)
        raise HarnessError(f"no node is named {name!r}; the cluster has {names}")

    def network(self) -> AbstractContextManager[None]:
        """Inside it, this thread's new sockets reach the nodes; threads started inside inherit it."""
        return self.provider.network(self.run_id)

    def can(self, capability: type[C]) -> C:
        """Return the provider, or else the mode, as something with this capability. Raises `Unsupported`."""
        for part in (self.provider, self.mode):
            if isinstance(part, capability):
                return part
        raise Unsupported(f"neither the {self.provider.name} provider nor the {self.mode.name} mode offers {capability.__name__}")
