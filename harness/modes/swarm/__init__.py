"""The swarm mode: Docker's own swarm mode, with three or five managers; the other nodes are workers.

Everything goes through `Node.run` and the Docker daemons' API over the management path, so any nodes will do that have Docker. dockerd is agent,
manager and raft in one, so a dockerd that hangs is a node that is gone.
"""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from harness.core import pace
from harness.core.clock import Deadline, wait_until
from harness.core.errors import Expired, HalfDone, HarnessError, Unreachable
from harness.core.instances import RUN_LABEL
from harness.core.protocols import Running
from harness.core.values import LISTENS, Placement, TaskNames, View
from harness.modes import on_nodes
from harness.modes.swarm import changes, raft, services, stacks
from harness.modes.swarm import swarm_adoption as adoption
from harness.modes.swarm import swarm_timers as timing
from harness.modes.swarm.store import ConfigStore
from harness.modes.swarm.swarm_api import (
    AGAIN_SECONDS,
    ASK_SECONDS,
    NANO,
    PORT,
    WORK_SECONDS,
    Daemon,
    SwarmNode,
    Task,
    clean,
    first,
    refused,
)
from harness.web import NoAnswer, NotSent

if TYPE_CHECKING:
    from harness.core.protocols import Cluster, Node, OwnApp
    from harness.core.values import App, Budget, Committed, Endurance, Traits, Who

_START = (Path(__file__).parent / "start.sh").read_text(encoding="utf-8")
_JOIN_SECONDS = 25.0  # Docker itself gives a join 20 s
_CONFLICT, _REFUSED = 409, 400
_GOSSIP = 7946  # where nodes speak to each other
_CHANGE_SECONDS = 60.0  # a change is taken at once where there is a leader, and an election is over in a few seconds
_ANEW_SECONDS = 90.0  # for a task to stop and another to run: its node may have to be given up meanwhile
_LOGS: Mapping[str, tuple[str, ...]] = {
    "docker.log": (*on_nodes.JOURNAL, "-u", "docker"),
    "containerd.log": (*on_nodes.JOURNAL, "-u", "containerd"),
    "nodes.txt": ("docker", "node", "ls"),
    "services.txt": ("docker", "service", "ls"),
    "tasks.txt": ("sh", "-c", "docker service ps --no-trunc $(docker service ls -q)"),
    "containers.txt": ("docker", "ps", "--all", "--no-trunc"),
    "failed-units.txt": ("systemctl", "list-units", "--failed", "--no-pager", "--plain"),
}


