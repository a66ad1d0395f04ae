"""The fleet mode: fleetd on every node, over an etcd of three or five members.

`Fleet.form` and `Fleet.deploy` work through `Node.run` and the HTTP API of fleet alone, so any nodes will do that carry what the node image carries:
fleetd with its units, etcd, docker.
"""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from harness.core import pace
from harness.core.clock import Deadline, wait_until
from harness.core.errors import Expired, HalfDone, HarnessError, NoGoodAnswer, Unreachable
from harness.core.instances import app_of, number_of
from harness.core.protocols import Running
from harness.core.values import Placement, View
from harness.modes import on_nodes
from harness.modes.etcd import Below, Etcd
from harness.modes.fleet import fleet_adoption as adoption
from harness.modes.fleet import fleet_timers as timing
from harness.modes.fleet import own_units, unit_files
from harness.modes.fleet.fleet_api import PORT, Api, State, Unit
from harness.modes.fleet.renewing import Units

if TYPE_CHECKING:
    from harness.core.protocols import Cluster, Node, OwnApp
    from harness.core.values import App, Budget, Committed, Endurance, TaskNames, Traits, Who

_FORM = (Path(__file__).parent / "form.sh").read_text(encoding="utf-8")
_CLIENT, _PEER = 2379, 2380  # etcd's ports
_API_SECONDS = 2.0  # for a request to fleet's API
_STATUS_SECONDS = 2.0  # a member that takes longer for its own status is as good as silent
_CLEAR_SECONDS = 10.0  # for etcd to remove what a run wrote: one request
_SCALE_SECONDS = 60.0  # fleet takes a unit at once where etcd has a quorum, and an election is over in a few seconds
_ANEW_SECONDS = 90.0  # for a unit to stop and to run again: its machine may have to be given up meanwhile, and be noticed again
_ELECTION_TIMEOUTS = 10  # until the members must have a leader again: several split votes in a row fit into it
_UNITS = {"etcd": "etcd.service", "fleetd": "fleet.service", **on_nodes.RUNTIME_UNITS}


