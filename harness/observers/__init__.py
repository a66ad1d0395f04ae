"""What the nodes, their Docker daemons, the orchestrator and its quorum say, sampled into the history.

Node truth (`host`) is what counts; the others are witnesses. Each observer has threads of its own and never dies of an exception: it says that it
could not ask, and asks again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.protocols import DockerAccess, Quorum, Streaming
from harness.observers.docker_events import DockerObserver
from harness.observers.heartbeat import Heartbeat
from harness.observers.membership import MembershipObserver
from harness.observers.node_truth import HostObserver
from harness.observers.placement import PlacementObserver

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.core.protocols import Cluster
    from harness.history.interfaces import Observer

OBSERVERS: Mapping[str, type[Observer]] = {
    observer.name: observer for observer in (Heartbeat, HostObserver, DockerObserver, PlacementObserver, MembershipObserver)
}
"""Every observer by the name that stands in the history."""


def observers(cluster: Cluster) -> list[Observer]:
    """Return new observers of all that can be watched here, by what the nodes and the mode can do: our own heartbeat, node truth, the witnesses."""
    found: list[Observer] = [Heartbeat()]
    if all(isinstance(node, Streaming) for node in cluster.nodes):
        found.append(HostObserver())
    if all(isinstance(node, DockerAccess) for node in cluster.nodes):
        found.append(DockerObserver())
    found.append(PlacementObserver())
    if isinstance(cluster.mode, Quorum):
        found.append(MembershipObserver())
    return found
