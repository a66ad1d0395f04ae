"""Takes over a swarm that somebody else runs, and leaves it as it was.

Nothing is noted on this machine: the service that `deploy` makes carries the run's id and the names of the nodes on which its image was not there
before, so that any process can tell what is ours, and somebody else's service of the same name is never touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

from harness.core import pace
from harness.core.clock import wait_until
from harness.core.errors import Expired, HarnessError, NoGoodAnswer, Unreachable
from harness.core.instances import APP_LABEL, RUN_LABEL
from harness.modes.swarm import raft
from harness.modes.swarm.services import LACKED_LABEL, called
from harness.modes.swarm.store import ConfigStore
from harness.modes.swarm.swarm_api import AGAIN_SECONDS, ASK_SECONDS, STACK_LABEL, WORK_SECONDS, Daemon, SwarmNode, first
from harness.web import NoAnswer, NotSent

if TYPE_CHECKING:
    from harness.core.protocols import Cluster, Node
    from harness.core.values import App

GONE_SECONDS = 30.0
"""How long containers may take to be gone: swarm tells each node within a second, and gives them 2 s to stop."""
SETTLED_SECONDS = 30.0
"""How long a swarm may take to have a leader and every node ready: an agent's next heartbeat comes within 5 s, an election takes some seconds."""
_LOOK_AGAIN = 0.5
_SERVICE_LABEL = "com.docker.swarm.service.name"  # swarm gives it to each container


@dataclass(frozen=True, slots=True)
class FoundSwarm:
    """A swarm that was there before us."""

    managers: tuple[str, ...]  # names of our nodes, sorted
    heartbeat: float  # seconds


def find(cluster: Cluster) -> FoundSwarm:
    """Find the swarm that the nodes are in. Changes nothing. Raises one `HarnessError` with everything that keeps it from being used.

    A swarm that is without a leader, or takes a node for down, is asked again for `SETTLED_SECONDS`: a busy machine that is late with its heartbeat
    is down until the next one. What time does not mend is not waited for.
    """
    looked = _look(cluster)

    def settled() -> bool:
        nonlocal looked
        looked = _look(cluster)
        return not looked.passing or bool(looked.lasting)

    if looked.passing and not looked.lasting:
        with suppress(Expired):
            wait_until(
                settled,
                awaited="every node of the swarm to be ready",
                seconds=pace.limit(SETTLED_SECONDS),
                clock=cluster.clock,
                every=_LOOK_AGAIN,
            )
    problems = sorted([*looked.passing, *looked.lasting])
    if problems:
        raise HarnessError("no swarm that could be taken over was found on the nodes:\n" + "\n".join(f"  {each}" for each in problems))
    return FoundSwarm(tuple(sorted(looked.managers)), max(looked.heartbeats))


@dataclass(slots=True)
class _Look:
    """What the nodes said of their swarm, once."""

    managers: list[str] = field(default_factory=list)
    heartbeats: list[float] = field(default_factory=list)
    passing: list[str] = field(default_factory=list)  # what may be so for a moment only
    lasting: list[str] = field(default_factory=list)


def _look(cluster: Cluster) -> _Look:
    """Ask every node what swarm it is in, and every manager who else is in it."""
    found = _Look()
    ids: dict[str, str] = {}
    managers: list[Node] = []
    for node in cluster.nodes:
        try:
            own = Daemon(node, pace.answer(ASK_SECONDS), cluster.clock).membership()
        except Unreachable as e:
            found.passing.append(str(e))
            continue
        if own.state != "active":
            why = f": {own.error}" if own.error else ""
            # Pending: it waits for a manager, as after a restart of its Docker.
            said = found.passing if own.state == "pending" else found.lasting
            said.append(f"{node.name} ({node.address}) is in no swarm: Docker there says {own.state}{why}")
            continue
        ids[node.name] = own.node_id
        if own.manager:
            managers.append(node)
            found.managers.append(node.name)
    if not managers:
        (found.passing or found.lasting).append("no node here is a manager of a swarm")
    for node in managers:
        daemon = Daemon(node, pace.answer(ASK_SECONDS), cluster.clock)
        try:
            _compare(cluster, node, daemon.machines(), ids, found)
            found.lasting += [f"{node.name}: {each}" for app in cluster.apps for each in _taken(cluster, daemon, app)]
            found.heartbeats.append(daemon.swarm().heartbeat)
        except Unreachable as e:
            found.passing.append(f"{e}; a swarm without a leader cannot be taken over")
        _mute(node, found)
    return found


def lacking(cluster: Cluster, app: App) -> tuple[str, ...]:
    """Return the names of the nodes that have no image of an app. Raises `Unreachable`."""
    return tuple(node.name for node in cluster.nodes if not Daemon(node, pace.limit(WORK_SECONDS), cluster.clock).has_image(app.image))


