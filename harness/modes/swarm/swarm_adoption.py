"""Takes over a swarm that somebody else runs, and leaves it as it was.

Nothing is noted on this machine: the service that `deploy` makes carries the run's id and the names of the nodes on which its image was not there
before, so that any process can tell what is ours, and somebody else's service of the same name is never touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from harness.core import pace
from harness.core.clock import wait_until
from harness.core.errors import HarnessError, NoGoodAnswer, Unreachable
from harness.modes.swarm import raft
from harness.modes.swarm.services import LACKED_LABEL, RUN_LABEL
from harness.modes.swarm.store import ConfigStore
from harness.modes.swarm.swarm_api import Daemon, SwarmNode, first
from harness.web import NoAnswer, NotSent

if TYPE_CHECKING:
    from harness.core.protocols import Cluster, Node
    from harness.core.values import App

GONE_SECONDS = 30.0
"""How long containers may take to be gone: swarm tells each node within a second, and gives them 2 s to stop."""
_ASK_SECONDS = 2.0
_WORK_SECONDS = 10.0  # for removing a service or an image
_AGAIN = 0.1


@dataclass(frozen=True, slots=True)
class FoundSwarm:
    """A swarm that was there before us."""

    managers: tuple[str, ...]  # names of our nodes, sorted
    heartbeat: float  # seconds


def find(cluster: Cluster) -> FoundSwarm:
    """Find the swarm that the nodes are in. Changes nothing. Raises one `HarnessError` with everything that keeps it from being used."""
    problems: list[str] = []
    ids: dict[str, str] = {}
    managers: list[Node] = []
    for node in cluster.nodes:
        try:
            own = Daemon(node, _ASK_SECONDS, cluster.clock).membership()
        except Unreachable as e:
            problems.append(str(e))
            continue
        if own.state != "active":
            why = f": {own.error}" if own.error else ""
            problems.append(f"{node.name} ({node.address}) is in no swarm: Docker there says {own.state}{why}")
            continue
        ids[node.name] = own.node_id
        if own.manager:
            managers.append(node)
    if not managers:
        problems.append("no node here is a manager of a swarm")
    heartbeats = []
    for node in managers:
        daemon = Daemon(node, _ASK_SECONDS, cluster.clock)
        try:
            problems += _strange(cluster, node, daemon.machines(), ids)
            problems += [f"{node.name}: {each}" for app in cluster.apps for each in _taken(cluster, daemon, app)]
            heartbeats.append(daemon.swarm().heartbeat)
        except Unreachable as e:
            problems.append(f"{e}; a swarm without a leader cannot be taken over")
        problems += _mute(node)
    if problems:
        raise HarnessError("no swarm that could be taken over was found on the nodes:\n" + "\n".join(f"  {each}" for each in problems))
    return FoundSwarm(tuple(sorted(node.name for node in managers)), max(heartbeats))


def lacking(cluster: Cluster, app: App) -> tuple[str, ...]:
    """Return the names of the nodes that have no image of an app. Raises `Unreachable`."""
    return tuple(node.name for node in cluster.nodes if not Daemon(node, _WORK_SECONDS, cluster.clock).has_image(app.image))


def withdraw(cluster: Cluster, app: App) -> None:
    """Remove a run's app: the service, its containers, the images that were not there before, and what workloads wrote into the quorum.

    Raises `Unreachable` where no manager can do it, and `Expired` with the nodes that still have containers, or cannot be asked.
    """
    managers = _managers(cluster)
    lacked: set[str] = set()
    if managers:
        first(managers, _WORK_SECONDS, lambda daemon: _remove(cluster, daemon, app, lacked))
    left: dict[str, str] = {}

    def gone() -> bool:
        left.clear()
        for node in cluster.nodes:
            try:
                count = len(
                    Daemon(node, _ASK_SECONDS, cluster.clock).containers(f"whalefall.app={app.name}", f"{RUN_LABEL}={cluster.run_id}")
                )
            except Unreachable as e:
                left[node.name] = str(e)
            else:
                if count:
                    left[node.name] = f"{node.name}: {count} containers"
        return not left

    wait_until(
        gone,
        awaited=f"no container of {app.name} to be left",
        seconds=pace.limit(GONE_SECONDS),
        clock=cluster.clock,
        every=_AGAIN,
        saw=lambda: "; ".join(left.values()),
    )
    for node in cluster.nodes:
        if node.name in lacked:
            # One that somebody uses by now stays: Docker refuses.
            _asked(Daemon(node, _WORK_SECONDS, cluster.clock), "DELETE", f"/images/{quote(app.image, safe='')}")


def _managers(cluster: Cluster) -> list[Node]:
    """Return the nodes that are managers now, asked of themselves; those that do not answer are left out."""
    found = []
    for node in cluster.nodes:
        try:
            own = Daemon(node, _ASK_SECONDS, cluster.clock).membership()
        except Unreachable:
            continue
        if own.manager:
            found.append(node)
    return found


def _remove(cluster: Cluster, daemon: Daemon, app: App, lacked: set[str]) -> None:
    """Remove the run's service and values, in so far as they are there; add the nodes that had no image to `lacked`. Raises `Unreachable`."""
    labels = daemon.service(app.name)
    if labels is not None and labels.get(RUN_LABEL) == cluster.run_id:
        lacked.update(each for each in labels.get(LACKED_LABEL, "").split(",") if each)
        _asked(daemon, "DELETE", f"/services/{app.name}")
    try:
        ConfigStore(daemon.node, cluster.run_id, _WORK_SECONDS, cluster.clock).clear()
    except NoGoodAnswer as e:
        raise Unreachable(daemon.node.name, "what was written into the quorum", str(e)) from e


