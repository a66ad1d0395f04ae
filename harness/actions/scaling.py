"""Actions on how much of an app runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, TypeAlias

from pydantic import Field

from harness.core.protocols import Cluster, Node, Scaling
from harness.core.units import counted
from harness.core.values import MOST_INSTANCES, Effect

Instances: TypeAlias = Annotated[int, Field(ge=1, le=MOST_INSTANCES, description=f"a whole number from 1 to {MOST_INSTANCES}")]
"""How many instances an action may ask for, as a parameter."""


@dataclass(frozen=True, slots=True)
class ForInstances:
    """What every action is that asks for so many instances of an app: it is done to no node, and tells how many are to run from then on."""

    app: str
    instances: Instances

    aims: ClassVar[bool] = False

    @property
    def effect(self) -> Effect:
        """From then on so many are to run."""
        return Effect(runs={self.app: self.instances})


@dataclass(frozen=True, slots=True)
class Scale(ForInstances):
    """The orchestrator is told how many instances of an app are to run from now on. That they do is for others to see: await it, or promise it."""

    name: ClassVar[str] = "app.scale"
    takes: ClassVar[tuple[str, ...]] = ("Scaling",)
    longest: ClassVar[float] = 60.0

    def act(self, cluster: Cluster, targets: Sequence[Node]) -> str:  # noqa: ARG002 - it is done to no node
        """Tell the orchestrator, and return when it has taken it. Raises `HarnessError` where there is no such app, or it refuses."""
        app = cluster.app_there(self.app)
        cluster.can(Scaling).scale(cluster, app, self.instances)
        return f"{app.name} had {counted(app.instances, 'instance')} before"