def withdraw(cluster: Cluster, app: App) -> None:
    """Remove a run's app: the service, its containers, the images that were not there before, and what workloads wrote into the quorum.

    Raises `Unreachable` where no manager can do it, and `Expired` with the nodes that still have containers, or cannot be asked.
    """
    managers = _managers(cluster)
    lacked: set[str] = set()
    if managers:
        first(managers, pace.limit(WORK_SECONDS), lambda daemon: _remove(cluster, daemon, app, lacked))
    _until_gone(cluster, app)
    if app.native is not None and managers:
        first(managers, pace.limit(WORK_SECONDS), lambda daemon: _remove_networks(cluster, daemon, app))
    for node in cluster.nodes:
        if node.name in lacked:
            # One that somebody uses by now stays: Docker refuses.
            _asked(Daemon(node, pace.limit(WORK_SECONDS), cluster.clock), "DELETE", f"/images/{quote(app.image, safe='')}")


def _until_gone(cluster: Cluster, app: App) -> None:
    """Wait until no node has a container of a run's app. Raises `Expired` with those that have, or cannot be asked."""
    left: dict[str, str] = {}
    labels = (f"{APP_LABEL}={app.name}", f"{RUN_LABEL}={cluster.run_id}")
    if app.native is not None:
        labels = (f"{STACK_LABEL}={app.name}", f"{_SERVICE_LABEL}={called(app)}")

    def gone() -> bool:
        left.clear()
        for node in cluster.nodes:
            try:
                count = len(Daemon(node, pace.answer(ASK_SECONDS), cluster.clock).containers(*labels))
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
        every=AGAIN_SECONDS,
        saw=lambda: "; ".join(left.values()),
    )


def _managers(cluster: Cluster) -> list[Node]:
    """Return the nodes that are managers now, asked of themselves; those that do not answer are left out."""
    found = []
    for node in cluster.nodes:
        try:
            own = Daemon(node, pace.answer(ASK_SECONDS), cluster.clock).membership()
        except Unreachable:
            continue
        if own.manager:
            found.append(node)
    return found


def _remove(cluster: Cluster, daemon: Daemon, app: App, lacked: set[str]) -> None:
    """Remove the run's service and values, in so far as they are there; add the nodes that had no image to `lacked`. Raises `Unreachable`."""
    labels = daemon.service(called(app))
    if labels is not None and labels.get(RUN_LABEL) == cluster.run_id:
        lacked.update(each for each in labels.get(LACKED_LABEL, "").split(",") if each)
        _asked(daemon, "DELETE", f"/services/{called(app)}")
    try:
        ConfigStore(daemon.node, cluster.run_id, pace.limit(WORK_SECONDS), cluster.clock).clear()
    except NoGoodAnswer as e:
        raise Unreachable(daemon.node.name, "what was written into the quorum", str(e)) from e


def _remove_networks(cluster: Cluster, daemon: Daemon, app: App) -> None:
    """Remove the networks that a run's stack made. Raises `Unreachable`."""
    for number in daemon.of_stack("networks", app.name, f"{RUN_LABEL}={cluster.run_id}"):
        _asked(daemon, "DELETE", f"/networks/{number}")


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
    if app.native is not None and (
        there := [*daemon.of_stack("services", app.name).values(), *daemon.of_stack("networks", app.name).values()]
    ):
        return [f"a stack {app.name} is there already, with {', '.join(sorted(there))}; give the app another name"]
    labels = daemon.service(called(app))
    if labels is None or labels.get(RUN_LABEL) == cluster.run_id:
        return []
    return [f"a service {called(app)} is there already and is not ours; give the app another name"]


def _mute(manager: Node, found: _Look) -> None:
    """Note why a manager's own word on term and leader could not be followed."""
    try:
        if not raft.own_id(manager):
            found.lasting.append(
                f"{manager.name}: the journal of {raft.NOTHING}; restart dockerd there so that its term and its leader can be followed"
            )
    except Unreachable as e:
        found.passing.append(str(e))


def _compare(cluster: Cluster, manager: Node, machines: Sequence[SwarmNode], ids: Mapping[str, str], found: _Look) -> None:
    """Note what is wrong with the swarm as one manager tells it."""
    listed = {each.id: each for each in machines}
    if not any(each.leader for each in machines):
        found.passing.append(f"{manager.name} knows no leader")
    for node in cluster.nodes:
        if node.name not in ids:
            continue
        machine = listed.get(ids[node.name])
        if machine is None:
            found.lasting.append(f"{node.name} is in another swarm than {manager.name}")
        elif machine.state != "ready":
            found.passing.append(f"{manager.name} lists {node.name} as {machine.state}, expected ready")
        elif node.address not in machine.addresses:
            found.lasting.append(f"{manager.name} lists {node.name} at {' and '.join(machine.addresses)}, expected {node.address}")
    # A node that did not say who it is may be one of those.
    strangers = sorted(each.hostname or each.id for each in machines if each.listed and each.id not in ids.values())
    if strangers:
        said = found.lasting if len(ids) == len(cluster.nodes) else found.passing
        said.append(f"{manager.name} lists nodes that are none of ours, and work may go there unseen: {', '.join(strangers)}")
