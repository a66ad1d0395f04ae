"""Actions on how much of an app runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, TypeAlias

from pydantic import Field

from harness.core import parameters
from harness.core.protocols import Cluster, Node, Scaling
from harness.core.units import counted
from harness.core.values import MOST_INSTANCES, Effect

Instances: TypeAlias = Annotated[int, Field(ge=1, le=MOST_INSTANCES, description=f"a whole number from 1 to {MOST_INSTANCES}")]
"""How many instances an action may ask for, as a parameter."""


def must_be_a_number_of_instances(number: int) -> None:
    """Raise `ValueError` for a number of instances that no app can have."""
    if not 1 <= number <= MOST_INSTANCES:
        raise ValueError(f"an app has 1 to {MOST_INSTANCES} instances, not {number}")


@dataclass(frozen=True, slots=True)
class Scale:
    """The orchestrator is told how many instances of an app are to run from now on. That they do is for others to see: await it, or promise it."""

    app: str
    instances: Instances

    name: ClassVar[str] = "app.scale"
    aims: ClassVar[bool] = False
    takes: ClassVar[tuple[str, ...]] = ("Scaling",)
    longest: ClassVar[float] = 60.0

    def __post_init__(self) -> None:
        """Raise `ValueError` for a number of instances that no app can have."""
        if parameters.fits(self):
            must_be_a_number_of_instances(self.instances)

    @property
    def effect(self) -> Effect:
        """From then on so many are to run."""
        return Effect(runs={self.app: self.instances})

    def act(self, cluster: Cluster, targets: Sequence[Node]) -> str:  # noqa: ARG002 - it is done to no node
        """Tell the orchestrator, and return when it has taken it. Raises `HarnessError` where there is no such app, or it refuses."""
        app = cluster.app_there(self.app)
        cluster.can(Scaling).scale(cluster, app, self.instances)
        return f"{app.name} had {counted(app.instances, 'instance')} before"
