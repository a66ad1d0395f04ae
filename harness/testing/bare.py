"""A mode that orchestrates nothing: machines as they come, for tests of what lies under every mode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from harness.core.errors import Unsupported
from harness.core.protocols import Cluster, Node
from harness.core.values import App, Budget, TaskNames, Traits, View, Who


@dataclass(frozen=True)
class BareMode:
    """See `harness.core.protocols.Mode`, `Viewing` and `Services`. `units` maps names of processes to systemd units."""

    units: Mapping[str, str] = field(default_factory=dict)

    name: ClassVar[str] = "bare"
    TIMERS: ClassVar[Mapping[str, Mapping[str, float]]] = {"default": {}}
    PORTS: ClassVar[Mapping[int, str]] = {}
    LAYER: ClassVar[Path | None] = None
    TASKS: ClassVar[TaskNames | None] = None

    @classmethod
    def from_timers(cls, profile: str, overrides: Mapping[str, float]) -> BareMode:  # noqa: ARG003 - it has none
        """Return the mode: it has no timers."""
        return cls()

    @property
    def timers(self) -> Mapping[str, float]:
        """None."""
        return {}

    def form(self, cluster: Cluster) -> None:
        """Do nothing: the nodes are the cluster."""

    def deploy(self, cluster: Cluster, app: App) -> None:
        """Raise `Unsupported`: nothing here could run an app."""
        raise Unsupported(f"the {self.name} mode runs no apps, so not {app.name} on {cluster.run_id}")

    def view(self, cluster: Cluster, node: Node) -> View:  # noqa: ARG002 - every node would say the same
        """Return all nodes and no placement."""
        return View(tuple(sorted(each.name for each in cluster.nodes)), ())

    def budget(self, lost: Traits, who: Who) -> Budget:  # noqa: ARG002 - the same for all
        """Return a budget without terms: nothing recovers."""
        return Budget(())

    def processes(self) -> tuple[str, ...]:
        """Return the names that were given."""
        return tuple(self.units)

    def unit(self, process: str) -> str | None:
        """Return the unit of a process; see `harness.core.protocols.Services.unit`."""
        return self.units.get(process)