class Swarm:
    """Docker's swarm mode. Safe to use from several threads."""

    name: ClassVar[str] = "swarm"
    PORTS: ClassVar[Mapping[int, str]] = {PORT: "swarm", _GOSSIP: "swarm"}
    LAYER: ClassVar[Path | None] = None  # Docker is all it needs
    remarks: tuple[str, ...] = ()  # `adopt` finds out all there is to know: every manager tells it
    TASKS: ClassVar[TaskNames | None] = TaskNames(
        "com.docker.swarm.task.name", r"(?P<app>.+)\.(?P<number>[0-9]+)\.[^.]*"
    )  # web.1.<task id>

    TIMERS: ClassVar[Mapping[str, Mapping[str, float]]] = {name: dataclasses.asdict(each) for name, each in timing.PROFILES.items()}
    """Profiles of timers by name: ``default`` is Docker's, ``fast`` is for CI. Seconds."""

    def __init__(self, timers: timing.SwarmTimers | None = None, *, form_seconds: float = 90.0, deploy_seconds: float = 180.0) -> None:
        self._timers = timers or timing.SwarmTimers()
        self._form_seconds = form_seconds
        self._deploy_seconds = deploy_seconds
        self._more = 0.0  # seconds more for either
        self._lock = threading.Lock()
        self._ids: dict[str, dict[str, str]] = {}  # run id → raft id → node
        self._found: dict[str, tuple[str, ...]] = {}  # run id → managers, where the swarm was there before us
        self._ports: dict[tuple[str, str, str], int] = {}  # run id, instance, node → the port that Docker chose last

    @classmethod
    def from_timers(cls, profile: str, overrides: Mapping[str, float]) -> Self:
        """Return the mode with a profile's timers, single ones replaced (seconds). Raises `BadInput` for what swarm would not take."""
        return cls(timing.timers(profile, overrides))

    def unhurried(self, seconds: float) -> None:
        """Allow forming and deploying so many seconds more; see `harness.core.protocols.Unhurried`."""
        self._more = seconds

    @property
    def timers(self) -> Mapping[str, float]:
        """The timers in use, by name, in seconds."""
        return dataclasses.asdict(self._timers)

    # -- Mode

    def form(self, cluster: Cluster) -> None:
        """Make a swarm of created nodes.

        Returns when every manager lists every node as ready, with a leader among them. Managers join one after the other: raft takes one new member
        at a time. Raises `CommandFailed` where a node lacks something, `HarnessError` where Docker refuses, and `Expired` with what was last seen.
        """
        deadline = Deadline(cluster.clock, pace.limit(self._form_seconds) + self._more)
        managers = [cluster.node(name) for name in self.members(cluster)]
        workers = [node for node in cluster.nodes if node not in managers]
        stop = threading.Event()

        def start(node: Node) -> None:
            on_nodes.forming(node, _START, deadline=deadline)

        with cluster.network():
            on_nodes.on_each(cluster.nodes, start, stop)
            self._init(cluster, managers[0], deadline)
            daemon = Daemon(managers[0], pace.answer(ASK_SECONDS), cluster.clock)
            made = daemon.swarm()
            at = f"{managers[0].address}:{PORT}"
            for node in managers[1:]:
                self._join(cluster, node, at, made.manager_token, deadline)
            late = on_nodes.on_each(workers, lambda node: self._join(cluster, node, at, made.worker_token, deadline), stop)
            late |= on_nodes.on_each(managers, lambda node: self._lists(cluster, node, deadline, stop), stop)
        if late:
            told = "\n".join(f"{name}: {error.awaited}: {error.saw}" for name, error in late.items())
            raise Expired(f"a swarm to form; not ready: {', '.join(late)}", deadline.seconds, told)

    def deploy(self, cluster: Cluster, app: App) -> None:
        """Start an app as one replicated service; one of its user's own by the stack file as it stands.

        Returns when every instance that can have a home is running by the API and answers HTTP: all of them, or one a node with `App.conflicts`
        (of one node, where it is pinned). Of an app without instances only the image is brought. Raises `HarnessError` where swarm refuses the
        service, and `Expired` with the last view and tasks' errors.
        """
        deadline = Deadline(cluster.clock, pace.limit(self._deploy_seconds) + self._more)
        stop = threading.Event()
        with cluster.network():
            lacked = adoption.lacking(cluster, app)
            on_nodes.on_each(cluster.nodes, lambda node: on_nodes.image(node, app, deadline), stop)
            if not app.instances:
                return
            self._create(cluster, app, lacked, deadline)
            on_nodes.until_serving(
                cluster,
                app,
                deadline,
                look=lambda: self._look(cluster),
                port=lambda each, name: self._asked_port(cluster, app, each.instance, name),
                nothing="swarm lists no task of it",
                why=lambda _: self._task_errors(cluster, app),
            )

    def view(self, cluster: Cluster, node: Node) -> View:
        """Ask Docker's API at this node. Raises `Unreachable` where it gives no good answer, as from a manager that knows no leader.

        All managers tell what the leader knows. Listed are the nodes that swarm has not given up: after a change of leader every node is "unknown"
        until it speaks, and is listed all the same. A placement is the newest task that is wanted in its slot; it runs where its state is "running".
        A worker has no such API: there, as a user at it would, the managers that the worker itself knows are asked.
        """
        daemon = Daemon(node, pace.answer(ASK_SECONDS), cluster.clock)
        if node.name in self.members(cluster):
            return self._view(cluster, daemon)
        own = daemon.membership()
        if own.state != "active":
            raise Unreachable(node.name, "the swarm", f"this worker is {own.state}: {own.error or 'no reason given'}")
        known = [each for each in cluster.nodes if each.address in own.managers]
        return first(known, pace.answer(ASK_SECONDS), lambda each: self._view(cluster, each))

    def budget(self, lost: Traits, who: Who) -> Budget:
        """How long recovery from a fault may take, from swarm's own timers. No terms where swarm promises nothing."""
        return timing.budget(self._timers, lost, who)

    def endurance(self) -> Endurance:
        """Return how long a stall of a machine the timers in use stand; see `harness.core.protocols.Enduring`."""
        return timing.endurance(self._timers)

    # -- Quorum

    @classmethod
    def member(cls) -> str:
        """Return Docker's daemon, in which managers live."""
        return "docker"

    def members(self, cluster: Cluster) -> tuple[str, ...]:
        """Names of the nodes that are managers, sorted: three, or five where there are five nodes or more; fewer than three nodes have one.

        Of a swarm that was there before us: those that were found to be managers. Raises `HarnessError` where nobody has looked yet.
        """
        with self._lock:
            found = self._found.get(cluster.run_id)
        if found is not None:
            return found
        if isinstance(cluster.provider, Running):
            raise HarnessError(f"{cluster.run_id}: nobody has asked yet who the managers of this swarm are")
        return tuple(sorted(node.name for node in on_nodes.voters(cluster.nodes)))

    @contextmanager
    def asking(self, cluster: Cluster, node: Node) -> Iterator[Callable[[], tuple[int, str | None]]]:
        """Give a function that returns a manager's own (term, name of the leader it follows); see `harness.core.protocols.Quorum.asking`.

        What raft says of itself in dockerd's journal, for as long as dockerd gives a sign of life within 2 s.
        """
        journal = raft.Journal(node, cluster.clock)
        daemon = Daemon(node, pace.answer(ASK_SECONDS), cluster.clock)
        try:
            yield lambda: self._claim(cluster, node, journal, daemon)
        finally:
            journal.close()

    def election(self) -> float:
        """Return how long two elections take at most, in seconds: the first may end in a split vote."""
        return timing.TWO_ELECTIONS

    # -- Committing

    def commits(self) -> Committed:
        """Return what raft in dockerd asks of the disk that its log is on."""
        return timing.commits()

    # -- Registers

    def store(self, cluster: Cluster, node: Node, timeout: float) -> ConfigStore:
        """Return a way to keys that are Docker configs, through this manager; see `harness.modes.swarm.store` for what its reads are worth."""
        return ConfigStore(node, cluster.run_id, timeout, cluster.clock)

    # -- Ports

    def port(self, cluster: Cluster, app: App, instance: str, node: Node) -> int | None:
        """Return the app's one port where its instances may not meet, else the port that Docker chose there, by the last view of any node."""
        return self._port(cluster, app, instance, node.name)

    # -- Services

    def processes(self) -> tuple[str, ...]:
        """Return Docker's daemons: manager and agent are parts of dockerd."""
        return tuple(on_nodes.RUNTIME_UNITS)

    def unit(self, process: str) -> str | None:
        """Return the systemd unit behind ``dockerd`` or ``containerd``; None for anything else."""
        return on_nodes.unit_among(on_nodes.RUNTIME_UNITS, process)

    # -- Ordered

    def orders(self, cluster: Cluster) -> tuple[str, ...]:
        """Return the managers."""
        return self.members(cluster)

    # -- Scaling

    shrinks: ClassVar[bool] = False  # which tasks stop is swarm's own choice

    def scale(self, cluster: Cluster, app: App, instances: int) -> None:
        """Have so many tasks of the app's service, and not fewer than there are; see `harness.core.protocols.Scaling.scale`."""
        if instances < app.instances:
            raise HarnessError(
                f"{app.name} has {app.instances} instances, and swarm chooses itself which of them stop; expected as many or more, not {instances}"
            )
        with cluster.network():
            changes.scale(self._managers(cluster), services.called(app), cluster.run_id, instances, self._change_seconds(), cluster.clock)

    # -- Defining

    ENDINGS: ClassVar[Mapping[str, str]] = stacks.ENDINGS

    def define(self, wanted: OwnApp) -> App:
        """Return the app that a stack file makes; see `harness.modes.swarm.stacks`."""
        return stacks.define(wanted, self._timers.restart_delay, self.PORTS)

    def clashes(self, apps: Sequence[App]) -> Sequence[tuple[str, str, str]]:
        """Return which services of two apps are called the same."""
        return tuple(stacks.clashes(apps))

    # -- Selective

    def refused(self, app: App) -> Sequence[tuple[str, str, str, str]]:
        """Return what no service could give an app; see `harness.core.protocols.Selective.refused`."""
        return tuple(services.refused(app))

    # -- Restarting

    def restart(self, cluster: Cluster, app: App) -> None:
        """Have swarm go through the tasks of the app's service; see `harness.core.protocols.Restarting.restart`."""
        with cluster.network():
            deadline = self._anew_deadline(cluster, app)
            changes.restart(self._managers(cluster), services.called(app), cluster.run_id, deadline.left(), cluster.clock)
            self._until_serving(cluster, app, deadline)

    # -- Updating

    def update(self, cluster: Cluster, app: App) -> None:
        """Have swarm go through the tasks of the app's service, which are made of something else; see `harness.core.protocols.Updating.update`."""
        with cluster.network():
            on_nodes.image_where_it_can_be(cluster, app, pace.limit(self._deploy_seconds) + self._more)
            deadline = self._anew_deadline(cluster, app)
            changes.restart(self._managers(cluster), app.name, cluster.run_id, deadline.left(), cluster.clock, like=app)
            self._until_serving(cluster, app, deadline)

    # -- Removing

    def remove(self, cluster: Cluster, app: App) -> None:
        """Remove the app's service, with all of its tasks; see `harness.core.protocols.Removing.remove`."""
        deadline = Deadline(cluster.clock, self._change_seconds())
        with cluster.network():
            changes.remove(self._managers(cluster), services.called(app), cluster.run_id, deadline.left(), cluster.clock)
            self._until_told_no_more(cluster, app, deadline)

    def _until_told_no_more(self, cluster: Cluster, app: App, deadline: Deadline) -> None:
        """Wait until no task of an app is wanted: swarm says so of each only some time after the service is gone."""
        last = "nobody was asked"

        def gone() -> bool:
            nonlocal last
            try:
                last = ", ".join(_instance(each) for each in self._tasks(cluster) if each.wanted and each.app == app.name)
            except Unreachable as e:
                last = str(e)
            return not last

        what = f"swarm to tell of no task of {app.name}"
        try:
            wait_until(gone, awaited=what, seconds=deadline.left(), clock=cluster.clock, rest=on_nodes.REST, saw=lambda: last)
        except Expired as e:
            raise HalfDone(f"the service {services.called(app)} is gone, but {e}") from e

    def launch(self, cluster: Cluster, app: App) -> None:
        """Make a service of an app that has none; see `harness.core.protocols.Removing.launch`."""
        with cluster.network():
            on_nodes.image_where_it_can_be(cluster, app, pace.limit(self._deploy_seconds) + self._more)
            self._create(cluster, app, (), Deadline(cluster.clock, self._change_seconds()))

    # -- Draining

    def drain(self, cluster: Cluster, node: Node) -> None:
        """Have swarm shut down all tasks on a node and start them elsewhere; see `harness.core.protocols.Draining.drain`."""
        self._available(cluster, node, "drain")

    def undrain(self, cluster: Cluster, node: Node) -> None:
        """Let a node have tasks again."""
        self._available(cluster, node, "active")

    def _available(self, cluster: Cluster, node: Node, wanted: str) -> None:
        managers = self._managers(cluster)
        with cluster.network():
            machines = first(managers, pace.answer(ASK_SECONDS), lambda daemon: _named(cluster, daemon.machines()))
            found = next((machine.id for machine, name in machines if name == node.name), None)
            if found is None:
                raise HarnessError(f"swarm lists no node {node.name}; it lists {', '.join(name for _, name in machines) or 'none'}")
            changes.availability(managers, found, node.name, wanted, self._change_seconds(), cluster.clock)

    def _anew_deadline(self, cluster: Cluster, app: App) -> Deadline:
        return Deadline(cluster.clock, app.instances * pace.limit(_ANEW_SECONDS) + self._more)

    def _until_serving(self, cluster: Cluster, app: App, deadline: Deadline) -> None:
        """Wait until all tasks of an app that run answer HTTP: a container runs before what is in it serves."""
        last = "not asked yet"

        def serve() -> bool:
            nonlocal last
            view = self._look(cluster)
            if isinstance(view, str):
                last = view
                return False
            run = {each.instance for each in view.placements if each.running and each.instance in app.names}
            serving, last = on_nodes.who_serves(cluster, run, view, lambda each, name: self._asked_port(cluster, app, each.instance, name))
            return serving == run

        wait_until(
            serve,
            awaited=f"all tasks of {app.name} that run to answer HTTP",
            seconds=deadline.left(),
            clock=cluster.clock,
            rest=on_nodes.REST,
            saw=lambda: last,
        )

    def _change_seconds(self) -> float:
        return pace.limit(_CHANGE_SECONDS) + self._more

    # -- Adopting

    def adopt(self, cluster: Cluster) -> None:
        """Find the swarm that these nodes are in, and its managers. Changes nothing. From then on budgets are reckoned from its own heartbeat.

        Raises `HarnessError` with everything that keeps it from being used: a node that is in no swarm or in another one, is not listed as ready or
        is listed at another address, nodes that are none of ours, a swarm without a leader, and a service that has the name of an app.
        """
        with cluster.network():
            found = adoption.find(cluster)
        with self._lock:
            self._found[cluster.run_id] = found.managers
        self._timers = dataclasses.replace(self._timers, dispatcher_heartbeat=found.heartbeat)

    def withdraw(self, cluster: Cluster, app: App) -> None:
        """Remove what this run has put into a swarm; see `harness.modes.swarm.swarm_adoption.withdraw`."""
        with cluster.network():
            adoption.withdraw(cluster, app)

    # -- LogFiles

    def logs(self, node: Node) -> Mapping[str, bytes]:
        """Return the journals of dockerd and containerd, what this node's API lists, and its containers. No join token stands in them.

        Each file holds its last lines, some 2 MB at most. Where one part could not be had, its file says so and the others are kept. Raises
        `Unreachable` if none could be had because the node does not answer.
        """
        return {name: clean(text.decode(errors="replace")).encode() for name, text in on_nodes.gather(node, _LOGS).items()}

    # -- Forming

    def _init(self, cluster: Cluster, node: Node, deadline: Deadline) -> None:
        """Make the first manager."""
        body = {
            "ListenAddr": f"0.0.0.0:{PORT}",
            "AdvertiseAddr": f"{node.address}:{PORT}",
            "DataPathAddr": node.address,
            "Spec": {"Dispatcher": {"HeartbeatPeriod": round(self._timers.dispatcher_heartbeat * NANO)}},
        }
        daemon = Daemon(node, pace.limit(_JOIN_SECONDS), cluster.clock)
        try:
            answer = daemon.ask("POST", "/swarm/init", body, seconds=deadline.left())
        except (NotSent, NoAnswer) as e:
            raise Unreachable(node.name, "Docker's POST /swarm/init", e.words) from e
        if not answer.ok:
            raise refused(answer, node, "to begin a swarm")

    def _join(self, cluster: Cluster, node: Node, at: str, token: str, deadline: Deadline) -> None:
        """Make a node a part of the swarm; a join that swarm could not take just then is tried again. The token goes nowhere but into the body."""
        body = {
            "ListenAddr": f"0.0.0.0:{PORT}",
            "AdvertiseAddr": f"{node.address}:{PORT}",
            "DataPathAddr": node.address,
            "RemoteAddrs": [at],
            "JoinToken": token,
        }
        last = "not asked yet"

        def joined() -> bool:
            nonlocal last
            daemon = Daemon(node, pace.limit(_JOIN_SECONDS), cluster.clock)
            try:
                state = daemon.membership()
                last = f"{state.state} {state.error}".strip()
                if state.state == "active":
                    return True
                if state.state == "pending":
                    return False  # Docker goes on with it by itself
                if state.state == "error":
                    daemon.ask("POST", "/swarm/leave?force=1", seconds=deadline.left())
                answer = daemon.ask("POST", "/swarm/join", body, seconds=deadline.left())
            except (Unreachable, NotSent, NoAnswer) as e:
                last = str(e)
                return False
            if answer.status == _REFUSED:
                raise refused(answer, node, "to join the swarm")
            last = answer.words if not answer.ok else "joined"
            return answer.ok

        wait_until(
            joined,
            awaited=f"{node.name} to join the swarm",
            seconds=deadline.left(),
            clock=cluster.clock,
            every=AGAIN_SECONDS,
            rest=on_nodes.REST,
            saw=lambda: last,
        )

    def _lists(self, cluster: Cluster, node: Node, deadline: Deadline, stop: threading.Event) -> None:
        """Wait until the API at one manager lists every node as ready, with a leader."""
        everyone = {each.name for each in cluster.nodes}
        last = "not asked yet"
        daemon = Daemon(node, pace.answer(ASK_SECONDS), cluster.clock)

        def all_there() -> bool:
            nonlocal last
            try:
                machines = daemon.machines()
            except Unreachable as e:
                last = str(e)
                return False
            last = ", ".join(f"{name} {each.state}{' leads' * each.leader}" for each, name in _named(cluster, machines))
            ready = {name for each, name in _named(cluster, machines) if each.state == "ready"}
            return everyone <= ready and any(each.leader for each in machines)

        wait_until(
            all_there,
            awaited="Docker's API to list every node as ready",
            seconds=deadline.left(),
            clock=cluster.clock,
            every=AGAIN_SECONDS,
            rest=on_nodes.REST,
            stop=stop,
            saw=lambda: last,
        )

    # -- Views

    def _view(self, cluster: Cluster, daemon: Daemon) -> View:
        """Ask one manager; see `view`."""
        machines = _named(cluster, daemon.machines())
        tasks = daemon.tasks(_stacks(cluster))
        names = {each.id: name for each, name in machines}
        listed = {each.id for each, _ in machines if each.listed}
        newest: dict[tuple[str, int], Task] = {}
        for task in sorted(tasks, key=lambda each: each.created):
            if task.wanted:
                newest[task.app, task.slot] = task
        self._note_ports(cluster, newest.values(), names)
        placements = [
            Placement(
                _instance(each),
                names.get(each.node_id, each.node_id) or None,
                each.state,
                each.state == "running" and each.node_id in listed,
            )
            for each in newest.values()
        ]
        return View(
            tuple(sorted(name for each, name in machines if each.listed)),
            tuple(sorted(placements, key=lambda each: (each.instance, each.node or ""))),
        )

    def _note_ports(self, cluster: Cluster, tasks: Iterable[Task], names: Mapping[str, str]) -> None:
        inner = {app.name: services.inner(app) for app in cluster.apps}
        found = {
            (cluster.run_id, _instance(each), names[each.node_id]): port
            for each in tasks
            for target, port in each.ports
            if target == inner.get(each.app, LISTENS) and each.node_id in names
        }
        with self._lock:
            self._ports.update(found)

    def _port(self, cluster: Cluster, app: App, instance: str, node: str) -> int | None:
        """See `port`; the node by its name, which may be a stranger's."""
        if app.native is not None and not app.native.inner:
            return app.port_of(instance)
        if app.conflicts and app.native is None:
            return app.port
        with self._lock:
            return self._ports.get((cluster.run_id, instance, node))

    def _asked_port(self, cluster: Cluster, app: App, instance: str, node: str) -> int | None:
        """Return the port on which an instance must answer before it counts as started, 0 where that is not told yet; see `on_nodes.asked_port`."""
        return (self._port(cluster, app, instance, node) or 0) if app.native is None else None

    def _look(self, cluster: Cluster) -> View | str:
        """Return the view of the first manager that has one, or why none has."""
        try:
            return first(self._managers(cluster), pace.answer(ASK_SECONDS), functools.partial(self._view, cluster))
        except Unreachable as e:
            return str(e)

    def _tasks(self, cluster: Cluster) -> tuple[Task, ...]:
        """Return all tasks that the first manager tells of which tells of any at all. Raises `Unreachable` where none answers."""
        return first(self._managers(cluster), pace.answer(ASK_SECONDS), lambda daemon: daemon.tasks(_stacks(cluster)))

    def _task_errors(self, cluster: Cluster, app: App) -> str:
        """Say what went wrong with an app's tasks. Never raises: it only makes an error better."""
        try:
            tasks = self._tasks(cluster)
        except HarnessError as e:
            return f"\n{e}"
        lines = {f"\n{_instance(each)}: {each.state}: {each.error}" for each in tasks if each.app == app.name and each.error}
        return "".join(sorted(lines))

    # -- Services and managers

    def _managers(self, cluster: Cluster) -> list[Node]:
        return [cluster.node(name) for name in self.members(cluster)]

    def _create(self, cluster: Cluster, app: App, lacked: Sequence[str], deadline: Deadline) -> None:
        """Make the service, through the first manager that takes it."""
        if app.native is not None:
            changes.submit(self._managers(cluster), app, cluster.run_id, lacked, deadline.left(), cluster.clock)
            return
        last = "not asked yet"

        def made() -> bool:
            nonlocal last

            def create(daemon: Daemon) -> None:
                body = services.spec(app, cluster.run_id, self._timers.restart_delay, pin=_pin(cluster, daemon, app), lacked=lacked)
                try:
                    answer = daemon.ask("POST", "/services/create", body)
                except (NotSent, NoAnswer) as e:
                    raise Unreachable(daemon.node.name, "Docker's POST /services/create", e.words) from e
                if answer.ok:
                    return
                if answer.status == _CONFLICT:
                    labels = daemon.service(app.name)
                    if labels is not None and labels.get(RUN_LABEL) == cluster.run_id:
                        return  # it was made by a try whose answer was lost
                    raise HarnessError(f"a service {app.name} is there already and is not ours; give the app another name")
                if answer.status == _REFUSED:
                    raise refused(answer, daemon.node, f"the service {app.name}")
                raise Unreachable(daemon.node.name, "Docker's POST /services/create", answer.words)

            try:
                first(self._managers(cluster), pace.limit(WORK_SECONDS), create)
            except Unreachable as e:
                last = str(e)
                return False
            return True

        wait_until(made, awaited=f"swarm to take the service {app.name}", seconds=deadline.left(), clock=cluster.clock, saw=lambda: last)

    # -- raft

    def _claim(self, cluster: Cluster, node: Node, journal: raft.Journal, daemon: Daemon) -> tuple[int, str | None]:
        """Return what a manager claims now. Raises `Unreachable`."""
        daemon.alive()
        own, term, leader = journal.state()
        with self._lock:
            known = self._ids.setdefault(cluster.run_id, {})
            known[own] = node.name
            name = known.get(leader)
        if leader and name is None:
            name = self._look_up(cluster, node, leader)
        return term, name

    def _look_up(self, cluster: Cluster, node: Node, leader: str) -> str:
        """Return the node whose raft has an id. Raises `Unreachable` where no other manager's journal names it: that is not "no leader"."""
        for each in self._managers(cluster):
            if each is node:
                continue
            try:
                own = raft.own_id(each)
            except Unreachable:
                continue
            with self._lock:
                self._ids[cluster.run_id][own] = each.name
            if own == leader:
                return each.name
        raise Unreachable(node.name, "the leader that it follows", f"raft calls it {leader}, and no manager's journal says who that is")