class Fleet:
    """fleet, with etcd beneath it. Safe to use from several threads."""

    name: ClassVar[str] = "fleet"
    PORTS: ClassVar[Mapping[int, str]] = {_CLIENT: "etcd", _PEER: "etcd", PORT: "fleet"}
    LAYER: ClassVar[Path | None] = Path(__file__).parent / "node"
    TASKS: ClassVar[TaskNames | None] = None  # each unit gives its container a label of its own
    remarks: tuple[str, ...] = ()  # what `adopt` could not find out, in sentences

    TIMERS: ClassVar[Mapping[str, Mapping[str, float]]] = {name: dataclasses.asdict(each) for name, each in timing.PROFILES.items()}
    """Profiles of timers by name: ``default`` is upstream's, ``fast`` is for CI. Seconds."""

    def __init__(
        self, timers: timing.FleetTimers | None = None, *, port: int = PORT, form_seconds: float = 90.0, deploy_seconds: float = 180.0
    ) -> None:
        self._timers = timers or timing.FleetTimers()
        self._port = port
        self._form_seconds = form_seconds
        self._deploy_seconds = deploy_seconds
        self._more = 0.0  # seconds more for either
        self._slow = False
        self._lock = threading.Lock()
        self._names: dict[str, dict[int, str]] = {}  # run id → etcd member id → node
        self._machines: dict[str, dict[str, str]] = {}  # run id → machine id, as fleet has it → node, of all that were ever listed

    @classmethod
    def from_timers(cls, profile: str, overrides: Mapping[str, float]) -> Self:
        """Return the mode with a profile's timers, single ones replaced (seconds). Raises `BadInput` for what fleet or etcd would not take."""
        return cls(timing.timers(profile, overrides))

    def unhurried(self, seconds: float) -> None:
        """Allow forming and deploying so many seconds more; see `harness.core.protocols.Unhurried`."""
        self._more = seconds
        self._slow = True

    def withstand(self, seconds: float) -> None:
        """Stretch fleet's and etcd's timers; see `harness.core.protocols.Stretching`."""
        self._timers = timing.withstanding(self._timers, seconds)

    @property
    def timers(self) -> Mapping[str, float]:
        """The timers in use, by name, in seconds."""
        return dataclasses.asdict(self._timers)

    # -- Mode

    def form(self, cluster: Cluster) -> None:
        """Make a fleet cluster of created nodes.

        Returns when fleet's API lists every node, asked at each of them, and Docker answers on each. Raises `CommandFailed` where a node lacks
        something, and `Expired` with what was last seen of each node that was not ready in time.
        """
        deadline = Deadline(cluster.clock, pace.limit(self._form_seconds) + self._more)
        everyone = {node.name for node in cluster.nodes}
        stop = threading.Event()

        def one(node: Node) -> None:
            self._configure(cluster, node, deadline)
            on_nodes.docker_answers(cluster, node, deadline, stop)
            self._lists(cluster, node, everyone, deadline, stop)

        with cluster.network():
            late = {}
            if self._slow:
                # One after the other: a fleetd whose first requests run out of time, with dockerd starting beside it, waits longer and longer.
                late = on_nodes.on_each(cluster.nodes, lambda node: on_nodes.docker_answers(cluster, node, deadline, stop), stop)
            late = late or on_nodes.on_each(cluster.nodes, one, stop)
        if late:
            names = ", ".join(late)
            told = "\n".join(f"{name}: {error.awaited}: {error.saw}\n{self._diagnosis(cluster.node(name))}" for name, error in late.items())
            raise Expired(f"fleet to form; not ready: {names}", deadline.seconds, told)

    def deploy(self, cluster: Cluster, app: App) -> None:
        """Start an app.

        Returns when every instance that can have a home is running by the API and answers HTTP: all of them, or one a node with `App.conflicts`
        (of one node, where it is pinned); one with a definition of its own need not answer. Of an app without instances only the image is brought.
        Raises `Expired` with the last view, and what the units said.
        """
        files = own_units.files(app)
        deadline = Deadline(cluster.clock, pace.limit(self._deploy_seconds) + self._more)
        stop = threading.Event()

        def image(node: Node) -> None:
            on_nodes.image(node, app, deadline)

        with cluster.network():
            adoption.begin(cluster, app, self._api)
            on_nodes.on_each(cluster.nodes, image, stop)
            for file in files:
                self._launch(cluster, file, deadline)
            if not app.instances:
                return
            on_nodes.until_serving(
                cluster,
                app,
                deadline,
                look=lambda: self._look(cluster),
                port=lambda each, _: on_nodes.asked_port(app, each.instance),
                nothing="fleet lists none of its units",
                why=lambda view: f"\n{_unit_logs(cluster, app, view)}",
            )

    def view(self, cluster: Cluster, node: Node) -> View:
        """Ask fleet's API at this node. Raises `Unreachable` where it gives no good answer. Called inside `cluster.network()`.

        A placement is a row of unit state (what a machine's systemd said, at most a TTL ago: a dead machine's rows stay until then), or a unit
        that the schedule put on a machine that has not said anything, or a unit without a home. The three lists are asked one after the other,
        so a unit that moves meanwhile may stand in both places, or in neither.
        """
        api = self._api(cluster, node)
        names = {each.address: each.name for each in cluster.nodes}
        machines = {each.id: names.get(each.address) or each.metadata.get("name") or each.id for each in api.machines()}
        rows = api.units(), api.states()
        # fleet goes on naming a machine that it lists no more by its id, in which nobody can see a node.
        with self._lock:
            known = self._machines.setdefault(cluster.run_id, {})
            known.update({each: name for each, name in machines.items() if name in names.values()})
            machines_once = {**known, **machines}
        return View(tuple(sorted(machines.values())), _placements(machines_once, *rows, cluster.apps))

    def budget(self, lost: Traits, who: Who) -> Budget:
        """How long recovery from a fault may take, from fleet's and etcd's own timers. No terms where fleet promises nothing."""
        return timing.budget(self._timers, lost, who)

    def endurance(self) -> Endurance:
        """Return how long a stall of a machine the timers in use stand; see `harness.core.protocols.Enduring`."""
        return timing.endurance(self._timers)

    # -- Adopting

    def adopt(self, cluster: Cluster) -> None:
        """Find a fleet that runs already: its API at every node, which must list the nodes and no others, and its etcd, all of it on them.

        From then on the mode's timers, and so its budgets, are those that fleetd and etcd were started with there; what could not be read is the
        profile's own, and `remarks` say so. Raises `HarnessError` with all that is missing, also where an app's units are there already.
        """
        with cluster.network():
            found = adoption.find(cluster, self._api, self._timers)
        adoption.note(cluster, found)
        self._timers, self.remarks = found.timers, found.remarks
        with self._lock:
            self._names[cluster.run_id] = dict(found.members)

    def withdraw(self, cluster: Cluster, app: App) -> None:
        """Remove an app's units, its containers, its image where that was not there before, and what the run wrote into etcd.

        On a cluster that is not ours nothing is touched that `deploy` has not noted. Raises `HarnessError` saying what is still there.
        """
        with cluster.network():
            adoption.withdraw(cluster, app, self._api, lambda node: self.store(cluster, node, pace.limit(_CLEAR_SECONDS)))

    # -- Quorum

    @classmethod
    def member(cls) -> str:
        """Return etcd's daemon."""
        return "etcd"

    def members(self, cluster: Cluster) -> tuple[str, ...]:
        """Names of the nodes that are etcd members, sorted: three, or five where there are five nodes or more; fewer than three nodes have one.

        Of a cluster that was taken over: those that its etcd told of then.
        """
        if isinstance(cluster.provider, Running):
            found = adoption.noted(cluster.run_id)
            known = self._names.get(cluster.run_id) if found is None else found.members
            if known is None:
                raise HarnessError(f"{cluster.run_id}: nobody has asked yet who the etcd members of this cluster are")
            return tuple(sorted(known.values()))
        return tuple(sorted(node.name for node in on_nodes.voters(cluster.nodes)))

    @contextmanager
    def asking(self, cluster: Cluster, node: Node) -> Iterator[Callable[[], tuple[int, str | None]]]:
        """Give a function that returns an etcd member's own (term, name of the leader it follows); see `harness.core.protocols.Quorum.asking`.

        Each ask takes at most 2 s; a member that takes longer for its own status is as good as silent.
        """
        with Etcd(node.address, timeout=pace.answer(_STATUS_SECONDS)) as etcd:
            yield lambda: self._status(cluster.run_id, node.name, etcd)

    def election(self) -> float:
        """Return ten election timeouts of etcd, in seconds: several split votes in a row fit into that."""
        return _ELECTION_TIMEOUTS * self._timers.etcd_election_timeout

    # -- Committing

    def commits(self) -> Committed:
        """Return what etcd asks of the disk that its log is on."""
        return timing.commits(self._timers)

    # -- Registers

    def store(self, cluster: Cluster, node: Node, timeout: float) -> Below:
        """Return a client of this run's own keys at this etcd member; reads are linearizable. Touches nothing yet."""
        return Below(Etcd(node.address, timeout), f"whalefall/{cluster.run_id}/")

    # -- Services

    def processes(self) -> tuple[str, ...]:
        """Return the daemons; fleet and etcd first."""
        return tuple(_UNITS)

    def unit(self, process: str) -> str | None:
        """Return the systemd unit behind ``etcd``, ``fleetd``, ``dockerd`` or ``containerd``; None for anything else."""
        return on_nodes.unit_among(_UNITS, process)

    # -- Ordered

    def orders(self, cluster: Cluster) -> tuple[str, ...]:
        """Return all nodes: fleet's API is the same on each, and the first that answers is given what there is to do."""
        return tuple(node.name for node in cluster.nodes)

    # -- Scaling

    shrinks: ClassVar[bool] = True

    def scale(self, cluster: Cluster, app: App, instances: int) -> None:
        """Launch the units that are missing of so many, or destroy the last ones; see `harness.core.protocols.Scaling.scale`."""
        deadline = Deadline(cluster.clock, pace.limit(_SCALE_SECONDS) + self._more)
        more = own_units.files(dataclasses.replace(app, instances=instances))[app.instances :]
        changes = [functools.partial(self._launch, cluster, file, deadline) for file in more]
        changes += [functools.partial(self._destroy, cluster, unit_files.unit_name(each, app), deadline) for each in app.names[instances:]]
        with cluster.network():
            for number, change in enumerate(changes):
                try:
                    change()
                except HarnessError as error:
                    if number and not isinstance(error, Expired):
                        raise HalfDone(f"{number} of {len(changes)} changes of {app.name} were made, and then: {error}") from error
                    raise

    # -- Defining

    ENDINGS: ClassVar[Mapping[str, str]] = own_units.ENDINGS

    def define(self, wanted: OwnApp) -> App:
        """Return the app that a unit file makes; see `harness.modes.fleet.own_units`."""
        return own_units.define(wanted)

    def clashes(self, apps: Sequence[App]) -> Sequence[tuple[str, str, str]]:
        """Return which units and containers of two apps are called the same, and which rules of a unit are about another app's."""
        return tuple(own_units.clashes(apps))

    # -- Selective

    def refused(self, app: App) -> Sequence[tuple[str, str, str, str]]:
        """Return what no unit could give an app; see `harness.core.protocols.Selective.refused`."""
        return tuple(unit_files.refused(app))

    # -- Restarting

    def restart(self, cluster: Cluster, app: App) -> None:
        """Stop and start the units of an app, one after the other; see `harness.core.protocols.Restarting.restart`."""
        with cluster.network():
            self._units(cluster, app).restart()

    # -- Updating

    def update(self, cluster: Cluster, app: App) -> None:
        """Give fleet other units in the place of an app's own, one after the other; see `harness.core.protocols.Updating.update`."""
        files = dict(zip(app.names, own_units.files(app), strict=True))
        with cluster.network():
            on_nodes.image_where_it_can_be(cluster, app, pace.limit(self._deploy_seconds) + self._more)
            self._units(cluster, app).restart(files=files)

    # -- Removing

    def remove(self, cluster: Cluster, app: App) -> None:
        """Destroy the units of an app, and wait until fleet shows none of them; see `harness.core.protocols.Removing.remove`."""
        deadline = Deadline(cluster.clock, pace.limit(_SCALE_SECONDS) + self._more)
        self.scale(cluster, app, 0)
        last = "not asked yet"

        def gone() -> bool:
            nonlocal last
            view = self._look(cluster)
            left = [] if isinstance(view, str) else [each for each in view.placements if each.instance in app.names]
            last = view if isinstance(view, str) else ", ".join(f"{each.instance} {each.state} on {each.node}" for each in left)
            return not isinstance(view, str) and not left

        with cluster.network():
            wait_until(gone, awaited=f"fleet to show no unit of {app.name}", seconds=deadline.left(), clock=cluster.clock, saw=lambda: last)

    def launch(self, cluster: Cluster, app: App) -> None:
        """Give fleet the units of an app that it has none of; see `harness.core.protocols.Removing.launch`."""
        with cluster.network():
            on_nodes.image_where_it_can_be(cluster, app, pace.limit(self._deploy_seconds) + self._more)
        self.scale(cluster, dataclasses.replace(app, instances=0), app.instances)

    # -- LogFiles

    def logs(self, node: Node) -> Mapping[str, bytes]:
        """Return the journals of the daemons and of the units that fleet started, the failed units and the containers.

        Each file holds its last lines, some 2 MB at most. Where one part could not be had, its file says so and the others are kept. Raises
        `Unreachable` if none could be had because the node does not answer.
        """
        return on_nodes.gather(node, _LOGS)

    # -- How

    def _status(self, run_id: str, name: str, etcd: Etcd) -> tuple[int, str | None]:
        """Return what a member says of itself, the leader by its node's name. Raises `Unreachable`."""
        try:
            status = etcd.status()
            if not status.leader_id:
                return status.term, None
            with self._lock:
                known = self._names.get(run_id, {})
            if status.leader_id not in known:
                known = dict(etcd.members())
                with self._lock:
                    self._names[run_id] = known
        except NoGoodAnswer as e:
            raise Unreachable(name, "etcd's status", str(e)) from e
        return status.term, known.get(status.leader_id)

    def _api(self, cluster: Cluster, node: Node) -> Api:
        return Api(node.name, node.address, cluster.run_id, port=self._port, timeout=pace.answer(_API_SECONDS))

    def _configure(self, cluster: Cluster, node: Node, deadline: Deadline) -> None:
        """Write the configuration of one node and start its daemons."""
        members = on_nodes.voters(cluster.nodes)
        member = node.name in {each.name for each in members}
        etcd = self._etcd_conf(cluster.run_id, node, members)
        on_nodes.forming(node, _FORM, "1" if member else "0", etcd, self._fleet_conf(node, members), deadline=deadline)

    def _etcd_conf(self, run_id: str, node: Node, members: Sequence[Node]) -> str:
        """Give /etc/default/etcd."""
        peers = ",".join(f"{each.name}=http://{each.address}:{_PEER}" for each in members)
        settings = {
            "NAME": node.name,
            "DATA_DIR": "/data/etcd",
            "LISTEN_PEER_URLS": f"http://{node.address}:{_PEER}",
            "LISTEN_CLIENT_URLS": f"http://{node.address}:{_CLIENT},http://127.0.0.1:{_CLIENT}",
            "INITIAL_ADVERTISE_PEER_URLS": f"http://{node.address}:{_PEER}",
            "ADVERTISE_CLIENT_URLS": f"http://{node.address}:{_CLIENT}",
            "INITIAL_CLUSTER": peers,
            "INITIAL_CLUSTER_STATE": "new",
            "INITIAL_CLUSTER_TOKEN": run_id,
            "ENABLE_V2": "true",
            "HEARTBEAT_INTERVAL": _milliseconds(self._timers.etcd_heartbeat_interval),
            "ELECTION_TIMEOUT": _milliseconds(self._timers.etcd_election_timeout),
        }
        return "".join(f"ETCD_{name}={value}\n" for name, value in settings.items())

    def _fleet_conf(self, node: Node, members: Sequence[Node]) -> str:
        """Give /etc/fleet/fleet.conf."""
        # Its own member first, for the reader: fleet's etcd client goes through them in an order of its own.
        ordered = sorted(members, key=lambda each: each.name != node.name)
        servers = ", ".join(f'"http://{each.address}:{_CLIENT}"' for each in ordered)
        return (
            f"etcd_servers=[{servers}]\n"
            f"etcd_request_timeout={self._timers.etcd_request_timeout:g}\n"
            f'public_ip="{node.address}"\n'
            f'metadata="name={node.name}"\n'
            f'agent_ttl="{self._timers.agent_ttl:g}s"\n'
            f"engine_reconcile_interval={self._timers.engine_reconcile_interval:g}\n"
        )

    def _lists(self, cluster: Cluster, node: Node, everyone: set[str], deadline: Deadline, stop: threading.Event) -> None:
        """Wait until the API at one node lists every node."""
        api = self._api(cluster, node)
        names = {each.address: each.name for each in cluster.nodes}
        last = "not asked yet"

        def all_there() -> bool:
            nonlocal last
            try:
                listed = {names.get(each.address, each.id) for each in api.machines()}
            except Unreachable as e:
                last = str(e)
                return False
            last = f"lists {', '.join(sorted(listed)) or 'none'}"
            return everyone <= listed

        # Everybody asks, so more nodes ask less often.
        every = max(on_nodes.POLL_SECONDS, 0.02 * len(everyone))
        wait_until(
            all_there,
            awaited="fleet's API to list every node",
            seconds=deadline.left(),
            clock=cluster.clock,
            every=every,
            rest=on_nodes.REST,
            stop=stop,
            saw=lambda: last,
        )

    def _launch(self, cluster: Cluster, file: unit_files.UnitFile, deadline: Deadline) -> None:
        """Give fleet a unit, through the first node whose API takes it."""
        last = "not asked yet"

        def taken() -> bool:
            nonlocal last
            try:
                adoption.at_any(cluster, self._api, lambda api: api.launch(file))
            except Unreachable as e:
                last = str(e)
                return False
            return True

        wait_until(taken, awaited=f"fleet to take {file.name}", seconds=deadline.left(), clock=cluster.clock, saw=lambda: last)

    def _units(self, cluster: Cluster, app: App) -> Units:
        """Return the units of an app, to be changed within a time of its own for each."""
        return Units(
            cluster,
            self._api,
            lambda: self._look(cluster),
            app,
            Deadline(cluster.clock, app.instances * pace.limit(_ANEW_SECONDS) + self._more),
        )

    def _destroy(self, cluster: Cluster, unit: str, deadline: Deadline) -> None:
        """Have fleet forget a unit and stop it, through the first node whose API takes it."""
        last = "not asked yet"

        def taken() -> bool:
            nonlocal last
            try:
                adoption.at_any(cluster, self._api, lambda api: adoption.destroy(api, unit))
            except Unreachable as e:
                last = str(e)
                return False
            return True

        wait_until(taken, awaited=f"fleet to forget {unit}", seconds=deadline.left(), clock=cluster.clock, saw=lambda: last)

    def _look(self, cluster: Cluster) -> View | str:
        """Return the view of the first node that has one, or why none has."""
        try:
            return on_nodes.at_first(cluster.nodes, lambda node: self.view(cluster, node), "fleet", "its API at every node")
        except Unreachable as e:
            return str(e)

    def _diagnosis(self, node: Node) -> str:
        """Say what a node that was not ready looks like. Never raises: it only makes an error better."""
        script = (
            'for unit in etcd fleet docker; do echo "$unit: $(systemctl is-active $unit)"; done;'
            " journalctl --no-pager -q -o cat -n 6 -u etcd -u fleet -u docker"
        )
        try:
            return node.run("timeout", "5", "sh", "-c", script, timeout=pace.limit(6.0)).text
        except HarnessError as e:
            return str(e)


