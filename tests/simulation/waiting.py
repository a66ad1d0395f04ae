"""What steps of a simulated run wait for, and how that ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from harness.core.values import Outcome
from tests.simulation.cluster import Cluster
from tests.simulation.faults import Fault


@dataclass(frozen=True, slots=True)
class Wait:
    """One wait: for an app that has recovered, for a leader, or for a cluster that is whole (`steady`). It came, or it did not."""

    number: int
    goal: str
    app: str
    otherwise: str  # what it means if it does not come: broken, unknown, go on
    begun: float
    at_most: float
    ended: float = 0.0
    outcome: Outcome | None = None

    def over(self, now: float, *, came: bool) -> Wait | None:
        """Return it as it ends now; None where it goes on."""
        if not came and now - self.begun < self.at_most:
            return None
        return replace(self, ended=now, outcome=Outcome.OK if came else Outcome.FAIL)

    def __str__(self) -> str:
        """Tell it in one line, for whoever looks into a seed."""
        return f"await {self.number}: {self.goal} {self.app} else {self.otherwise}, {self.begun:.2f} to {self.ended:.2f}, {self.outcome}"


def draw(rng: Random, cluster: Cluster, faults: Sequence[Fault]) -> tuple[Wait, ...]:
    """Draw up to two waits, one after the other: under the faults, between them, or after the last."""
    found: list[Wait] = []
    begun = 9.5
    last = max((each.healed for each in faults), default=20.0)
    for number in range(1, 1 + rng.choice([0, 1, 1, 2])):
        begun = rng.uniform(begun, max(begun, last)) + 0.1
        at_most = rng.choice([rng.uniform(4, 8), rng.uniform(5, 40)])
        goal = rng.choice(["recovered", "recovered", "leader", "steady"])
        app = rng.choice(cluster.apps).name if goal == "recovered" else ""
        found.append(Wait(number, goal, app, rng.choice(["broken", "broken", "unknown", "go on"]), round(begun, 1), at_most))
        begun += at_most + 0.2
    return tuple(found)