def _pin(cluster: Cluster, daemon: Daemon, app: App) -> str | None:
    """Return swarm's id of the node that an app is pinned to; None for an app that is not. Raises `Unreachable` where swarm lists no such node."""
    if app.pin is None:
        return None
    for machine, name in _named(cluster, daemon.machines()):
        if name == app.pin:
            return machine.id
    raise Unreachable(daemon.node.name, f"the node {app.pin}", f"swarm lists no such node, and {app.name} is pinned to it")


def _stacks(cluster: Cluster) -> tuple[str, ...]:
    """Return the stacks that the cluster's apps are: those of their users' own files."""
    return tuple(app.name for app in cluster.apps if app.native is not None)


def _instance(task: Task) -> str:
    return f"{task.app}@{task.slot}"


def _named(cluster: Cluster, machines: Sequence[SwarmNode]) -> list[tuple[SwarmNode, str]]:
    """Return swarm's nodes with our names: by their address, or else by their host name; a stranger's is its id."""
    by_address = {node.address: node.name for node in cluster.nodes}
    ours = set(by_address.values())

    def named(machine: SwarmNode) -> str:
        found = next((by_address[each] for each in machine.addresses if each in by_address), None)
        return found or (machine.hostname if machine.hostname in ours else machine.id)

    return [(each, named(each)) for each in machines]
