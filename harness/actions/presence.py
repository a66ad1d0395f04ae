"""Actions on whether an app is there at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from harness.actions.scaling import ForInstances
from harness.core.protocols import Cluster, Node, Removing
from harness.core.units import counted
from harness.core.values import Effect

LONGEST = 180.0
"""Seconds: an image may have to come to the nodes first."""


@dataclass(frozen=True, slots=True)
class RemoveApp:
    """The orchestrator forgets an app, and stops all that runs of it. It is done when the orchestrator shows none of it any more."""

    app: str

    name: ClassVar[str] = "app.remove"
    aims: ClassVar[bool] = False
    takes: ClassVar[tuple[str, ...]] = ("Removing",)
    longest: ClassVar[float] = LONGEST

    @property
    def effect(self) -> Effect:
        """From then on none is to run."""
        return Effect(runs={self.app: 0})

    def act(self, cluster: Cluster, targets: Sequence[Node]) -> str:  # noqa: ARG002 - it is done to no node
        """Have it done. Raises `HarnessError` where there is no such app, or the orchestrator refuses."""
        app = cluster.app_there(self.app)
        cluster.can(Removing).remove(cluster, app)
        return f"{app.name} had {counted(app.instances, 'instance')} before"


@dataclass(frozen=True, slots=True)
class DeployApp(ForInstances):
    """An app that has no instances yet, or that was removed, is deployed with so many. That they run is for others to see: await or promise it."""

    name: ClassVar[str] = "app.deploy"
    takes: ClassVar[tuple[str, ...]] = ("Removing",)
    longest: ClassVar[float] = LONGEST

    def act(self, cluster: Cluster, targets: Sequence[Node]) -> str:  # noqa: ARG002 - it is done to no node
        """Have it done, and return when the orchestrator has taken it. Raises `HarnessError` where there is no such app, or it refuses."""
        app = replace(cluster.app(self.app), instances=self.instances)
        cluster.can(Removing).launch(cluster, app)
        return f"{app.name} with {counted(app.instances, 'instance')}, image {app.image}"
