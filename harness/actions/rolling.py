"""Actions that go through the instances of an app, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from harness.core.protocols import Cluster, Node, Restarting
from harness.core.units import counted
from harness.core.values import Effect

LONGEST = 300.0
"""Seconds: an instance that stops in order and starts again takes some of them, and they are taken one after the other."""


@dataclass(frozen=True, slots=True)
class RestartApp:
    """All instances of an app are stopped and started, one after the other, by the orchestrator. It is done when all of them run again."""

    app: str

    name: ClassVar[str] = "app.restart"
    aims: ClassVar[bool] = False
    takes: ClassVar[tuple[str, ...]] = ("Restarting",)
    longest: ClassVar[float] = LONGEST

    @property
    def effect(self) -> Effect:
        """Its own instances are upset, and nobody else."""
        return Effect(renews=(self.app,))

    def act(self, cluster: Cluster, targets: Sequence[Node]) -> str:  # noqa: ARG002 - it is done to no node
        """Have it done. Raises `HarnessError` where there is no such app, or nothing of it was touched, `HalfDone` and `Expired` where some was."""
        app = cluster.app(self.app)
        cluster.can(Restarting).restart(cluster, app)
        return f"{counted(app.instances, 'instance')} of {app.name} anew"
