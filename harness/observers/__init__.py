"""What the nodes, their Docker daemons, the orchestrator and its quorum say, sampled into the history.

Node truth (`host`) is what counts; the others are witnesses. Each observer has threads of its own and never dies of an exception: it says that it
could not ask, and asks again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.protocols import DockerAccess, Streaming, watchers
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
    blind: set[str] = set()
    for name, needed in ((HostObserver.name, Streaming), (DockerObserver.name, DockerAccess)):
        if not all(isinstance(node, needed) for node in cluster.nodes):
            blind.add(name)
    return [Heartbeat(), *(OBSERVERS[name]() for name in watchers(cluster.mode) if name not in blind)]