def _asked(daemon: Daemon, method: str, path: str) -> None:
    """Ask for something to be removed; that it is not there, or is in use, is fine. Raises `Unreachable`."""
    try:
        answer = daemon.ask(method, path)
    except (NotSent, NoAnswer) as e:
        raise Unreachable(daemon.node.name, f"Docker's {method} {path}", e.words) from e
    if not answer.ok and answer.status not in {404, 409}:
        raise Unreachable(daemon.node.name, f"Docker's {method} {path}", answer.words)


def _taken(cluster: Cluster, daemon: Daemon, app: App) -> list[str]:
    """Say whether somebody else's service has an app's name."""
    labels = daemon.service(app.name)
    if labels is None or labels.get(RUN_LABEL) == cluster.run_id:
        return []
    return [f"a service {app.name} is there already and is not ours; give the app another name"]


def _mute(manager: Node) -> list[str]:
    """Say why a manager's own word on term and leader could not be followed, or nothing."""
    try:
        if raft.own_id(manager):
            return []
    except Unreachable as e:
        return [str(e)]
    return [f"{manager.name}: the journal of {raft.NOTHING}; restart dockerd there so that its term and its leader can be followed"]


def _strange(cluster: Cluster, manager: Node, machines: Sequence[SwarmNode], ids: Mapping[str, str]) -> list[str]:
    """Say what is wrong with the swarm as one manager tells it."""
    listed = {each.id: each for each in machines}
    said = [] if any(each.leader for each in machines) else [f"{manager.name} knows no leader"]
    for node in cluster.nodes:
        if node.name not in ids:
            continue
        machine = listed.get(ids[node.name])
        if machine is None:
            said.append(f"{node.name} is in another swarm than {manager.name}")
        elif machine.state != "ready":
            said.append(f"{manager.name} lists {node.name} as {machine.state}, expected ready")
        elif node.address not in machine.addresses:
            said.append(f"{manager.name} lists {node.name} at {' and '.join(machine.addresses)}, expected {node.address}")
    strangers = sorted(each.hostname or each.id for each in machines if each.listed and each.id not in ids.values())
    if strangers:
        said.append(f"{manager.name} lists nodes that are none of ours, and work may go there unseen: {', '.join(strangers)}")
    return said