_LOGS: Mapping[str, tuple[str, ...]] = {
    "etcd.log": (*on_nodes.JOURNAL, "-u", "etcd"),
    "fleet.log": (*on_nodes.JOURNAL, "-u", "fleet.service", "-u", "fleet.socket"),
    "docker.log": (*on_nodes.JOURNAL, "-u", "docker", "-u", "containerd"),
    "units.log": (*on_nodes.JOURNAL, "-u", "*@*.service"),
    "failed-units.txt": ("systemctl", "list-units", "--failed", "--no-pager", "--plain"),
    "containers.txt": ("docker", "ps", "--all", "--no-trunc"),
}


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))


def _placements(machines: Mapping[str, str], listed: Sequence[Unit], states: Sequence[State], apps: Sequence[App]) -> tuple[Placement, ...]:
    """Put units and unit states together; see `Fleet.view`.

    Other people's units are none of ours: no container of theirs is followed, either. Those of an app are, and those that were made for one which is
    no app of the cluster's any more, or not yet.
    """
    ours = {app.name for app in apps} | {app_of(unit_files.instance_name(unit.name, apps)) for unit in listed if unit.ours}

    def home(machine: str) -> str | None:
        return machines.get(machine, machine) or None

    found = [
        Placement(unit_files.instance_name(row.name, apps), home(row.machine), row.active, row.active == "active" and row.sub == "running")
        for row in states
    ]
    told = {(row.name, row.machine) for row in states}
    found += [
        Placement(unit_files.instance_name(unit.name, apps), home(unit.machine), unit.current or unit.desired, running=False)
        for unit in listed
        if (unit.name, unit.machine) not in told and not unit.everywhere
    ]
    found = [each for each in found if number_of(each.instance) is not None and app_of(each.instance) in ours]
    return tuple(sorted(found, key=lambda each: (each.instance, each.node or "")))


def _unit_logs(cluster: Cluster, app: App, view: View | None) -> str:
    """Say what the units of instances that do not run wrote last. Never raises: it only makes an error better."""
    told = []
    for each in view.placements if view else ():
        if each.instance in app.names and each.node is not None and not each.running:
            with suppress(HarnessError):
                unit = unit_files.unit_name(each.instance, app)
                argv = ("journalctl", "--no-pager", "-q", "-o", "cat", "-n", "8", "-u", unit)
                told.append(f"{unit} on {each.node}:\n{cluster.node(each.node).run(*argv, timeout=pace.limit(6.0)).text}")
    return "".join(told)
